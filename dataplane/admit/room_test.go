package admit

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// What is held: what is expected where much is free, else the worst case, else what fits, else nothing.
func TestHowMuchIsHeld(t *testing.T) {
	ask := func(expected, healthy, floor int64) func(*Request) {
		return func(q *Request) { q.Expected, q.Healthy, q.Floor = expected, healthy, floor }
	}
	for name, c := range map[string]struct {
		balance, hold int64
		ask           func(*Request)
		cap           int64 // 0: none; 50 are spent
		want          Outcome
		held, fits    int64
	}{
		"healthy":                          {1000, 100, ask(20, 400, 10), 0, Admitted, 20, 1000},
		"just healthy":                     {400, 100, ask(20, 400, 10), 0, Admitted, 20, 400},
		"not healthy, it fits":             {399, 100, ask(20, 400, 10), 0, Admitted, 100, 399},
		"it just fits":                     {100, 100, ask(20, 400, 10), 0, Admitted, 100, 100},
		"something fits":                   {99, 100, ask(20, 400, 10), 0, Admitted, 99, 99},
		"just enough fits":                 {10, 100, ask(20, 400, 10), 0, Admitted, 10, 10},
		"too little fits":                  {9, 100, ask(20, 400, 10), 0, InsufficientCredits, 0, 9},
		"nothing fits":                     {-5, 100, ask(20, 400, 10), 0, InsufficientCredits, 0, 0},
		"strict: all or nothing":           {99, 100, ask(20, 400, 0), 0, InsufficientCredits, 0, 99},
		"never healthy":                    {1000, 100, ask(20, 0, 10), 0, Admitted, 100, 1000},
		"the cap is near":                  {1000, 100, ask(20, 400, 10), 449, Admitted, 100, 399},
		"the cap clamps":                   {1000, 100, ask(20, 400, 10), 80, Admitted, 30, 30},
		"the cap refuses":                  {1000, 100, ask(20, 400, 10), 59, CapReached, 0, 9},
		"the cap fits, the credits do not": {9, 100, ask(20, 400, 10), 80, InsufficientCredits, 0, 9},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *store) {
				s.load(c.balance)
				q := request(c.hold, c.ask)
				if c.cap > 0 {
					capped(c.cap, "Month")(&q)
					s.spent("Month", s.want(q, ReloadCap).Window, 50)
				}
				before := s.dump()
				preview := s.preview(q)
				d := s.want(q, c.want)
				same(t, "held and fits", []int64{d.Held, d.Fits}, []int64{c.held, c.fits})
				same(t, "preview", []int64{preview.Held, preview.Fits}, []int64{c.held, c.fits})
				if c.want == Admitted {
					same(t, "the stored decision", s.want(q, Admitted), d)
				} else {
					same(t, "P9", s.dump(), before)
				}
				said, counted := s.sum("ns/acme")
				same(t, "sum", []string{said, counted}, []string{decimal(c.held), decimal(c.held)})
			})
		})
	}
}

// The numbers of the two refusals: 402 for good, 429 while others run.
func TestTiedUp(t *testing.T) {
	s := newMini(t)
	s.load(100)
	s.want(request(70), Admitted)
	tied := s.want(request(90), InsufficientCredits)
	same(t, "tied up", []any{tied.TiedUp(90), tied.Available(), tied.Reserved, tied.Fits}, []any{true, int64(30), int64(70), int64(30)})
	final := s.want(request(101), InsufficientCredits)
	same(t, "final", final.TiedUp(101), false)
	same(t, "one that could be clamped", s.want(request(101, func(q *Request) { q.Floor = 31 }), InsufficientCredits).TiedUp(31), true)
}

