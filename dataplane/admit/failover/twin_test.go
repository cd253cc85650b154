package failover

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// twins are the script and the fallback, alone, on the same clock. The ledger lends half, so it has twice as much.
type twins struct {
	redis *admit.Redis
	f     *Failover
	b     *books
	mini  *miniredis.Miniredis
	now   time.Time
}

func newTwins(t *testing.T) *twins {
	mini := miniredis.RunT(t)
	w := &twins{mini: mini, now: clock, b: openBooks(t, "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"))}
	mini.SetTime(w.now)
	r, err := admit.NewRedis(admit.Options{URL: "redis://" + mini.Addr(), Timeout: 20 * time.Second, KeyAge: 1e6 * time.Hour})
	must(t, err)
	t.Cleanup(r.Close)
	w.redis = r
	w.f = inline(Options{Primary: &primary{err: errDown}, Ledger: w.b, Owner: "a", Now: func() time.Time { return w.now }})
	opened(w.f)
	return w
}

func (w *twins) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.mini.SetTime(w.now)
}

// both asks both, and fails where they differ.
func (w *twins) both(t *rapid.T, q admit.Request, preview bool) admit.Decision {
	ctx := context.Background()
	askRedis, ask := w.redis.Admit, w.f.Admit
	if preview {
		askRedis, ask = w.redis.Preview, w.f.Preview
	}
	want, err := askRedis(ctx, q)
	must(t, err)
	got, err := ask(ctx, q)
	must(t, err)
	same(t, "fallback", got.Fallback, true)
	opts := []cmp.Option{cmpopts.IgnoreFields(admit.Decision{}, "Fallback", "Spendable", "Reserved")}
	if got.Refusal.Rule == admit.RuleCredits {
		opts = append(opts, cmpopts.IgnoreFields(admit.Refusal{}, "Limit", "Used")) // twice as much there
	}
	if q.Shadow {
		opts = append(opts, cmpopts.IgnoreFields(admit.Decision{}, "Fits"))
	}
	if d := cmp.Diff(want, got, opts...); d != "" {
		t.Fatalf("%+v\nthe script (-) and the fallback (+): %s", q, d)
	}
	return got
}

var units = []snapshot.Unit{snapshot.RequestsPerMinute, snapshot.InputTokensPerMinute, snapshot.OutputTokensPerMinute, snapshot.RequestsPerDay}

// rates draws the limits of a key.
func rates(t *rapid.T) (out []admit.Rate) {
	for _, unit := range units {
		if !rapid.Bool().Draw(t, string(unit)) {
			continue
		}
		value := rapid.SampledFrom([]int64{1, 2, 3, 7, 60, 61, 1000, 999_999_937, admit.MaxRate}).Draw(t, "value")
		burst := max(1, value/rapid.SampledFrom([]int64{1, 2, 1000}).Draw(t, "less burst")) * rapid.SampledFrom([]int64{1, 1, 3}).Draw(t, "more burst")
		out = append(out, admit.Rate{Unit: unit, Value: value, Burst: min(burst, admit.MaxRate)})
	}
	return out
}

// The fallback of one replica decides as the script does, number by number: limits, slots, cap, credits, refusals, headers.
func TestTwin(t *testing.T) {
	w := newTwins(t)
	rapid.Check(t, func(t *rapid.T) { w.check(t, rates(t)) })
}

