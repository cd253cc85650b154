package admit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestConfirmAndLoad(t *testing.T) {
	ctx := context.Background()
	confirm := func(id string, balance, version int64) Confirmation {
		return Confirmation{RequestID: id, Account: "ns/acme", Balance: balance, Version: version}
	}
	steps := map[string]func(*testing.T, *store){
		"in order": func(t *testing.T, s *store) {
			must(t, s.Confirm(ctx, []Confirmation{confirm("a", 90, 2)}))
			must(t, s.Confirm(ctx, []Confirmation{confirm("b", 70, 3)}))
		},
		"the newest first, then late ones": func(t *testing.T, s *store) {
			must(t, s.Confirm(ctx, []Confirmation{confirm("b", 70, 3)}))
			must(t, s.Confirm(ctx, []Confirmation{confirm("a", 90, 2)}))
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 100, Version: 1}))
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 90, Version: 2}))
		},
		"in one batch, out of order, with an unknown hold, each twice": func(t *testing.T, s *store) {
			batch := []Confirmation{confirm("b", 70, 3), confirm("a", 90, 2), confirm("z", 100, 1)}
			must(t, s.Confirm(ctx, append(batch, batch...)))
			must(t, s.Confirm(ctx, batch))
		},
		"released first": func(t *testing.T, s *store) {
			must(t, s.Release(ctx, "ns/acme", "a"))
			must(t, s.Release(ctx, "ns/acme", "b"))
			must(t, s.Release(ctx, "ns/acme", "b"))
			must(t, s.Release(ctx, "ns/acme", "unknown"))
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 70, Version: 3}))
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 70, Version: 3}))
		},
		"the copy was lost": func(t *testing.T, s *store) {
			must(t, s.raw("DEL", accountKey("ns/acme")).Error())
			must(t, s.Confirm(ctx, []Confirmation{confirm("a", 90, 2), confirm("b", 70, 3)}))
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 100, Version: 1}))
		},
		"all was lost but the key": func(t *testing.T, s *store) {
			for _, k := range []string{accountKey("ns/acme"), holdsKey("ns/acme"), expiryKey("ns/acme")} {
				must(t, s.raw("DEL", k).Error())
			}
			must(t, s.Confirm(ctx, []Confirmation{confirm("a", 70, 3), confirm("b", 90, 2)}))
			s.want(request(1), ReloadAccount) // it may have known more before
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 90, Version: 2}))
		},
		"no request, only a newer row": func(t *testing.T, s *store) {
			must(t, s.Confirm(ctx, nil))
			must(t, s.Confirm(ctx, []Confirmation{confirm("", 70, 3)}))
			must(t, s.Confirm(ctx, []Confirmation{confirm("a", 90, 2), confirm("b", 90, 2)}))
		},
	}
	for name, run := range steps {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *store) {
				s.load(100)
				for _, id := range []string{"a", "b"} {
					s.want(request(20, func(q *Request) { q.ID = id }), Admitted)
				}
				run(t, s)
				d := s.want(request(71), InsufficientCredits)
				same(t, "spendable and reserved", []int64{d.Spendable, d.Reserved}, []int64{70, 0})
				same(t, "keys of holds", s.count("EXISTS", holdsKey("ns/acme"), expiryKey("ns/acme")), int64(0))
				s.want(request(70), Admitted)
			})
		})
	}
}

func TestReleaseOneOfTwo(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(100)
		a, b := request(20), request(30)
		s.want(a, Admitted)
		s.want(b, Admitted)
		must(t, s.Release(context.Background(), a.Account, a.ID))
		said, counted := s.sum("ns/acme")
		same(t, "sum", []string{said, counted}, []string{"30", "30"})
		left, err := s.raw("ZRANGE", expiryKey("ns/acme"), "0", "-1").AsStrSlice()
		must(t, err)
		same(t, "holds left", left, []string{b.ID})
	})
}

func TestConfirmManyAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		var batch []Confirmation
		for i := range 3 * idsPerCall {
			account := fmt.Sprintf("ns/%d", i%3)
			if i < 3 {
				must(t, s.LoadKey(ctx, account, "digest", KeyActive, 1))
				must(t, s.LoadAccount(ctx, Copy{Account: account, Spendable: 1_000_000, Version: 1}))
			}
			q := request(7, func(q *Request) { q.Account = account })
			s.want(q, Admitted)
			batch = append(batch, Confirmation{RequestID: q.ID, Account: account, Balance: int64(-i), Version: int64(i + 2)})
		}
		batch = append(batch, Confirmation{RequestID: "unknown", Account: "ns/0", Version: 1})
		must(t, s.Confirm(ctx, batch))
		for i := range 3 {
			account := fmt.Sprintf("ns/%d", i)
			said, counted := s.sum(account)
			same(t, account, []string{said, counted}, []string{"0", "0"})
			d := s.want(request(1, func(q *Request) { q.Account = account }), InsufficientCredits)
			same(t, account+": balance", d.Spendable, int64(-(3*idsPerCall - 3 + i)))
		}
	})
}

