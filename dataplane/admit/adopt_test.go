package admit

import (
	"context"
	"strings"
	"testing"
	"time"
)

// adopted is a hold that the fallback admitted.
func (s *store) adopted(q Request, amount int64, record string) {
	now := s.owner.clock()
	s.Adopt(Adopted{
		RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Amount: amount, At: now, Until: now.Add(time.Hour), Record: []byte(record),
	})
}

// What the fallback admitted is this process's: it is in the store before anything more is admitted on its account.
func TestAdopt(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, b *store) {
		ctx := context.Background()
		a.load(100)
		q := request(60)
		a.adopted(q, 50, "orphan")
		a.adopted(q, 60, "extended")
		a.adopted(q, 40, "never back")
		a.want(request(41), ReloadAccount) // something was amiss
		a.load(100)
		d := a.want(request(41), InsufficientCredits)
		same(t, "reserved", d.Reserved, int64(60))
		same(t, "slot", a.want(request(1, func(q *Request) { q.MaxConcurrent = 1 }), TooManyConcurrent).Refusal.Used, int64(1))
		same(t, "extended", a.extend(q, 65).Outcome, Admitted)
		same(t, "held", a.held(), "65")
		a.want(q, Admitted) // its decision is not in the store, its hold is
		same(t, "asked again", a.held(), "65")
		for range 2 {
			must(t, a.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 25, Record: []byte("row")}))
			same(t, "finished", a.held(), "25")
		}
		b.expire("a.1")
		got := b.orphans()
		same(t, "orphan", len(got) == 1 && got[0].Finished && string(got[0].Record) == "row" && got[0].RequestID == q.ID, true)
		must(t, a.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: 75, Version: 2}}))
		same(t, "confirmed", a.held(), "0")
		for range syncRounds {
			a.sync()
		}
		same(t, "for good", a.held(), "0")
	})
}

// Each end of an adopted hold before the store has heard of it, and what a process that dies leaves.
func TestAdoptedEnds(t *testing.T) {
	ctx := context.Background()
	finish := func(s *store, q Request) {
		must(s.tb, s.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 25, Record: []byte("row")}))
	}
	for name, c := range map[string]struct {
		do     func(s *store, q Request)
		held   string
		orphan string
	}{
		"it runs":  {func(*store, Request) {}, "60", "60 orphan"},
		"finished": {finish, "25", "25 row"},
		"extended": {func(s *store, q Request) {
			same(s.tb, "extend", s.extend(q, 70).Outcome, ReloadAccount)
			s.load(100)
			s.extend(q, 70)
		}, "70", "70 orphan"},
		"released":           {func(s *store, q Request) { must(s.tb, s.Release(ctx, q.Account, q.ID)) }, "0", ""},
		"extended elsewhere": {func(s *store, q Request) { s.adopted(q, 65, "later") }, "65", "65 orphan"},
		"extended after its end": {func(s *store, q Request) {
			finish(s, q)
			s.adopted(q, 65, "later")
		}, "25", "25 row"},
		"settled": {func(s *store, q Request) {
			finish(s, q)
			must(s.tb, s.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account}}))
		}, "0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			onBothOwned(t, func(t *testing.T, a, b *store) {
				a.load(100)
				q := request(60)
				a.adopted(q, 60, "orphan")
				c.do(a, q)
				a.sync()
				same(t, "held", a.held(), c.held)
				b.expire("a.1")
				got := ""
				for _, o := range b.orphans() {
					got += decimal(o.Amount) + " " + string(o.Record)
				}
				same(t, "orphan", got, c.orphan)
			})
		})
	}
}

// A call that timed out may have run: the store has the hold that the fallback then admitted once more.
func TestAdoptWhatAlsoRan(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		a.load(100)
		q := request(60)
		a.owner.begin(q.Account, q.ID)
		d, _, err := a.decide(context.Background(), "admitting", q, false)
		must(t, err)
		a.owner.admitted(q, Decision{}, false, context.DeadlineExceeded)
		same(t, "it ran", d.Outcome, Admitted)
		a.adopted(q, 45, "")
		a.sync()
		same(t, "the fallback's amount", a.held(), "45")
		must(t, a.Release(context.Background(), q.Account, q.ID))
		a.sync()
		same(t, "released", a.held(), "0")
	})
}

// A hold that nobody will confirm any more goes with the next Sync, and the copy, which lacks its settlement, is read again.
func TestForget(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		a.load(100)
		q := request(60)
		a.want(q, Admitted)
		must(t, a.Finish(context.Background(), Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 25}))
		a.Forget(q.Account, q.ID)
		a.Forget(q.Account, "nobody")
		a.sync()
		same(t, "held", a.held(), "0")
		a.want(request(1), ReloadAccount)
	})
	newMini(t).Forget("ns/acme", "r")
}

// Nothing is noted of what could not be written, and nothing without an owner.
func TestAdoptCheck(t *testing.T) {
	s := pods(t, "a")[0]
	for what, spoil := range map[string]func(*Adopted){
		"no request": func(h *Adopted) { h.RequestID = "" }, "no account": func(h *Adopted) { h.Account = "" }, "no key": func(h *Adopted) { h.KeyDigest = "" },
		"negative": func(h *Adopted) { h.Amount = -1 }, "too much": func(h *Adopted) { h.Amount = MaxNano + 1 },
		"record": func(h *Adopted) { h.Record = []byte(strings.Repeat("x", MaxRecord+1)) },
	} {
		h := Adopted{RequestID: "r", Account: "ns/acme", KeyDigest: "digest", Amount: 1}
		spoil(&h)
		s.Adopt(h)
		same(t, what, len(s.owner.accounts), 0)
	}
	newMini(t).Adopt(Adopted{RequestID: "r", Account: "ns/acme", KeyDigest: "digest"})
}

func TestClientIsShared(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		c, err := s.Client(context.Background())
		must(t, err)
		must(t, c.Do(context.Background(), c.B().Set().Key("x").Value("y").Build()).Error())
		v, ok, err := s.Get(context.Background(), "x")
		must(t, err)
		same(t, "value", []any{v, ok}, []any{"y", true})
		s.Close()
		if _, err := s.Client(context.Background()); err == nil {
			t.Error("a closed store has a client")
		}
	})
}
