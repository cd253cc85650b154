package admit

import (
	"context"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

func tokens(unit snapshot.Unit, value, burst, cost int64) func(*Request) {
	return rated(Rate{Unit: unit, Value: value, Burst: burst, Cost: cost})
}

// used finishes a request.
func (s *store) used(q Request, actual, input, output int64) {
	s.tb.Helper()
	must(s.tb, s.Finish(context.Background(), Finish{
		RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: actual, InputTokens: input, OutputTokens: output,
	}))
}

func TestFinishMoney(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		s.load(100)
		check := func(when, want string) {
			t.Helper()
			said, counted := s.sum("ns/acme")
			same(t, when, []string{said, counted}, []string{want, want})
		}
		a, b := request(60), request(30)
		s.want(a, Admitted)
		s.want(b, Admitted)
		s.used(a, 17, 0, 0)
		check("less than held", "47")
		s.used(a, 60, 0, 0)
		check("again: the first counts", "47")
		s.used(b, 45, 0, 0)
		check("more than held", "62")
		s.used(request(0), 5, 0, 0)
		check("an unknown id", "62")
		s.want(request(39), InsufficientCredits)
		c := request(38)
		s.want(c, Admitted)
		must(t, s.Release(ctx, c.Account, c.ID))
		s.used(c, 5, 0, 0)
		check("after its release", "62")
		must(t, s.Confirm(ctx, []Confirmation{{RequestID: a.ID, Account: a.Account, Balance: 83, Version: 2}}))
		s.used(a, 5, 0, 0)
		check("after its settlement", "45")
		free := request(0, func(q *Request) { q.Unmetered = true })
		s.want(free, Admitted)
		s.used(free, 0, 0, 0)
		check("for nothing", "45")
		must(t, s.Release(ctx, b.Account, b.ID))
		must(t, s.Release(ctx, free.Account, free.ID))
		same(t, "keys of holds", s.count("EXISTS", holdsKey("ns/acme"), expiryKey("ns/acme"), runningKey("ns/acme")), int64(0))
	})
}

func TestFinishTokens(t *testing.T) {
	const in, out = snapshot.InputTokensPerMinute, snapshot.OutputTokensPerMinute
	for name, c := range map[string]struct {
		estimate, used int64
		left           int64 // of 600 a minute, 600 at once, 10 each second, right after; below empty: what is owed
	}{
		"as estimated":                      {100, 100, 500},
		"less":                              {100, 30, 570},
		"nothing":                           {100, 0, 600},
		"more":                              {100, 250, 350},
		"all of it":                         {100, 600, 0},
		"more than all":                     {100, 700, -100},
		"never more than a minute's worth":  {100, 10_000, -600},
		"an estimate above the bucket":      {10_000, 10_000, -600},
		"such an estimate, but less":        {10_000, 200, 400},
		"nothing was estimated":             {0, 50, 550},
		"nothing was estimated, nothing is": {0, 0, 600},
	} {
		t.Run(name, func(t *testing.T) {
			for _, unit := range []snapshot.Unit{in, out} {
				s := newMini(t)
				s.load(1000)
				q := request(0, tokens(unit, 600, 600, c.estimate), limited(60, 60))
				s.want(q, Admitted)
				input, output := c.used, int64(123456)
				if unit == out {
					input, output = output, input
				}
				left := func() Limit { return s.preview(request(0, tokens(unit, 600, 600, 0), limited(60, 60))).Tokens }
				for range 2 { // twice changes nothing
					s.used(q, 0, input, output)
					same(t, "left", left(), Limit{Limit: 600, Remaining: max(0, c.left), Reset: time.Duration(600-c.left) * 100 * time.Millisecond})
				}
				if ttl := s.mini.TTL(arriveKey(q.Account, q.KeyDigest)); ttl < left().Reset {
					t.Errorf("the key goes in %v, the bucket is full in %v", ttl, left().Reset)
				}
				same(t, "requests are not given back", s.preview(request(0, limited(60, 60))).Requests.Remaining, int64(58))
			}
		})
	}
}

