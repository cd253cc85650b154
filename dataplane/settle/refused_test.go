package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func (b *books) has(id string) func() bool {
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.rows[id] > 0
	}
}

// A row that the ledger refuses for good is told to wait, and nobody else waits for it: with a pause of a minute for all
// the good rows would come too late.
func TestRefusedRowPausesNobody(t *testing.T) {
	b := newBooks()
	b.bad["bad"] = true
	s := start(t, b, func(o *Options) { o.Backoff, o.BackoffMax = time.Minute, time.Minute })
	if err := submit(t, s, "bad")(t.Context()); !errors.Is(err, ErrPending) {
		t.Fatalf("bad row: %v", err)
	}
	for i := range 50 {
		if err := submit(t, s, fmt.Sprint(i))(t.Context()); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
	}
	if err := s.Close(context.WithoutCancel(t.Context())); !errors.Is(err, ErrPending) {
		t.Errorf("closing: %v", err)
	}
}

// A row that was refused is written when the ledger takes it; the others then need not wait for their own time.
func TestRefusedRowIsTriedAgain(t *testing.T) {
	b := newBooks()
	ids := []string{"x", "y", "z"}
	for _, id := range ids {
		b.bad[id] = true
	}
	s := start(t, b)
	for _, id := range ids {
		if err := submit(t, s, id)(t.Context()); !errors.Is(err, ErrPending) {
			t.Fatalf("%s: %v", id, err)
		}
	}
	b.set(func() { clear(b.bad) })
	for _, id := range ids {
		eventually(t, "commit of "+id, b.has(id))
	}
}

// Close tries once more, waits no longer, and says in full what it leaves.
func TestCloseLeavesRefusedRows(t *testing.T) {
	b := newBooks()
	b.bad["bad"], b.bad["late"] = true, true
	var log strings.Builder
	s := start(t, b, func(o *Options) {
		o.Backoff, o.Log = time.Minute, slog.New(slog.NewTextHandler(&log, nil))
	})
	full := row("bad")
	full.Charged, full.Cost, full.Held, full.KeyID = 9_000_000_000_000_001, 9_000_000_000_000_002, 3, "key_1"
	for _, r := range []ledger.Settlement{full, row("late")} {
		wait, err := s.Submit(r, "digest")
		if err != nil {
			t.Fatal(err)
		}
		if err := wait(t.Context()); !errors.Is(err, ErrPending) {
			t.Fatalf("bad row: %v", err)
		}
	}
	eventually(t, "both are put off", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.queue[0].refused && s.queue[1].refused
	})
	b.set(func() { delete(b.bad, "late") })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, ErrPending) || ctx.Err() != nil {
		t.Errorf("closing: %v, %v", err, ctx.Err())
	}
	if !b.has("late")() {
		t.Error("Close did not try once more")
	}
	left := log.String()[strings.LastIndex(log.String(), "level="):]
	for _, want := range []string{"level=ERROR", "requestID=bad", "account=ns/a", "keyID=key_1", "chargedNano=9000000000000001", "costNano=9000000000000002", "heldNano=3"} {
		if !strings.Contains(left, want) {
			t.Errorf("no %s in %s", want, left)
		}
	}
}

// A ledger that can be read but not written stops admission before holds end by time, but for a probe; one bad row does not.
func TestOverdueIsFull(t *testing.T) {
	b := newBooks()
	b.bad["a"] = true
	var ahead atomic.Int64
	s := start(t, b, func(o *Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	if err := submit(t, s, "a")(t.Context()); !errors.Is(err, ErrPending) {
		t.Fatal(err)
	}
	eventually(t, "refusal", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.queue[0].refused
	})
	if ahead.Store(int64(DefaultMaxAge - time.Minute)); s.Full() {
		t.Error("full before its time")
	}
	ahead.Store(int64(DefaultMaxAge + time.Second))
	if probe, next := s.Full(), s.Full(); probe || !next {
		t.Errorf("overdue: full %t for the probe, %t after it", probe, next)
	}
	if err := submit(t, s, "good")(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Full() {
		t.Error("full for one bad row")
	}
	b.set(func() { b.down = true })
	if err := submit(t, s, "c")(t.Context()); !errors.Is(err, ErrPending) {
		t.Fatal(err)
	}
	ahead.Store(int64(3 * DefaultMaxAge))
	for range 2 {
		if !s.Full() {
			t.Error("not full while the ledger is down")
		}
	}
	b.set(func() { b.down = false; clear(b.bad) })
	eventually(t, "room", func() bool { return !s.Full() })
}
