package failover

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/testenv"
)

// books is a real ledger that may be away.
type books struct {
	ledger.Ledger
	url   string
	away  atomic.Bool
	reads atomic.Int64
}

func onEachLedger(t *testing.T, test func(t *testing.T, b *books)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, openBooks(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))) })
	t.Run("postgres", func(t *testing.T) { test(t, openBooks(t, testenv.Postgres(t))) })
}

// openBooks answers a ledger in which ns/acme has a key.
func openBooks(tb testing.TB, url string) *books {
	tb.Helper()
	l, err := ledger.Open(tb.Context(), url, ledger.Options{})
	must(tb, err)
	tb.Cleanup(l.Close)
	must(tb, l.Migrate(tb.Context()))
	b := &books{Ledger: l, url: url}
	b.key(tb, digest, "ns/acme")
	return b
}

func (b *books) key(tb testing.TB, digest, account string) ledger.Key {
	tb.Helper()
	k, err := b.CreateKey(tb.Context(), ledger.NewKey{Digest: digest, Name: "k", Account: account, Source: ledger.SourceCLI})
	must(tb, err)
	return k
}

func (b *books) grant(tb testing.TB, account string, amount pricing.Nano) {
	tb.Helper()
	_, err := b.Grant(tb.Context(), ledger.Grant{ID: newID(), Account: account, Amount: amount, Kind: ledger.GrantManual})
	must(tb, err)
}

// held is what the ledger holds of an account: what a reservation of nothing answers, which goes at once.
func (b *books) held(tb testing.TB, account string) pricing.Nano {
	tb.Helper()
	id := newID()
	out, err := b.Ledger.Reserve(tb.Context(), ledger.Reservation{
		RequestID: id, Account: account, Owner: "look", ExpiresAt: time.Now().Add(time.Hour).UnixMicro(), Overdraft: admit.MaxNano,
	})
	must(tb, err)
	must(tb, b.Ledger.ReleaseReservation(tb.Context(), account, id))
	return out.Held
}

// request is a request under the key's row as it is.
func (b *books) request(tb testing.TB, hold pricing.Nano, with ...func(*admit.Request)) admit.Request {
	tb.Helper()
	q := request(hold, with...)
	if q.KeyDigest != nobody {
		k, err := b.Ledger.KeyByDigest(tb.Context(), q.KeyDigest)
		must(tb, err)
		q.KeyVersion = k.Version
	}
	q.Record = record(tb, settlement(q, 0))
	return q
}

// settlement is the end of a request that cost so much; 0: it is what is posted if nobody finishes it.
func settlement(q admit.Request, cost pricing.Nano) ledger.Settlement {
	s := ledger.Settlement{
		RequestID: q.ID, Account: q.Account, Model: "m", Provider: "ns/p", Cost: cost, Charged: cost, Held: q.Hold, Evidence: ledger.EvidenceReported,
		Status: 200, StartedAt: clock.UnixMicro(), FinishedAt: clock.UnixMicro() + 1,
	}
	if cost == 0 {
		s.Evidence, s.OrphanCharge = ledger.EvidenceOrphan, ledger.OrphanInput
	}
	return s
}

func record(tb testing.TB, s ledger.Settlement) []byte {
	tb.Helper()
	r, err := ledger.EncodeRecord(s)
	must(tb, err)
	return r
}

func finish(tb testing.TB, q admit.Request, cost pricing.Nano) admit.Finish {
	tb.Helper()
	return admit.Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: cost, Record: record(tb, settlement(q, cost))}
}

func (b *books) down() error {
	if b.away.Load() {
		return context.DeadlineExceeded
	}
	return nil
}

func (b *books) KeyByDigest(ctx context.Context, digest string) (ledger.Key, error) {
	if err := b.down(); err != nil {
		return ledger.Key{}, err
	}
	b.reads.Add(1)
	return b.Ledger.KeyByDigest(ctx, digest)
}

func (b *books) Reserve(ctx context.Context, r ledger.Reservation) (ledger.Reserved, error) {
	if err := b.down(); err != nil {
		return ledger.Reserved{}, err
	}
	return b.Ledger.Reserve(ctx, r)
}

func (b *books) ReleaseReservation(ctx context.Context, account, id string) error {
	if err := b.down(); err != nil {
		return err
	}
	return b.Ledger.ReleaseReservation(ctx, account, id)
}

// without is a Failover on a ledger and a Redis that is down.
func without(b *books, p *primary) *Failover {
	if p.err == nil && !p.hang {
		p.err = errDown
	}
	f := inline(Options{Primary: p, Ledger: b, Owner: "a"})
	opened(f)
	return f
}

// nobody is a digest that no key has.
const nobody = "0000000000000000000000000000000000000000000000000000000000000000"

func stringOf(v any) string { return fmt.Sprintf("%+v", v) }

// newDigest is a key that nobody has.
func newDigest() string {
	sum := sha256.Sum256([]byte(newID()))
	return hex.EncodeToString(sum[:])
}