// Requests that take more than was estimated do not take more than the limit, however they come: what each took above its
// estimate is paid back before the next one passes.
func TestFinishKeepsTheLimit(t *testing.T) {
	s := newMini(t)
	s.load(1000)
	const value, burst, took = 600, 600, 500
	begun, sum := s.now, int64(0)
	for s.now.Sub(begun) < 10*time.Minute {
		q := request(0, tokens(snapshot.OutputTokensPerMinute, value, burst, 5))
		d := s.admit(q)
		if d.Outcome == RateLimited {
			s.pass(d.RetryAfter - time.Microsecond)
			s.want(request(0, tokens(snapshot.OutputTokensPerMinute, value, burst, 5)), RateLimited)
			s.pass(time.Microsecond)
			s.want(q, Admitted)
		}
		s.used(q, 0, 0, took)
		sum += took
		if most := burst + took + int64(s.now.Sub(begun).Seconds())*value/60; sum > most {
			t.Fatalf("%d tokens in %v, at most %d", sum, s.now.Sub(begun), most)
		}
	}
	if sum < 10*value {
		t.Fatalf("only %d tokens in ten minutes", sum)
	}
}

// What was freed meanwhile is not given twice: a bucket is never more than full.
func TestFinishLater(t *testing.T) {
	s := newMini(t)
	s.load(1000)
	rule := func(cost int64) func(*Request) { return tokens(snapshot.OutputTokensPerMinute, 600, 600, cost) }
	late := request(0, rule(300))
	s.want(late, Admitted)
	s.pass(20 * time.Second) // 200 of the 300 are back
	s.used(late, 0, 0, 0)
	same(t, "full", s.preview(request(0, rule(0))).Tokens, Limit{Limit: 600, Remaining: 600})
	d := s.want(request(0, rule(600)), Admitted)
	same(t, "empty", d.Tokens.Remaining, int64(0))
	refused := s.want(request(0, rule(100)), RateLimited)
	same(t, "retry after", refused.RetryAfter, 10*time.Second)
	same(t, "refusal", refused.Refusal, Refusal{Rule: "OutputTokensPerMinute", Limit: 600, Used: 600, Reset: time.Minute})
	// Debt that an older, larger burst allowed stays as it is.
	deep := request(0, tokens(snapshot.OutputTokensPerMinute, 600, 6000, 3000))
	s.want(deep, Admitted)
	shallow := request(0, rule(0))
	s.want(request(0, rule(1)), RateLimited)
	same(t, "what a smaller bucket says is used", s.admit(shallow).Refusal.Used, int64(3600))
}

// Past the time of its decision a hold becomes its cost as ever, and tokens are not corrected any more.
func TestFinishPastItsDecision(t *testing.T) {
	s := newMini(t)
	s.load(100)
	q := request(50, tokens(snapshot.OutputTokensPerMinute, 600, 600, 600), func(q *Request) { q.MaxConcurrent, q.HoldFor = 1, 10*time.Second })
	s.want(q, Admitted)
	s.pass(q.HoldFor)
	before := s.preview(request(0, tokens(snapshot.OutputTokensPerMinute, 600, 600, 0))).Tokens
	s.used(q, 20, 0, 0)
	same(t, "tokens", s.preview(request(0, tokens(snapshot.OutputTokensPerMinute, 600, 600, 0))).Tokens, before)
	said, _ := s.sum("ns/acme")
	same(t, "the hold is its cost", said, "20")
	same(t, "slots", s.count("EXISTS", runningKey(q.Account)), int64(0))
}

func TestRangeOfFinish(t *testing.T) {
	s := newMini(t)
	s.load(10)
	q := request(5)
	s.want(q, Admitted)
	before := s.dump()
	good := Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest}
	for name, spoil := range map[string]func(*Finish){
		"no id": func(f *Finish) { f.RequestID = "" }, "no account": func(f *Finish) { f.Account = "" },
		"no key": func(f *Finish) { f.KeyDigest = "" }, "a negative cost": func(f *Finish) { f.Actual = -1 },
		"too dear": func(f *Finish) { f.Actual = MaxNano + 1 }, "negative input": func(f *Finish) { f.InputTokens = -1 },
		"negative output": func(f *Finish) { f.OutputTokens = -1 },
		"a long record":   func(f *Finish) { f.Record = make([]byte, MaxRecord+1) },
	} {
		f := good
		spoil(&f)
		if err := s.Finish(context.Background(), f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	same(t, "store", s.dump(), before)
}
