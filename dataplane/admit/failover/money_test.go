package failover

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// What is held, by mode, of the half that the ledger lends; and what a refusal tells.
func TestModes(t *testing.T) {
	floor := func(n pricing.Nano) func(*admit.Request) { return func(q *admit.Request) { q.Floor = n } }
	healthy := func(expected, from pricing.Nano) func(*admit.Request) {
		return func(q *admit.Request) { q.Expected, q.Healthy = expected, from }
	}
	over := func(n pricing.Nano) func(*admit.Request) { return func(q *admit.Request) { q.Overdraft = n } }
	type want struct {
		Outcome          admit.Outcome
		Held, Fits       pricing.Nano
		Reserved, Ledger pricing.Nano // as the decision says it, as it is after it
		TiedUp           bool
	}
	type mode struct {
		balance, held pricing.Nano // before, in the ledger
		q             func(*admit.Request)
		hold          pricing.Nano
		want          want
	}
	modes := map[string]mode{
		"it fits":                   {1000, 0, func(*admit.Request) {}, 500, want{Held: 500, Fits: 500, Reserved: 500, Ledger: 500}},
		"the other half":            {1000, 0, func(*admit.Request) {}, 501, want{Outcome: admit.InsufficientCredits, Fits: 500, Reserved: 500, TiedUp: true}},
		"truly short":               {1000, 0, func(*admit.Request) {}, 1001, want{Outcome: admit.InsufficientCredits, Fits: 500, Reserved: 500}},
		"held by others":            {1000, 300, func(*admit.Request) {}, 201, want{Outcome: admit.InsufficientCredits, Fits: 200, Reserved: 800, Ledger: 300, TiedUp: true}},
		"clamped":                   {1000, 300, floor(200), 201, want{Held: 200, Fits: 200, Reserved: 800, Ledger: 500}},
		"not of use":                {1000, 301, floor(200), 201, want{Outcome: admit.InsufficientCredits, Fits: 199, Reserved: 801, Ledger: 301, TiedUp: true}},
		"healthy":                   {1000, 100, healthy(10, 400), 100, want{Held: 10, Fits: 400, Reserved: 600, Ledger: 110}},
		"less than healthy":         {1000, 101, healthy(10, 400), 100, want{Held: 100, Fits: 399, Reserved: 601, Ledger: 201}},
		"far from healthy":          {1000, 450, healthy(10, 400), 100, want{Outcome: admit.InsufficientCredits, Fits: 50, Reserved: 950, Ledger: 450, TiedUp: true}},
		"not even what is expected": {1000, 495, healthy(10, 400), 100, want{Outcome: admit.InsufficientCredits, Fits: 5, Reserved: 995, Ledger: 495, TiedUp: true}},
		"clamped above expected":    {1000, 450, func(q *admit.Request) { healthy(10, 400)(q); floor(50)(q) }, 100, want{Held: 50, Fits: 50, Reserved: 950, Ledger: 500}},
		"expected below use":        {1000, 480, func(q *admit.Request) { healthy(10, 400)(q); floor(50)(q) }, 100, want{Outcome: admit.InsufficientCredits, Fits: 20, Reserved: 980, Ledger: 480, TiedUp: true}},
		"nothing":                   {0, 0, func(*admit.Request) {}, 1, want{Outcome: admit.InsufficientCredits}},
		"overdraft":                 {1000, 0, over(1000), 1000, want{Held: 1000, Fits: 1000, Ledger: 1000}},
		"free":                      {0, 0, func(*admit.Request) {}, 0, want{}},
		"unmetered":                 {0, 0, unmetered, 0, want{}},
		"only counted":              {100, 0, func(q *admit.Request) { q.Shadow = true }, 500, want{Held: 500, Reserved: 50, Ledger: 500, TiedUp: true}},
	}
	onEachLedger(t, func(t *testing.T, b *books) {
		for name, c := range modes {
			t.Run(name, func(t *testing.T) {
				account, key := "ns/"+newID(), newDigest()
				b.key(t, key, account)
				p := &primary{}
				f := without(b, p)
				if c.balance > 0 {
					b.grant(t, account, c.balance)
				}
				if c.held > 0 {
					_, err := b.Reserve(t.Context(), ledger.Reservation{RequestID: newID(), Account: account, Amount: c.held, Owner: "b", ExpiresAt: 1 << 60})
					must(t, err)
				}
				q := b.request(t, c.hold, c.q, func(q *admit.Request) { q.Account, q.KeyDigest = account, key })
				looked, err := f.Preview(t.Context(), q)
				must(t, err)
				same(t, "nothing is held", b.held(t, account), c.held)
				d, err := f.Admit(t.Context(), q)
				must(t, err)
				required := q.Hold
				if q.Floor > 0 {
					required = q.Floor
				}
				got := want{d.Outcome, d.Held, d.Fits, d.Reserved, b.held(t, account), d.Outcome == admit.InsufficientCredits && d.TiedUp(required)}
				if d.Would != admit.Admitted {
					got.Fits, got.TiedUp = 0, d.Would == admit.InsufficientCredits
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
				if c.held == 0 && looked.Outcome != d.Outcome { // of other replicas' holds it does not know
					t.Errorf("preview %+v, admission %+v", looked, d)
				}
				adopted := 0
				if d.Outcome == admit.Admitted {
					adopted = 1
				}
				same(t, "adopted", len(p.adopted), adopted)
				again, err := f.Admit(t.Context(), q)
				must(t, err)
				if d.Outcome == admit.Admitted {
					same(t, "the same again", again, d)
				}
				same(t, "no more is held", b.held(t, account), c.want.Ledger)
			})
		}
	})
}

// Three replicas without Redis: together at most half of what an account may spend, and at most what its limits allow.
func TestThreeReplicas(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		rich := b.key(t, newDigest(), "ns/rich")
		b.grant(t, "ns/rich", 1_000_000)
		now := clock
		var money, requests, tokens, days atomic.Int64
		var all sync.WaitGroup
		for _, owner := range []string{"a", "b", "c"} {
			f := inline(Options{Primary: &primary{err: errDown, owners: 3}, Ledger: b, Owner: owner, Now: func() time.Time { return now }})
			poor, spender := b.request(t, 0), b.request(t, 0, func(q *admit.Request) { q.Account, q.KeyDigest = "ns/rich", rich.Digest })
			one := func(q admit.Request, hold pricing.Nano, with ...func(*admit.Request)) admit.Decision {
				q.ID, q.Hold, q.Record = newID(), hold, nil
				for _, w := range with {
					w(&q)
				}
				d, err := f.Admit(context.Background(), q)
				if err != nil {
					t.Error(err)
				}
				return d
			}
			for range 2 {
				all.Go(func() {
					for range 20 {
						if d := one(poor, 37, func(q *admit.Request) { q.Floor = 10 }); d.Outcome == admit.Admitted {
							money.Add(d.Held)
						}
						if one(spender, 1, limited(snapshot.RequestsPerMinute, 32, 47, 1)).Outcome == admit.Admitted {
							requests.Add(1)
						}
						if one(spender, 1, limited(snapshot.OutputTokensPerMinute, 100, 100, 7)).Outcome == admit.Admitted {
							tokens.Add(7)
						}
						if one(spender, 1, limited(snapshot.RequestsPerDay, 20, 0, 1)).Outcome == admit.Admitted {
							days.Add(1)
						}
					}
				})
			}
		}
		all.Wait()
		same(t, "held", b.held(t, "ns/acme"), money.Load())
		if m := money.Load(); m > 500 || m < 500-10 {
			t.Errorf("%d of 1000 are held", m)
		}
		same(t, "requests, a third of the burst each", requests.Load(), int64(3*15))
		same(t, "tokens", tokens.Load(), int64(3*28))
		same(t, "requests of the day", days.Load(), int64(3*6))
	})
}

