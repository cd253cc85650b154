package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

func reservation(id string, amount pricing.Nano) ledger.Reservation {
	return ledger.Reservation{RequestID: id, Account: "default/a", Amount: amount, Owner: "pod-1", ExpiresAt: soon}
}

// reserved fails the test unless the answer has these amounts.
func reserved(t *testing.T, what string, got ledger.Reserved, err error, want [3]pricing.Nano) {
	t.Helper()
	if have := [3]pricing.Nano{got.Amount, got.Held, got.Available()}; err != nil || have != want {
		t.Errorf("%s: amount, held and available are %v, want %v: %v", what, have, want, err)
	}
}

func TestReserveFinishSettle(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		if _, err := e.Reserve(t.Context(), reservation("req_1", 1)); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("of nobody: %v", err)
		}
		e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
		for i := range 2 {
			got, err := e.Reserve(t.Context(), reservation("req_1", 60))
			reserved(t, "reserve", got, err, [3]pricing.Nano{60, 60, 40})
			if got.Duplicate != (i > 0) {
				t.Errorf("%+v", got)
			}
		}
		got, err := e.Reserve(t.Context(), reservation("req_2", 41))
		if !errors.Is(err, ledger.ErrInsufficient) || got.Available() != 40 || got.Account.Balance != 100 {
			t.Errorf("too much: %+v, %v", got, err)
		}
		got, err = e.Reserve(t.Context(), reservation("req_2", 40))
		reserved(t, "the rest", got, err, [3]pricing.Nano{40, 100, 0})
		end := settlement("req_1", "default/a", 25)
		for range 2 {
			got, err = e.FinishReservation(t.Context(), end)
			reserved(t, "finish", got, err, [3]pricing.Nano{25, 65, 35})
		}
		if _, err := e.ExtendReservation(t.Context(), "default/a", "req_1", 1, 1); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("extending what has finished: %v", err)
		}
		got, err = e.ExtendReservation(t.Context(), "default/a", "req_2", 35, 1)
		reserved(t, "extend", got, err, [3]pricing.Nano{75, 100, 0})
		if _, err := e.ExtendReservation(t.Context(), "default/a", "req_2", 1, 1); !errors.Is(err, ledger.ErrInsufficient) {
			t.Errorf("extending too far: %v", err)
		}
		e.sound(t)
		for range 2 {
			if got := e.only(t, end); got.Account.Balance != 75 {
				t.Errorf("settled: %+v", got)
			}
			if n := e.number(t, "SELECT held FROM accounts"); n != 75 {
				t.Errorf("%d are held after settling", n)
			}
		}
		for range 2 {
			if err := e.ReleaseReservation(t.Context(), "default/a", "req_2"); err != nil {
				t.Error(err)
			}
		}
		if n := e.number(t, "SELECT held + (SELECT COUNT(*) FROM holds) FROM accounts"); n != 0 {
			t.Errorf("%d are held in the end", n)
		}
		e.sound(t)
	})
}

func TestReserveWithinAShareAndTheOverdraft(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
		if _, err := e.SetOverdraft(t.Context(), "default/a", 20); err != nil {
			t.Fatal(err)
		}
		half := reservation("req_1", 61)
		half.Divisor = 2
		if _, err := e.Reserve(t.Context(), half); !errors.Is(err, ledger.ErrInsufficient) {
			t.Errorf("more than half: %v", err)
		}
		half.Amount = 60
		got, err := e.Reserve(t.Context(), half)
		reserved(t, "half", got, err, [3]pricing.Nano{60, 60, 60})
		got, err = e.Reserve(t.Context(), reservation("req_2", 60))
		reserved(t, "the rest", got, err, [3]pricing.Nano{60, 120, 0})
		other := reservation("req_1", 1)
		other.Account = "default/b"
		e.granted(t, "default/b", 10)
		if _, err := e.Reserve(t.Context(), other); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("the request of another account: %v", err)
		}
		e.sound(t)
	})
}

// TestReserveWithAnOverdraftOfItsOwn: a request may go below zero by what its policy says, and so may its extension; another
// request may not.
func TestReserveWithAnOverdraftOfItsOwn(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, _ = e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
		r := reservation("req_1", 111)
		r.Overdraft = 10
		if _, err := e.Reserve(t.Context(), r); !errors.Is(err, ledger.ErrInsufficient) {
			t.Errorf("more than both: %v", err)
		}
		r.Amount = 105
		got, err := e.Reserve(t.Context(), r)
		reserved(t, "into the overdraft", got, err, [3]pricing.Nano{105, 105, -5})
		if _, err := e.Reserve(t.Context(), reservation("req_2", 1)); !errors.Is(err, ledger.ErrInsufficient) {
			t.Errorf("without one: %v", err)
		}
		got, err = e.ExtendReservation(t.Context(), "default/a", "req_1", 5, 1)
		reserved(t, "extended", got, err, [3]pricing.Nano{110, 110, -10})
		if _, err := e.ExtendReservation(t.Context(), "default/a", "req_1", 1, 1); !errors.Is(err, ledger.ErrInsufficient) {
			t.Errorf("extended too far: %v", err)
		}
		e.sound(t)
	})
}

