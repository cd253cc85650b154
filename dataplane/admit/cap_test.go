package admit

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

func capped(amount int64, period string) func(*Request) {
	return func(q *Request) { q.Cap = &Cap{Amount: amount, Period: period} }
}

func (s *store) spent(period string, window, spent int64) {
	s.tb.Helper()
	must(s.tb, s.LoadSpend(context.Background(), "ns/acme", "digest", Spend{Period: period, Window: window, Spent: spent}))
}

// windowOf is what the script says in Lua, said in Go.
func windowOf(period string, at time.Time) (start, next time.Time) {
	if period == "Day" {
		start = time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 0, 1)
	}
	start = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	return start, start.AddDate(0, 1, 0)
}

func checkWindow(t tester, s *store, at time.Time) {
	t.Helper()
	s.now = at
	s.mini.SetTime(at)
	for _, period := range []string{"Day", "Month"} {
		start, next := windowOf(period, at)
		s.spent(period, start.Unix(), 7)
		d := s.want(request(5, capped(10, period)), CapReached)
		same(t, period+" at "+at.String(), time.Unix(d.Window, 0).UTC(), start)
		same(t, period+" ends", at.Add(d.RetryAfter), next)
		same(t, period+" refusal", d.Refusal, Refusal{Rule: RuleCap, Limit: 10, Used: 7, Reset: next.Sub(at)})
	}
}

func TestWindowsAroundMonthEnds(t *testing.T) {
	s := newMini(t)
	s.load(100)
	for _, year := range []int{2027, 2028, 2096, 2100, 2199, 2200} { // leap years are 2028 and 2096
		for month := time.January; month <= time.December; month++ {
			midnight := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
			for _, off := range []time.Duration{-time.Microsecond, 0, time.Microsecond, 24 * time.Hour, 27 * 24 * time.Hour, 28 * 24 * time.Hour} {
				s.mini.SetTime(midnight.Add(off))
				s.load(100)
				checkWindow(t, s, midnight.Add(off))
			}
		}
	}
}

func TestWindowProperty(t *testing.T) {
	s := newMini(t)
	s.load(100)
	rapid.Check(t, func(rt *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(1_700_000_000_000_000, 9_000_000_000_000_000).Draw(rt, "us")).UTC()
		s.mini.SetTime(at)
		s.load(100)
		checkWindow(rt, s, at)
	})
}

