package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/layers-dev/layers/dataplane/admit"
)

func TestBreaker(t *testing.T) {
	for name, c := range map[string]struct {
		calls string // of calls that pass and fail
		open  int    // with which it opens; -1: it does not
	}{
		"well":                   {strings.Repeat(".", 100), -1},
		"two":                    {".xx.xx.xx...", -1},
		"three in a row":         {".xxx", 3},
		"at first":               {"xxx", 2},
		"half of them":           {strings.Repeat("x.", 11), 20},
		"half, later":            {strings.Repeat(".", 100) + strings.Repeat("x.", 10), 118},
		"fewer than half":        {strings.Repeat("x..", 100), -1},
		"what was long ago":      {strings.Repeat("x..x...", 2) + strings.Repeat("x...", 50), -1},
		"few calls are no share": {"x.x.x.x.x.x.x.x.x.", -1},
	} {
		t.Run(name, func(t *testing.T) {
			var b breaker
			opened := -1
			for i, call := range c.calls {
				if b.told(call == '.') {
					if opened >= 0 {
						t.Error("it was looked at when it was open")
					}
					same(t, "it opens", b.looked(false), true)
					opened = i
				}
			}
			same(t, "opened", opened, c.open)
			same(t, "open", b.isOpen(), c.open >= 0)
			b.close(clock)
			same(t, "closed", b.isOpen(), false)
			same(t, "two of before count no more", slices.Contains([]bool{b.told(false), b.told(false)}, true), false)
		})
	}
}

// A probe that is answered clears a suspicion, but not for ever, unless calls are well in between; what was well until a moment ago is
// asked again later each time.
func TestSuspicionsAreCleared(t *testing.T) {
	var b breaker
	suspicion := func() {
		for i := range inRow {
			same(t, "to be looked at", b.told(false), i == inRow-1)
		}
		same(t, "somebody looks already", []bool{b.told(false), b.suspect()}, []bool{false, false})
	}
	for range mostCleared {
		suspicion()
		same(t, "opened", b.looked(true), false)
	}
	for range recentCalls {
		b.told(true)
	}
	for range mostCleared {
		suspicion()
		same(t, "opened, after good calls", b.looked(true), false)
	}
	suspicion()
	same(t, "opened though it answers", b.looked(true), true)
	same(t, "open", []bool{b.isOpen(), b.suspect(), b.told(false)}, []bool{true, false, false})
	var pauses []time.Duration
	next := func(now time.Time) { pauses = append(pauses, b.next(now, 50, 300)) }
	for range 5 {
		next(clock)
	}
	b.close(clock)
	next(clock.Add(calm * 300))
	b.close(clock)
	next(clock.Add(calm*300 + 1))
	same(t, "pauses", pauses, []time.Duration{0, 50, 100, 200, 300, 300, 0})
	same(t, "nothing failed, nothing is cleared", []bool{b.suspect(), b.looked(true), b.cleared == 0}, []bool{true, false, true})
}

// Three failures, and nobody asks any more: all at once, without waiting.
func TestOpensForAll(t *testing.T) {
	p := &primary{err: errDown}
	now := clock
	f := demo(p, &now)
	for range 3 {
		must(t, admitted(f.Admit(t.Context(), request(0, unmetered))))
	}
	same(t, "away", f.Away(), true)
	p.called()
	for range 10 {
		must(t, admitted(f.Admit(t.Context(), request(0, unmetered))))
	}
	if _, _, err := f.Get(t.Context(), "x"); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"set": f.Set(t.Context(), "x", "y", time.Second), "del": f.Del(t.Context(), "x"), "ping": f.Ping(t.Context()),
		"confirm": f.Confirm(t.Context(), []admit.Confirmation{{RequestID: "r", Account: "a", Version: 1}}),
	} {
		if !errors.Is(err, ErrAway) {
			t.Error(what, err)
		}
	}
	same(t, "load key", f.LoadKey(t.Context(), "a", digest, admit.KeyRevoked, 1), nil)
	same(t, "load account", f.LoadAccount(t.Context(), admit.Copy{}), nil)
	same(t, "load spend", f.LoadSpend(t.Context(), "a", digest, admit.Spend{}), nil)
	same(t, "calls", p.called(), []string{})
}

