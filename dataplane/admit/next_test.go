package admit

import (
	"context"
	"testing"
	"time"
)

func (s *store) copyOf(c Copy) {
	s.tb.Helper()
	c.Account = "ns/acme"
	must(s.tb, s.LoadAccount(context.Background(), c))
}

// From the instant on at which an account changes by the clock it is read again, by admissions and extensions.
func TestNext(t *testing.T) {
	s := newMini(t)
	s.load(100)
	next := s.now.Add(time.Minute)
	s.copyOf(Copy{Spendable: 100, Version: 2, Next: next.UnixMicro()})
	q := request(60)
	s.want(q, Admitted)
	s.pass(time.Minute - time.Microsecond)
	small := request(1)
	s.want(small, Admitted)
	s.pass(time.Microsecond)
	before := s.dump()
	s.want(request(1), ReloadAccount)
	s.want(request(1, func(q *Request) { q.Unmetered = true }), ReloadAccount)
	s.want(request(1, func(q *Request) { q.Shadow = true }), ReloadAccount)
	same(t, "P9", s.dump(), before)
	must(t, s.Confirm(context.Background(), []Confirmation{{RequestID: q.ID, Account: "ns/acme", Balance: 90, Version: 3}}))
	s.want(request(1), ReloadAccount) // a settlement does not tell when it changes
	s.copyOf(Copy{Spendable: 80, Version: 4})
	same(t, "read again", s.want(request(1), Admitted).Spendable, int64(80))
}

func TestNextOnServer(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		a.load(100)
		now := a.want(request(1), Admitted).Now
		a.copyOf(Copy{Spendable: 100, Version: 2, Next: now.Add(time.Hour).UnixMicro()})
		q := request(10)
		a.want(q, Admitted)
		must(t, a.raw("HSET", accountKey("ns/acme"), "n", decimal(now.UnixMicro())).Error())
		before := a.dump()
		a.want(request(1), ReloadAccount)
		same(t, "extension", a.extend(q, 20).Outcome, ReloadAccount)
		same(t, "P9", a.dump(), before)
		a.copyOf(Copy{Spendable: 100, Version: 2})
		a.want(request(1), Admitted)
		same(t, "extension", a.extend(q, 20).Outcome, Admitted)
	})
}

// When a copy is read again at the latest, after loads in any order.
func TestWhenTheCopyChanges(t *testing.T) {
	at := func(s *store, seconds int) int64 {
		if seconds == 0 {
			return 0
		}
		return s.now.Add(time.Duration(seconds) * time.Second).UnixMicro()
	}
	for name, c := range map[string]struct {
		loads  []Copy // Next in seconds from now
		passes int    // seconds before the last load
		want   int    // seconds after that, 0: never
	}{
		"never":                           {[]Copy{{Version: 2}}, 0, 0},
		"the newer row counts":            {[]Copy{{Version: 2, Next: 50}, {Version: 3, Next: 90}}, 0, 90},
		"and may say never":               {[]Copy{{Version: 2, Next: 50}, {Version: 3}}, 0, 0},
		"the same row again":              {[]Copy{{Version: 2, Next: 50}, {Version: 2, Next: 90}}, 0, 90},
		"an older row makes it sooner":    {[]Copy{{Version: 3, Next: 90}, {Version: 2, Next: 50}}, 0, 50},
		"never later":                     {[]Copy{{Version: 3, Next: 50}, {Version: 2, Next: 90}}, 0, 50},
		"never never":                     {[]Copy{{Version: 3, Next: 50}, {Version: 2}}, 0, 50},
		"an older row of one that has":    {[]Copy{{Version: 3}, {Version: 2, Next: 50}}, 0, 50},
		"it has passed, an older row":     {[]Copy{{Version: 3, Next: 5}, {Version: 2, Next: 50}}, 10, -5},
		"the ledger's clock is behind":    {[]Copy{{Version: 2, Next: -5}}, 0, 1},
		"behind, and of a row that stays": {[]Copy{{Version: 2, Next: 5}, {Version: 2, Next: -5}}, 10, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMini(t)
			s.load(100)
			for i, l := range c.loads {
				if i == len(c.loads)-1 {
					s.pass(time.Duration(c.passes) * time.Second)
				}
				s.copyOf(Copy{Spendable: 100, Version: l.Version, Next: at(s, int(l.Next))})
			}
			got, err := s.raw("HGET", accountKey("ns/acme"), "n").AsInt64()
			if err != nil {
				got = 0
			}
			same(t, "changes", got, at(s, c.want))
		})
	}
}

