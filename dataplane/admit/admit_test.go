package admit

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestOutcomes(t *testing.T) {
	ctx := context.Background()
	unmetered := func(q *Request) { q.Unmetered = true }
	version := func(v int64) func(*Request) { return func(q *Request) { q.KeyVersion = v } }
	loadKey := func(state string, v int64) func(*testing.T, *store) {
		return func(t *testing.T, s *store) {
			s.load(100)
			must(t, s.LoadKey(ctx, "ns/acme", "digest", state, v))
		}
	}
	cases := map[string]struct {
		given func(*testing.T, *store)
		ask   Request
		want  Outcome
	}{
		"nothing is known: the key comes first": {
			given: func(*testing.T, *store) {}, ask: request(1), want: ReloadKey,
		},
		"the key is known, the account is not": {
			given: func(t *testing.T, s *store) { must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1)) },
			ask:   request(1), want: ReloadAccount,
		},
		"an unmetered request needs the account too": {
			given: func(t *testing.T, s *store) { must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1)) },
			ask:   request(0, unmetered), want: ReloadAccount,
		},
		"a key of another account is not known": {
			given: func(t *testing.T, s *store) {
				must(t, s.LoadKey(ctx, "ns/other", "digest", KeyActive, 1))
				must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 100, Version: 1}))
			},
			ask: request(1), want: ReloadKey,
		},
		"the whole balance fits": {
			given: func(_ *testing.T, s *store) { s.load(100) }, ask: request(100), want: Admitted,
		},
		"one more does not": {
			given: func(_ *testing.T, s *store) { s.load(100) }, ask: request(101), want: InsufficientCredits,
		},
		"holds count": {
			given: func(_ *testing.T, s *store) { s.load(100); s.want(request(60), Admitted) },
			ask:   request(41), want: InsufficientCredits,
		},
		"a negative balance refuses even a free request": {
			given: func(_ *testing.T, s *store) { s.load(-1) }, ask: request(0), want: InsufficientCredits,
		},
		"a negative balance does not matter without a meter": {
			given: func(_ *testing.T, s *store) { s.load(-1) }, ask: request(0, unmetered), want: Admitted,
		},
		"disabled in the row that the caller knows": {
			given: loadKey(KeyDisabled, 2), ask: request(1, version(2)), want: KeyRefused,
		},
		"revoked by an older row": {
			given: func(t *testing.T, s *store) {
				loadKey(KeyActive, 5)(t, s)
				must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 4))
			},
			ask: request(1, version(5)), want: KeyRefused,
		},
		"an older row does not enable a key": {
			given: func(t *testing.T, s *store) {
				loadKey(KeyDisabled, 2)(t, s)
				must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
			},
			ask: request(1), want: KeyRefused,
		},
		"a newer row does": {
			given: func(t *testing.T, s *store) {
				loadKey(KeyDisabled, 2)(t, s)
				must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 3))
			},
			ask: request(1, version(3)), want: Admitted,
		},
		"an unmetered request holds nothing": {
			given: func(_ *testing.T, s *store) { s.load(100); s.want(request(100, unmetered), Admitted) },
			ask:   request(100), want: Admitted,
		},
		"a disabled key":              {given: loadKey(KeyDisabled, 2), ask: request(1), want: KeyRefused},
		"a revoked key":               {given: loadKey(KeyRevoked, 2), ask: request(1), want: KeyRefused},
		"a newer row than the caller": {given: loadKey(KeyActive, 2), ask: request(1), want: ReloadKey},
		"an older row than the caller": {
			given: loadKey(KeyActive, 2), ask: request(1, version(3)), want: ReloadKey,
		},
		"disabled, but the caller knows a newer row": {
			given: loadKey(KeyDisabled, 2), ask: request(1, version(3)), want: ReloadKey,
		},
		"a tombstone wins whatever the caller knows": {
			given: loadKey(KeyRevoked, 2), ask: request(1, version(9)), want: KeyRefused,
		},
		"the rate comes before the credits": {
			given: func(_ *testing.T, s *store) { s.load(100); s.want(request(1, limited(1, 1)), Admitted) },
			ask:   request(1000, limited(1, 1)), want: RateLimited,
		},
		"the key comes before the rate": {
			given: func(t *testing.T, s *store) {
				s.load(100)
				s.want(request(1, limited(1, 1)), Admitted)
				must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 2))
			},
			ask: request(1, limited(1, 1)), want: KeyRefused,
		},
		"the rate comes before the account": {
			given: func(_ *testing.T, s *store) {
				s.load(100)
				s.want(request(1, limited(1, 1)), Admitted)
				s.raw("DEL", accountKey("ns/acme"))
			},
			ask: request(1, limited(1, 1)), want: RateLimited,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *store) {
				c.given(t, s)
				before := s.dump()
				s.want(c.ask, c.want)
				if c.want != Admitted { // P9
					same(t, "a refusal changed the store", s.dump(), before)
				}
			})
		})
	}
}