// Without a version a confirmation is a release: the copy stays as it is, and none is made.
func TestConfirmWithoutVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		s.load(100)
		q := request(60)
		s.want(q, Admitted)
		for range 2 {
			must(t, s.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account}, {RequestID: q.ID, Account: "ns/new"}}))
		}
		d := s.want(request(101), InsufficientCredits)
		same(t, "numbers", []int64{d.Spendable, d.Reserved}, []int64{100, 0})
		same(t, "made", s.count("EXISTS", accountKey("ns/new")), int64(0))
	})
}

func TestRangeOfLoads(t *testing.T) {
	ctx, s := context.Background(), newMini(t)
	s.load(10)
	before := s.dump()
	for name, err := range map[string]error{
		"version":               s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 1, Version: -2}),
		"no account":            s.LoadAccount(ctx, Copy{Account: "", Spendable: 1, Version: 2}),
		"confirm":               s.Confirm(ctx, []Confirmation{{RequestID: "a", Account: "ns/acme", Balance: 1, Version: -2}}),
		"release":               s.Release(ctx, "ns/acme", ""),
		"key state":             s.LoadKey(ctx, "ns/acme", "digest", "gone", 2),
		"no digest":             s.LoadKey(ctx, "ns/acme", "", KeyActive, 2),
		"spend, no account":     s.LoadSpend(ctx, "", "digest", Spend{"Day", 0, 1}),
		"spend, no key":         s.LoadSpend(ctx, "ns/acme", "", Spend{"Day", 0, 1}),
		"spend in a year":       s.LoadSpend(ctx, "ns/acme", "digest", Spend{"Year", 0, 1}),
		"spend below nothing":   s.LoadSpend(ctx, "ns/acme", "digest", Spend{"Day", 0, -1}),
		"spend too large":       s.LoadSpend(ctx, "ns/acme", "digest", Spend{"Day", 0, MaxNano + 1}),
		"spend before all time": s.LoadSpend(ctx, "ns/acme", "digest", Spend{"Day", -1, 1}),
		"confirm, spend":        s.Confirm(ctx, []Confirmation{{RequestID: "a", Account: "ns/acme", Version: 2, Spends: []Spend{{"Day", 0, 1}}}}),
		"key with a space":      s.LoadKey(ctx, "ns/acme", "a b", KeyActive, 2),
		"key version":           s.LoadKey(ctx, "ns/acme", "digest", KeyActive, -1),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	same(t, "store", s.dump(), before)
}

func TestDeadHolds(t *testing.T) {
	s := newMini(t)
	s.load(10_000)
	for range 3*500 + 7 {
		s.want(request(2), Admitted)
	}
	s.pass(time.Second)
	s.want(request(100), Admitted) // outlives the rest
	before := s.dump()
	s.want(request(10_000), InsufficientCredits)
	same(t, "a refusal changed the store", s.dump(), before)
	s.pass(time.Minute - time.Second)
	d := s.want(request(9_901), InsufficientCredits)
	same(t, "reserved without the dead", d.Reserved, int64(100))
	s.want(request(9_900), Admitted)
	said, counted := s.sum("ns/acme")
	same(t, "sum", []string{said, counted}, []string{"10000", "10000"})
	same(t, "holds left", s.count("ZCARD", expiryKey("ns/acme")), int64(2))
}

// A request id that comes again just when its old hold is dead takes the old hold's place.
func TestDeadHoldOfTheSameID(t *testing.T) {
	s := newMini(t)
	s.load(100)
	q := request(30)
	s.want(q, Admitted)
	s.pass(time.Minute)
	s.want(q, Admitted)
	said, counted := s.sum("ns/acme")
	same(t, "sum", []string{said, counted}, []string{"30", "30"})
	s.pass(time.Minute)
	must(t, s.LoadKey(context.Background(), q.Account, "other", KeyActive, 1))
	must(t, s.raw("ZREM", expiryKey(q.Account), q.ID).Error()) // not seen as dead
	q.KeyDigest, q.Hold = "other", 20
	s.want(q, Admitted)
	said, counted = s.sum("ns/acme")
	same(t, "sum under another key", []string{said, counted}, []string{"20", "20"})
}