// A copy that says never costs nothing to say so.
func TestNextTakesNoRoomWhereThereIsNone(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(100)
		same(t, "fields", s.count("HEXISTS", accountKey("ns/acme"), "n"), int64(0))
		if err := s.LoadAccount(context.Background(), Copy{Account: "ns/acme", Next: -1}); err == nil {
			t.Error("a time before all times is no error")
		}
	})
}

// What is stored with a hold until it is finished: what the reaper posts of a request that nobody finishes.
func TestRecord(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, b *store) {
		ctx := context.Background()
		a.load(1000)
		orphan := []byte("\x00 9 orphan\n\xff")
		running, finished, bare := request(60), request(50), request(40)
		running.Record, finished.Record = orphan, orphan
		for _, q := range []Request{running, finished, bare} {
			a.want(q, Admitted)
		}
		same(t, "extended", a.extend(running, 70).Outcome, Admitted)
		must(t, a.Finish(ctx, Finish{RequestID: finished.ID, Account: "ns/acme", KeyDigest: "digest", Actual: 25, Record: []byte("row")}))
		want := map[string]string{running.ID: string(orphan) + " 70 false", finished.ID: "row 25 true", bare.ID: " 40 false"}
		check := func(when, owner string) {
			t.Helper()
			b.expire(owner)
			got := map[string]string{}
			for _, o := range b.orphans() {
				got[o.RequestID] = string(o.Record) + " " + decimal(o.Amount) + " " + map[bool]string{true: "true", false: "false"}[o.Finished]
			}
			same(t, when, got, want)
		}
		check("as admitted", "a.1")
		must(t, a.raw("FLUSHALL").Error())
		a.due()
		b.due()
		must(t, a.Renew(ctx))
		a.want(request(1), ReloadKey)
		a.sync()
		check("as synced", a.owner.name)
	})
}

// Without an owner nobody reaps, and nothing is stored.
func TestRecordWithoutOwner(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(100)
		q := request(60, func(q *Request) { q.Record = []byte("orphan") })
		s.want(q, Admitted)
		_, there := s.holdOf(q.ID)
		same(t, "held", there, true)
		v, err := s.raw("HGET", holdsKey("ns/acme"), q.ID).ToString()
		must(t, err)
		if _, owned := parseHold(v); owned {
			t.Errorf("stored as %q", v)
		}
	})
}

func TestOverdraft(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(100)
		below := func(n int64) func(*Request) { return func(q *Request) { q.Overdraft = n } }
		d := s.want(request(151, below(50)), InsufficientCredits)
		same(t, "numbers", []any{d.Spendable, d.Fits, d.Refusal.Limit, d.TiedUp(150), d.TiedUp(151)}, []any{int64(150), int64(150), int64(150), true, false})
		q := request(150, below(50))
		same(t, "held", s.want(q, Admitted).Held, int64(150))
		s.want(request(0), InsufficientCredits)
		s.want(request(0, below(50)), Admitted)
		more, err := s.Extend(context.Background(), Extension{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, To: 155, Overdraft: 54})
		must(t, err)
		same(t, "extended", []any{more.Outcome, more.Fits}, []any{InsufficientCredits, int64(154)})
		more, err = s.Extend(context.Background(), Extension{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, To: 155, Overdraft: 55})
		must(t, err)
		same(t, "extended", []any{more.Outcome, more.Held}, []any{Admitted, int64(155)})
	})
}

// Digits near the limit survive an overdraft, on a real server too.
func TestOverdraftKeepsDigits(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(-MaxNano)
		d := s.want(request(1, func(q *Request) { q.Overdraft = MaxNano - 6 }), InsufficientCredits)
		same(t, "deep", d.Spendable, int64(-6))
		s.copyOf(Copy{Spendable: 4_999_999_999_999_993, Version: 2})
		d = s.want(request(1, func(q *Request) { q.Overdraft = 3_999_999_999_999_998 }), Admitted)
		same(t, "high", d.Spendable, int64(8_999_999_999_999_991))
	})
}
