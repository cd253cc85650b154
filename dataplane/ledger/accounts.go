package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Account finds an account.
func (s *store) Account(ctx context.Context, id string) (Account, error) {
	found, err := readAccounts(ctx, s.db, []string{id}, "")
	if err != nil {
		return Account{}, wrap("reading an account", err)
	}
	a, ok := found[id]
	if !ok {
		return Account{}, fmt.Errorf("account %s: %w", id, ErrNotFound)
	}
	return a, nil
}

// Grant posts a grant.
func (s *store) Grant(ctx context.Context, g Grant) (Account, error) {
	if err := checkGrant(g); err != nil {
		return Account{}, err
	}
	var after Account
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		accounts, err := s.lockAccounts(ctx, tx, []string{g.Account})
		if err != nil {
			return err
		}
		after, err = s.postGrant(ctx, tx, accounts[g.Account], g, "grant:"+g.ID)
		return err
	})
	if err != nil {
		return Account{}, wrap("granting", err)
	}
	return after, nil
}

// checkGrant refuses what must not be posted.
func checkGrant(g Grant) error {
	switch {
	case g.ID == "":
		return fmt.Errorf("%w grant: no id", errInvalid)
	case g.Amount <= 0 || g.Amount > maxAmount:
		return fmt.Errorf("%w grant: amount %d", errInvalid, g.Amount)
	case g.Kind != "promo" && g.Kind != "manual":
		return fmt.Errorf("%w grant: kind %q", errInvalid, g.Kind)
	}
	return checkAccount(g.Account)
}

// checkAccount refuses ids that are no customer's.
func checkAccount(id string) error {
	if id == "" || strings.HasPrefix(id, systemPrefix) {
		return fmt.Errorf("%w account %q", errInvalid, id)
	}
	return nil
}

// postGrant posts a grant under an idempotency key, to an account that is locked.
func (s *store) postGrant(ctx context.Context, tx sqldb.Tx, a Account, g Grant, key string) (Account, error) {
	now := s.now().UnixMicro()
	fresh, err := tx.Exec(ctx, "INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES ($1, 'grant', $2) ON CONFLICT DO NOTHING", key, now)
	if err != nil {
		return Account{}, err
	}
	if fresh == 0 {
		return a, sameGrant(ctx, tx, g, key)
	}
	if a.Balance > MaxBalance-g.Amount {
		return Account{}, fmt.Errorf("account %s: %w", a.ID, ErrLimit)
	}
	if err := postEntries(ctx, tx, []entry{{key, systemPrefix + g.Kind, -g.Amount}, {key, a.ID, g.Amount}}); err != nil {
		return Account{}, err
	}
	const row = "INSERT INTO credit_grants (idem_key, account, kind, amount, reason, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
	if _, err := tx.Exec(ctx, row, key, a.ID, g.Kind, g.Amount, g.Reason, now); err != nil {
		return Account{}, err
	}
	after, err := s.addBalances(ctx, tx, map[string]pricing.Nano{a.ID: g.Amount})
	return after[a.ID], err
}

// sameGrant is ErrConflict if the grant that was posted under the key is another one.
func sameGrant(ctx context.Context, tx sqldb.Tx, g Grant, key string) error {
	var posted Grant
	err := tx.Each(ctx, "SELECT account, amount FROM credit_grants WHERE idem_key = $1", []any{key}, func(scan func(...any) error) error {
		return scan(&posted.Account, &posted.Amount)
	})
	if err == nil && (posted.Account != g.Account || posted.Amount != g.Amount) {
		err = fmt.Errorf("grant %s: %w", g.ID, ErrConflict)
	}
	return err
}

// entry is one row of ledger_entries.
type entry struct {
	tx, account string
	amount      pricing.Nano
}

// postEntries appends entries; their sum is zero for each transaction.
func postEntries(ctx context.Context, tx sqldb.Tx, entries []entry) error {
	for part := range slices.Chunk(entries, rowsPerStatement) {
		args := make([]any, 0, 3*len(part))
		for _, e := range part {
			args = append(args, e.tx, e.account, e.amount)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO ledger_entries (tx, account, amount) VALUES "+placeholders(len(part), 3), args...); err != nil {
			return err
		}
	}
	return nil
}

// lockAccounts makes the accounts that are missing, at balance zero, and locks them all until the transaction ends. Both go
// in the order of the ids, so that two transactions never wait for each other.
func (s *store) lockAccounts(ctx context.Context, tx sqldb.Tx, ids []string) (map[string]Account, error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	args := make([]any, 0, 3*len(ids))
	for _, id := range ids {
		args = append(args, id, s.nextVersion(0), s.now().UnixMicro())
	}
	if _, err := tx.Exec(ctx, "INSERT INTO accounts (id, version, created_at) VALUES "+placeholders(len(ids), 3)+" ON CONFLICT DO NOTHING", args...); err != nil {
		return nil, err
	}
	return readAccounts(ctx, tx, ids, s.db.ForUpdate())
}

// each is what reads.
type each interface {
	Each(ctx context.Context, sql string, args []any, row func(scan func(...any) error) error) error
}

// readAccounts reads accounts in the order of their ids, with what the statement ends in.
func readAccounts(ctx context.Context, q each, ids []string, end string) (map[string]Account, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	found := make(map[string]Account, len(ids))
	sql := "SELECT id, balance, version FROM accounts WHERE id IN " + placeholders(1, len(ids)) + " ORDER BY id" + end
	err := q.Each(ctx, sql, args, scanAccounts(found))
	return found, err
}

// addBalances adds to the balances of locked accounts and answers the accounts after it.
func (s *store) addBalances(ctx context.Context, tx sqldb.Tx, add map[string]pricing.Nano) (map[string]Account, error) {
	values := make([]string, 0, len(add))
	args := append(make([]any, 0, 1+2*len(add)), s.nextVersion(0))
	for id, amount := range add {
		args = append(args, id, amount)
		values = append(values, fmt.Sprintf("(CAST($%d AS TEXT), CAST($%d AS BIGINT))", len(args)-1, len(args)))
	}
	// Both dialects call the columns of VALUES column1 and column2.
	sql := "UPDATE accounts SET balance = balance + v.column2, version = CASE WHEN version < CAST($1 AS BIGINT) THEN CAST($1 AS BIGINT) ELSE version + 1 END FROM (VALUES " + strings.Join(values, ", ") +
		") AS v WHERE id = v.column1 RETURNING id, balance, version"
	after := make(map[string]Account, len(add))
	err := tx.Each(ctx, sql, args, scanAccounts(after))
	return after, err
}

func scanAccounts(into map[string]Account) func(func(...any) error) error {
	return func(scan func(...any) error) error {
		var a Account
		if err := scan(&a.ID, &a.Balance, &a.Version); err != nil {
			return err
		}
		into[a.ID] = a
		return nil
	}
}

// CreditsPerDollar pins what a credit is.
func (s *store) CreditsPerDollar(ctx context.Context, want int64) (int64, error) {
	if want < 0 {
		return 0, fmt.Errorf("%w credits per dollar: %d", errInvalid, want)
	}
	const name = "credits_per_dollar"
	read := func(q each) (have int64, err error) {
		err = q.Each(ctx, "SELECT value FROM settings WHERE name = $1", []any{name}, func(scan func(...any) error) error {
			return scan(&have)
		})
		return have, err
	}
	have, err := read(s.db)
	if err == nil && have == 0 && want > 0 {
		err = s.db.Write(ctx, func(tx sqldb.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, want); err != nil {
				return err
			}
			have, err = read(tx)
			return err
		})
	}
	return have, wrap("pinning the credits per dollar", err)
}
