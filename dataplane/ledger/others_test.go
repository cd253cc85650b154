package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// Bugs of others: each of these tests is named after what it is about.

// TestCheckThenDeductDoesNotOverspend (one-api#2440, bifrost#3547): what is checked and what is held is one statement, so that of
// many requests at once no more are admitted than the balance pays for, and what is charged in the end leaves nothing below zero.
func TestCheckThenDeductDoesNotOverspend(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 100)
		var wg sync.WaitGroup
		var admitted atomic.Int64
		for i := range 16 {
			wg.Go(func() {
				id := fmt.Sprint("req_", i)
				_, err := e.Reserve(t.Context(), reservation(id, 30))
				if errors.Is(err, ledger.ErrInsufficient) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				admitted.Add(1)
				if _, err := e.Settle(t.Context(), []ledger.Settlement{settlement(id, "default/a", 30)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		a, err := e.Account(t.Context(), "default/a")
		if err != nil || admitted.Load() != 3 || a.Balance != 10 {
			t.Errorf("%d were admitted, %+v, %v", admitted.Load(), a, err)
		}
		e.sound(t)
	})
}

// TestRefundIsPostedOnce (new-api: a refund in a goroutine that nobody waits for): a refund is posted when the call returns,
// and once, however often and by how many it is asked for.
func TestRefundIsPostedOnce(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 100)
		e.only(t, settlement("req_1", "default/a", 40))
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := e.Adjust(t.Context(), ledger.Adjustment{ID: "refund req_1", Account: "default/a", Amount: 40, Reason: "refund"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if a, err := e.Account(t.Context(), "default/a"); err != nil || a.Balance != 100 {
			t.Errorf("%+v, %v", a, err)
		}
		e.sound(t)
	})
}
