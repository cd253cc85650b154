package admit

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// aging makes a store on miniredis whose key states age as they do by default.
func aging(t *testing.T) *store {
	s := newMini(t)
	s.opts.KeyAge = DefaultKeyAge
	s.admitScript = admitScript(s.opts)
	s.load(1000)
	return s
}

// due makes a client's next call look at the epoch, as it does after beatEvery.
func (r *Redis) due() {
	r.epoch.at = r.epoch.clock().Add(-beatEvery)
	r.epoch.fresh.Store(&answer{r.epoch.last(), r.epoch.at})
}

func TestKeyAge(t *testing.T) {
	ctx, s := context.Background(), aging(t)
	s.pass(time.Minute)
	s.want(request(1), Admitted)
	s.pass(time.Microsecond)
	before := s.dump()
	s.want(request(1), ReloadKey)
	same(t, "P9", s.dump(), before)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
	s.want(request(1), Admitted)
	s.mini.SetTime(s.now.Add(-time.Second)) // a state from the future says nothing
	s.want(request(1), ReloadKey)
	s.pass(0)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyDisabled, 2))
	s.pass(time.Minute)
	s.want(request(1), KeyRefused)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1)) // an old row does not win
	s.want(request(1), KeyRefused)
	s.pass(time.Hour)
	s.want(request(1), KeyRefused)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 3))
	s.pass(1000 * time.Hour)
	s.want(request(1), KeyRefused)
}

// A ledger that was set back, or another one in its place, has older rows than Redis has heard of: they win over copies that
// nobody has renewed for a minute. Until then, and when they come with a settlement, they do not.
func TestOlderLedger(t *testing.T) {
	ctx, s := context.Background(), aging(t)
	window, _ := windowOf("Month", s.now)
	capped := capped(500, "Month")
	s.spent("Month", window.Unix(), 490)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyDisabled, 7))
	must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 3, Version: 7}))
	older := func() {
		must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 5))
		must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 800, Version: 5}))
		s.spent("Month", window.Unix(), 200)
	}
	s.pass(time.Minute)
	older()
	ask := func() Request { return request(100, func(q *Request) { q.KeyVersion = 5 }, capped) }
	s.want(ask(), KeyRefused)
	s.pass(time.Microsecond)
	must(t, s.Confirm(ctx, []Confirmation{{Account: "ns/acme", Balance: 800, Version: 5, KeyDigest: "digest", Spends: []Spend{{"Month", window.Unix(), 200}}}}))
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 5))
	s.want(ask(), CapReached)
	older()
	d := s.want(ask(), Admitted)
	same(t, "balance", d.Spendable, int64(800))
	s.want(request(201, func(q *Request) { q.KeyVersion = 5 }, capped), CapReached)
	s.want(request(200, func(q *Request) { q.KeyVersion = 5 }, capped), Admitted)
	// What is newer again wins at once, and so does a tombstone.
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyDisabled, 6))
	s.want(ask(), KeyRefused)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 1))
	s.pass(time.Hour)
	older()
	s.want(ask(), KeyRefused)
}

// A copy that settlements renew never goes back.
func TestRenewedCopiesStay(t *testing.T) {
	ctx, s := context.Background(), aging(t)
	for range 5 {
		must(t, s.Confirm(ctx, []Confirmation{{Account: "ns/acme", Balance: 40, Version: 9}}))
		s.pass(40 * time.Second)
		must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 800, Version: 5}))
	}
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
	s.want(request(41), InsufficientCredits)
	s.want(request(40), Admitted)
}

// What another program wrote before there were epochs is read again.
func TestStatesOfOldReplicas(t *testing.T) {
	s := aging(t)
	must(t, s.raw("HDEL", stateKey("ns/acme", "digest"), "e").Error())
	s.want(request(1), ReloadKey)
	s.load(1000)
	must(t, s.raw("HDEL", stateKey("ns/acme", "digest"), "at").Error())
	s.want(request(1), ReloadKey)
	s.load(1000)
	must(t, s.raw("HDEL", accountKey("ns/acme"), "e").Error())
	s.want(request(1), ReloadAccount)
}

