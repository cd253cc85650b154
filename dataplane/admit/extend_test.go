package admit

import (
	"context"
	"testing"
)

func (s *store) extend(q Request, to int64, change ...func(*Extension)) Decision {
	s.tb.Helper()
	e := Extension{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, To: to, Cap: q.Cap}
	for _, c := range change {
		c(&e)
	}
	d, err := s.Extend(context.Background(), e)
	must(s.tb, err)
	return d
}

func TestExtend(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		s.load(100)
		q, other := request(20), request(30)
		s.want(q, Admitted)
		s.want(other, Admitted)
		check := func(when string, d Decision, want Outcome, held, fits int64, sum string) {
			t.Helper()
			same(t, when, []any{d.Outcome, d.Held, d.Fits}, []any{want, held, fits})
			said, counted := s.sum("ns/acme")
			same(t, when+": sum", []string{said, counted}, []string{sum, sum})
		}
		for range 2 {
			check("more", s.extend(q, 50), Admitted, 50, 70, "80")
		}
		check("less changes nothing", s.extend(q, 10), Admitted, 50, 70, "80")
		check("all that there is", s.extend(q, 70), Admitted, 70, 70, "100")
		before := s.dump()
		d := s.extend(q, 71)
		check("too much", d, InsufficientCredits, 70, 70, "100")
		same(t, "numbers", []any{d.Spendable, d.Reserved, d.Refusal}, []any{int64(100), int64(30), Refusal{Rule: RuleCredits, Limit: 100, Used: 30}})
		same(t, "P9", s.dump(), before)
		same(t, "unknown", s.extend(request(0), 5).Outcome, UnknownHold)
		must(t, s.Release(ctx, other.Account, other.ID))
		check("room was made", s.extend(q, 71), Admitted, 71, 100, "71")
		s.used(q, 60, 0, 0)
		same(t, "finished", s.extend(q, 90).Outcome, UnknownHold)
		must(t, s.raw("DEL", accountKey("ns/acme")).Error())
		s.want(request(0), ReloadAccount)
	})
}

func TestExtendCap(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(1000)
		q := request(20, capped(100, "Day"))
		s.spent("Day", s.want(q, ReloadCap).Window, 40)
		s.want(q, Admitted)
		s.want(request(10, capped(100, "Day")), Admitted)
		d := s.extend(q, 51)
		same(t, "cap", []any{d.Outcome, d.Refusal.Used, d.Fits, d.Held}, []any{CapReached, int64(50), int64(50), int64(20)})
		same(t, "retry", d.RetryAfter > 0 && d.RetryAfter == d.Refusal.Reset, true)
		same(t, "fits", s.extend(q, 50).Outcome, Admitted)
		must(t, s.raw("DEL", spentKey("ns/acme", "digest")).Error())
		same(t, "what was spent is not known", s.extend(q, 51).Outcome, ReloadCap)
	})
}

func TestExtendNearTheLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(MaxNano)
		q := request(1_000_000_000_000_001)
		s.want(q, Admitted)
		same(t, "to the last", s.extend(q, MaxNano-1).Held, MaxNano-1)
		said, counted := s.sum("ns/acme")
		same(t, "sum", []string{said, counted}, []string{"8999999999999999", "8999999999999999"})
		same(t, "one more", s.extend(q, MaxNano).Fits, MaxNano)
	})
}

func TestRangeOfExtend(t *testing.T) {
	s := newMini(t)
	s.load(10)
	q := request(5)
	s.want(q, Admitted)
	before := s.dump()
	good := Extension{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, To: 6}
	for name, spoil := range map[string]func(*Extension){
		"no id": func(e *Extension) { e.RequestID = "" }, "no account": func(e *Extension) { e.Account = "" },
		"no key": func(e *Extension) { e.KeyDigest = "" }, "negative": func(e *Extension) { e.To = -1 },
		"too much": func(e *Extension) { e.To = MaxNano + 1 }, "a cap a year": func(e *Extension) { e.Cap = &Cap{Amount: 1, Period: "Year"} },
		"a negative cap": func(e *Extension) { e.Cap = &Cap{Amount: -1, Period: "Day"} },
	} {
		e := good
		spoil(&e)
		if _, err := s.Extend(context.Background(), e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	same(t, "store", s.dump(), before)
}

// A hold that the store has lost, unheard, is written again and extended: its request runs. What is over or nobody's stays unknown.
func TestExtendWhatTheStoreHasLost(t *testing.T) {
	for name, lose := range map[string]func(a, b *store, q Request){
		"FLUSHALL, no epoch tells of it yet": func(a, _ *store, _ Request) { must(a.tb, a.raw("FLUSHALL").Error()) },
		"its holds alone":                    func(a, _ *store, _ Request) { must(a.tb, a.raw("DEL", holdsKey("ns/acme")).Error()) },
		"its owner was taken for dead": func(a, b *store, q Request) {
			a.expire("a.1")
			found := b.orphans()
			same(a.tb, "found", len(found), 1)
			must(a.tb, b.Confirm(context.Background(), []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: 1000, Version: 2}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBothOwned(t, func(t *testing.T, a, b *store) {
				a.load(1000)
				q := request(60)
				a.want(q, Admitted)
				lose(a, b, q)
				d := a.extend(q, 100)
				for range 3 { // the copy may be gone with it, and is read again
					if d.Outcome != ReloadAccount {
						break
					}
					must(t, a.LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: 1000, Version: 2}))
					d = a.extend(q, 100)
				}
				same(t, "extended", []any{d.Outcome, d.Held, a.held()}, []any{Admitted, int64(100), "100"})
				same(t, "too much is refused", a.extend(q, 1001).Outcome, InsufficientCredits)
				same(t, "nobody's", a.extend(request(1), 5).Outcome, UnknownHold)
				a.used(q, 70, 0, 0)
				must(t, a.raw("DEL", holdsKey("ns/acme")).Error())
				same(t, "finished", a.extend(q, 110).Outcome, UnknownHold)
			})
		})
	}
}
