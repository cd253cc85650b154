package ledger_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestSettlePostsOnce(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/acme", 1000)
		got := e.only(t, settlement("req_1", "default/acme", 300))
		want := ledger.Settled{RequestID: "req_1", Account: e.anAccount(t, "default/acme", 700), Spends: spends(300)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		want.Duplicate = true
		if diff := cmp.Diff(want, e.only(t, settlement("req_1", "default/acme", 300))); diff != "" {
			t.Fatal(diff)
		}
		if n := e.number(t, "SELECT amount FROM ledger_entries WHERE tx = 'settle:req_1' AND account = 'system/revenue'"); n != 300 {
			t.Errorf("revenue is %d", n)
		}
		if n := e.number(t, "SELECT balance FROM balances WHERE account = 'default/acme'"); n != 700 {
			t.Errorf("the view says %d", n)
		}
		e.sound(t)
	})
}

func TestSettleStoresTheWholeRow(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.only(t, settlement("req_1", "default/acme", 300))
		var numbers [14]int64
		var texts [8]string
		var stream bool
		err := e.raw.QueryRowContext(t.Context(), "SELECT input_tokens, cache_read_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, charged, held, status, "+
			"started_at, finished_at, (SELECT COUNT(*) FROM usage_logs), cache_write_1h_tokens, searches, account, key_id, model, provider, backend, upstream_id, lines, price_version, stream FROM usage_logs").
			Scan(&numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4], &numbers[5], &numbers[6], &numbers[7], &numbers[8], &numbers[9], &numbers[10], &numbers[11], &numbers[12], &numbers[13],
				&texts[0], &texts[1], &texts[2], &texts[3], &texts[4], &texts[5], &texts[6], &texts[7], &stream)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([14]int64{3, 2, 1, 5, 4, 300, 300, 600, 200, 1_700_000_000_000_001, 1_700_000_000_000_002, 1, 6, 7}, numbers); diff != "" {
			t.Error(diff)
		}
		lines := `[{"kind":"input","quantity":3,"unit_price":7,"amount":0}]`
		if diff := cmp.Diff([8]string{"default/acme", "key_1", "m", "p", "b", "chatcmpl-1", lines, "v1"}, texts); diff != "" {
			t.Error(diff)
		}
		if !stream {
			t.Error("stream is not stored")
		}
	})
}

func TestSettleBatch(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 1000)
		free := settlement("req_free", "default/a", 0)
		free.Evidence = ledger.EvidenceFree
		got, err := e.Settle(t.Context(), []ledger.Settlement{
			settlement("req_1", "default/b", 5), // an account that is not there goes below zero
			settlement("req_2", "default/a", 10),
			settlement("req_2", "default/a", 10),
			free,
			settlement("req_3", "default/a", 20),
		})
		if err != nil {
			t.Fatal(err)
		}
		a := e.anAccount(t, "default/a", 970)
		b := e.anAccount(t, "default/b", -5)
		want := []ledger.Settled{
			{RequestID: "req_1", Account: b, Duplicate: false, Spends: spends(35)}, {RequestID: "req_2", Account: a, Duplicate: false, Spends: spends(35)}, {RequestID: "req_2", Account: a, Duplicate: true, Spends: spends(35)},
			{RequestID: "req_free", Account: a, Duplicate: false, Spends: nil}, {RequestID: "req_3", Account: a, Duplicate: false, Spends: spends(35)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if again := e.only(t, free); !again.Duplicate || again.Account != a {
			t.Errorf("the free answer again: %+v", again)
		}
		if n := e.number(t, "SELECT COUNT(*) FROM ledger_tx WHERE idem_key = 'settle:req_free' AND kind <> 'free'"); n != 0 {
			t.Error("a free answer has a transaction of money")
		}
		if n := e.number(t, "SELECT COUNT(*) FROM usage_logs"); n != 4 {
			t.Errorf("%d usage rows", n)
		}
		e.sound(t)
	})
}

func TestSettleChargesOnceWithoutItsUsageRow(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.only(t, settlement("req_1", "default/a", 5))
		if _, err := e.raw.ExecContext(t.Context(), "DELETE FROM usage_logs"); err != nil {
			t.Fatal(err)
		}
		if got := e.only(t, settlement("req_1", "default/a", 5)); !got.Duplicate || got.Account.Balance != -5 {
			t.Errorf("charged again: %+v", got)
		}
		e.sound(t)
	})
}

