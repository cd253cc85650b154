package admit

import (
	"context"
	"errors"
	"testing"

	"github.com/layers-dev/layers/hack/testenv"
)

// A URL may come late and change: what this process holds moves with it, and what the new store has of others stays.
func TestPoint(t *testing.T) {
	ctx := context.Background()
	first, second := testenv.Redis(t), testenv.Redis(t)
	r, err := NewLate(Options{Owner: "a"})
	must(t, err)
	t.Cleanup(r.Close)
	s := &store{tb: t, Redis: r}
	if err := s.Ping(ctx); !errors.Is(err, ErrNoURL) {
		t.Errorf("without a URL: %v", err)
	}
	must(t, s.Point(first))
	s.load(100)
	q := request(60)
	s.want(q, Admitted)
	if err := s.Point("http://h"); err == nil {
		t.Error("took a bad URL")
	}
	same(t, "a bad URL changes nothing", s.held(), "60")

	other := &store{tb: t, Redis: openOwner(t, second, "b")}
	other.load(100)
	other.want(request(7), Admitted)
	must(t, s.Point(second))
	s.sync()
	same(t, "moved", s.held(), "67")
	must(t, s.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: 40, Version: 2}}))
	same(t, "confirmed in the new store", other.held(), "7")
	same(t, "the old store was left as it was", (&store{tb: t, Redis: openOwner(t, first, "c")}).held(), "60")
}

func TestPointOfAClosedStore(t *testing.T) {
	r, err := NewRedis(Options{URL: testenv.Redis(t)})
	must(t, err)
	r.Close()
	must(t, r.Point(testenv.Redis(t)))
	if err := r.Ping(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Whoever leaves is forgotten at once where nothing is held; else others reap at once what is.
func TestLeave(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, b *store) {
		ctx := context.Background()
		a.load(1000)
		must(t, b.Renew(ctx))
		q := request(60)
		a.want(q, Admitted)
		must(t, a.Leave(ctx))
		found := b.orphans()
		if len(found) != 1 || found[0].RequestID != q.ID || found[0].Finished {
			t.Fatalf("orphans %+v", found)
		}
		same(t, "owners", b.Owners(), int64(1))
		must(t, b.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: 1000, Version: 2}}))
		same(t, "an empty list", len(b.orphans()), 0)
		same(t, "leases", b.count("ZCARD", leasesKey), int64(1))

		must(t, b.Leave(ctx))
		same(t, "nobody is left", b.count("ZCARD", leasesKey), int64(0))
	})
}
