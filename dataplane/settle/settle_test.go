package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

var errDown = errors.New("down")

// books is a ledger and an admission store whose failures are scripted.
type books struct {
	mu        sync.Mutex
	down      bool // neither answers
	unready   bool
	bad       map[string]bool // request ids that are refused
	noConfirm bool
	deaf      map[string]bool // request ids that are never confirmed
	batches   []int
	rows      map[string]int
	confirmed map[string]int
	copies    map[string]admit.Confirmation // the last of each request
	entered   chan struct{}                 // Settle says that it has begun
	gate      chan struct{}                 // and waits
}

func newBooks() *books {
	return &books{bad: map[string]bool{}, rows: map[string]int{}, confirmed: map[string]int{}, copies: map[string]admit.Confirmation{}}
}

func (b *books) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	if b.gate != nil {
		b.entered <- struct{}{}
		select {
		case <-b.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, errDown
	}
	for _, r := range rows {
		if b.bad[r.RequestID] {
			return nil, fmt.Errorf("row %s: %w", r.RequestID, ledger.ErrConflict)
		}
	}
	b.batches = append(b.batches, len(rows))
	out := make([]ledger.Settled, len(rows))
	for i, r := range rows {
		b.rows[r.RequestID]++
		out[i] = ledger.Settled{RequestID: r.RequestID, Account: ledger.Account{ID: r.Account, Balance: -1, Version: int64(len(b.rows))},
			Spends: []ledger.Spend{{Window: ledger.Window{Period: ledger.PeriodDay, Start: 86_400}, Spent: r.Charged}}}
	}
	return out, nil
}

func (b *books) Ready(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down || b.unready {
		return errDown
	}
	return nil
}

func (b *books) Confirm(_ context.Context, cs []admit.Confirmation) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.noConfirm {
		return errDown
	}
	for _, c := range cs {
		if b.deaf[c.RequestID] {
			return fmt.Errorf("row %s: %w", c.RequestID, admit.ErrRange)
		}
	}
	for _, c := range cs {
		b.confirmed[c.RequestID]++
		b.copies[c.RequestID] = c
	}
	return nil
}

func (b *books) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

func start(t *testing.T, b *books, change ...func(*Options)) *Settler {
	o := Options{Ledger: b, Confirmer: b, Log: slog.New(slog.DiscardHandler), Backoff: time.Millisecond, BackoffMax: 2 * time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	s := New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

func row(id string) ledger.Settlement { return ledger.Settlement{RequestID: id, Account: "ns/a"} }

func submit(t *testing.T, s *Settler, id string) func(context.Context) error {
	t.Helper()
	wait, err := s.Submit(row(id), "digest")
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestCommitAndConfirm(t *testing.T) {
	b := newBooks()
	s := start(t, b)
	if err := submit(t, s, "a")(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.set(func() {
		if b.rows["a"] != 1 || b.confirmed["a"] != 1 {
			t.Errorf("rows %v, confirmed %v", b.rows, b.confirmed)
		}
	})
}

// While one batch is written, the next gathers.
func TestBatches(t *testing.T) {
	b := newBooks()
	b.entered, b.gate = make(chan struct{}), make(chan struct{})
	s := start(t, b, func(o *Options) { o.Batch = 10 })
	waits := []func(context.Context) error{submit(t, s, "first")}
	<-b.entered
	for i := range 25 {
		waits = append(waits, submit(t, s, fmt.Sprint(i)))
	}
	for range 3 {
		b.gate <- struct{}{}
		<-b.entered
	}
	b.gate <- struct{}{}
	for _, wait := range waits {
		if err := wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(b.batches); got != "[1 10 10 5]" {
		t.Errorf("batches %s", got)
	}
}

func TestStoreDown(t *testing.T) {
	b := newBooks()
	b.down = true
	s := start(t, b)
	wait := submit(t, s, "a")
	if err := wait(t.Context()); !errors.Is(err, ErrPending) {
		t.Fatalf("while down: %v", err)
	}
	b.set(func() { b.down = false })
	eventually(t, "commit", func() bool { return wait(t.Context()) == nil })
	b.set(func() {
		if b.rows["a"] != 1 {
			t.Errorf("rows %v", b.rows)
		}
	})
}

// A row that the ledger refuses for good never holds up the others.
func TestBadRow(t *testing.T) {
	b := newBooks()
	b.entered, b.gate = make(chan struct{}), make(chan struct{})
	b.bad["bad"] = true
	s := start(t, b)
	submit(t, s, "bad")
	<-b.entered
	good := submit(t, s, "good")
	go func() {
		for range b.entered {
			continue
		}
	}()
	close(b.gate)
	eventually(t, "commit of the good row", func() bool { return good(t.Context()) == nil })
	if err := s.Close(context.WithoutCancel(t.Context())); !errors.Is(err, ErrPending) {
		t.Errorf("closing with a row left: %v", err)
	}
	close(b.entered)
}

func TestConfirmRetries(t *testing.T) {
	b := newBooks()
	b.noConfirm = true
	s := start(t, b)
	if err := submit(t, s, "a")(t.Context()); err != nil {
		t.Fatal(err) // committed is what counts
	}
	b.set(func() { b.noConfirm = false })
	eventually(t, "confirmation", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.confirmed["a"] == 1
	})
}

func TestQueueIsBounded(t *testing.T) {
	b := newBooks()
	b.down = true
	s := start(t, b, func(o *Options) { o.Queue = 2 })
	submit(t, s, "a")
	submit(t, s, "b")
	if _, err := s.Submit(row("c"), "digest"); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if err := testutil.CollectAndCompare(s, strings.NewReader(`
# HELP layers_settle_dropped_total Settlements not taken because the queue was full.
# TYPE layers_settle_dropped_total counter
layers_settle_dropped_total 1
# HELP layers_settle_queue Settlements that the ledger does not have yet.
# TYPE layers_settle_queue gauge
layers_settle_queue 2
`), "layers_settle_queue", "layers_settle_dropped_total"); err != nil {
		t.Error(err)
	}
	b.set(func() { b.down = false })
}

func TestCloseEmptiesTheQueue(t *testing.T) {
	b := newBooks()
	b.down = true
	s := start(t, b)
	for i := range 500 {
		submit(t, s, fmt.Sprint(i))
	}
	b.set(func() { b.down = false })
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.rows) != 500 {
		t.Errorf("%d rows, want 500", len(b.rows))
	}
	if _, err := s.Submit(row("late"), "digest"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseGivesUp(t *testing.T) {
	b := newBooks()
	b.down = true
	s := start(t, b)
	submit(t, s, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, ErrPending) || !strings.Contains(err.Error(), "1 settlements") {
		t.Errorf("got %v", err)
	}
}

// What the key has spent travels with the confirmation, under the key's digest.
func TestSpendsAreConfirmed(t *testing.T) {
	b := newBooks()
	s := New(Options{Ledger: b, Confirmer: b, Log: slog.New(slog.DiscardHandler)})
	r := row("a")
	r.Charged = 7
	wait, err := s.Submit(r, "digest")
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.copies["a"]
	if got.KeyDigest != "digest" || len(got.Spends) != 1 || got.Spends[0] != (admit.Spend{Period: "Day", Window: 86_400, Spent: 7}) {
		t.Errorf("confirmed %+v", got)
	}
}
