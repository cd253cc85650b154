package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestReceipt(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		charged, free := settlement("req_1", "default/a", 5), settlement("req_2", "default/a", 0)
		free.Evidence, free.Lines, free.Status = ledger.EvidenceFree, nil, 502
		e.only(t, charged)
		e.only(t, free)
		for _, want := range []ledger.Receipt{{Settlement: charged, TxID: "settle:req_1"}, {Settlement: free}} {
			got, err := e.Receipt(t.Context(), "default/a", want.RequestID)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v, %s", err, diff)
			}
		}
		for _, of := range [][2]string{{"default/b", "req_1"}, {"default/a", "req_3"}, {"", "req_1"}} {
			if _, err := e.Receipt(t.Context(), of[0], of[1]); !errors.Is(err, ledger.ErrNotFound) {
				t.Errorf("receipt of %s: %v", of, err)
			}
		}
	})
}

func TestOnlyWhatIsChargedCounts(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		unmetered, keyless := settlement("req_1", "default/a", 5), settlement("req_2", "default/a", 5)
		unmetered.Charged, unmetered.Held, keyless.KeyID = 0, 0, "" // what is unmetered holds nothing
		for _, s := range []ledger.Settlement{unmetered, keyless} {
			if got := e.only(t, s); got.Spends != nil {
				t.Errorf("%+v", got)
			}
		}
		if n := e.number(t, "SELECT COUNT(*) FROM key_windows"); n != 0 {
			t.Errorf("%d windows", n)
		}
		got, err := e.KeySpends(t.Context(), "key_1", []ledger.Window{spends(0)[1].Window, spends(0)[0].Window})
		if diff := cmp.Diff([]ledger.Spend{spends(0)[1], spends(0)[0]}, got); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
		if got, err := e.KeySpends(t.Context(), "key_1", nil); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		e.sound(t)
	})
}

// TestWindowsConcurrently settles requests of two accounts and three keys, each twice, from several sides.
func TestWindowsConcurrently(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		var wg sync.WaitGroup
		for worker := range 6 {
			wg.Go(func() {
				for i := range 10 {
					var batch []ledger.Settlement
					for n := range 5 {
						id := (worker/2*10+i)*5 + n // two workers have the same
						s := settlement(fmt.Sprintf("req_%d", id), fmt.Sprintf("default/a%d", id%2), 1)
						s.KeyID = fmt.Sprintf("key_%d", id%3)
						batch = append(batch, s)
					}
					if _, err := e.Settle(t.Context(), batch); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for _, w := range spends(50) { // 150 requests
			for key := range 3 {
				got, err := e.KeySpends(t.Context(), fmt.Sprintf("key_%d", key), []ledger.Window{w.Window})
				if err != nil || got[0] != w {
					t.Errorf("key_%d: %+v, %v", key, got, err)
				}
			}
		}
		e.sound(t)
	})
}

func TestWindowAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")).In(time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600))
		for _, period := range []string{ledger.PeriodDay, ledger.PeriodMonth} {
			w := ledger.WindowAt(period, at)
			start, end := time.Unix(w.Start, 0).UTC(), time.Unix(w.End(), 0).UTC()
			if at.Before(start) || !at.Before(end) || w.Period != period {
				t.Fatalf("%s is not in %s of %s to %s", at, period, start, end)
			}
			if next := ledger.WindowAt(period, end); next.Start != w.End() {
				t.Fatalf("after %+v comes %+v", w, next)
			}
			if hour, minute, second := start.Clock(); hour+minute+second != 0 || period == ledger.PeriodMonth && start.Day() != 1 {
				t.Fatalf("%s begins at %s", period, start)
			}
		}
		if w := ledger.WindowAt("Week", at); w != (ledger.Window{}) {
			t.Fatalf("a week is %+v", w)
		}
	})
}