// Where a limit was lowered, so many must end that one more may run.
func TestConcurrencyIsLowered(t *testing.T) {
	s := newMini(t)
	s.load(0)
	for _, seconds := range []int{30, 10, 20} {
		s.want(request(0, func(q *Request) { q.HoldFor = time.Duration(seconds) * time.Second }), Admitted)
	}
	two := func(q *Request) { q.MaxConcurrent = 2 }
	d := s.want(request(0, two), TooManyConcurrent)
	same(t, "retry after", d.RetryAfter, 20*time.Second)
	same(t, "refusal", d.Refusal, Refusal{Rule: RuleConcurrency, Limit: 2, Used: 3, Reset: 30 * time.Second})
	s.pass(20*time.Second - time.Microsecond)
	s.want(request(0, two), TooManyConcurrent)
	s.pass(time.Microsecond)
	s.want(request(0, two), Admitted)
}

// model is what the store should be.
type model struct {
	balance, version int64
	live             map[string]hold
}

type hold struct {
	amount int64
	until  time.Time
}

func (m *model) held(now time.Time) (n int64) {
	for _, h := range m.live {
		if h.until.After(now) {
			n += h.amount
		}
	}
	return n
}

// P9, P10 and the sum of the holds, over random histories.
func TestHoldsProperty(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		s := newMini(rt)
		m := &model{balance: 1000, version: 1, live: map[string]hold{}}
		s.load(m.balance)
		ids := func() []string { return slices.Sorted(maps.Keys(m.live)) }
		rt.Repeat(map[string]func(*rapid.T){
			"admit": func(rt *rapid.T) {
				q := request(rapid.Int64Range(0, 400).Draw(rt, "hold"))
				q.HoldFor = time.Duration(rapid.IntRange(1, 100).Draw(rt, "seconds")) * time.Second
				fits := m.balance-m.held(s.now) >= q.Hold
				before := s.dump()
				d := s.admit(q)
				same(rt, "reserved", d.Reserved, m.held(s.now))
				same(rt, "admitted", d.Outcome == Admitted, fits)
				if fits {
					m.live[q.ID] = hold{q.Hold, s.now.Add(q.HoldFor)}
				} else {
					same(rt, "P9", s.dump(), before)
				}
			},
			"more money": func(rt *rapid.T) { // P10: what was refused for credits may pass, what passed does pass
				q := request(rapid.Int64Range(0, 400).Draw(rt, "hold"))
				fits := m.balance-m.held(s.now) >= q.Hold
				m.balance += rapid.Int64Range(1, 300).Draw(rt, "grant")
				m.version++
				must(rt, s.LoadAccount(ctx, Copy{Account: q.Account, Spendable: m.balance, Version: m.version}))
				if d := s.admit(q); d.Outcome == Admitted {
					m.live[q.ID] = hold{q.Hold, s.now.Add(q.HoldFor)}
				} else if fits {
					rt.Fatalf("more balance refused %+v: %+v", q, d)
				}
			},
			"settle": func(rt *rapid.T) {
				if len(m.live) == 0 {
					rt.Skip("no holds")
				}
				id := rapid.SampledFrom(ids()).Draw(rt, "id")
				m.balance -= rapid.Int64Range(0, m.live[id].amount).Draw(rt, "cost")
				m.version++
				delete(m.live, id)
				must(rt, s.Confirm(ctx, []Confirmation{{RequestID: id, Account: "ns/acme", Balance: m.balance, Version: m.version}}))
			},
			"release": func(rt *rapid.T) {
				if len(m.live) == 0 {
					rt.Skip("no holds")
				}
				id := rapid.SampledFrom(ids()).Draw(rt, "id")
				delete(m.live, id)
				must(rt, s.Release(ctx, "ns/acme", id))
			},
			"an old row arrives late": func(rt *rapid.T) {
				must(rt, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 1_000_000, Version: rapid.Int64Range(0, m.version-1).Draw(rt, "version")}))
			},
			"time passes": func(rt *rapid.T) {
				s.pass(time.Duration(rapid.IntRange(1, 60_000).Draw(rt, "ms")) * time.Millisecond)
			},
			"": func(rt *rapid.T) {
				said, counted := s.sum("ns/acme")
				same(rt, "sum", said, counted)
			},
		})
	})
}