// A request goes on though Redis does not hear of a key or an account; whoever delivers a revocation or a correction does not.
func TestTellerInsists(t *testing.T) {
	p := &primary{}
	f := without(nil, p)
	for _, state := range []string{admit.KeyActive, admit.KeyDisabled, admit.KeyRevoked} {
		same(t, state, f.LoadKey(t.Context(), "a", digest, state, 1), nil)
		same(t, state+", told", Teller{f}.LoadKey(t.Context(), "a", digest, state, 1), ErrAway)
	}
	same(t, "account", f.LoadAccount(t.Context(), admit.Copy{Account: "a"}), nil)
	same(t, "account, told", Teller{f}.LoadAccount(t.Context(), admit.Copy{Account: "a"}), ErrAway)
	p.set(nil)
	closed(f)
	p.called()
	same(t, "told", Teller{f}.LoadKey(t.Context(), "a", digest, admit.KeyRevoked, 1), nil)
	same(t, "account, told", Teller{f}.LoadAccount(t.Context(), admit.Copy{Account: "a"}), nil)
	same(t, "calls", p.called(), []string{"load key revoked", "load account a"})
}

func admitted(d admit.Decision, err error) error {
	if err == nil && d.Outcome != admit.Admitted {
		err = fmt.Errorf("not admitted: %+v", d)
	}
	return err
}

