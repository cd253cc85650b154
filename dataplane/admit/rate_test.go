package admit

import (
	"context"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// minuteUnits are the units of GCRA.
var minuteUnits = []snapshot.Unit{snapshot.RequestsPerMinute, snapshot.InputTokensPerMinute, snapshot.OutputTokensPerMinute}

// aRate draws a rate a minute: its value from 1 to MaxRate, every size of number as often, and a burst that is not far
// from it.
func aRate(rt *rapid.T) Rate {
	r := Rate{Unit: rapid.SampledFrom(minuteUnits).Draw(rt, "unit")}
	r.Value = rapid.Int64Range(1, pow10(rapid.IntRange(0, 9).Draw(rt, "digits"))).Draw(rt, "value")
	r.Burst = rapid.Int64Range(1, min(MaxRate, 10*r.Value)).Draw(rt, "burst")
	return r
}

func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// In any span of time t at most burst + value x t pass, and what was refused passes exactly RetryAfter later.
func TestRateProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newMini(rt)
		s.load(0)
		r := aRate(rt)
		type step struct{ at, cost int64 } // microseconds
		var passed []step
		for range rapid.IntRange(1, 40).Draw(rt, "requests") {
			r.Cost = rapid.Int64Range(1, r.Burst).Draw(rt, "cost")
			s.pass(time.Duration(rapid.Int64Range(0, 2*r.Cost*interval(r.Value)/1_000_000).Draw(rt, "wait")) * time.Microsecond)
			q := request(0, rated(r))
			d := s.admit(q)
			if d.Outcome == RateLimited {
				s.pass(d.RetryAfter - time.Microsecond)
				s.want(q, RateLimited)
				s.pass(time.Microsecond)
				d = s.want(q, Admitted)
			}
			passed = append(passed, step{d.Now.UnixMicro(), r.Cost})
			said := d.Tokens
			if r.Unit == snapshot.RequestsPerMinute {
				said = d.Requests
			}
			if said.Limit != r.Value || said.Remaining < 0 || said.Remaining > r.Burst-r.Cost || said.Remaining > r.Value {
				rt.Fatalf("%+v says %+v", r, said)
			}
		}
		for i := range passed {
			sum := new(big.Int)
			for _, p := range passed[i:] {
				sum.Add(sum, big.NewInt(p.cost))
				// (sum - burst) x minute <= value x time
				over := new(big.Int).Sub(sum, big.NewInt(r.Burst))
				over.Mul(over, big.NewInt(60_000_000))
				if allowed := new(big.Int).Mul(big.NewInt(r.Value), big.NewInt(p.at-passed[i].at)); over.Cmp(allowed) > 0 {
					rt.Fatalf("%v passed in %d us with %+v", sum, p.at-passed[i].at, r)
				}
			}
		}
	})
}

// At a billion a minute a token takes 60 ns: no less passes than should, either.
func TestABillionAMinute(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(0)
		r := Rate{Unit: snapshot.InputTokensPerMinute, Value: MaxRate, Burst: MaxRate, Cost: 1}
		for i := range int64(10) {
			if d := s.want(request(0, rated(r)), Admitted); s.mini != nil {
				same(t, "each token counts", d.Tokens.Remaining, MaxRate-i-1)
			}
		}
		r.Cost = MaxRate // the rest and no more
		if d := s.admit(request(0, rated(r))); s.mini != nil {
			same(t, "600 ns", d.RetryAfter, time.Microsecond)
		}
	})
	s := newMini(t)
	s.load(0)
	r := Rate{Unit: snapshot.OutputTokensPerMinute, Value: MaxRate, Burst: 100, Cost: 1}
	for range 100 {
		s.want(request(0, rated(r)), Admitted)
	}
	s.want(request(0, rated(r)), RateLimited)
	var passed int64
	for range 60 { // 16 2/3 tokens come each microsecond
		s.pass(time.Microsecond)
		for s.admit(request(0, rated(r))).Outcome == Admitted {
			passed++
		}
	}
	same(t, "passed in 60 us", passed, int64(1000))
}

func TestLargestRequestPasses(t *testing.T) {
	s := newMini(t)
	s.load(0)
	r := Rate{Unit: snapshot.InputTokensPerMinute, Value: 60, Burst: 30, Cost: 1_000_000_000_000}
	d := s.want(request(0, rated(r)), Admitted)
	same(t, "the whole bucket", d.Tokens, Limit{Limit: 60, Reset: 30 * time.Second})
	same(t, "again when it is full", s.want(request(0, rated(r)), RateLimited).RetryAfter, 30*time.Second)
	day := Rate{Unit: snapshot.RequestsPerDay, Value: 5, Cost: 6}
	same(t, "the whole day", s.want(request(0, rated(day)), Admitted).Requests.Remaining, int64(0))
	long := Rate{Unit: snapshot.OutputTokensPerMinute, Value: 1, Burst: MaxRate, Cost: MaxRate} // 1900 years
	s.want(request(0, rated(long)), Admitted)
	s.want(request(0, rated(long)), RateLimited)
}

