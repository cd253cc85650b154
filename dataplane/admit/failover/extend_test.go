package failover

import (
	"context"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// back has Redis answer again.
func back(f *Failover, p *primary) {
	p.set(nil)
	closed(f)
}

// What the ledger lent is not all there is once Redis is back, whose owner has adopted it; and a ledger that is away then is not
// asked.
func TestExtendWhenRedisIsBack(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		p := &primary{}
		f := without(b, p)
		q := b.request(t, 100)
		must(t, admitted(f.Admit(t.Context(), q)))
		back(f, p)
		for i, to := range []pricing.Nano{700, 800} { // more than the half that the ledger lends
			b.away.Store(i == 1)
			d, err := f.Extend(t.Context(), extension(q, to))
			must(t, err)
			same(t, "by Redis", []any{d.Outcome, d.Held, d.Fallback}, []any{admit.Admitted, to, false})
		}
		b.away.Store(false)
		same(t, "the ledger has what it lent", b.held(t, "ns/acme"), 100)
		p.set(errDown)
		d, err := f.Extend(t.Context(), extension(q, 900))
		must(t, err)
		same(t, "the rest by the ledger", []any{d.Outcome, d.Held, d.Fallback, b.held(t, "ns/acme")}, []any{admit.Admitted, 900, true, 200})
		must(t, f.Finish(t.Context(), finish(t, q, 850)))
		same(t, "settled", settleIt(t, b, f, q, 850) != nil, true)
		same(t, "nothing is left", []any{b.held(t, "ns/acme"), f.book.size()}, []any{0, 0})
	})
}

// unheard is a ledger whose reservations are made, and whose first answer is lost.
type unheard struct {
	*books
	lost bool
}

func (u *unheard) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	out, err := u.books.Reserve(ctx, r)
	if err == nil && !u.lost {
		u.lost = true
		return ledger.Reserved{}, context.DeadlineExceeded
	}
	return out, err
}

// A reservation whose answer was lost is released, unless it is made again meanwhile; one that is released all the same, because
// that was under way, is made again.
func TestExtendAfterAnAnswerWasLost(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		p := &primary{}
		f := inline(Options{Primary: p, Ledger: &unheard{books: b}, Owner: "a"})
		q := b.request(t, 100)
		must(t, admitted(f.Admit(t.Context(), q)))
		p.set(errDown)
		if d, err := f.Extend(t.Context(), extension(q, 150)); err == nil {
			t.Errorf("without an answer: %+v", d)
		}
		extend := func(when string, to pricing.Nano) {
			t.Helper()
			d, err := f.Extend(t.Context(), extension(q, to))
			must(t, err)
			same(t, when, []any{d.Outcome, d.Held, b.held(t, "ns/acme")}, []any{admit.Admitted, to, to - 100})
		}
		extend("asked again", 200)
		f.endReserved(t.Context())
		extend("nothing of it was released", 250)
		must(t, b.Ledger.ReleaseReservation(t.Context(), "ns/acme", q.ID))
		extend("it is made again", 300)
	})
}
