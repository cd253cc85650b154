package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
			Delivery{Outbox: w.ledger, Admission: w.redis, Cache: w.redis, GatewayUID: "g", Every: time.Millisecond}.Run(ctx)
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

// deaf is a Redis that does not answer until it is told to.
type deaf struct {
	Loader

	mu    sync.Mutex
	heals bool
}

func (d *deaf) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.heals {
		return errors.New("unreachable")
	}
	return d.Loader.LoadKey(ctx, account, digest, state, version)
}

// said collects what is logged.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) has(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), part)
}

// TestDeliveryGoesOn: what cannot be told stays in the outbox, is said, and is told when Redis answers again.
func TestDeliveryGoesOn(t *testing.T) {
	w := newWorld(t)
	k := w.key("k")
	if _, err := w.ledger.RevokeKey(t.Context(), k.Digest); err != nil {
		t.Fatal(err)
	}
	redis, log := &deaf{Loader: w.redis}, &said{}
	if n, err := Deliver(t.Context(), w.ledger, redis, nil, ""); n != 0 || err == nil {
		t.Errorf("Deliver = %d, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var done sync.WaitGroup
	done.Go(func() {
		Delivery{Outbox: w.ledger, Admission: redis, Every: time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))}.Run(ctx)
	})
	for deadline, poll := time.After(20*time.Second), time.Tick(5*time.Millisecond); !log.has("Could not tell Redis"); {
		select {
		case <-poll:
		case <-deadline:
			t.Fatal("nothing is said")
		}
	}
	if left, err := w.ledger.PendingOutbox(t.Context(), "", 10); err != nil || len(left) != 1 {
		t.Errorf("in the outbox: %v, %v", left, err)
	}
	redis.mu.Lock()
	redis.heals = true
	redis.mu.Unlock()
	waitEmpty(t, w.ledger)
	cancel()
	done.Wait()
	if w.passes(k.Digest) {
		t.Error("a request passes")
	}
	if log.has(k.Digest) {
		t.Error("the log shows the digest")
	}
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