func (w *twins) check(t *rapid.T, rates []admit.Rate) {
	ctx := context.Background()
	digest, account := newDigest(), "ns/"+newID()
	key, err := w.b.CreateKey(ctx, ledger.NewKey{Digest: digest, Name: "k", Account: account, Source: ledger.SourceCLI})
	must(t, err)
	balance := rapid.SampledFrom([]int64{0, 50, 100, 1000, 1_000_000}).Draw(t, "balance")
	if balance > 0 {
		_, err = w.b.Grant(ctx, ledger.Grant{ID: newID(), Account: account, Amount: 2 * balance, Kind: ledger.GrantManual})
		must(t, err)
	}
	must(t, w.redis.LoadKey(ctx, account, digest, admit.KeyActive, key.Version))
	must(t, w.redis.LoadAccount(ctx, admit.Copy{Account: account, Spendable: balance, Version: 1}))
	most := rapid.SampledFrom([]int64{0, 1, 2, 5}).Draw(t, "slots")
	var limit *admit.Cap
	if rapid.Bool().Draw(t, "capped") {
		limit = &admit.Cap{Amount: rapid.Int64Range(0, 300).Draw(t, "cap"), Period: rapid.SampledFrom([]string{"Day", "Month"}).Draw(t, "period")}
		must(t, w.spends(ctx, account, digest, limit.Period))
	}
	shadow := rapid.Bool().Draw(t, "shadow") && rapid.Bool().Draw(t, "really")
	var running []admit.Request
	for range rapid.IntRange(1, 25).Draw(t, "requests") {
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			w.pass(time.Duration(rapid.SampledFrom([]int64{1, 1000, 1_000_000, 17_000_000, 60_000_000, 3_600_000_000}).Draw(t, "pass")) * time.Microsecond)
			if limit != nil { // it may be another window
				must(t, w.spends(ctx, account, digest, limit.Period))
			}
		case 1:
			if len(running) == 0 {
				continue
			}
			q := running[0]
			running = running[1:]
			f := admit.Finish{RequestID: q.ID, Account: account, KeyDigest: digest, Actual: 0,
				InputTokens: rapid.Int64Range(0, 3000).Draw(t, "input"), OutputTokens: rapid.Int64Range(0, 3000).Draw(t, "output")}
			must(t, w.redis.Finish(ctx, f))
			must(t, w.redis.Release(ctx, account, q.ID))
			must(t, w.f.Finish(ctx, f))
			must(t, w.f.Release(ctx, account, q.ID))
		default:
			q := admit.Request{
				ID: newID(), Account: account, KeyDigest: digest, KeyVersion: key.Version, HoldFor: 2000*time.Hour + time.Duration(len(running))*time.Second,
				MaxConcurrent: most, Shadow: shadow, Rates: costs(t, rates),
			}
			if q.Unmetered = rapid.IntRange(0, 4).Draw(t, "unmetered") == 0; !q.Unmetered {
				q.Cap = limit
				amounts(t, &q)
			}
			if d := w.both(t, q, rapid.IntRange(0, 3).Draw(t, "preview") == 0); d.Outcome == admit.Admitted && w.f.knows(q.ID) {
				running = append(running, q)
				w.both(t, q, false)
			}
		}
	}
	for _, q := range running {
		must(t, w.f.Release(ctx, account, q.ID))
	}
}

func (f *Failover) knows(id string) bool {
	_, ok := f.book.get(id)
	return ok
}

// spends loads that the key has spent nothing in the windows of now.
func (w *twins) spends(ctx context.Context, account, digest, period string) error {
	start, _ := window(period, w.now)
	return w.redis.LoadSpend(ctx, account, digest, admit.Spend{Period: period, Window: start.Unix()})
}

func costs(t *rapid.T, rates []admit.Rate) []admit.Rate {
	out := make([]admit.Rate, len(rates))
	for i, r := range rates {
		r.Cost = rapid.SampledFrom([]int64{0, 1, 1, 1, 5, 100, 5000}).Draw(t, "cost")
		out[i] = r
	}
	return out
}

func amounts(t *rapid.T, q *admit.Request) {
	q.Hold = rapid.Int64Range(0, 200).Draw(t, "hold")
	q.Floor = rapid.Int64Range(0, q.Hold).Draw(t, "floor")
	if rapid.Bool().Draw(t, "healthy") {
		q.Expected = rapid.Int64Range(0, q.Hold).Draw(t, "expected")
		q.Healthy = max(1, q.Hold*rapid.Int64Range(1, 4).Draw(t, "times"))
	}
}