func TestCap(t *testing.T) {
	month, _ := windowOf("Month", newMini(t).now)
	window := month.Unix()
	ctx, monthly := context.Background(), capped(100, "Month")
	for name, c := range map[string]struct {
		given func(*store)
		ask   Request
		want  Outcome
		used  int64
	}{
		"what was spent is not known": {func(*store) {}, request(1, monthly), ReloadCap, 0},
		"only last month's is":        {func(s *store) { s.spent("Month", window-2_592_000, 5) }, request(1, monthly), ReloadCap, 0},
		"only the day's is":           {func(s *store) { s.spent("Day", window, 5) }, request(1, monthly), ReloadCap, 0},
		"the whole cap fits":          {func(s *store) { s.spent("Month", window, 0) }, request(100, monthly), Admitted, 0},
		"one more does not":           {func(s *store) { s.spent("Month", window, 0) }, request(101, monthly), CapReached, 0},
		"what was spent counts":       {func(s *store) { s.spent("Month", window, 60) }, request(41, monthly), CapReached, 60},
		"what is left fits":           {func(s *store) { s.spent("Month", window, 60) }, request(40, monthly), Admitted, 60},
		"holds of the key count": {func(s *store) {
			s.spent("Month", window, 60)
			s.want(request(30, monthly), Admitted)
		}, request(11, monthly), CapReached, 90},
		"holds without a cap count too": {func(s *store) {
			s.spent("Month", window, 60)
			s.want(request(30), Admitted)
		}, request(11, monthly), CapReached, 90},
		"holds of another key do not": {func(s *store) {
			must(t, s.LoadKey(ctx, "ns/acme", "other", KeyActive, 1))
			s.spent("Month", window, 60)
			s.want(request(30, func(q *Request) { q.KeyDigest = "other" }), Admitted)
		}, request(40, monthly), Admitted, 0},
		"a finished hold counts as its cost": {func(s *store) {
			s.spent("Month", window, 60)
			q := request(30, monthly)
			s.want(q, Admitted)
			must(t, s.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 10}))
		}, request(31, monthly), CapReached, 70},
		"a smaller amount does not win": {func(s *store) {
			s.spent("Month", window, 60)
			s.spent("Month", window, 10)
		}, request(41, monthly), CapReached, 60},
		"a late amount of the month before does not win": {func(s *store) {
			s.spent("Month", window, 60)
			s.spent("Month", window-2_592_000, 1)
		}, request(41, monthly), CapReached, 60},
		"nor one of the next month, from a clock that is ahead": {func(s *store) {
			s.spent("Month", window, 60)
			s.spent("Month", window+2_678_400, 1)
		}, request(41, monthly), CapReached, 60},
		"a settlement moves it forward": {func(s *store) {
			s.spent("Month", window, 10)
			q := request(30, monthly)
			s.want(q, Admitted)
			must(t, s.Confirm(ctx, []Confirmation{
				{
					RequestID: q.ID, Account: q.Account, Balance: 970, Version: 2, KeyDigest: q.KeyDigest,
					Spends: []Spend{{"Month", window, 60}, {"Day", window, 30}},
				},
				{Account: q.Account, Balance: 960, Version: 3, KeyDigest: q.KeyDigest, Spends: []Spend{{"Month", window, 20}}},
				{Account: q.Account, Balance: 950, Version: 4, KeyDigest: "other", Spends: []Spend{{"Month", window, 99}}},
			}))
		}, request(41, monthly), CapReached, 60},
		"a cap of nothing": {func(s *store) { s.spent("Month", window, 0) }, request(1, capped(0, "Month")), CapReached, 0},
		"no cap without a meter": {
			func(*store) {}, request(0, monthly, func(q *Request) { q.Unmetered = true }), Admitted, 0,
		},
		"the cap comes before the credits": {func(s *store) { s.spent("Month", window, 60) }, request(5000, monthly), CapReached, 60},
		"the account comes before the cap": {func(s *store) { s.raw("DEL", accountKey("ns/acme")) }, request(1, monthly), ReloadAccount, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMini(t)
			s.load(1000)
			c.given(s)
			before := s.dump()
			d := s.want(c.ask, c.want)
			if c.want == CapReached {
				same(t, "used", d.Refusal.Used, c.used)
			}
			if c.want != Admitted { // P9
				same(t, "a refusal changed the store", s.dump(), before)
			}
			if c.ask.Cap != nil {
				same(t, "window", d.Window, window)
			}
		})
	}
}

func TestWindowsOfLongAgoGo(t *testing.T) {
	s := newMini(t)
	const day = 86_400
	for i := range int64(10) {
		s.spent("Day", i*day, i)
		s.spent("Month", i*31*day, i)
	}
	fields, err := s.raw("HKEYS", spentKey("ns/acme", "digest")).AsStrSlice()
	must(t, err)
	same(t, "windows", len(fields), 6) // this one and two before it
	same(t, "life", s.count("PTTL", spentKey("ns/acme", "digest")), DefaultIdle.Milliseconds())
}

func TestDay(t *testing.T) {
	s := newMini(t)
	s.load(0)
	daily := rated(Rate{Unit: snapshot.RequestsPerDay, Value: 3, Cost: 1})
	noon := s.now.Truncate(24 * time.Hour).Add(12 * time.Hour)
	s.pass(noon.Sub(s.now))
	for left := int64(2); left >= 0; left-- {
		q := request(0, daily)
		same(t, "admitted", s.want(q, Admitted).Requests, Limit{Limit: 3, Remaining: left, Reset: 12 * time.Hour})
		must(t, s.Finish(context.Background(), Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest}))
		must(t, s.Release(context.Background(), q.Account, q.ID)) // gives nothing back
	}
	d := s.want(request(0, daily), RateLimited)
	same(t, "refusal", d.Refusal, Refusal{Rule: "RequestsPerDay", Limit: 3, Used: 3, Reset: 12 * time.Hour})
	same(t, "retry after", d.RetryAfter, 12*time.Hour)
	s.pass(12*time.Hour - time.Microsecond)
	s.want(request(0, daily), RateLimited)
	s.pass(time.Microsecond)
	same(t, "midnight", s.want(request(0, daily), Admitted).Requests, Limit{Limit: 3, Remaining: 2, Reset: 24 * time.Hour})
	// A clock that was set back does not give a second day.
	s.mini.SetTime(noon)
	same(t, "the day before", s.want(request(0, daily), Admitted).Requests, Limit{Limit: 3, Remaining: 1, Reset: 36 * time.Hour})
	same(t, "lives until it ends", s.mini.TTL(arriveKey("ns/acme", "digest")), 36*time.Hour)
}