func TestReap(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
		lost := orphan("req_1", 0)
		want := []ledger.Reservation{reservation("req_0", 10), reservation("req_1", 10), reservation("req_2", 10)}
		want[1].Orphan, want[1].KeyDigest, want[1].Overdraft = &lost, digest("k1"), 3
		for _, r := range want {
			if _, err := e.Reserve(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		done := settlement("req_0", "default/a", 7)
		if _, err := e.FinishReservation(t.Context(), done); err != nil {
			t.Fatal(err)
		}
		now.Store(soon - 1)
		if gone, err := e.ExpiredReservations(t.Context(), 10); err != nil || len(gone) != 0 {
			t.Errorf("%v, %v", gone, err)
		}
		if n, err := e.RenewReservations(t.Context(), "pod-2", soon+5); err != nil || n != 0 {
			t.Errorf("another owner renews %d, %v", n, err)
		}
		now.Store(soon)
		gone, err := e.ExpiredReservations(t.Context(), 10)
		want[0].Amount, want[0].Finished, want[0].Record = 7, true, &done
		if diff := cmp.Diff(want, gone); err != nil || diff != "" {
			t.Error(err, diff)
		}
		batch := []ledger.Settlement{*gone[0].Record, orphan("req_1", 4)}
		if _, err := e.Settle(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if n, err := e.RenewReservations(t.Context(), "pod-1", soon+5); err != nil || n != 1 {
			t.Errorf("renewed %d, %v", n, err)
		}
		if gone, err := e.ExpiredReservations(t.Context(), 10); err != nil || len(gone) != 0 {
			t.Errorf("%v, %v", gone, err)
		}
		e.is(t, 89, left{"1", 89})
	})
}

// A reservation whose record is damaged keeps nobody from the others. What an orphan leaves of it, because it was finished, is released.
func TestDamagedReservations(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 100)
		for i := range 4 {
			lost := orphan(fmt.Sprint("req_", i), 0)
			r := reservation(lost.RequestID, 10)
			r.ExpiresAt, r.Orphan = 1, &lost
			if _, err := e.Reserve(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"req_1", "req_2"} {
			if _, err := e.FinishReservation(t.Context(), settlement(id, "default/a", 7)); err != nil {
				t.Fatal(err)
			}
		}
		e.exec(t, "UPDATE holds SET orphan = '{' WHERE request_id IN ('req_0', 'req_2')")
		e.exec(t, "UPDATE holds SET record = 'nothing' WHERE request_id = 'req_1'")
		gone, err := e.ExpiredReservations(t.Context(), 10)
		if err != nil || len(gone) != 4 {
			t.Fatalf("%v, %v", gone, err)
		}
		for i, unread := range []bool{true, true, false, false} {
			if r := gone[i]; (r.Unread != nil) != unread || r.Finished && (r.Record == nil) != unread || !r.Finished && (r.Orphan == nil) != unread {
				t.Errorf("%+v", r)
			}
		}
		e.only(t, orphan("req_1", 0))
		if err := e.ReleaseReservation(t.Context(), "default/a", "req_1"); err != nil {
			t.Fatal(err)
		}
		if held := e.number(t, "SELECT held FROM accounts"); held != 27 {
			t.Errorf("%d are held", held)
		}
		e.sound(t)
	})
}

// TestReserveConcurrently: however many ask at a time, no more is held than there is.
func TestReserveConcurrently(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 100)
		var wg sync.WaitGroup
		var admitted atomic.Int64
		for i := range 24 {
			wg.Go(func() {
				got, err := e.Reserve(t.Context(), reservation(fmt.Sprint("req_", i/2), 10)) // each twice
				switch {
				case err == nil && !got.Duplicate:
					admitted.Add(1)
				case err != nil && !errors.Is(err, ledger.ErrInsufficient):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := e.number(t, "SELECT held FROM accounts"); n != 100 || admitted.Load() != 10 {
			t.Errorf("%d held, %d admitted", n, admitted.Load())
		}
		e.sound(t)
	})
}

func TestReservationsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 100)
		for name, change := range map[string]func(*ledger.Reservation){
			"no id": func(r *ledger.Reservation) { r.RequestID = "" }, "negative": func(r *ledger.Reservation) { r.Amount = -1 },
			"no owner": func(r *ledger.Reservation) { r.Owner = "" }, "no end": func(r *ledger.Reservation) { r.ExpiresAt = 0 },
			"negative overdraft": func(r *ledger.Reservation) { r.Overdraft = -1 }, "a plain key": func(r *ledger.Reservation) { r.KeyDigest = "lyr_live_secret" },
			"another's orphan": func(r *ledger.Reservation) { r.Orphan = &ledger.Settlement{RequestID: "req_2", Account: r.Account} },
		} {
			r := reservation("req_1", 1)
			change(&r)
			if _, err := e.Reserve(t.Context(), r); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := e.FinishReservation(t.Context(), settlement("req_9", "default/a", 1)); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("finishing what does not hold: %v", err)
		}
		if _, err := e.ExtendReservation(t.Context(), "default/a", "req_9", 1, 1); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("extending what does not hold: %v", err)
		}
		if n := e.number(t, "SELECT held FROM accounts"); n != 0 {
			t.Errorf("%d are held", n)
		}
	})
}

// A reservation that came to nothing is not looked for by its settlement, but goes when that is made again by whoever finds it.
func TestReservationOfNothingEnds(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		if _, err := e.Grant(t.Context(), ledger.Grant{ID: "g", Account: "ns/acme", Amount: 100, Kind: ledger.GrantManual}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Reserve(t.Context(), ledger.Reservation{RequestID: "req_free", Account: "ns/acme", Amount: 10, Owner: "a", ExpiresAt: 1}); err != nil {
			t.Fatal(err)
		}
		free := ledger.Settlement{RequestID: "req_free", Account: "ns/acme", Model: "m", Evidence: ledger.EvidenceFree, StartedAt: 1, FinishedAt: 2}
		if _, err := e.FinishReservation(t.Context(), free); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := e.Settle(t.Context(), []ledger.Settlement{free}); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := e.ExpiredReservations(t.Context(), 10); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
	})
}
