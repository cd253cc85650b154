package settle

import (
	"context"
	"fmt"
	"testing"

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
