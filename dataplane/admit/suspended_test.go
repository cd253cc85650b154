package admit

import (
	"context"
	"testing"
)

// suspended copies a row of a suspended account.
func (s *store) suspended(version int64) {
	s.tb.Helper()
	s.copyOf(Copy{Spendable: 1000, Version: version, Suspended: true})
}

// A suspended account is refused before all but the key, and nothing changes in the store.
func TestSuspended(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, b *store) {
		a.load(1000)
		runs := request(60)
		a.want(runs, Admitted)
		same(t, "fields of one that is not", a.count("HEXISTS", accountKey("ns/acme"), "s"), int64(0))
		a.suspended(2)
		before := a.dump()
		for what, q := range map[string]Request{
			"one that fits":    request(10),
			"one that is free": request(0, func(q *Request) { q.Unmetered = true }),
			"one that counts":  request(10, func(q *Request) { q.Shadow = true }),
			"too many":         request(10, func(q *Request) { q.MaxConcurrent = 1 }),
			"too much":         request(5000),
			"beyond a cap":     request(10, func(q *Request) { q.Cap = &Cap{Amount: 1, Period: "Day"} }),
			"the ledger away":  request(10, func(q *Request) { q.LedgerAway = true }),
		} {
			for _, s := range []*store{a, b} {
				d := s.want(q, AccountSuspended)
				same(t, what, []any{d.Held, d.Would, d.Refusal.Rule, s.preview(q).Outcome}, []any{int64(0), Admitted, "", AccountSuspended})
			}
		}
		d := a.want(request(10, limited(5, 5)), AccountSuspended)
		same(t, "where its limit stands", []any{d.Requests.Limit, d.Requests.Remaining}, []any{int64(5), int64(5)})
		a.want(request(10, func(q *Request) { q.KeyVersion = 2 }), ReloadKey)
		d = a.extend(runs, 61)
		same(t, "extended", []any{d.Outcome, d.Held, d.Fits}, []any{AccountSuspended, int64(60), int64(60)})
		same(t, "extended to what it has", a.extend(runs, 60).Outcome, Admitted)
		same(t, "P9", a.dump(), before)

		a.used(runs, 50, 0, 0) // what was served is charged
		must(t, a.Confirm(context.Background(), []Confirmation{{RequestID: runs.ID, Account: "ns/acme", Balance: 950, Version: 3, Suspended: true}}))
		same(t, "held", a.held(), "0")
		a.want(request(10), AccountSuspended)
		a.copyOf(Copy{Spendable: 950, Version: 4})
		same(t, "fields once it is served again", a.count("HEXISTS", accountKey("ns/acme"), "s"), int64(0))
		b.want(request(950), Admitted)
	})
}

// An older row neither suspends nor resumes, whether it is loaded or confirmed; a newer one does both.
func TestSuspendedIsFenced(t *testing.T) {
	confirm := func(s *store, version int64, suspended bool) {
		must(s.tb, s.Confirm(context.Background(), []Confirmation{{Account: "ns/acme", Balance: 1000, Version: version, Suspended: suspended}}))
	}
	load := func(s *store, version int64, suspended bool) {
		s.copyOf(Copy{Spendable: 1000, Version: version, Suspended: suspended})
	}
	for name, put := range map[string]func(s *store, version int64, suspended bool){"loaded": load, "confirmed": confirm} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *store) {
				s.load(1000)
				s.suspended(5)
				put(s, 4, false)
				s.want(request(1), AccountSuspended)
				put(s, 6, false)
				s.want(request(1), Admitted)
				put(s, 5, true)
				s.want(request(1), Admitted)
				put(s, 7, true)
				s.want(request(1), AccountSuspended)
				must(t, s.Confirm(context.Background(), []Confirmation{ // of several the newest row counts
					{Account: "ns/acme", Balance: 1000, Version: 9}, {Account: "ns/acme", Balance: 1000, Version: 8, Suspended: true},
				}))
				s.want(request(1), Admitted)
			})
		})
	}
}

// That an account is suspended is read again where nobody has renewed its copy of late: it may be served again since.
func TestSuspendedIsReadAgain(t *testing.T) {
	s := newMini(t)
	s.load(1000)
	s.suspended(2)
	oldest := s.now.Add(-max(AwayAge, s.opts.KeyAge))
	must(t, s.raw("HSET", accountKey("ns/acme"), "at", decimal(oldest.UnixMicro())).Error())
	s.want(request(1), AccountSuspended)
	must(t, s.raw("HSET", accountKey("ns/acme"), "at", decimal(oldest.UnixMicro()-1)).Error())
	before := s.dump()
	s.want(request(1), ReloadAccount)
	s.want(request(1, func(q *Request) { q.LedgerAway = true }), AccountSuspended)
	same(t, "P9", s.dump(), before)
	s.suspended(2)
	s.want(request(1), AccountSuspended)
}