// What the caller did wrong, and a caller who left, say nothing of Redis.
func TestCallersErrorsDoNotCount(t *testing.T) {
	p := &primary{err: fmt.Errorf("admitting: %w", admit.ErrRange)}
	f := inline(Options{Primary: p})
	for range 10 {
		if _, err := f.Admit(t.Context(), request(1)); !errors.Is(err, admit.ErrRange) {
			t.Fatal(err)
		}
	}
	p.do(func() { p.hang = true })
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := f.Admit(ctx, request(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
	}
	same(t, "away", f.Away(), false)
}

// litellm#35273: a Redis that is slow holds up nobody, and after a few calls nobody asks it.
func TestSlowRedisHangsNobody(t *testing.T) {
	p := &primary{hang: true}
	now := clock
	f := demo(p, &now)
	f.spawn = func(do func()) { go do() }
	var all sync.WaitGroup
	start := time.Now()
	for range 50 {
		all.Go(func() {
			if err := admitted(f.Admit(context.Background(), request(0, unmetered))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	eventually(t, "it is away", f.Away)
	if took := time.Since(start); took > 20*DefaultTimeout { // one deadline, and a busy machine
		t.Errorf("they took %v", took)
	}
	start = time.Now()
	for range 100 {
		must(t, admitted(f.Admit(context.Background(), request(0, unmetered))))
	}
	if took := time.Since(start); took > DefaultTimeout*20 {
		t.Errorf("a hundred more took %v", took)
	}
}

// A Redis that is back is trusted when it has heard of what was released and held meanwhile, and not before.
func TestComesBack(t *testing.T) {
	defer goleak.VerifyNone(t)
	p := &primary{err: errDown}
	now := clock
	var log strings.Builder
	var synced sync.WaitGroup
	fail := errors.New("not yet")
	synced.Add(2)
	p.synced = func() error {
		defer func() { fail = nil }()
		synced.Done()
		return fail
	}
	f := inline(Options{
		Primary: p, Owner: "a", Demo: func() bool { return true }, Now: func() time.Time { return now }, Probe: 10 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	same(t, "released later", f.Release(ctx, "ns/acme", "req_a"), nil)
	for range 30 {
		must(t, admitted(f.Admit(ctx, request(0, unmetered))))
	}
	same(t, "given up later", f.GiveUp(ctx, "ns/acme", "name", "req_b"), nil)
	same(t, "away", f.Away(), true)
	p.called()
	p.set(nil)
	synced.Wait()
	eventually(t, "it is back", func() bool { return !f.Away() })
	cancel()
	running.Wait()
	var order []string
	for _, call := range p.called() {
		if call != "probe" {
			order = append(order, call)
		}
	}
	// The first Sync failed: it was not trusted, and what was released already was not released again.
	released := map[string]bool{}
	for len(order) > 0 && order[0] != "sync" {
		released[order[0]] = true
		order = order[1:]
	}
	same(t, "before it was trusted", released["release req_a"] && released["give up name"], true)
	same(t, "then", order, []string{"sync"})
	must(t, admitted(f.Admit(t.Context(), request(0, unmetered))))
	same(t, "asked again", p.called()[0][:5], "admit")
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Count(log.String(), "Redis is back") != 1 {
		t.Errorf("it said:\n%s", log.String())
	}
}

func TestReject(t *testing.T) {
	p := &primary{hang: true}
	f := inline(Options{Primary: p, Timeout: time.Millisecond, Reject: func() bool { return true }})
	for range 4 {
		if _, err := f.Admit(t.Context(), request(1)); err == nil {
			t.Fatal("admitted")
		}
		if _, err := f.Preview(t.Context(), request(1)); err == nil {
			t.Fatal("previewed")
		}
	}
	if _, err := f.Admit(t.Context(), request(1)); !errors.Is(err, ErrAway) {
		t.Error(err)
	}
}

// Without a ledger that answers nothing is admitted.
func TestNeverOpen(t *testing.T) {
	f := inline(Options{Primary: &primary{err: errDown}})
	for range 5 {
		for _, q := range []admit.Request{request(1), request(0), request(0, unmetered)} {
			if d, err := f.Admit(t.Context(), q); err == nil {
				t.Errorf("%+v", d)
			}
		}
		if _, err := f.Admit(t.Context(), request(-1)); !errors.Is(err, admit.ErrRange) {
			t.Error(err)
		}
	}
	same(t, "nothing is held", f.book.size(), 0)
}

func TestMetrics(t *testing.T) {
	p := &primary{hang: true}
	now := clock
	f := demo(p, &now)
	f.o.Timeout = time.Millisecond
	for i := range int64(4) {
		_, err := f.Admit(t.Context(), request(0, unmetered, limited("RequestsPerDay", 3, 0, 1)))
		must(t, err)
		same(t, "timeouts", f.stats.timeouts.Load(), min(i+1, 3))
	}
	_, err := f.Admit(t.Context(), request(1))
	same(t, "error", err != nil, true)
	want := `
# HELP layers_admission_fallback 1 while Redis, or a part of it, is away and admission goes on without it, else 0.
# TYPE layers_admission_fallback gauge
layers_admission_fallback 1
# HELP layers_admission_fallback_total Admissions that Redis did not decide, by what they came to.
# TYPE layers_admission_fallback_total counter
layers_admission_fallback_total{outcome="admitted"} 3
layers_admission_fallback_total{outcome="error"} 1
layers_admission_fallback_total{outcome="rate_limited"} 1
# HELP layers_admission_releases_waiting Holds that wait to be released until their store answers.
# TYPE layers_admission_releases_waiting gauge
layers_admission_releases_waiting 3
# HELP layers_redis_breaker_opened_total How often Redis was taken for away.
# TYPE layers_redis_breaker_opened_total counter
layers_redis_breaker_opened_total 1
# HELP layers_redis_timeouts_total Calls to Redis that were given up at their deadline.
# TYPE layers_redis_timeouts_total counter
layers_redis_timeouts_total 3
`
	if err := testutil.CollectAndCompare(f, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