// Slots are counted by what runs, whoever admitted it: each replica has its share, rounded up.
func TestSlots(t *testing.T) {
	p := &primary{owners: 2}
	now := clock
	f := demo(p, &now)
	slots := func(q *admit.Request) { q.Unmetered, q.MaxConcurrent = true, 5 }
	var running []admit.Request
	for range 2 { // by Redis
		q := request(0, slots)
		must(t, admitted(f.Admit(t.Context(), q)))
		running = append(running, q)
	}
	p.set(errDown)
	q := request(0, slots)
	must(t, admitted(f.Admit(t.Context(), q)))
	running = append(running, q)
	d, err := f.Admit(t.Context(), request(0, slots))
	must(t, err)
	same(t, "refused", d.Outcome, admit.TooManyConcurrent)
	same(t, "why", d.Refusal, admit.Refusal{Rule: admit.RuleConcurrency, Limit: 3, Used: 3, Reset: time.Hour})
	must(t, f.Finish(t.Context(), admit.Finish{RequestID: running[0].ID, Account: "ns/acme", KeyDigest: digest}))
	must(t, admitted(f.Admit(t.Context(), request(0, slots))))
	must(t, f.Release(t.Context(), "ns/acme", running[1].ID))
	must(t, admitted(f.Admit(t.Context(), request(0, slots))))
	now = now.Add(time.Hour)
	f.tidy(t.Context())
	same(t, "all are over", f.book.size(), 0)
}

