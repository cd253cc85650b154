package admit

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// world is what the store should be: all rules at once, said in Go as simply as they can be.
type world struct {
	s                *store
	rates            []Rate // of every request, but for the cost
	most             int64
	limit            Cap
	balance, version int64
	keys             map[string]*worldKey
	running          map[string]*worldHold // holds by request id
}

type worldKey struct {
	full  map[snapshot.Unit]int64 // when a bucket is full, ps after start
	count map[time.Time]int64     // requests by day
	spent map[time.Time]int64     // by window of the cap
	known map[time.Time]bool      // whether the store has been told since it began
}

type worldHold struct {
	key      string
	amount   int64
	until    time.Time
	finished bool
	charged  map[snapshot.Unit]int64
}

// ps is now in picoseconds after the day before the start of the test.
func (w *world) ps() int64 { return (w.s.now.UnixMicro() - 1_799_913_600_000_000) * 1_000_000 }

func (w *world) held(key string, count bool) (n int64) {
	for _, h := range w.running {
		if !h.until.After(w.s.now) || key != "" && h.key != key {
			continue
		}
		switch {
		case !count:
			n += h.amount
		case !h.finished:
			n++
		}
	}
	return n
}

// decide is the outcome and rule, and how long a rate refuses.
func (w *world) decide(q Request) (Outcome, string, time.Duration) {
	k := w.keys[q.KeyDigest]
	today, tomorrow := windowOf("Day", w.s.now)
	var wait int64 // ps
	rule := ""
	for _, r := range q.Rates {
		var late int64
		if r.Unit == snapshot.RequestsPerDay {
			if k.count[today]+r.Cost > r.Value {
				late = tomorrow.Sub(w.s.now).Microseconds() * 1_000_000
			}
		} else {
			every := interval(r.Value)
			late = max(0, k.full[r.Unit]-w.ps()) + min(r.Cost, r.Burst)*every - r.Burst*every
		}
		if late = (late + 999_999) / 1_000_000; late > wait { // us, rounded up
			wait, rule = late, string(r.Unit)
		}
	}
	window, _ := windowOf(q.Cap.Period, w.s.now)
	switch {
	case wait > 0:
		return RateLimited, rule, time.Duration(wait) * time.Microsecond
	case w.held(q.KeyDigest, true) >= q.MaxConcurrent:
		return TooManyConcurrent, RuleConcurrency, 0
	case !k.known[window] && !q.Unmetered:
		return ReloadCap, "", 0
	case !q.Unmetered && k.spent[window]+w.held(q.KeyDigest, false)+q.Hold > q.Cap.Amount:
		return CapReached, RuleCap, 0
	case !q.Unmetered && w.balance-w.held("", false) < q.Hold:
		return InsufficientCredits, RuleCredits, 0
	}
	return Admitted, "", 0
}

// take writes down an admission.
func (w *world) take(q Request) {
	k := w.keys[q.KeyDigest]
	today, _ := windowOf("Day", w.s.now)
	h := &worldHold{key: q.KeyDigest, amount: q.Hold, until: w.s.now.Add(q.HoldFor), charged: map[snapshot.Unit]int64{}}
	if q.Unmetered {
		h.amount = 0
	}
	for _, r := range q.Rates {
		if r.Unit == snapshot.RequestsPerDay {
			k.count[today] += r.Cost
			continue
		}
		h.charged[r.Unit] = min(r.Cost, r.Burst)
		k.full[r.Unit] = max(w.ps(), k.full[r.Unit]) + h.charged[r.Unit]*interval(r.Value)
	}
	w.running[q.ID] = h
}

// finish writes down an end.
func (w *world) finish(id string, actual, input, output int64) {
	h := w.running[id]
	if h.finished {
		return
	}
	h.finished, h.amount = true, actual
	used := map[snapshot.Unit]int64{snapshot.InputTokensPerMinute: input, snapshot.OutputTokensPerMinute: output}
	for _, r := range w.rates {
		n, ok := used[r.Unit]
		if !ok || !h.until.After(w.s.now) { // the record is gone
			continue
		}
		debt := max(0, w.keys[h.key].full[r.Unit]-w.ps())
		debt = max(0, min(debt+(n-h.charged[r.Unit])*interval(r.Value), r.Burst*interval(r.Value)+minutePS))
		w.keys[h.key].full[r.Unit] = w.ps() + debt
	}
}

// newWorld draws the rules of a tier and loads two keys.
func newWorld(rt *rapid.T) *world {
	w := &world{
		s: newMini(rt), balance: 1000, version: 1, keys: map[string]*worldKey{}, running: map[string]*worldHold{},
		most:  rapid.Int64Range(1, 6).Draw(rt, "concurrent"),
		limit: Cap{Amount: rapid.Int64Range(0, 1500).Draw(rt, "cap"), Period: rapid.SampledFrom([]string{"Day", "Month"}).Draw(rt, "period")},
	}
	w.s.load(w.balance)
	for _, digest := range []string{"digest", "other"} {
		must(rt, w.s.LoadKey(context.Background(), "ns/acme", digest, KeyActive, 1))
		w.keys[digest] = &worldKey{full: map[snapshot.Unit]int64{}, count: map[time.Time]int64{}, spent: map[time.Time]int64{}, known: map[time.Time]bool{}}
	}
	for _, unit := range minuteUnits {
		if rapid.Bool().Draw(rt, string(unit)) {
			value := rapid.Int64Range(1, 5000).Draw(rt, "value")
			w.rates = append(w.rates, Rate{Unit: unit, Value: value, Burst: rapid.Int64Range(1, 2*value).Draw(rt, "burst")})
		}
	}
	if rapid.Bool().Draw(rt, "daily") {
		w.rates = append(w.rates, Rate{Unit: snapshot.RequestsPerDay, Value: rapid.Int64Range(1, 20).Draw(rt, "a day")})
	}
	return w
}

