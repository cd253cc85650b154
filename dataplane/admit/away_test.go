package admit

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func away(q *Request) { q.LedgerAway = true }

// While the ledger is away all that is held stays below half of what may be spent.
func TestLedgerAway(t *testing.T) {
	for name, c := range map[string]struct {
		balance, held, hold int64
		ask                 func(*Request)
		want                Outcome
		amount, fits        int64
	}{
		"half fits":                      {101, 0, 50, away, Admitted, 50, 50},
		"more than half does not":        {101, 0, 51, away, LedgerAway, 0, 50},
		"what is held counts":            {200, 60, 40, away, Admitted, 40, 40},
		"and refuses":                    {200, 60, 41, away, LedgerAway, 0, 40},
		"more is held than may be":       {200, 120, 0, away, LedgerAway, 0, 0},
		"clamped":                        {200, 60, 50, func(q *Request) { away(q); q.Floor = 10 }, Admitted, 40, 40},
		"too little to clamp":            {200, 95, 50, func(q *Request) { away(q); q.Floor = 10 }, LedgerAway, 0, 5},
		"not enough anyway":              {200, 190, 11, away, InsufficientCredits, 0, 0},
		"healthy within the half":        {1000, 0, 50, func(q *Request) { away(q); q.Expected, q.Healthy = 10, 500 }, Admitted, 10, 500},
		"not healthy within the half":    {998, 0, 50, func(q *Request) { away(q); q.Expected, q.Healthy = 10, 500 }, Admitted, 50, 499},
		"an overdraft is spendable":      {0, 0, 50, func(q *Request) { away(q); q.Overdraft = 100 }, Admitted, 50, 50},
		"below zero":                     {-1, 0, 0, away, InsufficientCredits, 0, 0},
		"nothing to spend, nothing held": {0, 0, 0, away, Admitted, 0, 0},
		"unmetered":                      {0, 0, 50, func(q *Request) { away(q); q.Unmetered = true }, Admitted, 0, 0},
		"only counted":                   {100, 0, 60, func(q *Request) { away(q); q.Shadow = true }, Admitted, 60, 50},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *store) {
				s.load(c.balance)
				if c.held > 0 {
					s.want(request(c.held), Admitted)
				}
				before := s.dump()
				q := request(c.hold, c.ask)
				d := s.want(q, c.want)
				same(t, "held and fits", []int64{d.Held, d.Fits}, []int64{c.amount, c.fits})
				if c.want != Admitted {
					same(t, "P9", s.dump(), before)
				}
				if q.Shadow {
					same(t, "would", d.Would, LedgerAway)
				}
			})
		})
	}
}

// Rich accounts hold AwayMost at most.
func TestLedgerAwayMost(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(MaxNano)
		s.want(request(AwayMost+1, away), LedgerAway)
		q := request(AwayMost-1, away)
		s.want(q, Admitted)
		s.want(request(2, away), LedgerAway)
		s.want(request(1, away), Admitted)
		s.want(request(1), Admitted) // the ledger is back
		ext := Extension{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, To: AwayMost + 1, LedgerAway: true}
		before := s.dump()
		d, err := s.Extend(context.Background(), ext)
		must(t, err)
		same(t, "extended", []any{d.Outcome, d.Fits}, []any{LedgerAway, AwayMost - 1})
		same(t, "P9", s.dump(), before)
		ext.LedgerAway = false
		d, err = s.Extend(context.Background(), ext)
		must(t, err)
		same(t, "the ledger is back", []any{d.Outcome, d.Held}, []any{Admitted, AwayMost + 1})
	})
}