func TestNumbers(t *testing.T) {
	s := newMini(t)
	s.load(1000)
	second := time.Second
	full := Limit{Limit: 60, Remaining: 2, Reset: second}
	same(t, "first", s.admit(request(10, limited(60, 3))), Decision{Now: s.now, Requests: full, Spendable: 1000, Held: 10, Fits: 1000})
	same(t, "short of credits: the rate as it stays", s.admit(request(999, limited(60, 3))),
		Decision{Outcome: InsufficientCredits, Now: s.now, Requests: full, Spendable: 1000, Reserved: 10, Fits: 990, Refusal: Refusal{Rule: RuleCredits, Limit: 1000, Used: 10}})
	s.want(request(5, limited(60, 3)), Admitted)
	same(t, "third", s.admit(request(1, limited(60, 3))), Decision{
		Now: s.now, Requests: Limit{Limit: 60, Remaining: 0, Reset: 3 * second}, Spendable: 1000, Reserved: 15, Held: 1, Fits: 985,
	})
	s.pass(400 * time.Millisecond)
	same(t, "limited", s.admit(request(1, limited(60, 3))), Decision{
		Outcome: RateLimited, Now: s.now, RetryAfter: 600 * time.Millisecond,
		Requests: Limit{Limit: 60, Remaining: 0, Reset: 2600 * time.Millisecond},
		Refusal:  Refusal{Rule: "RequestsPerMinute", Limit: 60, Used: 60, Reset: 2600 * time.Millisecond},
	})
	s.pass(600*time.Millisecond - time.Microsecond)
	s.want(request(1, limited(60, 3)), RateLimited)
	s.pass(time.Microsecond)
	s.want(request(1, limited(60, 3)), Admitted)
	same(t, "burst beyond the limit is not remaining", s.admit(request(1, limited(2, 50))).Requests.Remaining, int64(2))
	same(t, "no limit", s.admit(request(1)).Requests, Limit{})
}

func TestSameRequestAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		s.load(100)
		q := request(60, limited(60, 2))
		first := s.want(q, Admitted)
		check := func(when, held string) {
			t.Helper()
			same(t, when+": the decision", s.admit(q), first)
			said, counted := s.sum("ns/acme")
			same(t, when+": held", []string{said, counted}, []string{held, held})
		}
		check("at once", "60")
		must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 2))
		check("after its key is gone", "60")
		must(t, s.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: 90, Version: 2}}))
		check("confirmed", "0")
		must(t, s.Release(ctx, q.Account, q.ID))
		check("released", "0")
	})
}

func TestRefusedRequestMayComeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(10)
		q := request(11)
		s.want(q, InsufficientCredits)
		must(t, s.LoadAccount(context.Background(), Copy{Account: q.Account, Spendable: 11, Version: 2}))
		s.want(q, Admitted)
	})
}

func TestRequestCheck(t *testing.T) {
	s := newMini(t)
	s.load(10)
	for name, spoil := range map[string]func(*Request){
		"no id":                func(q *Request) { q.ID = "" },
		"no account":           func(q *Request) { q.Account = "" },
		"no key":               func(q *Request) { q.KeyDigest = "" },
		"negative hold":        func(q *Request) { q.Hold = -1 },
		"hold too large":       func(q *Request) { q.Hold = MaxNano + 1 },
		"negative limit":       limited(-1, 1),
		"limit, no burst":      limited(1, 0),
		"no time":              func(q *Request) { q.HoldFor = 0 },
		"a space in an id":     func(q *Request) { q.ID = "a b" },
		"a space in a key":     func(q *Request) { q.KeyDigest = "a b" },
		"limit too large":      limited(MaxRate+1, 1),
		"burst too large":      limited(1, MaxRate+1),
		"no limit":             limited(0, 1),
		"an unknown unit":      rated(Rate{Unit: "RequestsPerYear", Value: 1, Burst: 1}),
		"a negative cost":      rated(Rate{Unit: snapshot.InputTokensPerMinute, Value: 1, Burst: 1, Cost: -1}),
		"no requests a day":    rated(Rate{Unit: snapshot.RequestsPerDay, Cost: 1}),
		"a unit twice":         func(q *Request) { limited(1, 1)(q); limited(2, 2)(q) },
		"negative concurrency": func(q *Request) { q.MaxConcurrent = -1 },
		"a negative cap":       capped(-1, "Day"),
		"cap too large":        capped(MaxNano+1, "Day"),
		"a cap a year":         capped(1, "Year"),
		"floor above the hold": func(q *Request) { q.Floor = 2 },
		"negative floor":       func(q *Request) { q.Floor = -1 },
		"expected above":       func(q *Request) { q.Expected = 2 },
		"negative expectation": func(q *Request) { q.Expected = -1 },
		"negative overdraft":   func(q *Request) { q.Overdraft = -1 },
		"overdraft too large":  func(q *Request) { q.Overdraft = MaxNano + 1 },
		"record too long":      func(q *Request) { q.Record = make([]byte, MaxRecord+1) },
		"healthy below":        func(q *Request) { q.Healthy, q.Hold = 1, 2 },
		"healthy too large":    func(q *Request) { q.Healthy = MaxNano + 1 },
	} {
		before := s.dump()
		if _, err := s.Admit(context.Background(), request(1, spoil)); err == nil {
			t.Errorf("%s: no error", name)
		}
		same(t, name, s.dump(), before)
	}
}

