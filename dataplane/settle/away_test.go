package settle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// The ledger is away from the first batch that finds it so until one passes, with nothing else submitted meanwhile.
func TestAway(t *testing.T) {
	b := newBooks()
	s := start(t, b)
	if s.Away() {
		t.Error("away before anything was tried")
	}
	b.set(func() { b.down = true })
	if err := submit(t, s, "a")(t.Context()); !errors.Is(err, ErrPending) {
		t.Fatal(err)
	}
	eventually(t, "the ledger is away", s.Away)
	b.set(func() { b.down = false })
	eventually(t, "the ledger is back", func() bool { return !s.Away() })
}

// A row that a ledger refuses which is well does not make it away: also where it is the only row that waits since the
// ledger was away.
func TestRefusedRowIsNotAway(t *testing.T) {
	b := newBooks()
	b.bad["bad"], b.down = true, true
	s := start(t, b)
	if err := submit(t, s, "bad")(t.Context()); !errors.Is(err, ErrPending) {
		t.Fatal(err)
	}
	eventually(t, "the ledger is away", s.Away)
	b.set(func() { b.down = false })
	eventually(t, "the ledger is back", func() bool { return !s.Away() })
}

// A ledger that hangs is away as soon as the first try has run out of time, before it was asked whether it is well.
func TestHangingLedgerIsAway(t *testing.T) {
	b := newBooks()
	b.entered, b.gate = make(chan struct{}, 100), make(chan struct{})
	h := &hanging{books: b, asked: make(chan struct{}, 100)}
	s := start(t, b, func(o *Options) { o.Ledger, o.Timeout = h, 20*time.Millisecond })
	submit(t, s, "a")
	<-h.asked
	if !s.Away() {
		t.Error("not away")
	}
	close(b.gate)
	eventually(t, "the ledger is back", func() bool { return !s.Away() })
}

// hanging does not answer whether it is well.
type hanging struct {
	*books
	asked chan struct{}
}

func (h *hanging) Ready(ctx context.Context) error {
	h.asked <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// How long rows may wait follows from what keeps them: a log and holds that stand, or only the memory and holds that end by time.
func TestMaxAge(t *testing.T) {
	for name, c := range map[string]struct {
		log, owned bool
		set, want  time.Duration
	}{
		"neither":            {want: DefaultMaxAge},
		"a log alone":        {log: true, want: DefaultMaxAge},
		"an owner alone":     {owned: true, want: DefaultMaxAge},
		"a log and an owner": {log: true, owned: true, want: 15 * time.Minute},
		"told":               {log: true, owned: true, set: time.Minute, want: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var ahead atomic.Int64
			b := newBooks()
			b.down = true
			s := start(t, b, func(o *Options) {
				o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
				if o.Owned, o.MaxAge = c.owned, c.set; c.log {
					withLog(openLog(t, t.TempDir(), wal.Options{}))(o)
				}
			})
			submit(t, s, "a")
			if ahead.Store(int64(c.want - 30*time.Second)); s.Full() {
				t.Error("full before its time")
			}
			if ahead.Store(int64(c.want + time.Second)); !s.Full() {
				t.Error("not full")
			}
			b.set(func() { b.down = false })
			eventually(t, "room", func() bool { return !s.Full() })
		})
	}
}

// overdrawn is a ledger whose accounts may go below zero.
type overdrawn struct{ *books }

func (o overdrawn) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	out, err := o.books.Settle(ctx, rows)
	for i := range out {
		out[i].Account.Overdraft = 100
	}
	return out, err
}

// What is confirmed is what may be spent: the balance and the overdraft.
func TestConfirmsWhatMayBeSpent(t *testing.T) {
	b := newBooks()
	s := start(t, b, func(o *Options) { o.Ledger = overdrawn{b} })
	submit(t, s, "a")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := admit.Confirmation{Balance: 99, Version: 1}
	if got := b.copies["a"]; got.Balance != want.Balance || got.Version != want.Version {
		t.Errorf("confirmed %+v", got)
	}
}

// What is not at its end, and what it charges: first neither store has it, then the ledger does.
func TestExposure(t *testing.T) {
	b := newBooks()
	b.down, b.noConfirm = true, true
	s := start(t, b)
	for i := range 3 {
		r := row(fmt.Sprint(i))
		r.Charged = pricing.Nano(500_000_000)
		if _, err := s.Submit(r, ""); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the ledger is away", s.Away)
	want := func(count int, usd string, away int) string {
		return fmt.Sprintf(`
# HELP layers_exposure_usd What they charge that the ledger does not have yet, in USD.
# TYPE layers_exposure_usd gauge
layers_exposure_usd %s
# HELP layers_ledger_away 1 while the ledger cannot be reached, else 0.
# TYPE layers_ledger_away gauge
layers_ledger_away %d
# HELP layers_unconfirmed_settlements Ends of requests that the ledger does not have, or that the admission store was not told of.
# TYPE layers_unconfirmed_settlements gauge
layers_unconfirmed_settlements %d
`, usd, away, count)
	}
	told := func(count int, usd string, away int) error {
		return testutil.CollectAndCompare(s, strings.NewReader(want(count, usd, away)), "layers_exposure_usd", "layers_unconfirmed_settlements", "layers_ledger_away")
	}
	if err := told(3, "1.5", 1); err != nil {
		t.Error(err)
	}
	b.set(func() { b.down = false })
	eventually(t, "the ledger has them", func() bool { return told(3, "0", 0) == nil })
	b.set(func() { b.noConfirm = false })
	eventually(t, "both have them", func() bool { return told(0, "0", 0) == nil })
}

// While a long log is replayed, what is still in it counts too.
func TestUnconfirmedInTheLog(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, wal.Options{})
	for i := range 100 {
		if _, err := l.Append(wal.Entry{Row: row(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	b := newBooks()
	b.down = true
	s := start(t, b, withLog(openLog(t, crashed(t, dir), wal.Options{})), func(o *Options) { o.Queue = 20 })
	if err := testutil.CollectAndCompare(s, strings.NewReader(`
# HELP layers_unconfirmed_settlements Ends of requests that the ledger does not have, or that the admission store was not told of.
# TYPE layers_unconfirmed_settlements gauge
layers_unconfirmed_settlements 100
`), "layers_unconfirmed_settlements"); err != nil {
		t.Error(err)
	}
	b.set(func() { b.down = false })
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
