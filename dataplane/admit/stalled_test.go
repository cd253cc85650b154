package admit

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is what the fallback grants a call (failover).
const patience = 50 * time.Millisecond

// stop stops the server where it is, as a machine does that has no time for it.
func (p *process) stop() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(syscall.SIGSTOP))
}

func (p *process) goOn() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(syscall.SIGCONT))
}

// stalls says how long a call took that had a little time, of a store that does not answer: an error, and soon. Whoever waits for
// another's new connection waits for as long as that one may take (DefaultTimeout).
func stalls(t *testing.T, what string, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := time.Now()
	err := call(ctx)
	if took := time.Since(start); err == nil || took > patience+3*DefaultTimeout {
		t.Errorf("%s: %v after %v", what, err, took)
	}
}

// Every call ends with its context though the store hangs, the first one of a client and one of many among them.
func TestStalledStore(t *testing.T) {
	p := newProcess(t)
	a, late := &store{tb: t, Redis: openOwner(t, p.URL, "a")}, &store{tb: t, Redis: openOwner(t, p.URL, "b")}
	a.load(1000)
	q := request(60)
	a.want(q, Admitted)
	p.stop()
	defer p.goOn()
	calls := func(s *store) map[string]func(context.Context) error {
		return map[string]func(context.Context) error{
			"admit":   func(ctx context.Context) error { _, err := s.Admit(ctx, request(1)); return err },
			"preview": func(ctx context.Context) error { _, err := s.Preview(ctx, request(1)); return err },
			"extend": func(ctx context.Context) error {
				_, err := s.Extend(ctx, Extension{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, To: 61})
				return err
			},
			"finish": func(ctx context.Context) error {
				return s.Finish(ctx, Finish{RequestID: "x", Account: q.Account, KeyDigest: q.KeyDigest})
			},
			"confirm": func(ctx context.Context) error {
				return s.Confirm(ctx, []Confirmation{{RequestID: "x", Account: q.Account}, {RequestID: "y", Account: "ns/other"}})
			},
			"release": func(ctx context.Context) error { return s.Release(ctx, q.Account, "x") },
			"account": func(ctx context.Context) error { return s.LoadAccount(ctx, Copy{Account: q.Account, Version: 1}) },
			"key":     func(ctx context.Context) error { return s.LoadKey(ctx, q.Account, q.KeyDigest, KeyActive, 1) },
			"spend": func(ctx context.Context) error {
				return s.LoadSpend(ctx, q.Account, q.KeyDigest, Spend{Period: "Day"})
			},
			"claim":   func(ctx context.Context) error { _, err := s.Claim(ctx, q.Account, "n", "x", time.Hour); return err },
			"give up": func(ctx context.Context) error { return s.GiveUp(ctx, q.Account, "n", "x") },
			"ping":    s.Ping,
			"get":     func(ctx context.Context) error { _, _, err := s.Get(ctx, "x"); return err },
			"renew":   s.Renew,
			"sync":    s.Sync,
			"orphans": func(ctx context.Context) error { _, _, err := s.Orphans(ctx, &Pass{}, 1); return err },
		}
	}
	for name, call := range calls(a) {
		stalls(t, name, call)
	}
	for name, call := range calls(late) { // it has no connection yet
		stalls(t, "first "+name, call)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { stalls(t, "one of many", calls(a)["admit"]) })
	}
	all.Wait()
}

// A store that hangs and goes on runs what was given up meanwhile. Nothing of that is held once the owner has synced, and what was
// held before, or adopted meanwhile, is.
func TestGivenUpAdmissionsDoNotLeak(t *testing.T) {
	p := newProcess(t)
	a := &store{tb: t, Redis: openOwner(t, p.URL, "a")}
	a.load(1000)
	kept, finished, adopted := request(60), request(50), request(7)
	a.want(kept, Admitted)
	a.want(finished, Admitted)
	ran := 0
	for range 20 {
		must(t, a.raw("PING").Error())
		p.stop()
		given := request(5)
		stalls(t, "admit", func(ctx context.Context) error { _, err := a.Admit(ctx, given); return err })
		stalls(t, "finish", func(ctx context.Context) error {
			return a.Finish(ctx, Finish{RequestID: finished.ID, Account: finished.Account, KeyDigest: finished.KeyDigest, Actual: 25, Record: []byte("row")})
		})
		if ran == 0 {
			a.adopted(adopted, 7, "orphan")
		}
		p.goOn()
		eventually(t, func() error { return a.Ping(context.Background()) })
		if _, there := a.holdOf(given.ID); there {
			ran++
		}
		if ran == 3 {
			break
		}
		a.load(1000)
	}
	if ran == 0 {
		t.Fatal("nothing that was given up has run: this test shows nothing")
	}
	eventually(t, func() error {
		a.sync()
		if said := a.held(); said != "92" {
			return errors.New("held: " + said)
		}
		return nil
	})
	for _, q := range []Request{kept, finished, adopted} {
		must(t, a.Release(context.Background(), q.Account, q.ID))
	}
	for range syncRounds {
		a.sync()
	}
	same(t, "nothing is left", a.held(), "0")
}
