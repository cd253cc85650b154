package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Kinds of grants. By their default priority promo and manual are drawn before subscription, and that before purchased.
const (
	GrantPromo        = "promo"        // first grants, campaigns
	GrantManual       = "manual"       // by hand
	GrantSubscription = "subscription" // a plan's monthly credits
	GrantPurchased    = "purchased"    // paid for
	grantAdjustment   = "adjustment"   // what a correction gave back
)

// priorities are what kinds have unless a grant says otherwise; lower ones are drawn first.
var priorities = map[string]int64{GrantPromo: 10, GrantManual: 10, GrantSubscription: 20, GrantPurchased: 30, grantAdjustment: 30}

// Kinds of transactions.
const (
	kindGrant      = "grant"
	kindSettle     = "settle"
	kindFree       = "free"       // a settlement of nothing: it has no entries
	kindAdjust     = "adjust"     // the difference between an orphan's floor and its settlement
	kindExpire     = "expire"     // what a grant had left
	kindEffect     = "effect"     // a grant of the past becomes effective
	kindAlign      = "align"      // draws of what a version without draws spent: it has no entries
	kindStatus     = "status"     // an account was suspended, or is served again, for this reason: it has no entries
	kindCorrection = "correction" // by hand
)

// Grant adds money to an account.
type Grant struct {
	// ID is the idempotency key; the same ID again changes nothing and answers the account as it is.
	ID      string
	Account string
	Amount  pricing.Nano // > 0
	// Kind is GrantPromo, GrantManual, GrantSubscription or GrantPurchased.
	Kind   string
	Reason string
	// Source is what the grant is for, such as an invoice's line; no two grants have one. Empty: nothing.
	Source string
	// Priority says when it is drawn, lower ones first; 0: as its kind.
	Priority int64
	// EffectiveAt is from when on the account has it, ExpiresAt until when, in microseconds; 0: at once, for ever.
	EffectiveAt, ExpiresAt int64
}

// GrantState is a grant and what is left of it.
type GrantState struct {
	Grant
	// Remaining is what no request has drawn. Pending says that it is not yet effective.
	Remaining pricing.Nano
	Pending   bool
	CreatedAt int64
}

// grantColumns are the columns of credit_grants, in the order of scanGrant.
const grantColumns = "idem_key, account, kind, amount, reason, created_at, remaining, source, priority, effective_at, expires_at, pending"

func scanGrant(scan func(...any) error) (*grant, error) {
	g := new(grant)
	var remaining *int64
	err := scan(&g.key, &g.account, &g.kind, &g.amount, &g.reason, &g.createdAt, &remaining, &g.source, &g.priority, &g.effectiveAt, &g.expiresAt, &g.pending)
	if g.uncounted = remaining == nil; remaining != nil {
		g.remaining = *remaining
	}
	return g, err
}

// Grant posts a grant.
func (s *store) Grant(ctx context.Context, g Grant) (Account, error) {
	if err := s.checkGrant(g); err != nil {
		return Account{}, err
	}
	var after Account
	err := s.db.Write(ctx, func(tx sqldb.Tx) (err error) {
		after, err = s.postGrant(ctx, tx, g, "grant:"+g.ID)
		return err
	})
	if err != nil {
		return Account{}, wrap("granting", err)
	}
	return after, nil
}

// checkGrant refuses what must not be posted.
func (s *store) checkGrant(g Grant) error {
	now := s.now().UnixMicro()
	switch {
	case g.ID == "":
		return fmt.Errorf("%w grant: no id", errInvalid)
	case g.Amount <= 0 || g.Amount > maxAmount:
		return fmt.Errorf("%w grant: amount %d", errInvalid, g.Amount)
	case priorities[g.Kind] == 0 || g.Kind == grantAdjustment:
		return fmt.Errorf("%w grant: kind %q", errInvalid, g.Kind)
	case g.Priority < 0 || g.EffectiveAt < 0 || g.ExpiresAt < 0:
		return fmt.Errorf("%w grant: priority %d, from %d, until %d", errInvalid, g.Priority, g.EffectiveAt, g.ExpiresAt)
	case g.ExpiresAt != 0 && g.ExpiresAt <= g.EffectiveAt:
		return fmt.Errorf("%w grant: it expires at %d, before %d", errInvalid, g.ExpiresAt, max(now, g.EffectiveAt))
	}
	return checkAccount(g.Account)
}