// Copies of keys and accounts are good for AwayAge, which loads, settlements and nothing else renew.
func TestLedgerAwayAge(t *testing.T) {
	ctx, s := context.Background(), aging(t)
	s.pass(AwayAge)
	s.want(request(1), ReloadKey)
	held := request(1, away)
	s.want(held, Admitted)
	s.pass(time.Microsecond)
	before := s.dump()
	s.want(request(1, away), ReloadKey)
	same(t, "P9", s.dump(), before)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
	before = s.dump()
	s.want(request(1, away), LedgerAway)
	s.want(request(0, away), LedgerAway)
	same(t, "P9", s.dump(), before)
	same(t, "unmetered", s.preview(request(1, away, func(q *Request) { q.Unmetered = true })).Outcome, Admitted)
	d, err := s.Extend(ctx, Extension{RequestID: held.ID, Account: held.Account, KeyDigest: held.KeyDigest, To: 2, LedgerAway: true})
	must(t, err)
	same(t, "extension", d.Outcome, LedgerAway)
	before = s.dump()
	s.want(request(1), ReloadAccount) // with a ledger it is asked
	same(t, "P9", s.dump(), before)
	same(t, "unmetered, with a ledger", s.preview(request(1, func(q *Request) { q.Unmetered = true })).Outcome, Admitted)
	must(t, s.Confirm(ctx, []Confirmation{{Account: "ns/acme", Balance: 900, Version: 2}}))
	s.want(request(1, away), Admitted)
	s.pass(AwayAge + time.Microsecond)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
	must(t, s.Confirm(ctx, []Confirmation{{Account: "ns/acme", Balance: 1000, Version: 1}})) // an old one says nothing
	s.want(request(1, away), LedgerAway)
	s.want(request(1), ReloadAccount)
	s.copyOf(Copy{Spendable: 900, Version: 2})
	s.want(request(1, away), Admitted)
	s.want(request(1), Admitted)
}

// What the store has lost cannot be asked for: it is said as ever, and nobody is let in.
func TestLedgerAwayAfterALoss(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.want(request(1, away), ReloadKey)
		must(t, s.LoadKey(context.Background(), "ns/acme", "digest", KeyActive, 1))
		s.want(request(1, away), ReloadAccount)
		s.load(100)
		s.want(request(1, away), Admitted)
		must(t, s.raw("FLUSHALL").Error())
		s.due()
		s.want(request(1, away), ReloadKey)
	})
}

// P10 and the bound, for all mixtures of overdraft and a ledger that is away: more balance never refuses, and nothing is held
// beyond half of what may be spent, or beyond what may be spent.
func TestMoreBalanceNeverRefusesAway(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newMini(rt)
		balance := rapid.Int64Range(-50, 500).Draw(rt, "balance")
		hold := rapid.Int64Range(0, 200).Draw(rt, "hold")
		s.load(balance)
		before := request(rapid.Int64Range(0, 200).Draw(rt, "before"), func(q *Request) { q.Shadow = true })
		s.want(before, Admitted)
		q := request(hold, func(q *Request) {
			q.Floor, q.Expected = rapid.Int64Range(0, hold).Draw(rt, "floor"), rapid.Int64Range(0, hold).Draw(rt, "expected")
			if hold > 0 && rapid.Bool().Draw(rt, "may be healthy") {
				q.Healthy = rapid.Int64Range(hold, 1000).Draw(rt, "healthy")
			}
			q.Overdraft, q.LedgerAway = rapid.Int64Range(0, 300).Draw(rt, "overdraft"), rapid.Bool().Draw(rt, "away")
		})
		poor := s.preview(q)
		bound := balance + q.Overdraft
		if q.LedgerAway {
			bound = min(bound/2, AwayMost)
		}
		if poor.Outcome == Admitted && before.Hold+poor.Held > max(bound, before.Hold) {
			rt.Fatalf("%d and %d are held, at most %d may be", before.Hold, poor.Held, bound)
		}
		here := q
		here.LedgerAway = false
		if poor.Outcome == Admitted && s.preview(here).Outcome != Admitted {
			rt.Fatalf("admitted only while the ledger is away: %+v", q)
		}
		must(rt, s.LoadAccount(context.Background(), Copy{Account: q.Account, Spendable: balance + rapid.Int64Range(1, 500).Draw(rt, "grant"), Version: 2}))
		if rich := s.preview(q); poor.Outcome == Admitted && rich.Outcome != Admitted {
			rt.Fatalf("%+v: %+v, and richer %+v", q, poor, rich)
		}
	})
}