func TestSettleLargestBatch(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		batch := make([]ledger.Settlement, ledger.MaxSettle+1)
		for i := range batch {
			batch[i] = settlement(fmt.Sprintf("req_%d", i), fmt.Sprintf("default/%d", i%300), 1)
		}
		if _, err := e.Settle(t.Context(), batch); err == nil {
			t.Error("a batch above the limit was taken")
		}
		if _, err := e.Settle(t.Context(), batch[:ledger.MaxSettle]); err != nil {
			t.Fatal(err)
		}
		if n := e.number(t, "SELECT CAST(SUM(balance) AS BIGINT) FROM accounts"); n != -ledger.MaxSettle {
			t.Errorf("balances sum to %d", n)
		}
		e.sound(t)
	})
}

func TestSettleRefusesMalformed(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		for name, change := range map[string]func(*ledger.Settlement){
			"no request id":  func(s *ledger.Settlement) { s.RequestID = "" },
			"long id":        func(s *ledger.Settlement) { s.RequestID = strings.Repeat("x", 201) },
			"no account":     func(s *ledger.Settlement) { s.Account = "" },
			"system account": func(s *ledger.Settlement) { s.Account = "system/revenue" },
			"negative":       func(s *ledger.Settlement) { s.Charged = -1 },
			"too much":       func(s *ledger.Settlement) { s.Charged = ledger.MaxBalance + 1 },
			"evidence":       func(s *ledger.Settlement) { s.Evidence = "guessed" },
		} {
			bad := settlement("req_bad", "default/a", 1)
			change(&bad)
			if _, err := e.Settle(t.Context(), []ledger.Settlement{settlement("req_good", "default/a", 1), bad}); err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		if n := e.number(t, "SELECT COUNT(*) FROM usage_logs"); n != 0 {
			t.Errorf("%d rows of refused batches", n)
		}
		if out, err := e.Settle(t.Context(), nil); len(out) != 0 || err != nil {
			t.Errorf("nothing to settle: %v, %v", out, err)
		}
	})
}

func TestSettleTakesAnyUpstreamID(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		s := settlement("req_1", "default/a", 1)
		s.UpstreamID = "a\x00\xff'" + strings.Repeat("é", 150)
		if got := e.only(t, s); got.Account.Balance != -1 {
			t.Errorf("%+v", got)
		}
	})
}

func TestSettleConcurrently(t *testing.T) {
	for name, accounts := range map[string]int{"one account": 1, "many accounts": 17} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e env) { settleConcurrently(t, e, accounts) })
		})
	}
}

// settleConcurrently settles from 64 goroutines in batches whose accounts come in any order, each batch twice.
func settleConcurrently(t *testing.T, e env, accounts int) {
	const workers, batches, size = 64, 3, 5
	for a := range accounts {
		e.granted(t, fmt.Sprintf("default/%d", a), 1_000_000)
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for b := range batches {
				batch := make([]ledger.Settlement, size)
				for i := range batch {
					batch[i] = settlement(fmt.Sprintf("req_%d_%d_%d", w, b, i), fmt.Sprintf("default/%d", rand.IntN(accounts)), 7)
				}
				for range 2 {
					if _, err := e.Settle(t.Context(), batch); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	want := int64(accounts*1_000_000 - workers*batches*size*7)
	if got := e.number(t, "SELECT CAST(SUM(balance) AS BIGINT) FROM accounts"); got != want {
		t.Errorf("balances sum to %d, want %d", got, want)
	}
	e.sound(t)
}

// TestSettleInterrupted cuts Settle off at any point and tries again until it succeeds, as a gateway does after a lost answer.
func TestSettleInterrupted(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/a", 1_000_000)
		cut := 0
		for n := range 30 {
			batch := []ledger.Settlement{settlement(fmt.Sprintf("req_%d_a", n), "default/a", 3), settlement(fmt.Sprintf("req_%d_b", n), "default/b", 4)}
			for limit := time.Duration(rand.IntN(1000)) * time.Microsecond; ; limit += 500 * time.Microsecond {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				_, err := e.Settle(ctx, batch)
				cancel()
				if err == nil {
					break
				}
				cut++
			}
		}
		t.Logf("%d calls were cut off", cut)
		if cut == 0 {
			t.Error("nothing was interrupted")
		}
		for id, want := range map[string]int64{"default/a": 1_000_000 - 30*3, "default/b": -30 * 4} {
			if a, err := e.Account(t.Context(), id); err != nil || a.Balance != want {
				t.Errorf("%s: %+v, %v; want %d", id, a, err, want)
			}
		}
		e.sound(t)
	})
}