// draw makes a request under the rules of the tier.
func (w *world) draw(rt *rapid.T) Request {
	q := request(rapid.Int64Range(0, 300).Draw(rt, "hold"))
	q.KeyDigest = rapid.SampledFrom(slices.Sorted(maps.Keys(w.keys))).Draw(rt, "key")
	q.HoldFor = time.Duration(rapid.IntRange(1, 300).Draw(rt, "seconds")) * time.Second
	q.Unmetered = rapid.IntRange(0, 4).Draw(rt, "unmetered") == 0
	q.MaxConcurrent, q.Cap = w.most, &w.limit
	for _, r := range w.rates {
		if r.Cost = 1; r.Unit == snapshot.InputTokensPerMinute || r.Unit == snapshot.OutputTokensPerMinute {
			r.Cost = rapid.Int64Range(0, r.Burst+5).Draw(rt, "cost")
		}
		q.Rates = append(q.Rates, r)
	}
	return q
}

func (w *world) admit(rt *rapid.T) {
	q := w.draw(rt)
	outcome, rule, wait := w.decide(q)
	before := w.s.dump()
	preview := w.s.preview(q)
	same(rt, "a preview wrote", w.s.dump(), before)
	d := w.s.want(q, outcome)
	same(rt, "preview", preview, d)
	same(rt, "rule", d.Refusal.Rule, rule)
	if d.Outcome == RateLimited {
		same(rt, "retry after", d.RetryAfter, wait)
	}
	if outcome != Admitted {
		same(rt, "P9", w.s.dump(), before)
		return
	}
	same(rt, "reserved", d.Reserved, w.held("", false))
	w.take(q)
}

// readCap does what ReloadCap asks for.
func (w *world) readCap(rt *rapid.T) {
	digest := rapid.SampledFrom(slices.Sorted(maps.Keys(w.keys))).Draw(rt, "key")
	window, _ := windowOf(w.limit.Period, w.s.now)
	spent := rapid.Int64Range(0, 400).Draw(rt, "spent") // the store keeps the largest
	k := w.keys[digest]
	k.spent[window], k.known[window] = max(k.spent[window], spent), true
	must(rt, w.s.LoadSpend(context.Background(), "ns/acme", digest, Spend{w.limit.Period, window.Unix(), spent}))
}

func (w *world) someone(rt *rapid.T) string {
	if len(w.running) == 0 {
		rt.Skip("no holds")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(w.running))).Draw(rt, "id")
}

// confirm settles a request for what it took.
func (w *world) confirm(rt *rapid.T) {
	id := w.someone(rt)
	h := w.running[id]
	delete(w.running, id)
	w.balance, w.version = w.balance-h.amount, w.version+1
	window, _ := windowOf(w.limit.Period, w.s.now)
	k := w.keys[h.key]
	k.spent[window] += h.amount
	must(rt, w.s.Confirm(context.Background(), []Confirmation{{
		RequestID: id, Account: "ns/acme", Balance: w.balance, Version: w.version, KeyDigest: h.key,
		Spends: []Spend{{w.limit.Period, window.Unix(), k.spent[window]}},
	}}))
}

// Every rule over random histories: the script decides as the model does, a preview as the script, and a refusal, a
// preview and a second finish change nothing.
func TestAllRulesProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"admit": w.admit, "admit again": w.admit, "read the cap": w.readCap, "confirm": w.confirm,
			"finish": func(rt *rapid.T) {
				id := w.someone(rt)
				h := w.running[id]
				actual := rapid.Int64Range(0, 400).Draw(rt, "actual")
				input, output := rapid.Int64Range(0, 6000).Draw(rt, "input"), rapid.Int64Range(0, 6000).Draw(rt, "output")
				_, there := w.s.holdOf(id)
				w.s.used(Request{ID: id, Account: "ns/acme", KeyDigest: h.key}, actual, input, output)
				if there { // an admission may have taken a dead hold away
					w.finish(id, actual, input, output)
				}
				before := w.s.dump()
				w.s.used(Request{ID: id, Account: "ns/acme", KeyDigest: h.key}, actual+1, 0, 0)
				same(rt, "a second finish", w.s.dump(), before)
			},
			"release": func(rt *rapid.T) {
				id := w.someone(rt)
				delete(w.running, id)
				must(rt, w.s.Release(context.Background(), "ns/acme", id))
			},
			"time passes": func(rt *rapid.T) {
				w.s.pass(time.Duration(rapid.IntRange(1, 60_000_000).Draw(rt, "us")) * time.Microsecond)
			},
			"hours pass": func(rt *rapid.T) {
				w.s.pass(time.Duration(rapid.IntRange(1, 10).Draw(rt, "hours")) * time.Hour)
				must(rt, w.s.LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: w.balance, Version: w.version})) // or its copy goes
				for digest := range w.keys {
					must(rt, w.s.LoadKey(context.Background(), "ns/acme", digest, KeyActive, 1))
					for window := range w.keys[digest].known {
						must(rt, w.s.LoadSpend(context.Background(), "ns/acme", digest, Spend{w.limit.Period, window.Unix(), 0}))
					}
				}
			},
			"": func(rt *rapid.T) {
				said, counted := w.s.sum("ns/acme")
				same(rt, "sum", said, counted)
			},
		})
	})
}