// A spend cap counts what the ledger says that was spent, and what this replica holds, whoever admitted it.
func TestCap(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 10_000)
		p := &primary{}
		f := inline(Options{Primary: p, Ledger: b, Owner: "a"})
		capped := func(q *admit.Request) { q.Cap = &admit.Cap{Amount: 100, Period: ledger.PeriodMonth} }
		key, err := b.KeyByDigest(t.Context(), digest)
		must(t, err)
		spent := settlement(b.request(t, 20), 20)
		spent.KeyID, spent.FinishedAt = key.ID, time.Now().UnixMicro()
		_, err = b.Settle(t.Context(), []ledger.Settlement{spent})
		must(t, err)
		must(t, admitted(f.Admit(t.Context(), b.request(t, 30, capped)))) // by Redis
		p.set(errDown)
		must(t, admitted(f.Admit(t.Context(), b.request(t, 40, capped))))
		d, err := f.Admit(t.Context(), b.request(t, 11, capped))
		must(t, err)
		same(t, "refused", []any{d.Outcome, d.Refusal.Rule, d.Refusal.Limit, d.Refusal.Used, d.Fits, d.RetryAfter == d.Refusal.Reset, d.RetryAfter > 0},
			[]any{admit.CapReached, admit.RuleCap, 100, 90, 10, true, true})
		start, _ := window(ledger.PeriodMonth, d.Now)
		same(t, "window", d.Window, start.Unix())
		clamped, err := f.Admit(t.Context(), b.request(t, 11, capped, func(q *admit.Request) { q.Floor = 5 }))
		must(t, err)
		same(t, "clamped", []any{clamped.Outcome, clamped.Held}, []any{admit.Admitted, 10})
	})
}

// Without Redis, too, the keys of one object have one cap: what each has spent, and what each holds, counts.
func TestCapOfARotatedKey(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 10_000)
		f := without(b, &primary{})
		var rows []ledger.Key
		for i := range int64(2) {
			row, err := b.UpsertKey(t.Context(), ledger.KeyUpsert{Key: ledger.Key{
				Digest: newDigest(), Account: "ns/acme", State: ledger.KeyActive, Source: "kubernetes", ObjectName: "ns/rotated", Rotation: i + 1,
			}})
			must(t, err)
			spent := settlement(b.request(t, 20), 20)
			spent.KeyID, spent.FinishedAt = row.ID, time.Now().UnixMicro()
			_, err = b.Settle(t.Context(), []ledger.Settlement{spent})
			must(t, err)
			rows = append(rows, row)
		}
		by := func(k ledger.Key) func(*admit.Request) {
			return func(q *admit.Request) {
				q.KeyDigest, q.KeyVersion, q.Meter, q.Cap = k.Digest, k.Version, k.Meter(), &admit.Cap{Amount: 100, Period: ledger.PeriodMonth}
			}
		}
		first := request(30, by(rows[0]))
		must(t, admitted(f.Admit(t.Context(), first)))
		d, err := f.Admit(t.Context(), request(31, by(rows[1])))
		must(t, err)
		same(t, "the other key", []any{d.Outcome, d.Refusal.Used}, []any{admit.CapReached, 70})
		must(t, admitted(f.Admit(t.Context(), request(30, by(rows[1])))))
		d, err = f.Extend(t.Context(), admit.Extension{
			RequestID: first.ID, Account: first.Account, KeyDigest: first.KeyDigest, Meter: first.Meter, To: 31, Cap: first.Cap,
		})
		must(t, err)
		same(t, "extended", d.Outcome, admit.CapReached)
	})
}

func TestWindow(t *testing.T) {
	at := time.Date(2028, 2, 29, 23, 59, 59, 1, time.FixedZone("", -3600)) // the first of March, UTC
	for period, want := range map[string][2]string{"Day": {"2028-03-01", "2028-03-02"}, "Month": {"2028-03-01", "2028-04-01"}} {
		start, end := window(period, at)
		same(t, period, [2]string{start.Format(time.DateOnly), end.Format(time.DateOnly)}, want)
	}
}