// postGrant posts a grant under an idempotency key. One that is not yet effective waits on system/pending.
func (s *store) postGrant(ctx context.Context, tx sqldb.Tx, g Grant, key string) (Account, error) {
	b, err := s.openBook(ctx, tx, []string{g.Account})
	if err != nil {
		return Account{}, err
	}
	a := b.accounts[g.Account]
	if posted, err := samePosted(ctx, tx, g, key); posted || err != nil {
		return a.Account, err
	}
	if a.Balance > MaxBalance-g.Amount {
		return Account{}, fmt.Errorf("account %s: %w", a.ID, ErrLimit)
	}
	if err := b.load(ctx, []string{a.ID}); err != nil {
		return Account{}, err
	}
	row := &grant{
		key: key, account: a.ID, kind: g.Kind, reason: g.Reason, source: g.Source, amount: g.Amount, remaining: g.Amount,
		priority: g.Priority, createdAt: b.now, effectiveAt: g.EffectiveAt, expiresAt: g.ExpiresAt, pending: g.EffectiveAt > b.now,
	}
	if row.priority == 0 {
		row.priority = priorities[g.Kind]
	}
	b.post(key, kindGrant, "", g.Reason)
	b.add(a, row)
	if row.pending {
		b.enter(key, systemPrefix+"pending", systemPrefix+g.Kind, g.Amount)
	} else {
		b.credit(a, row, key, g.Kind)
	}
	if row.expired(b.now) { // it came too late: it repays what is owed, and nobody spends it
		b.expire(a, row)
	}
	b.announce(a.ID)
	after, err := b.flush(ctx)
	if err != nil || row.pending && !a.changed {
		return a.Account, err
	}
	return after[a.ID], nil
}

// samePosted says whether a grant was posted under the key or for the source; ErrConflict: for another account or amount.
func samePosted(ctx context.Context, tx sqldb.Tx, g Grant, key string) (posted bool, err error) {
	err = tx.Each(ctx, "SELECT account, amount, source FROM credit_grants WHERE idem_key = $1 OR source <> '' AND source = $2", []any{key, g.Source}, func(scan func(...any) error) error {
		var was Grant
		if err := scan(&was.Account, &was.Amount, &was.Source); err != nil {
			return err
		}
		posted = true
		if was.Account != g.Account || was.Amount != g.Amount || g.Source != "" && was.Source != g.Source {
			return fmt.Errorf("grant %s: %w", g.ID, ErrConflict)
		}
		return nil
	})
	return posted, err
}

// Grants answers the grants of an account.
func (s *store) Grants(ctx context.Context, account string) ([]GrantState, error) {
	var found []*grant
	sql := "SELECT " + grantColumns + " FROM credit_grants WHERE account = $1 ORDER BY created_at DESC LIMIT 1000"
	err := s.db.Each(ctx, sql, []any{account}, func(scan func(...any) error) error {
		g, err := scanGrant(scan)
		found = append(found, g)
		return err
	})
	if err != nil {
		return nil, wrap("reading grants", err)
	}
	slices.SortFunc(found, drawOrder)
	out := make([]GrantState, len(found))
	for i, g := range found {
		if g.uncounted {
			g.remaining = g.amount
		}
		out[i] = GrantState{Grant{strings.TrimPrefix(g.key, "grant:"), g.account, g.amount, g.kind, g.reason, g.source, g.priority, g.effectiveAt, g.expiresAt}, g.remaining, g.pending, g.createdAt}
	}
	return out, nil
}