// All rates are taken or none; the one that takes longest says when; headers have the tightest.
func TestRatesTogether(t *testing.T) {
	s := newMini(t)
	s.load(0)
	noon := s.now.Truncate(24 * time.Hour).Add(12 * time.Hour)
	s.pass(noon.Sub(s.now))
	all := func(daily, input, output int64) func(*Request) {
		return func(q *Request) {
			q.Rates = []Rate{
				{Unit: snapshot.RequestsPerMinute, Value: 60, Burst: 10, Cost: 1},
				{Unit: snapshot.RequestsPerDay, Value: daily, Cost: 1},
				{Unit: snapshot.InputTokensPerMinute, Value: 600, Burst: 600, Cost: input},
				{Unit: snapshot.OutputTokensPerMinute, Value: 60, Burst: 120, Cost: output},
			}
		}
	}
	d := s.want(request(0, all(1000, 100, 50)), Admitted)
	same(t, "the minute is tighter", d.Requests, Limit{Limit: 60, Remaining: 9, Reset: time.Second})
	same(t, "output is tighter", d.Tokens, Limit{Limit: 60, Remaining: 60, Reset: 50 * time.Second})
	d = s.want(request(0, all(5, 450, 1)), Admitted)
	same(t, "the day is tighter", d.Requests, Limit{Limit: 5, Remaining: 3, Reset: 12 * time.Hour})
	same(t, "input is tighter", d.Tokens, Limit{Limit: 600, Remaining: 50, Reset: 55 * time.Second})
	same(t, "of the same, the later", s.preview(request(0, all(10, 0, 0))).Requests.Reset, 12*time.Hour)
	before := s.dump()
	d = s.want(request(0, all(1000, 60, 110)), RateLimited) // input in 1 s, output in 41 s
	same(t, "retry after", d.RetryAfter, 41*time.Second)
	same(t, "refusal", d.Refusal, Refusal{Rule: "OutputTokensPerMinute", Limit: 60, Used: 51, Reset: 51 * time.Second})
	same(t, "as it stays", []int64{d.Requests.Remaining, d.Tokens.Remaining}, []int64{8, 50})
	same(t, "P9", s.dump(), before)
	s.pass(41*time.Second - time.Microsecond)
	s.want(request(0, all(1000, 60, 110)), RateLimited)
	s.pass(time.Microsecond)
	s.want(request(0, all(1000, 60, 110)), Admitted)
}

// What Remaining says may come at once does come at once, and no more.
func TestRemainingIsTrue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newMini(rt)
		s.load(0)
		burst := rapid.Int64Range(2, 20).Draw(rt, "burst")
		limit := limited(rapid.Int64Range(20, 1000).Draw(rt, "a minute"), burst)
		s.want(request(0, limit), Admitted)
		s.pass(time.Duration(rapid.Int64Range(0, 10_000_000).Draw(rt, "us")) * time.Microsecond)
		left := s.want(request(0, limit), Admitted).Requests.Remaining
		for ; left > 0; left-- {
			same(rt, "remaining", s.want(request(0, limit), Admitted).Requests.Remaining, left-1)
		}
		reset := s.want(request(0, limit), RateLimited).Requests.Reset
		s.pass(reset)
		for range burst {
			s.want(request(0, limit), Admitted)
		}
		s.want(request(0, limit), RateLimited)
	})
}

func TestLimitsOfKeysAreTheirOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(0)
		other := func(q *Request) { q.KeyDigest = "other" }
		must(t, s.LoadKey(context.Background(), "ns/acme", "other", KeyActive, 1))
		s.want(request(0, limited(1, 1)), Admitted)
		s.want(request(0, limited(1, 1)), RateLimited)
		s.want(request(0, limited(1, 1), other), Admitted)
		s.want(request(0, limited(1, 1), other), RateLimited)
	})
}

func TestLimitChanges(t *testing.T) {
	s := newMini(t)
	s.load(0)
	for range 10 {
		s.want(request(0, limited(10, 10)), Admitted)
	}
	d := s.want(request(0, limited(60, 2)), RateLimited) // a minute's worth is owed; two seconds are allowed
	same(t, "retry after", d.RetryAfter, 59*time.Second)
	same(t, "remaining", d.Requests.Remaining, int64(0))
	s.want(request(0), Admitted)
	d = s.want(request(0, limited(MaxRate, MaxRate)), RateLimited) // so much that the minute is the whole of it
	same(t, "retry after", d.RetryAfter, time.Microsecond)
	s.want(request(0, limited(1, 1_000_000_000)), Admitted)
}

func TestInterval(t *testing.T) {
	for perMinute, want := range map[int64]int64{1: minutePS, 60: 1_000_000_000_000, 7: 8_571_428_571_429, 1_000_000_000: 60_000, 999_999_999: 60_001} {
		same(t, decimal(perMinute), interval(perMinute), want)
	}
}
