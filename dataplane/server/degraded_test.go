package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// errDown is what a ledger says that cannot be reached.
var errDown = errors.New("connection refused")

// faults takes the ledger away, and sees what the admission store is asked.
type faults struct {
	down atomic.Bool // reads fail
	away atomic.Bool // and the settler knows

	mu    sync.Mutex
	asked []admit.Request
	// answer, if set, is asked before the store.
	answer func(admit.Request) (admit.Decision, bool)
}

func (f *faults) install(o *Options, _ *snapshot.Snapshot) {
	o.Admitter = judge{o.Admitter, f}
	o.Keys, o.Accounts, o.Settler = brokenKeys{o.Keys, f}, brokenAccounts{o.Accounts, f}, brokenSettler{o.Settler, f}
}

func (f *faults) lastAway(t *testing.T) bool {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		t.Fatal("nothing was asked")
	}
	return f.asked[len(f.asked)-1].LedgerAway
}

type judge struct {
	Admission
	f *faults
}

// Admit implements admit.Admitter.
func (j judge) Admit(ctx context.Context, r admit.Request) (admit.Decision, error) {
	j.f.mu.Lock()
	j.f.asked = append(j.f.asked, r)
	answer := j.f.answer
	j.f.mu.Unlock()
	if answer != nil {
		if d, ok := answer(r); ok {
			return d, nil
		}
	}
	return j.Admission.Admit(ctx, r)
}

type brokenKeys struct {
	Keys
	f *faults
}

// Reload implements Keys.
func (b brokenKeys) Reload(ctx context.Context, digest string) (ledger.Key, error) {
	if b.f.down.Load() {
		return ledger.Key{}, errors.Join(keys.ErrUnavailable, errDown)
	}
	return b.Keys.Reload(ctx, digest)
}

type brokenAccounts struct {
	Accounts
	f *faults
}

// Current implements Accounts.
func (b brokenAccounts) Current(ctx context.Context, id string) (ledger.Account, int64, error) {
	if b.f.down.Load() {
		return ledger.Account{}, 0, errDown
	}
	return b.Accounts.Current(ctx, id)
}

type brokenSettler struct {
	Settler
	f *faults
}

// Away implements Settler.
func (b brokenSettler) Away() bool { return b.f.away.Load() }

// Without the ledger a key and an account that the admission store knows go on, told as such; what it does not know waits.
func TestLedgerAway(t *testing.T) {
	decided := func(d admit.Decision) func(admit.Request) (admit.Decision, bool) {
		return func(r admit.Request) (admit.Decision, bool) { return d, r.LedgerAway }
	}
	for name, c := range map[string]struct {
		warm, told bool // it served before; the settler knows that the ledger is away
		answer     func(admit.Request) (admit.Decision, bool)
		status     int
		code       string
		header     string
	}{
		"known":                       {true, true, nil, 200, "", "ledger"},
		"known, nobody has noticed":   {true, false, nil, 200, "", ""},
		"not known":                   {false, true, nil, 503, "store_unavailable", "ledger"},
		"noticed by reading":          {false, false, decided(admit.Decision{Outcome: admit.Admitted, Held: usd}), 200, "", "ledger"},
		"read in vain, and no answer": {false, false, nil, 503, "store_unavailable", "ledger"},
		"too old, or too much spent":  {true, true, decided(admit.Decision{Outcome: admit.LedgerAway}), 503, "store_unavailable", "ledger"},
		"poor":                        {true, true, decided(admit.Decision{Outcome: admit.InsufficientCredits}), 402, "insufficient_credits", "ledger"},
		"revoked":                     {true, true, decided(admit.Decision{Outcome: admit.KeyRefused}), 401, "key_revoked", "ledger"},
		"without redis":               {true, false, func(admit.Request) (admit.Decision, bool) { return admit.Decision{Fallback: true, Held: usd}, true }, 200, "", "redis"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faults{}
			w := newWorld(t, f.install)
			w.key(goodKey, usd)
			w.serve(answers(20, 10))
			if c.warm {
				if got := w.chat(hello); got.status != 200 || got.header.Get(headerDegraded) != "" {
					t.Fatalf("%d %s", got.status, got.body)
				}
			}
			f.mu.Lock()
			f.answer = c.answer
			f.mu.Unlock()
			f.down.Store(true)
			f.away.Store(c.told)
			got := w.chat(hello)
			if got.status != c.status || got.header.Get(headerDegraded) != c.header {
				t.Fatalf("%d %q %s", got.status, got.header.Get(headerDegraded), got.body)
			}
			if c.code != "" && got.failure(t)["code"] != c.code {
				t.Errorf("%s", got.body)
			}
			if c.status == 503 && got.header.Get("Retry-After") != "5" {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
			if c.header == "ledger" && !f.lastAway(t) {
				t.Error("the store was not told")
			}
		})
	}
}

// The acknowledgement says which stores cannot be reached.
func TestAckTellsDegradedStores(t *testing.T) {
	var lost []string
	w := newWorld(t, func(o *Options, _ *snapshot.Snapshot) { o.Degraded = func() []string { return lost } })
	ack := func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/snapshot", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer ack-secret")
		rec := newRecorder()
		w.server.AckHandler().ServeHTTP(rec, r)
		return rec.Body.String()
	}
	if got := ack(); strings.Contains(got, "degraded") || !strings.Contains(got, `"hash":"`) {
		t.Errorf("well: %s", got)
	}
	if lost = []string{"ledger", "redis"}; !strings.Contains(ack(), `"degraded":["ledger","redis"]`) {
		t.Errorf("away: %s", ack())
	}
}

// Where limits and credits are only counted nobody is refused but for a key, nothing is cut, and the answer and a metric say
// which rule would have refused.
func TestShadow(t *testing.T) {
	shadow := func(_ *Options, s *snapshot.Snapshot) {
		s.Policies[0].Shadow = true
		s.Tiers[1].Limits = []snapshot.RateLimit{{Unit: snapshot.RequestsPerMinute, Value: 1, Burst: 1}}
	}
	for name, c := range map[string]struct {
		balance int64
		tier    string
		cap     int64
		rules   []string // of one request after the other
	}{
		"rich":   {usd, "", 0, []string{"", ""}},
		"poor":   {0, "", 0, []string{"Credits", "Credits"}},
		"often":  {usd, "ns/slow", 0, []string{"", "RequestsPerMinute"}},
		"capped": {usd, "", 1, []string{"SpendCap"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, shadow)
			w.key(goodKey, c.balance, func(k *ledger.Key) { k.Tier, k.CapAmount, k.CapPeriod = c.tier, c.cap, ledger.PeriodDay })
			w.serve(answers(20, 10))
			counted := 0
			for i, rule := range c.rules {
				got := w.chat(hello)
				if got.status != 200 || got.header.Get(headerShadow) != rule || got.header.Get(headerMaxTokens) != "" {
					t.Errorf("request %d: %d %q %s", i, got.status, got.header.Get(headerShadow), got.body)
				}
				if rule != "" {
					counted++
				}
			}
			if n, err := testutil.GatherAndCount(w.registry, "layers_shadow_refusals_total"); err != nil || (n > 0) != (counted > 0) {
				t.Errorf("%d series, %v", n, err)
			}
			if spent := c.balance - w.balance(); spent != int64(len(c.rules))*40_000_000 {
				t.Errorf("charged %d", spent)
			}
			if got := w.do(http.MethodPost, "/v1/chat/completions", goodKey+"x", hello); got.status != 401 {
				t.Errorf("a bad key: %d", got.status)
			}
		})
	}
}
