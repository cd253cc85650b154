package admit

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// In any window of time t at most burst + limit x t requests pass, and a refused one passes exactly RetryAfter later.
func TestRateProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newMini(rt)
		s.load(0)
		perMinute := rapid.Int64Range(1, 100_000).Draw(rt, "a minute")
		burst := rapid.Int64Range(1, 10).Draw(rt, "burst")
		every := interval(perMinute) / 1_000_000
		var passed []int64 // microseconds
		for range rapid.IntRange(1, 60).Draw(rt, "requests") {
			s.pass(time.Duration(rapid.Int64Range(0, 2*every).Draw(rt, "wait")) * time.Microsecond)
			q := request(0, limited(perMinute, burst))
			d := s.admit(q)
			if d.Outcome == RateLimited {
				s.pass(d.RetryAfter - time.Microsecond)
				s.want(q, RateLimited)
				s.pass(time.Microsecond)
				d = s.want(q, Admitted)
			}
			passed = append(passed, d.Now.UnixMicro())
			if d.Requests.Remaining < 0 || d.Requests.Remaining >= burst || d.Requests.Remaining > perMinute {
				rt.Fatalf("remaining %d with limit %d, burst %d", d.Requests.Remaining, perMinute, burst)
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				if count, window := int64(j-i+1), passed[j]-passed[i]; (count-burst)*60_000_000 > perMinute*window {
					rt.Fatalf("%d requests in %d us with %d a minute, burst %d", count, window, perMinute, burst)
				}
			}
		}
	})
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