func TestEpochStaysWithoutALoss(t *testing.T) {
	s, replicas := clients(t, 3)
	s.load(100)
	epochs := map[string]bool{}
	for range 3 {
		for _, r := range replicas {
			r.due()
			d, err := r.Admit(context.Background(), request(1))
			must(t, err)
			same(t, "outcome", d.Outcome, Admitted)
			e, err := s.raw("GET", epochKey).ToString()
			must(t, err)
			epochs[e] = true
		}
	}
	same(t, "epochs", len(epochs), 1)
	// A client that was idle while its mark aged begins no epoch.
	must(t, s.raw("DEL", replicas[1].epoch.key).Error())
	replicas[1].due()
	replicas[1].epoch.at = time.Now().Add(-beatLife / 2)
	d, err := replicas[1].Admit(context.Background(), request(1))
	must(t, err)
	same(t, "after idling", d.Outcome, Admitted)
}

// Copies of before an epoch are read again: those of a key, of an account and of what was spent.
func TestNewEpoch(t *testing.T) {
	for name, lose := range map[string]func(s *store) error{
		"the epoch is gone":             func(s *store) error { return s.raw("DEL", epochKey).Error() },
		"the epoch is an older one":     func(s *store) error { return s.raw("SET", epochKey, "1").Error() },
		"the client's mark is gone":     func(s *store) error { return s.raw("DEL", s.epoch.key).Error() },
		"the client's mark is an older": func(s *store) error { return s.raw("SET", s.epoch.key, "0").Error() },
	} {
		t.Run(name, func(t *testing.T) {
			s, replicas := clients(t, 2)
			s.load(100)
			ctx, ask := context.Background(), func() Request { return request(1, capped(50, "Month")) }
			d := s.want(ask(), ReloadCap)
			s.spent("Month", d.Window, 5)
			s.want(ask(), Admitted)
			before := s.count("GET", epochKey)
			must(t, lose(s))
			s.due()
			s.want(ask(), ReloadKey)
			if e := s.count("GET", epochKey); e <= before {
				t.Errorf("epoch %d after %d", e, before)
			}
			must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
			s.want(ask(), ReloadAccount)
			must(t, s.Confirm(ctx, []Confirmation{{Account: "ns/acme", Balance: 99, Version: 2, KeyDigest: "digest", Spends: []Spend{{"Month", d.Window, 6}}}}))
			s.want(ask(), ReloadAccount) // a settlement may be older than what was lost
			must(t, s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: 99, Version: 1}))
			s.want(ask(), ReloadCap)
			s.spent("Month", d.Window, 6)
			s.want(ask(), Admitted)
			// Others hear of it in time, and whoever has not yet does not take it back.
			other := &store{tb: t, Redis: replicas[1]}
			other.want(ask(), Admitted)
			other.epoch.known = before
			other.epoch.fresh.Store(&answer{before, other.epoch.at})
			must(t, other.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
			s.want(ask(), Admitted)
		})
	}
}

// caller is a gateway: it knows a key's row, and reads it again when it is told to.
type caller struct {
	*store
	key     func() (state string, version int64) // what the ledger says
	version int64
}

// allowed asks for one request, as long as it is told to read something again.
func (c *caller) allowed() bool {
	c.tb.Helper()
	for range 6 {
		d := c.admit(request(1, func(q *Request) { q.KeyVersion = c.version }))
		switch d.Outcome {
		case Admitted:
			return true
		case ReloadAccount:
			must(c.tb, c.LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: 1_000_000, Version: 1}))
		case ReloadKey, KeyRefused:
			state, version := c.key()
			must(c.tb, c.LoadKey(context.Background(), "ns/acme", "digest", state, version))
			if c.version = version; state != KeyActive || d.Outcome == KeyRefused {
				return false
			}
		default:
			c.tb.Fatalf("outcome %d", d.Outcome)
		}
	}
	c.tb.Fatal("no decision")
	return false
}

