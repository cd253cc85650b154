package ledger

import (
	"context"
	"fmt"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// Current posts what is due of an account's grants.
func (s *store) Current(ctx context.Context, account string) (Account, int64, error) {
	var after Account
	var next int64
	err := s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		after, next, err = s.postDue(ctx, tx, account)
		return err
	})
	return after, next, wrap("reading an account", err)
}

// PostDue posts what is due of all accounts' grants, a transaction for each account.
func (s *store) PostDue(ctx context.Context, limit int) ([]Account, error) {
	var due []string
	const sql = "SELECT account FROM credit_grants WHERE expires_at > 0 AND expires_at <= $1 AND live AND NOT pending " +
		"UNION SELECT account FROM credit_grants WHERE pending AND effective_at <= $1 ORDER BY account LIMIT $2"
	err := s.db.Each(ctx, sql, []any{s.now().UnixMicro(), limit}, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		due = append(due, id)
		return err
	})
	if err != nil {
		return nil, wrap("looking for grants that are due", err)
	}
	changed := make([]Account, 0, len(due))
	for _, id := range due {
		a, _, err := s.Current(ctx, id)
		if err != nil {
			return changed, err
		}
		changed = append(changed, a)
	}
	return changed, nil
}

// postDue locks one account and posts what is due of its grants: those that begin first, so that one whose whole time was
// missed expires at once. It answers the account, and when something is due next.
func (s *store) postDue(ctx context.Context, tx sqldb.Tx, id string) (Account, int64, error) {
	b := s.newBook(tx)
	if err := tx.Run(ctx, b.lock([]string{id})); err != nil {
		return Account{}, 0, err
	}
	a := b.accounts[id]
	if a == nil {
		return Account{}, 0, fmt.Errorf("account %s: %w", id, ErrNotFound)
	}
	if err := b.load(ctx, []string{id}); err != nil {
		return Account{}, 0, err
	}
	for _, g := range a.grants {
		if g.pending && g.effectiveAt <= b.now {
			b.begin(a, g)
		}
	}
	var next int64
	for _, g := range a.grants {
		if g.expired(b.now) {
			b.expire(a, g)
		}
		next = sooner(next, g.next())
	}
	if a.changed {
		b.announce(id)
	}
	after, err := b.flush(ctx)
	if changed, ok := after[id]; ok {
		return changed, next, err
	}
	return a.Account, next, err
}

// begin gives a grant, whose time has come, to its account.
func (b *book) begin(a *account, g *grant) {
	key := "effect:" + g.key
	g.pending = false
	b.taken[g] = true
	b.post(key, kindEffect, "", "")
	b.credit(a, g, key, "pending")
}

// next is when a grant changes by the clock; 0: never.
func (g *grant) next() int64 {
	switch {
	case g.pending:
		return g.effectiveAt
	case g.remaining > 0:
		return g.expiresAt
	default:
		return 0
	}
}

func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
