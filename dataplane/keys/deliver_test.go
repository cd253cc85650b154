package keys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// TestDeliverWhatChanged: whatever changes a row in the ledger alone, the next request after a delivery sees it.
func TestDeliverWhatChanged(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(k ledger.Key) error{
		"revoked": func(k ledger.Key) error { _, err := w.ledger.RevokeKey(t.Context(), k.Digest); return err },
		"rotated without overlap": func(k ledger.Key) error {
			_, _, err := w.ledger.RotateKey(t.Context(), k.Digest, Digest("new"), "", 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := w.key(name)
			if err := change(k); err != nil {
				t.Fatal(err)
			}
			w.deliver()
			if w.passes(k.Digest) {
				t.Error("a request passes")
			}
		})
	}
}

// TestDeliverToBothAccounts: of a key that moved, the copy under the account before is refused too.
func TestDeliverToBothAccounts(t *testing.T) {
	w := newWorld(t)
	u := ledger.KeyUpsert{Key: ledger.Key{
		Digest: Digest("k"), Account: "ns/one", State: ledger.KeyActive, Source: "kubernetes", ObjectName: "ns/k", GatewayUID: "g",
	}}
	for _, account := range []string{"ns/one", "ns/two"} {
		u.Account = account
		if _, err := w.ledger.UpsertKey(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		w.deliver()
		if !w.passes(u.Digest) {
			t.Fatal("the key is refused")
		}
	}
	if k, err := w.replica.Lookup(t.Context(), u.Digest); err != nil || k.Account != "ns/two" {
		t.Errorf("the replica has %+v, %v", k, err)
	}
}

// TestDeliverConcurrently: several processes deliver while rows change; at the end Redis has what the ledger has.
func TestDeliverConcurrently(t *testing.T) {
	w := newWorld(t)
	const count = 40
	var all []ledger.Key
	for i := range count {
		all = append(all, w.key(fmt.Sprint("k", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var couriers sync.WaitGroup
	for range 3 {
		couriers.Go(func() {
			for ctx.Err() == nil {
				if _, err := Deliver(ctx, w.ledger, w.redis, w.redis, "g"); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for _, k := range all {
		if _, err := w.ledger.RevokeKey(t.Context(), k.Digest); err != nil {
			t.Fatal(err)
		}
	}
	waitEmpty(t, w.ledger)
	cancel()
	couriers.Wait()
	for _, k := range all {
		if w.passes(k.Digest) {
			t.Errorf("%s passes", k.Name)
		}
	}
}

func waitEmpty(t *testing.T, l ledger.Ledger) {
	t.Helper()
	deadline, poll := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer poll.Stop()
	for {
		left, err := l.PendingOutbox(t.Context(), "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("still in the outbox: %v", left)
		}
	}
}

// deaf is a Redis that does not answer until it heals.
type deaf struct {
	Loader

	heals bool
}

var errDeaf = errors.New("unreachable")

func (d *deaf) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	if !d.heals {
		return errDeaf
	}
	return d.Loader.LoadKey(ctx, account, digest, state, version)
}

// TestDeliverAgain: what cannot be told stays in the outbox and is told when Redis answers again.
func TestDeliverAgain(t *testing.T) {
	w := newWorld(t)
	k := w.key("k")
	if _, err := w.ledger.RevokeKey(t.Context(), k.Digest); err != nil {
		t.Fatal(err)
	}
	redis := &deaf{Loader: w.redis}
	n, err := Deliver(t.Context(), w.ledger, redis, nil, "")
	if n != 0 || !errors.Is(err, errDeaf) || strings.Contains(err.Error(), k.Digest) {
		t.Errorf("Deliver = %d, %v", n, err)
	}
	if left, err := w.ledger.PendingOutbox(t.Context(), "", 10); err != nil || len(left) != 1 {
		t.Errorf("in the outbox: %v, %v", left, err)
	}
	redis.heals = true
	if n, err := Deliver(t.Context(), w.ledger, redis, nil, ""); n != 1 || err != nil {
		t.Errorf("Deliver = %d, %v", n, err)
	}
	if w.passes(k.Digest) {
		t.Error("a request passes")
	}
}

// TestDeliverManyMoreThanABatch: one call takes all that is there.
func TestDeliverManyMoreThanABatch(t *testing.T) {
	box := &shelf{items: 2*outboxBatch + 1}
	if n, err := Deliver(t.Context(), box, &deaf{}, nil, ""); n != 2*outboxBatch+1 || err != nil || box.items != 0 {
		t.Errorf("Deliver = %d, %v; %d are left", n, err, box.items)
	}
}

// shelf is an outbox of items whose keys are gone.
type shelf struct{ items int }

func (s *shelf) KeyByDigest(context.Context, string) (ledger.Key, error) {
	return ledger.Key{}, ledger.ErrNotFound
}

func (s *shelf) PendingOutbox(_ context.Context, _ string, limit int) ([]ledger.OutboxItem, error) {
	return make([]ledger.OutboxItem, min(limit, s.items)), nil
}

func (s *shelf) DoneOutbox(_ context.Context, ids []int64) error {
	s.items -= len(ids)
	return nil
}

// TestDeliverOneGateway: another gateway's items are left to it.
func TestDeliverOneGateway(t *testing.T) {
	w := newWorld(t)
	k := w.key("k")
	if _, err := w.ledger.RevokeKey(t.Context(), k.Digest); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		gateway string
		want    int
	}{{"other", 0}, {"g", 1}, {"g", 0}} {
		if n, err := Deliver(t.Context(), w.ledger, w.redis, w.redis, c.gateway); n != c.want || err != nil {
			t.Errorf("Deliver of %s = %d, %v", c.gateway, n, err)
		}
	}
}