// P9: a refusal changes nothing, here as in Redis: neither what is held nor where limits stand.
func TestRefusalChangesNothing(t *testing.T) {
	onEachLedger(t, func(t *testing.T, b *books) {
		b.grant(t, "ns/acme", 1000)
		f := without(b, &primary{})
		now := clock
		f.o.Now = func() time.Time { return now }
		rates := []func(*admit.Request){limited(snapshot.RequestsPerMinute, 10, 10, 1), limited(snapshot.OutputTokensPerMinute, 60, 50, 30), limited(snapshot.RequestsPerDay, 4, 0, 1)}
		with := func(more ...func(*admit.Request)) []func(*admit.Request) {
			return append(append([]func(*admit.Request){}, rates...), more...)
		}
		first := b.request(t, 10, with()...)
		must(t, admitted(f.Admit(t.Context(), first)))
		stand := func() any {
			d, err := f.Preview(t.Context(), b.request(t, 0, with(unmetered, func(q *admit.Request) { // a question that asks for nothing
				for i := range q.Rates {
					q.Rates[i].Cost = 0
				}
			})...))
			must(t, err)
			return []any{d.Requests, d.Tokens, b.held(t, "ns/acme"), f.book.size(), f.limits.keys.at[digest].Value.(*entry[string, map[snapshot.Unit]state]).value}
		}
		before := stand()
		small := func(q *admit.Request) { q.Rates[1].Cost = 1 }
		for what, q := range map[admit.Outcome]admit.Request{
			admit.RateLimited:         b.request(t, 10, with()...),
			admit.TooManyConcurrent:   b.request(t, 10, with(small, func(q *admit.Request) { q.MaxConcurrent = 1 })...),
			admit.CapReached:          b.request(t, 10, with(small, func(q *admit.Request) { q.Cap = &admit.Cap{Amount: 19, Period: "Day"} })...),
			admit.InsufficientCredits: b.request(t, 491, with(small, func(q *admit.Request) { q.Expected, q.Healthy = 10, 1000 })...),
			admit.KeyRefused:          b.request(t, 10, with(func(q *admit.Request) { q.KeyDigest = nobody })...),
			admit.ReloadKey:           b.request(t, 10, with(func(q *admit.Request) { q.Account = "ns/other" })...),
		} {
			if what == admit.KeyRefused {
				q.KeyVersion = 0
			}
			d, err := f.Admit(t.Context(), q)
			must(t, err)
			same(t, "refused", d.Outcome, what)
			if d := cmp.Diff(stringOf(before), stringOf(stand())); d != "" {
				t.Errorf("%v: %s", what, d)
			}
		}
		_, err := f.Admit(t.Context(), b.request(t, -1))
		same(t, "out of range", err != nil, true)
		b.away.Store(true)
		_, err = f.Admit(t.Context(), b.request(t, 1, with(small)...))
		same(t, "no ledger", err != nil, true)
		b.away.Store(false)
		if d := cmp.Diff(stringOf(before), stringOf(stand())); d != "" {
			t.Errorf("an error: %s", d)
		}
	})
}

// P10: more balance never turns an admission into a refusal.
func TestMoreBalanceNeverRefuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := admit.Request{}
		amounts(t, &q)
		free := rapid.Int64Range(-10, 900).Draw(t, "free")
		more := free + rapid.Int64Range(0, 900).Draw(t, "more")
		_, was := choose(q, free)
		_, is := choose(q, more)
		if was && !is {
			t.Fatalf("%+v: %d admits, %d does not", q, free, more)
		}
		if room(ledger.Account{Balance: free}, 0) > room(ledger.Account{Balance: more}, 0) {
			t.Fatal("more balance lends less")
		}
	})
}

// What a request took and another rule refused comes back exactly.
func TestUndo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLimits(10)
		limits := rates(t)
		now := clock
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			l.take(digest, costs(t, limits), now, true)
			now = now.Add(time.Duration(rapid.Int64Range(0, 60_000_000).Draw(t, "pass")) * time.Microsecond)
		}
		asking := costs(t, limits)
		want, _, _ := l.take(digest, asking, now, false)
		_, _, took := l.take(digest, asking, now, true)
		l.undo(took)
		got, _, _ := l.take(digest, asking, now, false)
		if d := cmp.Diff(stringOf(want), stringOf(got)); d != "" {
			t.Fatal(d)
		}
	})
}

// Keys beyond the bound begin anew; those in use stay.
func TestLimitsAreBounded(t *testing.T) {
	l := newLimits(2)
	rate := []admit.Rate{{Unit: snapshot.RequestsPerDay, Value: 1, Cost: 1}}
	passes := func(key string) bool {
		before, _, _ := l.take(key, rate, clock, true)
		return before.wait == 0
	}
	for _, c := range []struct {
		key  string
		want bool
	}{{"a", true}, {"b", true}, {"a", false}, {"c", true}, {"a", false}, {"b", true}} {
		same(t, c.key, passes(c.key), c.want)
	}
	same(t, "size", l.keys.order.Len(), 2)
}
