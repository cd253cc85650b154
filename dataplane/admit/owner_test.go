package admit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/layers-dev/layers/hack/testenv"
)

// pods makes owners on one store: on miniredis, whose clock the test moves, or on a real server.
func pods(t *testing.T, names ...string) []*store {
	t.Helper()
	mini := miniredis.RunT(t)
	now := time.UnixMicro(1_800_000_000_000_000).UTC()
	mini.SetTime(now)
	var all []*store
	for _, name := range names {
		s := &store{tb: t, mini: mini, now: now}
		s.Redis = openOwner(t, "redis://"+mini.Addr(), name)
		s.driver.ForceSingleClient = true
		s.epoch.clock = func() time.Time { return all[0].now }
		s.owner.clock = s.epoch.clock
		all = append(all, s)
	}
	return all
}

func openOwner(tb tester, url, name string) *Redis {
	tb.Helper()
	r, err := NewRedis(Options{URL: url, Timeout: 20 * time.Second, KeyAge: 1000 * time.Hour, Owner: name, Lease: time.Minute})
	must(tb, err)
	tb.Cleanup(r.Close)
	return r
}

func onBothOwned(t *testing.T, test func(t *testing.T, a, b *store)) {
	t.Run("miniredis", func(t *testing.T) {
		all := pods(t, "a", "b")
		test(t, all[0], all[1])
	})
	t.Run("server", func(t *testing.T) {
		url := testenv.Redis(t)
		test(t, &store{tb: t, Redis: openOwner(t, url, "a")}, &store{tb: t, Redis: openOwner(t, url, "b")})
	})
}

// held is how much the store says that the account holds; the sums must be those of the holds.
func (s *store) held() string {
	s.tb.Helper()
	said, counted := s.sum("ns/acme")
	same(s.tb, "sum", said, counted)
	return said
}

func (s *store) sync() {
	s.tb.Helper()
	must(s.tb, s.Sync(context.Background()))
}

// expire lets the lease of an owner end, as time does.
func (s *store) expire(owner string) {
	s.tb.Helper()
	must(s.tb, s.raw("ZADD", leasesKey, "XX", "1", owner).Error())
}

// orphans answers what can be found in one pass.
func (s *store) orphans() []Orphan {
	s.tb.Helper()
	found, more, err := s.Orphans(context.Background(), &Pass{}, 1000)
	must(s.tb, err)
	if more {
		s.tb.Fatal("it takes more than one call")
	}
	return found
}

func TestOwnedHoldsDoNotEndByTime(t *testing.T) {
	s := pods(t, "a")[0]
	s.load(100)
	q := request(60, func(q *Request) { q.MaxConcurrent = 1 })
	s.want(q, Admitted)
	s.want(request(10, func(q *Request) { q.MaxConcurrent = 1 }), TooManyConcurrent)
	for range 20 {
		s.pass(time.Hour)
		must(t, s.Renew(context.Background()))
	}
	s.load(100)
	d := s.want(request(41), InsufficientCredits)
	same(t, "reserved", d.Reserved, int64(60))
	s.want(request(10, func(q *Request) { q.MaxConcurrent = 1 }), Admitted) // its slot is free with its time
	again := s.want(q, Admitted)                                            // the record is gone, the hold stands
	same(t, "held", again.Held, int64(60))
	same(t, "twice is once", s.held(), "70")
	must(t, s.Confirm(context.Background(), []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: 40, Version: 2}}))
	same(t, "confirmed", s.held(), "10")
}

// The owner's list has the account before the first hold, and a refusal writes neither.
func TestListBeforeTheFirstHold(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		a.load(100)
		must(t, a.Renew(context.Background()))
		a.want(request(101), InsufficientCredits)
		same(t, "after a refusal", a.count("EXISTS", listKey("a.1"), holdsKey("ns/acme")), int64(0))
		same(t, "a preview", a.preview(request(1)).Outcome, Admitted)
		same(t, "after a preview", a.count("EXISTS", listKey("a.1"), holdsKey("ns/acme")), int64(0))
		a.want(request(100), Admitted)
		same(t, "after an admission", a.count("SISMEMBER", listKey("a.1"), "ns/acme"), int64(1))
		same(t, "owners", a.Owners(), int64(1))
		before := a.dump()
		a.want(request(1), InsufficientCredits)
		same(t, "P9", a.dump(), before)
	})
}