func (c *caller) refusedWithin(d time.Duration) {
	c.tb.Helper()
	start := time.Now()
	for c.allowed() {
		if took := time.Since(start); took > d {
			c.tb.Fatalf("still allowed after %v", took)
		}
	}
}

// A revocation is a tombstone, the row in the ledger, the tombstone again. Whoever does it dies after any of the steps,
// and the store loses its data, or is set back to an older copy, just then: when the row is written the key is refused
// within the age of a state; without a loss, by the next request after the first step; and doing it again works.
func TestRevocationIsCutAnywhere(t *testing.T) {
	const age = 2 * time.Second
	disasters := map[string]func(*process){"no loss": func(*process) {}, "kill -9": (*process).lose, "an older copy": (*process).setBack}
	for name, disaster := range disasters {
		for done := range 4 {
			t.Run(fmt.Sprintf("%s after %d steps", name, done), func(t *testing.T) {
				t.Parallel()
				server := newProcess(t)
				state, version := KeyActive, int64(1)
				newCaller := func() *caller {
					r, err := NewRedis(Options{URL: server.URL, Timeout: 20 * time.Second, KeyAge: age})
					must(t, err)
					t.Cleanup(r.Close)
					return &caller{store: &store{tb: t, Redis: r}, key: func() (string, int64) { return state, version }, version: version}
				}
				old, revoker := newCaller(), newCaller()
				tombstone := func() { must(t, revoker.LoadKey(context.Background(), "ns/acme", "digest", KeyRevoked, 2)) }
				steps := []func(){tombstone, func() { state, version = KeyRevoked, 2 }, tombstone}
				same(t, "before", old.allowed(), true)
				server.save()
				fresh := newCaller() // has no memory of the store
				for _, step := range steps[:done] {
					step()
				}
				disaster(server)
				switch {
				case done >= 2:
					old.refusedWithin(age + time.Second)
					fresh.refusedWithin(age + time.Second)
				case done == 1 && name == "no loss":
					same(t, "by the next request", []bool{old.allowed(), fresh.allowed()}, []bool{false, false})
				default: // nobody was told that it is revoked, and the ledger says that it is not
					same(t, "goes on", []bool{old.allowed(), fresh.allowed()}, []bool{true, true})
				}
				for _, step := range steps {
					step()
				}
				same(t, "at last", []bool{old.allowed(), fresh.allowed()}, []bool{false, false})
			})
		}
	}
}

// A client that used the store before it was set back knows it within a second, whatever others have done since.
func TestSetBackIsNoticed(t *testing.T) {
	server := newProcess(t)
	busy, idle := &store{tb: t, Redis: open(t, server.URL)}, &store{tb: t, Redis: open(t, server.URL)}
	busy.load(1000)
	idle.want(request(1), Admitted)
	server.save()
	busy.due()
	busy.want(request(1), Admitted) // its mark is newer than the copy
	server.setBack()
	idle.due()
	idle.want(request(1), Admitted) // its own mark is as it was: nothing to notice, and the age of the state holds
	busy.due()
	busy.want(request(1), ReloadKey)
	idle.due()
	idle.want(request(1), ReloadKey)
	busy.load(1000)
	idle.want(request(1), Admitted)
}

func TestFlush(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		s.load(1000)
		s.want(request(1, limited(1, 1)), Admitted)
		must(t, s.raw("FLUSHALL").Error())
		s.want(request(1, limited(1, 1)), ReloadKey)
		must(t, s.LoadKey(context.Background(), "ns/acme", "digest", KeyRevoked, 2))
		s.want(request(1), KeyRefused)
	})
}