// P10: with more balance, what was admitted is, whatever is held.
func TestMoreBalanceNeverRefuses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newMini(rt)
		balance := rapid.Int64Range(-10, 500).Draw(rt, "balance")
		hold := rapid.Int64Range(0, 200).Draw(rt, "hold")
		q := request(hold, func(q *Request) {
			q.Floor, q.Expected = rapid.Int64Range(0, hold).Draw(rt, "floor"), rapid.Int64Range(0, hold).Draw(rt, "expected")
			if rapid.Bool().Draw(rt, "may be healthy") {
				q.Healthy = rapid.Int64Range(max(1, hold), 1000).Draw(rt, "healthy")
			}
		})
		if q.Hold == 0 {
			q.Healthy = 0
		}
		s.load(balance)
		poor := s.preview(q)
		same(rt, "never more than is free", poor.Held <= max(0, balance), true)
		must(rt, s.LoadAccount(context.Background(), Copy{Account: q.Account, Spendable: balance + rapid.Int64Range(1, 500).Draw(rt, "grant"), Version: 2}))
		if rich := s.preview(q); poor.Outcome == Admitted && rich.Outcome != Admitted {
			rt.Fatalf("%+v: %+v, and richer %+v", q, poor, rich)
		}
	})
}

// Shadow refuses nothing, says what it would have refused first, and takes of the limits what enforcement would.
func TestShadow(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		s.load(100)
		shadow := func(q *Request) { q.Shadow = true }
		one := func(q *Request) { limited(60, 1)(q); shadow(q) }
		d := s.want(request(10, one), Admitted)
		same(t, "nothing to say", d.Would, Admitted)
		d = s.want(request(10, one), Admitted)
		same(t, "rate", []any{d.Would, d.Refusal.Rule}, []any{RateLimited, "RequestsPerMinute"})
		if d.RetryAfter <= 0 || d.RetryAfter > time.Second {
			t.Errorf("retry after %v", d.RetryAfter)
		}
		again := s.want(request(10, one), Admitted)
		if again.RetryAfter > d.RetryAfter {
			t.Errorf("what was not refused took of the limit: %v after %v", again.RetryAfter, d.RetryAfter)
		}
		d = s.want(request(10, shadow, func(q *Request) { q.MaxConcurrent = 2 }), Admitted)
		same(t, "concurrency", d.Would, TooManyConcurrent)
		same(t, "refusal", d.Refusal.Used, int64(3))
		q := request(61, shadow)
		d = s.want(q, Admitted)
		same(t, "credits", []any{d.Would, d.Held, d.Fits, d.Reserved}, []any{InsufficientCredits, int64(61), int64(60), int64(40)})
		same(t, "the stored decision", s.want(q, Admitted), d)
		said, counted := s.sum("ns/acme")
		same(t, "all is held", []string{said, counted}, []string{"101", "101"})
		q = request(10, shadow, capped(5, "Day"))
		s.spent("Day", s.want(q, ReloadCap).Window, 0)
		same(t, "cap", s.want(q, Admitted).Would, CapReached)
		s.want(request(1), InsufficientCredits) // the same account, enforced
		must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 2))
		s.want(request(1, shadow), KeyRefused)
	})
}

// What a request that was only counted used is not given back to, nor taken from, buckets it took nothing of.
func TestShadowFinish(t *testing.T) {
	s := newMini(t)
	s.load(100)
	rule := tokens(snapshot.OutputTokensPerMinute, 600, 600, 600)
	s.want(request(0, rule), Admitted)
	q := request(0, rule, func(q *Request) { q.Shadow = true })
	same(t, "would", s.want(q, Admitted).Would, RateLimited)
	left := func() Limit { return s.preview(request(0, tokens(snapshot.OutputTokensPerMinute, 600, 600, 0))).Tokens }
	before := left()
	s.used(q, 0, 0, 5)
	same(t, "left", left(), before)
}

// Holds that nothing refuses keep their sum exact.
func TestShadowStaysExact(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(1)
		for range 3 {
			s.want(request(MaxNano-1, func(q *Request) { q.Shadow = true }), Admitted)
		}
		said, counted := s.sum("ns/acme")
		same(t, "sum", []string{said, counted}, []string{decimal(MaxNano), decimal(MaxNano)})
	})
}
