package failover

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
)

// noClaims is a ledger that does not hear of claims while it is away.
type noClaims struct {
	*books
	away bool
}

func (n *noClaims) Claim(ctx context.Context, account, name, requestID string, keep time.Duration) (string, error) {
	if n.away {
		return "", errDown
	}
	return n.books.Claim(ctx, account, name, requestID, keep)
}

// What Redis gave while the ledger was away is the ledger's when that is back: Redis may lose it, or be away for another replica.
func TestClaimsWhileTheLedgerIsAway(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		l, p := &noClaims{books: b, away: true}, &primary{}
		one := inline(Options{Primary: p, Ledger: l, Owner: "a"})
		claim := func(f *Failover, name, id string) string {
			t.Helper()
			holder, err := f.Claim(t.Context(), "ns/acme", name, id, time.Hour)
			must(t, err)
			return holder
		}
		same(t, "by Redis alone", claim(one, "kept", "r1"), "r1")
		same(t, "and another", claim(one, "given up", "r2"), "r2")
		one.pay(t.Context())
		same(t, "owed", len(one.claims.toOwe()), 2)
		must(t, one.GiveUp(t.Context(), "ns/acme", "given up", "r2"))
		l.away = false
		one.pay(t.Context())
		same(t, "paid", len(one.claims.toOwe()), 0)

		p.set(errDown)
		two := inline(Options{Primary: p, Ledger: l, Owner: "b"})
		same(t, "known to a replica without Redis", claim(two, "kept", "r3"), "r1")
		same(t, "free again", claim(two, "given up", "r4"), "r4")
	})
}

// A claim that timed out may have run in Redis: where its request does not run, Redis is told so, for each of them, or the name
// were taken by nobody. Where it does run after all, it stays.
func TestClaimsThatWereNotHeard(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		l, p := &noClaims{books: b, away: true}, &primary{err: context.DeadlineExceeded}
		f := inline(Options{Primary: p, Ledger: l, Owner: "a"})
		for _, id := range []string{"r1", "r2"} {
			if holder, err := f.Claim(t.Context(), "ns/acme", "n", id, time.Hour); err == nil {
				t.Fatalf("%s has it, and nobody knows", holder)
			}
		}
		same(t, "to be given up", len(f.claims.toGiveUp()), 2)
		l.away = false
		holder, err := f.Claim(t.Context(), "ns/acme", "n", "r2", time.Hour)
		must(t, err)
		same(t, "runs after all", holder, "r2")
		p.set(nil)
		p.called()
		closed(f)
		f.tidy(t.Context())
		same(t, "Redis hears of both", p.called(), []string{"give up n", "claim n"})
		same(t, "none is left", len(f.claims.toGiveUp()), 0)
	})
}

// What the ledger gave while Redis was away is Redis' too when that is back: the ledger may be away for the next one.
func TestClaimsWhileRedisIsAway(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		p := &primary{}
		f := without(b, p)
		for name, id := range map[string]string{"kept": "r1", "given up": "r2"} {
			holder, err := f.Claim(t.Context(), "ns/acme", name, id, time.Hour)
			must(t, err)
			same(t, "by the ledger alone", holder, id)
		}
		must(t, f.GiveUp(t.Context(), "ns/acme", "given up", "r2"))
		p.set(nil)
		p.called()
		closed(f)
		f.tidy(t.Context())
		said := p.called()
		slices.Sort(said)
		same(t, "Redis hears of both", said, []string{"claim kept", "give up given up"})
		f.tidy(t.Context())
		same(t, "once", p.called(), []string(nil))
	})
}

// slowClaims runs something while Redis is told of a claim, and answers too late.
type slowClaims struct {
	*primary
	meanwhile func()
}

func (p slowClaims) Claim(ctx context.Context, account, name, id string, keep time.Duration) (string, error) {
	if keep < time.Millisecond {
		return "", admit.ErrRange // as admit.Redis
	}
	holder, err := p.primary.Claim(ctx, account, name, id, keep)
	if p.meanwhile != nil {
		p.meanwhile()
		err = context.DeadlineExceeded
	}
	return holder, err
}

// A claim that is given up while Redis is told of it, and that Redis may take after that, is given up there once more: or the name would
// be taken by a request that never ran.
func TestClaimGivenUpWhileItIsTold(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		p := &primary{}
		f := without(b, p)
		_, err := f.Claim(t.Context(), "ns/acme", "n", "r1", time.Hour)
		must(t, err)
		f.o.Primary = slowClaims{p, func() { must(t, f.GiveUp(t.Context(), "ns/acme", "n", "r1")) }}
		p.set(nil)
		closed(f)
		p.called()
		f.tidy(t.Context())
		same(t, "told too late", p.called(), []string{"claim n", "give up n"})
		f.o.Primary = p
		f.tidy(t.Context())
		same(t, "once more", p.called(), []string{"give up n"})
	})
}

// A claim whose last millisecond has begun keeps Redis from nobody.
func TestClaimThatIsAlmostOver(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		p, now := &primary{}, clock
		f := without(b, p)
		f.o.Now, f.o.Primary = func() time.Time { return now }, slowClaims{primary: p}
		_, err := f.Claim(t.Context(), "ns/acme", "n", "r1", time.Hour)
		must(t, err)
		now = clock.Add(time.Hour - time.Microsecond)
		p.set(nil)
		same(t, "it is back", f.probe(t.Context(), 0), true)
	})
}
