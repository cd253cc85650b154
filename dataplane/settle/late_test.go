package settle

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// Accounts that the admission store refuses for good hold up no other account, not even those that went with them.
func TestBadConfirmation(t *testing.T) {
	b := newBooks()
	b.deaf = map[string]bool{}
	s := start(t, b, func(o *Options) { o.Batch = 20 })
	b.noConfirm = true
	for i := range 20 {
		id := fmt.Sprint(i)
		b.set(func() { b.deaf[id] = i < 10 })
		wait, err := s.Submit(ledger.Settlement{RequestID: id, Account: "ns/" + id}, "digest")
		if err != nil {
			t.Fatal(err)
		}
		if err := wait(t.Context()); err != nil {
			t.Fatalf("row %d waits for the admission store: %v", i, err)
		}
	}
	b.set(func() { b.noConfirm = false })
	confirmed := func(id string) func() bool {
		return func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.confirmed[id] > 0
		}
	}
	for i := 10; i < 20; i++ {
		eventually(t, "confirmation of "+fmt.Sprint(i), confirmed(fmt.Sprint(i)))
	}
	if err := submit(t, s, "fresh")(t.Context()); err != nil || !confirmed("fresh")() {
		t.Errorf("a fresh row: %v, confirmed %t", err, confirmed("fresh")())
	}
	if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("closing waits for confirmations: %v", err)
	}
}

// A release goes on until the admission store answers, and comes once more: the admission may have run after it.
func TestRelease(t *testing.T) {
	b := newBooks()
	b.noConfirm = true
	s := start(t, b)
	s.Release("ns/a", "gone")
	if err := submit(t, s, "a")(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.set(func() { b.noConfirm = false })
	eventually(t, "both releases", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.confirmed["gone"] == 2 && b.confirmed["a"] == 1
	})
	s.Release("ns/a", "last")
	if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if b.confirmed["last"] == 0 || b.confirmed["gone"] != 2 {
		t.Errorf("confirmed %v", b.confirmed)
	}
}

// slow is an admission store that takes so much in one call and no more.
type slow struct {
	most int
	told chan string
}

func (s slow) Confirm(ctx context.Context, cs []admit.Confirmation) error {
	if len(cs) > s.most {
		return fmt.Errorf("%d at once: %w", len(cs), context.DeadlineExceeded)
	}
	for _, c := range cs {
		select {
		case s.told <- c.RequestID:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// After a long outage more waits than the store takes in the time of one call.
func TestManyLateConfirmations(t *testing.T) {
	const rows = 5*lateAtOnce + 1
	store := slow{lateAtOnce, make(chan string, rows+1)}
	s := start(t, newBooks(), func(o *Options) { o.Confirmer = store })
	s.postpone(waiting(rows))
	submit(t, s, "now")
	for i := range rows + 1 {
		select {
		case id := <-store.told:
			if i > 0 && id != fmt.Sprint(i-1) {
				t.Fatalf("%s is confirmed, want %d", id, i-1)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d of %d are confirmed", i, rows)
		}
	}
}

// waiting are confirmations of so many requests, each on an account of its own.
func waiting(n int) []late {
	ls := make([]late, n)
	for i := range ls {
		ls[i] = late{Confirmation: admit.Confirmation{RequestID: fmt.Sprint(i), Account: fmt.Sprint("ns/", i), Version: 1}}
	}
	return ls
}

// Whose confirmation is given up is told to whoever holds for it, or the hold would stand as long as the process.
func TestLostConfirmationsAreForgotten(t *testing.T) {
	b := newBooks()
	b.noConfirm = true
	forgotten := make(chan string, 10)
	s := start(t, b, func(o *Options) { o.Forget = func(account, id string) { forgotten <- account + " " + id } })
	s.postpone(waiting(maxUnconfirmed + 2))
	for i := range 2 {
		if got, want := <-forgotten, fmt.Sprintf("ns/%d %d", i, i); got != want {
			t.Errorf("%s is forgotten, want %s", got, want)
		}
	}
	if len(forgotten) != 0 || s.open().untold != maxUnconfirmed {
		t.Errorf("%d more are forgotten, %d wait", len(forgotten), s.open().untold)
	}
}
