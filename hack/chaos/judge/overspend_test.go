package judge

import (
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// The bound is what was hidden, and no more: one nano-USD beyond it is found.
func TestOverspendBound(t *testing.T) {
	lost := func(when int, id string, amount pricing.Nano) Loss {
		return Loss{What: "flush", At: at(when), Holds: []Hold{{RequestID: id, Account: account, Amount: amount}}}
	}
	for name, c := range map[string]struct {
		set   func(w *World)
		bound pricing.Nano
	}{
		"nothing hidden": {func(*World) {}, 0},
		"a lost hold":    {func(w *World) { w.Losses = []Loss{lost(11, "req_1", 7)} }, 7},
		"lost after it":  {func(w *World) { w.Losses = []Loss{lost(31, "req_9", 7)} }, 0},
		"of another account": {func(w *World) {
			w.Losses = []Loss{{What: "flush", At: at(11), Holds: []Hold{{RequestID: "x", Account: "chaos/hot-00", Amount: 7}}}}
		}, 0},
		"lost twice":          {func(w *World) { w.Losses = []Loss{lost(10, "req_1", 7), lost(11, "req_1", 9)} }, 9},
		"two at once":         {func(w *World) { w.Losses = []Loss{lost(10, "req_1", 7), lost(11, "req_9", 5)} }, 12},
		"one after the other": {func(w *World) { w.Losses = []Loss{lost(10, "req_1", 7), lost(13, "req_9", 5)} }, 7},
		"settled before":      {func(w *World) { w.Losses = []Loss{lost(13, "req_1", 7)} }, 0},
		"a fallback":          {func(w *World) { w.Fallbacks = []Fallback{{"req_1", account, 8, at(10)}} }, 8},
		"a fallback, and lost": {func(w *World) {
			w.Fallbacks = []Fallback{{"req_1", account, 8, at(10)}}
			w.Losses = []Loss{lost(11, "req_1", 8)}
		}, 8},
		"above its hold":       {func(w *World) { w.Rows[0].Held = 19_400 }, 600},
		"above its hold, lost": {func(w *World) { w.Rows[0].Held = 19_400; w.Losses = []Loss{lost(11, "req_1", 19_400)} }, 20_000},
		"ran over an expiry":   {func(w *World) { w.Expiries = []Expiry{{"g", account, at(11), at(11), 50, 50, 0}} }, 50},
		"ran over a great one": {func(w *World) { w.Expiries = []Expiry{{"g", account, at(11), at(11), 50_000, 50_000, 0}} }, 20_000},
		// Its settlement finds that the grant has ended, and posts that with itself, a moment after its own row.
		"posted an expiry":     {func(w *World) { w.Expiries = []Expiry{{"g", account, at(11), at(13), 50, 50, 0}} }, 50},
		"began after one":      {func(w *World) { w.Expiries = []Expiry{{"g", account, at(8), at(9), 50, 50, 0}} }, 0},
		"ran before an expiry": {func(w *World) { w.Expiries = []Expiry{{"g", account, at(13), at(13), 50, 50, 0}} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for over, rules := range map[pricing.Nano][]string{0: nil, 1: {"P4"}} {
				w := sound()
				c.set(w)
				w.Balances = append(w.Balances, Balance{account, at(20), -c.bound - over}, Balance{account, at(30), 1000})
				got, worst := w.Overspend()
				want(t, got, rules...)
				if len(worst) > 0 && (worst[0].Bound != c.bound || worst[0].By != c.bound+over) {
					t.Errorf("%+v", worst)
				}
			}
		})
	}
}

// What is hidden later does not excuse what was overspent before.
func TestOverspendLooksAtTheTime(t *testing.T) {
	w := sound()
	w.Balances = []Balance{{account, at(5), -3}, {account, at(20), 10}}
	w.Losses = []Loss{{What: "flush", At: at(11), Holds: []Hold{{RequestID: "req_1", Account: account, Amount: 7}}}}
	got, _ := w.Overspend()
	want(t, got, "P4")
}

func TestRest(t *testing.T) {
	books := map[string]Book{"a": {Spendable: 5, Version: 3}}
	for name, c := range map[string]struct {
		copies map[string]Copy
		books  map[string]Book
		rules  []string
	}{
		"equal":             {map[string]Copy{"a": {There: true, Spendable: 5, Version: 3}}, books, nil},
		"no copy":           {map[string]Copy{"a": {}}, books, []string{"P5"}},
		"drift":             {map[string]Copy{"a": {There: true, Spendable: 6, Version: 3}}, books, []string{"P5"}},
		"older":             {map[string]Copy{"a": {There: true, Spendable: 5, Version: 2}}, books, []string{"P5"}},
		"a hold":            {map[string]Copy{"a": {There: true, Spendable: 5, Version: 3, Holds: []Hold{{RequestID: "r"}}}}, books, []string{"P5"}},
		"a sum alone":       {map[string]Copy{"a": {There: true, Spendable: 5, Version: 3, Sum: 1}}, books, []string{"P5"}},
		"a slot":            {map[string]Copy{"a": {There: true, Spendable: 5, Version: 3, Running: 1}}, books, []string{"P5"}},
		"held in the books": {nil, map[string]Book{"a": {Held: 1}}, []string{"P5"}},
		"a hold of nothing": {nil, map[string]Book{"a": {Holds: 1}}, []string{"P5"}},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, Rest(c.books, c.copies, true), c.rules...)
			if name != "older" && name != "no copy" {
				want(t, Rest(c.books, c.copies, false), c.rules...)
			}
		})
	}
	for name, c := range map[string]Copy{"behind": {There: true, Spendable: 5, Version: 2}, "gone": {}} {
		want(t, Rest(books, map[string]Copy{"a": c}, false))
		if len(Rest(books, map[string]Copy{"a": c}, true)) != 1 {
			t.Errorf("%s, though it was asked for: nothing is wrong", name)
		}
	}
}

func TestSame(t *testing.T) {
	before := map[string]string{"a": "1", "b": "2"}
	want(t, Same("P6", "a replay", before, map[string]string{"b": "2", "a": "1"}))
	want(t, Same("P6", "a replay", before, map[string]string{"a": "1", "b": "3"}), "P6")
	want(t, Same("P9", "a refusal", before, map[string]string{"a": "1"}), "P9")
	want(t, Same("P9", "a refusal", before, map[string]string{"a": "1", "b": "2", "c": ""}))
	want(t, Same("P9", "a refusal", before, map[string]string{"a": "1", "b": "2", "c": "4"}), "P9")
}

func TestGranted(t *testing.T) {
	given := map[string]pricing.Nano{"g1": 5, "g2": 6}
	want(t, Granted(given, map[string]pricing.Nano{"g1": 5, "g2": 6}))
	want(t, Granted(given, map[string]pricing.Nano{"g1": 10, "g2": 6}), "P1")
	want(t, Granted(given, map[string]pricing.Nano{"g1": 5}), "P1")
	want(t, Granted(given, map[string]pricing.Nano{"g1": 5, "g2": 6, "g3": 1}), "P1")
}

func TestMonotone(t *testing.T) {
	want(t, Monotone([]bool{false, false, true, true}))
	want(t, Monotone([]bool{false, true, false, true}), "P10")
}

func TestSpans(t *testing.T) {
	s := Span{at(5), at(7)}
	for when, in := range map[int]bool{4: false, 5: true, 7: true, 8: false} {
		if s.overlaps(at(when), at(when)) != in || within([]time.Time{at(when)}, s.From, s.To) != in {
			t.Errorf("%d: not %v", when, in)
		}
	}
}
