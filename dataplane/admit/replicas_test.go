package admit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Rules that let 60 requests pass at once and one more each second, or (concurrency) one more when the first one ends.
func sixty() map[string]func(*Request) {
	tokens := func(unit snapshot.Unit) func(*Request) {
		return rated(Rate{Unit: unit, Value: 6000, Burst: 6000, Cost: 100})
	}
	return map[string]func(*Request){
		"requests":      limited(60, 60),
		"input tokens":  tokens(snapshot.InputTokensPerMinute),
		"output tokens": tokens(snapshot.OutputTokensPerMinute),
		"concurrency":   func(q *Request) { q.MaxConcurrent = 60 },
	}
}

// Three replicas on one Redis: of 61 requests released together exactly 60 pass, whichever replica they meet; when
// Retry-After is over exactly one more, and none before, up to the last 100 ms.
func TestSixtyOfSixtyOne(t *testing.T) {
	for name, rule := range sixty() {
		t.Run(name, func(t *testing.T) {
			s, replicas := clients(t, 3)
			s.load(0)
			// The first one ends after a second, for the sake of concurrency; the others within no time of this test.
			first := s.want(request(0, rule, func(q *Request) { q.HoldFor = time.Second }), Admitted)
			passed, refused := release(t, replicas, rule, 60)
			same(t, "passed", len(passed)+1, 60)
			if took := refused.Now.Sub(first.Now); took > 500*time.Millisecond {
				t.Fatalf("the requests took %v", took)
			}
			for range 5 {
				if watch(t, replicas, rule, refused) {
					return
				}
				// The machine stood still in the last 100 ms: once more, with the next one.
				if refused = s.want(request(0, rule), refused.Outcome); refused.Outcome == TooManyConcurrent {
					t.Skip("this machine is too slow to ask within 100 ms")
				}
			}
			t.Error("never asked in the last 100 ms")
		})
	}
}

// release lets n requests go at once, answers the ids of those that passed and the answer of one that did not.
func release(t *testing.T, replicas []*Redis, rule func(*Request), n int) (passed []string, refused Decision) {
	t.Helper()
	ids, answers := make([]string, n), make([]Decision, n)
	start, wg := make(chan struct{}), sync.WaitGroup{}
	for i := range n {
		wg.Go(func() {
			q := request(0, rule)
			ids[i] = q.ID
			<-start
			var err error
			if answers[i], err = replicas[i%len(replicas)].Admit(context.Background(), q); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	for i, d := range answers {
		if d.Outcome == Admitted {
			passed = append(passed, ids[i])
		} else {
			refused = d
		}
	}
	return passed, refused
}

// watch asks all replicas without a pause until a moment after Retry-After has passed by Redis's clock: one request passes
// from then on, none before. It answers whether somebody asked in the last 100 ms before.
func watch(t *testing.T, replicas []*Redis, rule func(*Request), refused Decision) bool {
	t.Helper()
	due := refused.Now.Add(refused.RetryAfter)
	var passed, close atomic.Int64
	var wg sync.WaitGroup
	for _, r := range replicas {
		wg.Go(func() {
			for {
				d, err := r.Admit(context.Background(), request(0, rule))
				early := d.Now.Before(due)
				switch {
				case err != nil:
					t.Error(err)
					return
				case d.Outcome == Admitted && early:
					t.Errorf("passed %v before Retry-After", due.Sub(d.Now))
				case d.Outcome == Admitted:
					passed.Add(1)
				case d.Outcome != refused.Outcome:
					t.Errorf("outcome %d", d.Outcome)
				case early && due.Sub(d.Now) <= 100*time.Millisecond:
					close.Add(1)
				case d.Now.Sub(due) > 100*time.Millisecond:
					return
				}
			}
		})
	}
	wg.Wait()
	same(t, "passed after Retry-After", passed.Load(), int64(1))
	return close.Load() > 0
}

// A slot that is given back is there at once, for one.
func TestSlotIsFreeAtOnce(t *testing.T) {
	s, replicas := clients(t, 3)
	s.load(1000)
	ctx, three := context.Background(), func(q *Request) { q.MaxConcurrent = 3 }
	end := map[string]func(id string) error{
		"finish": func(id string) error {
			return s.Finish(ctx, Finish{RequestID: id, Account: "ns/acme", KeyDigest: "digest"})
		},
		"release": func(id string) error { return s.Release(ctx, "ns/acme", id) },
		"confirm": func(id string) error {
			return s.Confirm(ctx, []Confirmation{{RequestID: id, Account: "ns/acme", Balance: 1000, Version: 2}})
		},
	}
	var last string
	for range 3 {
		q := request(1, three)
		s.want(q, Admitted)
		last = q.ID
	}
	for name, give := range end {
		for range 2 { // twice gives one back
			must(t, give(last))
		}
		passed, refused := release(t, replicas, three, 20)
		same(t, name+": passed", len(passed), 1)
		same(t, name+": refusal", refused.Refusal, Refusal{Rule: RuleConcurrency, Limit: 3, Used: 3, Reset: refused.Refusal.Reset})
		last = passed[0]
	}
}

// However many ask at once, no key has more running requests or spends more than its cap.
func TestRulesHoldInTheRace(t *testing.T) {
	s, replicas := clients(t, 3)
	s.load(1_000_000)
	ctx := context.Background()
	var running, worst atomic.Int64
	var mu sync.Mutex // the ledger
	spent, version, window := int64(0), int64(1), int64(0)
	rule := func(q *Request) { q.MaxConcurrent, q.Cap = 4, &Cap{Amount: 500, Period: "Month"} }
	d := s.want(request(30, rule), ReloadCap)
	window = d.Window
	must(t, s.LoadSpend(ctx, "ns/acme", "digest", Spend{Period: "Month", Window: window}))
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			r := replicas[i%3]
			for {
				q := request(30, rule)
				d, err := r.Admit(ctx, q)
				if err != nil {
					t.Error(err)
					return
				}
				if d.Outcome == TooManyConcurrent {
					continue
				}
				if d.Outcome != Admitted {
					same(t, "outcome", d.Outcome, CapReached)
					return
				}
				now := running.Add(1)
				for was := worst.Load(); was < now && !worst.CompareAndSwap(was, now); was = worst.Load() {
				}
				if err := r.Ping(ctx); err != nil { // it runs for a while
					t.Error(err)
				}
				running.Add(-1)
				if err := r.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 17}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				spent, version = spent+17, version+1
				c := Confirmation{
					RequestID: q.ID, Account: q.Account, Balance: 1_000_000 - spent, Version: version, KeyDigest: q.KeyDigest,
					Spends: []Spend{{Period: "Month", Window: window, Spent: spent}},
				}
				mu.Unlock()
				if err := r.Confirm(ctx, []Confirmation{c}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if worst.Load() > 4 || worst.Load() == 0 {
		t.Errorf("%d ran at once", worst.Load())
	}
	if spent > 500 || spent <= 500-30 {
		t.Errorf("spent %d of 500", spent)
	}
	d = s.want(request(500, rule), CapReached)
	same(t, "after quiet", d.Refusal.Used, spent)
}
