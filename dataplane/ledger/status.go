package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// AccountStatus is whether an account's requests are admitted.
type AccountStatus string

// Statuses of accounts. A new account is active.
const (
	AccountActive    AccountStatus = "Active"
	AccountSuspended AccountStatus = "Suspended"
)

// SetAccountStatus suspends an account, or lets it be served again. The reason is kept as a correction's is: in a transaction,
// which has no entries, because no money moves.
func (s *store) SetAccountStatus(ctx context.Context, account string, status AccountStatus, reason string) (Account, error) {
	switch {
	case status != AccountActive && status != AccountSuspended:
		return Account{}, fmt.Errorf("%w status %q", errInvalid, status)
	case strings.TrimSpace(reason) == "":
		return Account{}, fmt.Errorf("%w status: no reason", errInvalid)
	}
	if err := checkAccount(account); err != nil {
		return Account{}, err
	}
	var after Account
	err := s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		after, err = s.setStatus(ctx, tx, account, status, reason)
		return err
	})
	return after, wrap("setting the status of an account", err)
}

func (s *store) setStatus(ctx context.Context, tx sqldb.Tx, account string, status AccountStatus, reason string) (Account, error) {
	b, found := s.newBook(tx), map[string]Account{}
	if err := tx.Run(ctx, b.lock([]string{account})); err != nil {
		return Account{}, err
	}
	switch a := b.accounts[account]; {
	case a == nil:
		return Account{}, fmt.Errorf("account %s: %w", account, ErrNotFound)
	case a.Suspended == (status == AccountSuspended): // no change: its version stays, and nobody need hear of it
		return a.Account, nil
	}
	const sql = "UPDATE accounts SET status = $2, version = CASE WHEN version < $3 THEN $3 ELSE version + 1 END WHERE id = $1 RETURNING " + accountColumns
	if err := tx.Each(ctx, sql, []any{account, string(status), s.nextVersion(0)}, scanAccounts(found)); err != nil {
		return Account{}, err
	}
	after := found[account]
	b.post(fmt.Sprintf("status:%s:%d", account, after.Version), kindStatus, "", string(status)+": "+reason)
	b.announce(account)
	_, err := b.flush(ctx)
	return after, err
}