func TestReap(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, b *store) {
		ctx := context.Background()
		a.load(1000)
		running, finished, alive := request(60), request(100), request(30)
		a.want(running, Admitted)
		a.want(finished, Admitted)
		b.want(alive, Admitted)
		record := append(bytes.Repeat([]byte{0, ' ', '\n', 0xff, '%'}, 200), "the end"...)
		must(t, a.Finish(ctx, Finish{RequestID: finished.ID, Account: finished.Account, KeyDigest: finished.KeyDigest, Actual: 25, Record: record}))
		same(t, "held", b.held(), "115")
		same(t, "nobody is dead", len(b.orphans()), 0)
		b.expire("a.1")
		for range 2 { // until they are settled they come again
			got := map[string]Orphan{}
			for _, o := range b.orphans() {
				if o.At.IsZero() {
					t.Errorf("%s has no time", o.RequestID)
				}
				o.At = time.Time{}
				got[o.RequestID] = o
			}
			same(t, "orphans", got, map[string]Orphan{
				running.ID:  {Owner: "a.1", Account: "ns/acme", RequestID: running.ID, KeyDigest: "digest", Amount: 60, Record: []byte{}},
				finished.ID: {Owner: "a.1", Account: "ns/acme", RequestID: finished.ID, KeyDigest: "digest", Amount: 25, Finished: true, Record: record},
			})
		}
		must(t, b.Confirm(ctx, []Confirmation{
			{RequestID: running.ID, Account: "ns/acme", Balance: 940, Version: 2}, {RequestID: finished.ID, Account: "ns/acme", Balance: 915, Version: 3},
		}))
		same(t, "what lives stays", b.held(), "30")
		for range 2 { // the account leaves the list, then the owner its leases
			same(t, "settled", len(b.orphans()), 0)
		}
		same(t, "leases", b.count("ZCARD", leasesKey), int64(1))
		same(t, "lists", b.count("EXISTS", listKey("a.1")), int64(0))
	})
}

// A process that was asleep past its lease comes back under another name, and takes over what it still holds.
func TestZombie(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, b *store) {
		ctx := context.Background()
		a.load(1000)
		kept, reaped := request(60), request(100)
		a.want(kept, Admitted)
		a.want(reaped, Admitted)
		b.expire("a.1")
		same(t, "orphans", len(b.orphans()), 2)
		must(t, b.Confirm(ctx, []Confirmation{{RequestID: reaped.ID, Account: "ns/acme", Balance: 900, Version: 2}}))
		must(t, a.Renew(ctx))
		same(t, "its own orphans are its own", len(a.orphans()), 0)
		a.sync()
		same(t, "both run on", a.held(), "160")
		for range 3 {
			same(t, "nothing to reap", len(b.orphans()), 0)
		}
		same(t, "the old name is gone", a.count("ZSCORE", leasesKey, "a.2") > 0, true)
		if _, err := a.raw("ZSCORE", leasesKey, "a.1").ToString(); err == nil {
			t.Error("the old name still has a lease")
		}
		more := request(7)
		a.want(more, ReloadAccount) // holds were amiss, and so may the copy be
		must(t, a.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 900, Version: 2}))
		a.want(more, Admitted)
		same(t, "new list", a.count("SISMEMBER", listKey("a.2"), "ns/acme"), int64(1))
		for _, q := range []Request{kept, reaped, more} {
			must(t, a.Release(ctx, q.Account, q.ID))
		}
		a.sync()
		same(t, "nothing is left", a.held(), "0")
	})
}

// A request that was charged as an orphan and then ends leaves its record, though its hold was taken away.
func TestFinishOfAReapedHold(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, b *store) {
		ctx := context.Background()
		a.load(1000)
		q := request(60)
		a.want(q, Admitted)
		b.expire("a.1")
		same(t, "orphans", len(b.orphans()), 1)
		must(t, b.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: 940, Version: 2}}))
		same(t, "reaped", a.held(), "0")
		a.owner.until = time.Time{} // it slept
		for range 2 {
			must(t, a.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 25, Record: []byte("row")}))
			same(t, "held", a.held(), "25")
		}
		b.expire("a.2")
		got := b.orphans()
		same(t, "record", len(got) == 1 && got[0].Finished && string(got[0].Record) == "row", true)
		must(t, a.Release(ctx, q.Account, q.ID))
		must(t, a.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 25}))
		same(t, "once it is settled nothing comes back", a.held(), "0")
	})
}

// A lease that has ended but that nobody has given up goes on.
func TestLateRenewal(t *testing.T) {
	all := pods(t, "a", "b")
	a, b := all[0], all[1]
	a.load(100)
	q := request(60)
	a.want(q, Admitted)
	a.pass(2 * time.Minute)
	a.want(request(10), Admitted) // renews
	same(t, "orphans", len(b.orphans()), 0)
	same(t, "name", a.owner.name, "a.1")
}

