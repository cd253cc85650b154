package ledger

import (
	"context"
	"slices"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// ChangedAccount says that an account changed otherwise than by a settlement that its settler confirms: by hand, by the clock, or by what
// was settled of a reservation. Redis of the gateway must hear of it. It is written in the transaction of the change, so that
// whoever made it may die before telling.
type ChangedAccount struct {
	GatewayUID, Account string
	// Version is the account's after the last such change.
	Version int64
}

// announce has flush say that an account has changed.
func (b *book) announce(account string) {
	if !slices.Contains(b.announced, account) {
		b.announced = append(b.announced, account)
	}
}

// announcing says that accounts, as they are then and locked, have changed: to every gateway that has keys of them, since no other has
// a copy. One whose last key was revoked may still have one, and requests that run on it; a day later it has neither. There is one row
// for each, however often it changes before it is told.
func (s *store) announcing(q sqldb.Dialect, accounts []string) (all []sqldb.Statement) {
	for part := range slices.Chunk(slices.Sorted(slices.Values(accounts)), q.Batch()) {
		among, args := q.Among(part, 2)
		all = append(all, sqldb.Statement{Args: append([]any{s.now().Add(-outboxKeep).UnixMicro()}, args...), SQL: "INSERT INTO changed_accounts (gateway_uid, account, version) " +
			"SELECT DISTINCT k.gateway_uid, a.id, a.version FROM accounts a JOIN api_keys k ON k.account = a.id " +
			"WHERE (k.state <> 'revoked' OR k.updated_at > $1) AND a.id " + among + " ON CONFLICT (gateway_uid, account) DO UPDATE SET version = excluded.version"})
	}
	return all
}

// ChangedAccounts reads what a gateway has not heard yet.
func (s *store) ChangedAccounts(ctx context.Context, gatewayUID, after string, limit int) ([]ChangedAccount, error) {
	var out []ChangedAccount
	const sql = "SELECT gateway_uid, account, version FROM changed_accounts WHERE gateway_uid = $1 AND account > $2 ORDER BY account LIMIT $3"
	err := s.db.Each(ctx, sql, []any{gatewayUID, after, max(0, limit)}, func(scan func(...any) error) error {
		var c ChangedAccount
		err := scan(&c.GatewayUID, &c.Account, &c.Version)
		out = append(out, c)
		return err
	})
	return out, wrap("reading which accounts changed", err)
}

// DoneAccount takes one away, unless the account has changed again since it was read.
func (s *store) DoneAccount(ctx context.Context, c ChangedAccount) error {
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM changed_accounts WHERE gateway_uid = $1 AND account = $2 AND version <= $3", c.GatewayUID, c.Account, c.Version)
		return err
	})
	return wrap("noting that a changed account is told", err)
}
