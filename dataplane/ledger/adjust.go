package ledger

import (
	"context"
	"fmt"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Adjustment is a correction by hand.
type Adjustment struct {
	// ID is the idempotency key; the same ID again changes nothing and answers the account as it is.
	ID      string
	Account string
	// Amount in nano-USD is given to the account, or taken from it if it is below zero.
	Amount pricing.Nano
	// Reason is for whoever reads the ledger; it must say something.
	Reason string
}

// Adjust posts a correction: what it gives is a grant, what it takes is drawn as a charge is.
func (s *store) Adjust(ctx context.Context, c Adjustment) (Account, error) {
	if err := checkAdjustment(c); err != nil {
		return Account{}, err
	}
	var after Account
	err := s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		after, err = s.postAdjustment(ctx, tx, c)
		return err
	})
	if err != nil {
		return Account{}, wrap("adjusting", err)
	}
	return after, nil
}

func checkAdjustment(c Adjustment) error {
	switch {
	case c.ID == "":
		return fmt.Errorf("%w adjustment: no id", errInvalid)
	case c.Amount == 0 || c.Amount > maxAmount || c.Amount < -maxAmount:
		return fmt.Errorf("%w adjustment: amount %d", errInvalid, c.Amount)
	case strings.TrimSpace(c.Reason) == "":
		return fmt.Errorf("%w adjustment: no reason", errInvalid)
	}
	return checkAccount(c.Account)
}

func (s *store) postAdjustment(ctx context.Context, tx sqldb.Tx, c Adjustment) (Account, error) {
	b, err := s.openBook(ctx, tx, []string{c.Account})
	if err != nil {
		return Account{}, err
	}
	a, key := b.accounts[c.Account], "correction:"+c.ID
	posted, same := false, false
	err = tx.Each(ctx, "SELECT account, amount FROM ledger_entries WHERE tx = $1", []any{key}, func(scan func(...any) error) error {
		var account string
		var amount pricing.Nano
		err := scan(&account, &amount)
		posted, same = true, same || account == c.Account && amount == c.Amount
		return err
	})
	switch {
	case err != nil:
		return Account{}, err
	case posted && !same:
		return Account{}, fmt.Errorf("adjustment %s: %w", c.ID, ErrConflict)
	case posted:
		return a.Account, nil
	case c.Amount > 0 && a.Balance > MaxBalance-c.Amount, c.Amount < 0 && a.Balance < -MaxBalance-c.Amount:
		return Account{}, fmt.Errorf("account %s: %w", a.ID, ErrLimit)
	}
	if err := b.load(ctx, []string{a.ID}); err != nil {
		return Account{}, err
	}
	b.post(key, kindCorrection, "", c.Reason)
	if c.Amount > 0 {
		b.giveBack(a, key, kindCorrection, c.Reason, c.Amount, nil)
	} else {
		b.debit(a, key, kindCorrection, -c.Amount, b.now)
	}
	b.announce(a.ID)
	after, err := b.flush(ctx)
	return after[a.ID], err
}

// giveBack gives money that is no grant of its own; it is drawn and expires as the grant that it was drawn from, if it was.
func (b *book) giveBack(a *account, tx, other, reason string, amount pricing.Nano, from *grant) {
	g := &grant{
		key: tx, account: a.ID, kind: grantAdjustment, reason: reason, amount: amount, remaining: amount,
		priority: priorities[grantAdjustment], createdAt: b.now,
	}
	if from != nil {
		g.priority, g.expiresAt = from.priority, from.expiresAt
	}
	b.add(a, g)
	b.credit(a, g, tx, other)
}