// What the store has and has not after harm, and after the next syncs; another owner's hold of 5 is left alone.
func TestTwoWaySync(t *testing.T) {
	ctx := context.Background()
	account := "lyr:{ns/acme}:"
	back := func(change func(s *store, q Request)) func(*store, Request) { // an older copy of the account's keys
		return func(s *store, q Request) {
			p := s.photo(account)
			change(s, q)
			s.setTo(p, account)
		}
	}
	for name, c := range map[string]struct {
		harm       func(s *store, q Request)
		then, want string // what is held
	}{
		"nothing is amiss": {func(*store, Request) {}, "65", "65"},
		"holds are gone": {func(s *store, _ Request) {
			must(s.tb, s.raw("HDEL", holdsKey("ns/acme"), "").Error())
			s.setTo(nil, holdsKey("ns/acme"), runningKey("ns/acme"))
		}, "0", "60"},
		"a hold leaked": {func(s *store, _ Request) { // its call was given up, and ran
			_, _, err := s.decide(ctx, "admitting", request(33), false)
			must(s.tb, err)
		}, "98", "65"},
		"a settled hold comes back":          {back(func(s *store, q Request) { must(s.tb, s.Release(ctx, q.Account, q.ID)) }), "65", "5"},
		"a finished hold comes back running": {back(func(s *store, q Request) { s.used(q, 45, 0, 0) }), "65", "50"},
		"an extended hold comes back small":  {back(func(s *store, q Request) { same(s.tb, "extended", s.extend(q, 70).Outcome, Admitted) }), "65", "75"},
	} {
		t.Run(name, func(t *testing.T) {
			onBothOwned(t, func(t *testing.T, a, b *store) {
				a.load(1000)
				q := request(60)
				a.want(q, Admitted)
				b.want(request(5), Admitted)
				c.harm(a, q)
				same(t, "after harm", a.held(), c.then)
				for range syncRounds + 1 {
					a.sync()
				}
				same(t, "held", a.held(), c.want)
				if c.then != c.want { // the copy may have been harmed with the holds
					a.want(request(1), ReloadAccount)
				}
				before := a.dump()
				a.sync()
				same(t, "once more", a.dump(), before)
			})
		})
	}
}

// After a loss nothing is admitted on the balance alone: with the copy this process's holds come back.
func TestReloadBringsTheHolds(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		ctx := context.Background()
		a.load(100)
		q := request(60)
		a.want(q, Admitted)
		must(t, a.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 50, Record: []byte("row")}))
		must(t, a.raw("FLUSHALL").Error())
		a.due()
		a.want(request(51), ReloadKey)
		a.load(100)
		d := a.want(request(51), InsufficientCredits)
		same(t, "reserved", d.Reserved, int64(50))
		h, _ := a.raw("HGET", holdsKey("ns/acme"), q.ID).ToString()
		stored, ok := parseHold(h)
		same(t, "stored", []any{ok, stored.record, stored.running, stored.owner}, []any{true, "row", false, "a.2"})
		a.want(request(50), Admitted)
	})
}

// Lists that were lost are made again by whoever sees a hold of an owner without a lease, who has the time of a lease to speak up.
func TestLostListIsMadeAgain(t *testing.T) {
	all := pods(t, "a", "b")
	a, b := all[0], all[1]
	a.load(100)
	q := request(60)
	a.want(q, Admitted)
	b.want(request(5), Admitted)
	must(t, b.raw("DEL", leasesKey, listKey("a.1"), listKey("b.1")).Error())
	must(t, b.Renew(context.Background()))
	b.sync()
	same(t, "it may live", len(b.orphans()), 0)
	a.pass(61 * time.Second)
	b.sync()
	got := b.orphans()
	same(t, "orphans", len(got) == 1 && got[0].RequestID == q.ID, true)
}

// What nothing is held on leaves the list; with the next hold it is there again.
func TestIdleAccountLeavesTheList(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		a.load(100)
		q := request(60)
		a.want(q, Admitted)
		for range syncRounds + idleRounds + 1 {
			a.sync()
		}
		same(t, "while it holds", a.count("SISMEMBER", listKey("a.1"), "ns/acme"), int64(1))
		must(t, a.Release(context.Background(), q.Account, q.ID))
		for range syncRounds + idleRounds + 2 {
			a.sync()
		}
		same(t, "idle", a.count("EXISTS", listKey("a.1")), int64(0))
		same(t, "forgotten", len(a.owner.accounts), 0)
		a.want(request(60), Admitted)
		same(t, "back", a.count("SISMEMBER", listKey("a.1"), "ns/acme"), int64(1))
	})
}

// Many accounts join at once in few calls, and each is on the list before its hold.
func TestManyJoin(t *testing.T) {
	url := testenv.Redis(t)
	s := &store{tb: t, Redis: openOwner(t, url, "pod")}
	errs := make(chan error)
	const n = 200
	for i := range n {
		account := fmt.Sprintf("ns/%d", i)
		must(t, s.LoadKey(context.Background(), account, "digest", KeyActive, 1))
		must(t, s.LoadAccount(context.Background(), Copy{Account: account, Spendable: 100, Version: 1}))
		go func() {
			d, err := s.Admit(context.Background(), request(1, func(q *Request) { q.Account = account }))
			if err == nil && d.Outcome != Admitted {
				err = fmt.Errorf("%+v", d)
			}
			errs <- err
		}()
	}
	for range n {
		must(t, <-errs)
	}
	same(t, "list", s.count("SCARD", listKey("pod.1")), int64(n))
}

func TestNoOwner(t *testing.T) {
	s := newMini(t)
	var said error
	s.Keep(context.Background(), func(err error) { said = err })
	for what, err := range map[string]error{"keep": said, "renew": s.Renew(context.Background()), "sync": s.Sync(context.Background())} {
		if !errors.Is(err, errNoOwner) {
			t.Errorf("%s: %v", what, err)
		}
	}
	same(t, "owners", s.Owners(), int64(0))
	if _, err := NewRedis(Options{URL: "redis://x", Owner: "a b"}); !errors.Is(err, ErrRange) {
		t.Errorf("a space in a name: %v", err)
	}
}