func TestParseDecision(t *testing.T) {
	const good = "admitted,0,5,8,2,0,-,0,0,0,7,9"
	d, err := parseDecision(good + ",RequestsPerMinute,60,60,1,1000000,0")
	must(t, err)
	same(t, "decision", d, Decision{Now: time.UnixMicro(5).UTC(), Spendable: 8, Reserved: 2, Held: 7, Fits: 9, Requests: Limit{Limit: 60, Remaining: 59, Reset: time.Second}})
	d, err = parseDecision(strings.TrimSuffix(good, "9") + "-")
	must(t, err)
	same(t, "what is neither spent nor reserved", d.Fits, int64(6))
	for _, bad := range []string{
		"", "admitted", strings.Replace(good, "admitted", "maybe", 1), strings.TrimSuffix(good, ",9"), good + ",0",
		strings.Replace(good, "5", "1e3", 1), strings.TrimSuffix(good, "9") + "x", good + ",RequestsPerMinute,60,60,1,1e6,0", good + ",RequestsPerMinute,0,60,1,0,x",
	} {
		if d, err := parseDecision(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, d)
		}
	}
}

// What the script counts as for ever fits in a Duration.
func TestLongReset(t *testing.T) {
	s := newMini(t)
	s.load(0)
	d := s.want(request(0, limited(1, MaxRate)), Admitted)
	same(t, "reset", d.Requests, Limit{Limit: 1, Remaining: 1, Reset: time.Minute})
	d = s.want(request(0, rated(Rate{Unit: snapshot.InputTokensPerMinute, Value: 1, Burst: MaxRate, Cost: MaxRate})), Admitted)
	same(t, "for ever", d.Tokens, Limit{Limit: 1, Remaining: 0, Reset: 4_000_000_000_000 * time.Millisecond})
}

// The first rule that fails decides, in the order of Outcome; each is asked once the one before it is content.
func TestOrderOfRules(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		ask := func() Request {
			return request(60, limited(1, 2), capped(100, "Day"), func(q *Request) { q.MaxConcurrent = 1 })
		}
		s.want(ask(), ReloadKey)
		must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyDisabled, 1))
		s.want(ask(), KeyRefused)
		must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
		s.want(ask(), ReloadAccount)
		must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 130, Version: 1}))
		window := s.want(ask(), ReloadCap).Window
		s.spent("Day", window, 0)
		first := ask()
		s.want(first, Admitted)
		d := s.want(ask(), TooManyConcurrent)
		same(t, "until the hold ends", d.RetryAfter <= time.Minute && d.RetryAfter > 59*time.Second, true)
		same(t, "refusal", d.Refusal, Refusal{Rule: RuleConcurrency, Limit: 1, Used: 1, Reset: d.RetryAfter})
		must(t, s.Finish(ctx, Finish{RequestID: first.ID, Account: first.Account, KeyDigest: first.KeyDigest, Actual: 60}))
		s.want(ask(), CapReached)
		must(t, s.Finish(ctx, Finish{RequestID: first.ID, Account: first.Account, KeyDigest: first.KeyDigest, Actual: 1}))
		s.want(ask(), CapReached) // the first finish counts
		small := func(hold int64) Request { q := ask(); q.Hold = hold; return q }
		s.want(small(40), Admitted)
		s.want(small(1), RateLimited)
		must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 2))
		s.want(small(1), KeyRefused)
	})
}

// A preview says what would be, for the whole request and for its pieces, and writes nothing.
func TestPreview(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(100)
		before := s.dump()
		for range 3 {
			d := s.preview(request(100, limited(1, 1)))
			same(t, "as if admitted", []any{d.Outcome, d.Requests.Remaining, d.Spendable}, []any{Admitted, int64(0), int64(100)})
		}
		same(t, "short", s.preview(request(101)).Refusal, Refusal{Rule: RuleCredits, Limit: 100})
		same(t, "store", s.dump(), before)
		q := request(60, limited(1, 1))
		d := s.want(q, Admitted)
		before = s.dump()
		same(t, "known", s.preview(q), d)
		whole := request(60, limited(1, 1))
		same(t, "the first rule", s.preview(whole).Refusal.Rule, "RequestsPerMinute")
		piece := whole
		piece.Rates = nil
		same(t, "another", s.preview(piece).Refusal.Rule, RuleCredits)
		same(t, "store", s.dump(), before)
		if _, err := s.Preview(context.Background(), request(-1)); err == nil {
			t.Error("a broken request has no error")
		}
	})
}
