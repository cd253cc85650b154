package settle

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// turns is a ledger whose calls wait until the test says what becomes of them.
type turns struct {
	*books
	calls chan turn
}

type turn struct {
	ids   []string
	reply chan error
}

func (l *turns) Settle(ctx context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	c := turn{reply: make(chan error, 1)}
	for _, r := range rows {
		c.ids = append(c.ids, r.RequestID)
	}
	select {
	case l.calls <- c:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-c.reply:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return l.books.Settle(ctx, rows)
}

// next is the settler's next call.
func (l *turns) next(t *testing.T, want ...string) turn {
	t.Helper()
	select {
	case c := <-l.calls:
		if diff := cmp.Diff(want, c.ids); diff != "" {
			t.Fatalf("the settler's next batch (-want +got):\n%s", diff)
		}
		return c
	case <-time.After(10 * time.Second):
		t.Fatalf("the settler does not send %q", want)
		return turn{}
	}
}

func startTurns(t *testing.T, batch int) (*turns, *Settler) {
	l := &turns{books: newBooks(), calls: make(chan turn)}
	return l, start(t, l.books, func(o *Options) { o.Ledger, o.Batch = l, batch })
}

// A batch is sent ahead of the answer to the one before where it is full, and not a third one.
func TestSentAhead(t *testing.T) {
	l, s := startTurns(t, 2)
	submit(t, s, "a")
	first := l.next(t, "a")
	submit(t, s, "b")
	signal(s.ahead)
	eventually(t, "the settler has looked for a batch", func() bool { return len(s.ahead) == 0 })
	submit(t, s, "c")
	second := l.next(t, "b", "c") // and not one of b
	for _, id := range []string{"d", "e", "f"} {
		submit(t, s, id)
	}
	s.mu.Lock()
	if s.aloft != 3 || len(s.queue) != 6 {
		t.Errorf("%d of %d rows are on their way", s.aloft, len(s.queue))
	}
	s.mu.Unlock()
	second.reply <- nil // before the first
	third := l.next(t, "d", "e")
	b := l.books
	eventually(t, "the second is confirmed though the first is on its way", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.confirmed["b"] == 1 && b.confirmed["c"] == 1 && b.confirmed["a"] == 0
	})
	first.reply <- nil
	third.reply <- nil
	l.next(t, "f").reply <- nil
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		if b.rows[id] != 1 || b.confirmed[id] != 1 {
			t.Errorf("%s: %d rows, confirmed %d times", id, b.rows[id], b.confirmed[id])
		}
	}
}

// While the store is not well nothing is sent ahead; what was on its way is tried again, each batch as it was.
func TestNotAheadOfAFailure(t *testing.T) {
	l, s := startTurns(t, 2)
	submit(t, s, "a")
	first := l.next(t, "a")
	submit(t, s, "b")
	submit(t, s, "c")
	second := l.next(t, "b", "c")
	l.books.set(func() { l.books.down = true })
	first.reply <- errDown
	eventually(t, "the outage is seen", s.Away)
	submit(t, s, "d")
	second.reply <- errDown
	again := l.next(t, "a", "b")
	for range 3 { // whatever was sent ahead would have its turn here
		again.reply <- errDown
		again = l.next(t, "a", "b")
	}
	l.books.set(func() { l.books.down = false })
	again.reply <- nil
	l.next(t, "c", "d").reply <- nil
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, l.books.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A row that is refused is found while another batch is on its way, and holds up neither.
func TestRefusedWhileAnotherIsOnItsWay(t *testing.T) {
	l, s := startTurns(t, 2)
	submit(t, s, "a")
	first := l.next(t, "a")
	submit(t, s, "bad")
	submit(t, s, "b")
	second := l.next(t, "bad", "b")
	second.reply <- errDown // the store says that it is well
	l.next(t, "bad").reply <- errDown
	l.next(t, "b").reply <- nil
	first.reply <- nil
	l.next(t, "bad").reply <- nil // its time comes when nothing else waits
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "bad": 1}, l.books.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A batch whose time went by behind another one is tried once more as it is, with all of the time for itself: its rows go alone only
// if it is late then, too.
func TestLateBehindAnother(t *testing.T) {
	l, s := startTurns(t, 2)
	submit(t, s, "a")
	first := l.next(t, "a")
	submit(t, s, "b")
	submit(t, s, "c")
	second := l.next(t, "b", "c")
	second.reply <- context.DeadlineExceeded
	first.reply <- nil
	again := l.next(t, "b", "c")
	again.reply <- context.DeadlineExceeded
	l.next(t, "b").reply <- nil
	l.next(t, "c").reply <- nil
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, l.books.rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// What is on its way at the end is waited for, and what cannot be is told.
func TestCloseWhileTwoAreOnTheirWay(t *testing.T) {
	t.Run("in time", func(t *testing.T) {
		l, s := startTurns(t, 1)
		submit(t, s, "a")
		first := l.next(t, "a")
		submit(t, s, "b")
		second := l.next(t, "b")
		closed := make(chan error, 1)
		go func() { closed <- s.Close(context.WithoutCancel(t.Context())) }()
		first.reply <- nil
		second.reply <- nil
		if err := <-closed; err != nil || len(l.books.rows) != 2 {
			t.Errorf("%v, rows %v", err, l.books.rows)
		}
	})
	t.Run("too late", func(t *testing.T) {
		l, s := startTurns(t, 1)
		for i := range 2 {
			submit(t, s, fmt.Sprint(i))
			l.next(t, fmt.Sprint(i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(ctx); !errors.Is(err, ErrPending) {
			t.Errorf("closing with two rows left: %v", err)
		}
		if _, err := s.Submit(row("c"), "digest"); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if s.flying != 0 {
			t.Errorf("%d batches were left alone", s.flying)
		}
	})
}
