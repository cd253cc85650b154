package failover

import (
	"context"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// status sets the status of ns/acme.
func (b *books) status(t *testing.T, status ledger.AccountStatus) {
	t.Helper()
	_, err := b.SetAccountStatus(t.Context(), "ns/acme", status, "r")
	must(t, err)
}

// Without Redis a suspended account is refused as with it, and nothing is kept of the question.
func TestSuspended(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		f := without(b, &primary{err: errDown})
		runs := b.request(t, 10)
		must(t, admitted(f.Admit(t.Context(), runs)))
		b.status(t, ledger.AccountSuspended)
		for what, q := range map[string]admit.Request{
			"one that fits":    b.request(t, 10),
			"one that is free": b.request(t, 0, unmetered),
			"one that counts":  b.request(t, 10, func(q *admit.Request) { q.Shadow = true }),
			"too many":         b.request(t, 10, func(q *admit.Request) { q.MaxConcurrent = 1 }),
			"too much":         b.request(t, 5000),
		} {
			d, err := f.Admit(t.Context(), q)
			must(t, err)
			same(t, what, []any{d.Outcome, d.Would, d.Held, f.book.size()}, []any{admit.AccountSuspended, admit.Admitted, 0, 1})
			d, err = f.Preview(t.Context(), q)
			must(t, err)
			same(t, what+", previewed", d.Outcome, admit.AccountSuspended)
		}
		d, err := f.Extend(t.Context(), admit.Extension{RequestID: runs.ID, Account: runs.Account, KeyDigest: runs.KeyDigest, To: 20})
		must(t, err)
		same(t, "extended", []any{d.Outcome, d.Held, d.Fits}, []any{admit.AccountSuspended, 10, 10})
		b.status(t, ledger.AccountActive)
		same(t, "held", b.held(t, "ns/acme"), 10)
		must(t, admitted(f.Admit(t.Context(), b.request(t, 10))))
	})
}

// hurried is a ledger whose account is suspended as soon as it was asked about.
type hurried struct{ *books }

func (h hurried) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	if _, err := h.SetAccountStatus(ctx, r.Account, ledger.AccountSuspended, "r"); err != nil {
		return ledger.Reserved{}, err
	}
	return h.books.Reserve(ctx, r)
}

func TestSuspendedMeanwhile(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		for what, with := range map[string]func(*admit.Request){
			"held": func(*admit.Request) {}, "counted": func(q *admit.Request) { q.Shadow = true },
			"counted, and short": func(q *admit.Request) { q.Shadow, q.Hold = true, 5000 },
		} {
			b.status(t, ledger.AccountActive)
			f := without(b, &primary{err: errDown})
			f.o.Ledger = hurried{b}
			d, err := f.Admit(t.Context(), b.request(t, 10, with))
			must(t, err)
			same(t, what, []any{d.Outcome, d.Would, d.Held, d.Refusal.Rule, f.book.size()}, []any{admit.AccountSuspended, admit.Admitted, 0, "", 0})
		}
	})
}
