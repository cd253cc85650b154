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
	found, err := readAccounts(ctx, s.db, []string{id})
	if err != nil {
		return Account{}, wrap("reading an account", err)
	}
	a, ok := found[id]
	if !ok {
		return Account{}, fmt.Errorf("account %s: %w", id, ErrNotFound)
	}
	return a, nil
}

// Accounts finds accounts, sorted by id.
func (s *store) Accounts(ctx context.Context, ids []string) ([]Account, error) {
	var out []Account
	for part := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(ids))), s.db.Batch()) {
		found, err := readAccounts(ctx, s.db, part)
		if err != nil {
			return nil, wrap("reading accounts", err)
		}
		for _, id := range part {
			if a, ok := found[id]; ok {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// checkAccount refuses ids that are no customer's.
func checkAccount(id string) error {
	if id == "" || strings.HasPrefix(id, systemPrefix) {
		return fmt.Errorf("%w account %q", errInvalid, id)
	}
	return nil
}

// SetOverdraft says how far below zero admission may let a balance go.
func (s *store) SetOverdraft(ctx context.Context, account string, limit pricing.Nano) (Account, error) {
	if limit < 0 || limit > maxAmount {
		return Account{}, fmt.Errorf("%w overdraft %d", errInvalid, limit)
	}
	after := map[string]Account{}
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		// The same limit again is no change: its version stays, and nobody need hear of it.
		sql := "UPDATE accounts SET version = CASE WHEN overdraft = $2 THEN version WHEN version < $3 THEN $3 ELSE version + 1 END, overdraft = $2 " +
			"WHERE id = $1 RETURNING " + accountColumns
		if err := tx.Each(ctx, sql, []any{account, limit, s.nextVersion(0)}, scanAccounts(after)); err != nil {
			return err
		}
		return tx.Run(ctx, s.announcing(tx, []string{account})...)
	})
	if err == nil && len(after) == 0 {
		err = fmt.Errorf("account %s: %w", account, ErrNotFound)
	}
	return after[account], wrap("setting an overdraft", err)
}

// each is what reads.
type each interface {
	sqldb.Dialect
	Each(ctx context.Context, sql string, args []any, row func(scan func(...any) error) error) error
}

// readAccounts reads accounts; those that are not there are left out.
func readAccounts(ctx context.Context, q each, ids []string) (map[string]Account, error) {
	found := make(map[string]Account, len(ids))
	among, args := q.Among(ids, 1)
	err := q.Each(ctx, "SELECT "+accountColumns+" FROM accounts WHERE id "+among, args, scanAccounts(found))
	return found, err
}

// accountColumns are those of an Account, in the order of its scan.
const accountColumns = "id, balance, version, overdraft, status"

// scan reads accountColumns, and what comes after them.
func (a *Account) scan(scan func(...any) error, more ...any) error {
	var status AccountStatus
	err := scan(append([]any{&a.ID, &a.Balance, &a.Version, &a.Overdraft, &status}, more...)...)
	a.Suspended = status == AccountSuspended
	return err
}

func scanAccounts(into map[string]Account) func(func(...any) error) error {
	return func(scan func(...any) error) error {
		var a Account
		if err := a.scan(scan); err != nil {
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
