package admit

import (
	"context"
	"testing"
)

// Two keys that are one to their owner, as during a rotation, have one cap, one bucket and one number of slots, while each has a
// state of its own.
func TestKeysOfOneMeter(t *testing.T) {
	s, ctx := newMini(t), context.Background()
	month, _ := windowOf("Month", s.now)
	s.load(1000)
	must(t, s.LoadKey(ctx, "ns/acme", "next", KeyActive, 1))
	by := func(digest string) func(*Request) {
		return func(q *Request) { q.KeyDigest, q.Meter = digest, "both" }
	}
	monthly := capped(100, "Month")
	must(t, s.LoadSpend(ctx, "ns/acme", "both", Spend{Period: "Month", Window: month.Unix(), Spent: 40}))
	first := request(30, monthly, by("digest"))
	s.want(first, Admitted)
	same(t, "used", s.want(request(31, monthly, by("next")), CapReached).Refusal.Used, int64(70))
	s.want(request(30, monthly, by("next")), Admitted)
	d, err := s.Extend(ctx, Extension{RequestID: first.ID, Account: first.Account, KeyDigest: "digest", Meter: "both", To: 31, Cap: first.Cap})
	must(t, err)
	same(t, "extended beyond it", d.Outcome, CapReached)
	must(t, s.Finish(ctx, Finish{RequestID: first.ID, Account: first.Account, KeyDigest: first.Counted(), Actual: 20}))
	must(t, s.Confirm(ctx, []Confirmation{{
		RequestID: first.ID, Account: first.Account, Balance: 980, Version: 2, KeyDigest: first.Counted(), Spends: []Spend{{"Month", month.Unix(), 60}},
	}}))
	same(t, "used after its settlement", s.want(request(11, monthly, by("next")), CapReached).Refusal.Used, int64(90))

	slots := func(q *Request) { q.MaxConcurrent = 1 }
	s.want(request(1, slots, by("digest")), TooManyConcurrent)
	s.want(request(0, limited(2, 2), by("digest")), Admitted)
	s.want(request(0, limited(2, 2), by("next")), Admitted)
	s.want(request(0, limited(2, 2), by("digest")), RateLimited)

	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 2))
	s.want(request(1, by("digest")), KeyRefused)
	s.want(request(1, by("next")), Admitted)
}
