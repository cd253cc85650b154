package forecast

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/pricing"
)

const dollar = pricing.Nano(1_000_000_000)

func TestHold(t *testing.T) {
	agent := Need{Worst: 2 * dollar, Estimate: dollar / 10, Floor: dollar / 50}
	for name, c := range map[string]struct {
		spendable, reserved pricing.Nano
		need                Need
		want                Verdict
	}{
		"healthy":                         {8 * dollar, 0, agent, Verdict{Adaptive, dollar / 10}},
		"less than four times":            {8*dollar - 1, 0, agent, Verdict{WorstCase, 2 * dollar}},
		"four times and below $5":         {5*dollar - 1, 0, Need{Worst: dollar, Estimate: 1}, Verdict{WorstCase, dollar}},
		"$5 of a small request":           {5 * dollar, 0, Need{Worst: dollar, Estimate: 1}, Verdict{Adaptive, 1}},
		"what is held is not there":       {9 * dollar, dollar + 1, agent, Verdict{WorstCase, 2 * dollar}},
		"the worst case just fits":        {2 * dollar, 0, agent, Verdict{WorstCase, 2 * dollar}},
		"something useful fits":           {2*dollar - 1, 0, agent, Verdict{Clamped, 2*dollar - 1}},
		"the least useful":                {dollar / 50, 0, agent, Verdict{Clamped, dollar / 50}},
		"less than useful":                {dollar/50 - 1, 0, agent, Verdict{Short, 0}},
		"nothing":                         {0, 0, agent, Verdict{Short, 0}},
		"debt":                            {-dollar, 0, agent, Verdict{Short, 0}},
		"strict is not cut":               {2*dollar - 1, 0, Need{Worst: 2 * dollar, Strict: true}, Verdict{Short, 0}},
		"strict is held for as usual":     {9 * dollar, 0, Need{Worst: 2 * dollar, Estimate: 5, Strict: true}, Verdict{Adaptive, 5}},
		"tied up":                         {dollar, dollar, agent, Verdict{TiedUp, 0}},
		"strict and tied up":              {2 * dollar, 1, Need{Worst: 2 * dollar, Strict: true}, Verdict{TiedUp, 0}},
		"strict and short, whatever held": {2*dollar - 1, dollar, Need{Worst: 2 * dollar, Strict: true}, Verdict{Short, 0}},
		"free":                            {0, 0, Need{}, Verdict{WorstCase, 0}},
		"unstoppable":                     {90 * dollar, 0, Need{Worst: 2 * dollar, Estimate: 5, Unstoppable: true}, Verdict{WorstCase, 2 * dollar}},
		"unstoppable, and cut":            {dollar, 0, Need{Worst: 2 * dollar, Floor: 5, Unstoppable: true}, Verdict{Clamped, dollar}},
		"an estimate above the worst":     {9 * dollar, 0, Need{Worst: 1, Estimate: 7}, Verdict{Adaptive, 1}},
		"an estimate below the floor":     {9 * dollar, 0, Need{Worst: 9, Estimate: 1, Floor: 3}, Verdict{Adaptive, 3}},
		"absurd numbers":                  {math.MinInt64, math.MaxInt64, agent, Verdict{Short, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Hold(c.spendable, c.reserved, c.need); got != c.want {
				t.Errorf("Hold(%d, %d, %+v) = %+v, want %+v", c.spendable, c.reserved, c.need, got, c.want)
			}
		})
	}
}

func amount() *rapid.Generator[pricing.Nano] {
	return rapid.OneOf(rapid.Int64Range(-10, 30), rapid.Int64Range(-dollar, 40*dollar), rapid.Int64())
}

func need() *rapid.Generator[Need] {
	return rapid.Custom(func(t *rapid.T) Need {
		return Need{
			Worst: amount().Draw(t, "worst"), Estimate: amount().Draw(t, "estimate"), Floor: amount().Draw(t, "floor"),
			Strict: rapid.Bool().Draw(t, "strict"), Unstoppable: rapid.Bool().Draw(t, "unstoppable"),
		}
	})
}

// P10 of design: more balance, or less of it held, never turns an admission into a refusal; nor a "later" into a "no".
func TestMoreBalanceNeverRefuses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, spendable := need().Draw(t, "need"), amount().Draw(t, "spendable")
		reserved := rapid.Int64Range(0, 20*dollar).Draw(t, "reserved")
		more := rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, 40*dollar)).Draw(t, "more")
		if spendable > math.MaxInt64-more {
			t.Skip("no such balance")
		}
		before := Hold(spendable, reserved, n)
		richer, freer := Hold(spendable+more, reserved, n), Hold(spendable, max(0, reserved-more), n)
		if richer.Mode > before.Mode || freer.Mode > before.Mode {
			t.Fatalf("%+v with less, %+v with %d more, %+v with as much less held", before, richer, more, freer)
		}
	})
}

func TestHoldIsWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, spendable := need().Draw(t, "need"), amount().Draw(t, "spendable")
		reserved := rapid.Int64Range(0, 20*dollar).Draw(t, "reserved")
		v := Hold(spendable, reserved, n)
		n = n.ordered()
		switch {
		case !v.Mode.Admits() && v.Hold != 0:
			t.Fatalf("refused, and holds %d", v.Hold)
		case v.Mode.Admits() && (v.Hold < n.Floor || v.Hold > n.Worst):
			t.Fatalf("%+v is not between floor %d and worst %d", v, n.Floor, n.Worst)
		case v.Hold > 0 && v.Hold > minus(spendable, reserved):
			t.Fatalf("%+v of %d spendable, %d reserved", v, spendable, reserved)
		case v.Mode == Clamped && n.Strict:
			t.Fatal("a strict request is cut")
		}
	})
}

func ask() *rapid.Generator[Ask] {
	return rapid.Custom(func(t *rapid.T) Ask {
		tokens := rapid.Int64Range(0, 200_000)
		return Ask{
			Price: pricing.Price{Input: rapid.Int64Range(0, 100*dollar).Draw(t, "price in"), Output: rapid.Int64Range(0, 200*dollar).Draw(t, "price out")},
			Bound: pricing.Bound{Input: tokens.Draw(t, "most in"), Output: tokens.Draw(t, "most out")},
			Input: tokens.Draw(t, "in"), Output: tokens.Draw(t, "out"), Reasoning: rapid.Bool().Draw(t, "reasoning"),
		}
	})
}

// The answer is cut to what the hold pays for, not below what is useful, and no longer one fits.
func TestAffordableIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := ask().Draw(t, "ask")
		n, err := a.Need()
		if err != nil {
			t.Fatal(err)
		}
		have := rapid.Int64Range(0, 60*dollar).Draw(t, "have")
		out := a.Affordable(have)
		cost := func(out int64) pricing.Nano {
			b := a.Bound
			b.Output = out
			worst, err := pricing.Worst(b, a.Price)
			if err != nil {
				t.Fatal(err)
			}
			return worst
		}
		if out >= 0 && cost(out) > have {
			t.Fatalf("%d tokens cost %d of %d", out, cost(out), have)
		}
		if out < a.Bound.Output && cost(out+1) <= have {
			t.Fatalf("%d tokens are affordable, not only %d", out+1, out)
		}
		if v := Hold(have, 0, n); v.Mode.Admits() && v.Mode != Adaptive && out < a.Useful() {
			t.Fatalf("%+v is admitted with %d tokens", v, out)
		}
	})
}

func TestNeed(t *testing.T) {
	price := pricing.Price{Input: 1_000_000, Output: 2_000_000} // 1 and 2 nano a token
	for name, c := range map[string]struct {
		ask  Ask
		want Need
		err  error
	}{
		"usual":               {Ask{Price: price, Bound: pricing.Bound{Input: 100, Output: 10_000}, Input: 30, Output: 500}, Need{Worst: 20_100, Estimate: 1030, Floor: 612}, nil},
		"reasoning":           {Ask{Price: price, Bound: pricing.Bound{Input: 100, Output: 10_000}, Input: 30, Output: 500, Reasoning: true}, Need{Worst: 20_100, Estimate: 8292, Floor: 8292}, nil},
		"short by itself":     {Ask{Price: price, Bound: pricing.Bound{Input: 10, Output: 5}, Input: 99, Output: 99}, Need{Worst: 20, Estimate: 20, Floor: 20}, nil},
		"sized":               {Ask{Price: price, Bound: pricing.Bound{Input: 9000, Output: 10_000}, Input: 30, Output: 500, Sized: true}, Need{Worst: 29_000, Estimate: 1030, Floor: 9512}, nil},
		"sized, short":        {Ask{Price: price, Bound: pricing.Bound{Input: 9000, Output: 10_000}, Input: 30, Output: 5, Sized: true}, Need{Worst: 29_000, Estimate: 542, Floor: 9512}, nil},
		"said what is of use": {Ask{Price: price, Bound: pricing.Bound{Input: 100, Output: 10_000}, Output: 500, Reasoning: true, Least: 50}, Need{Worst: 20_100, Estimate: 1000, Floor: 200}, nil},
		"strict":              {Ask{Price: price, Strict: true}, Need{Strict: true}, nil},
		"unstoppable":         {Ask{Price: price, Unstoppable: true}, Need{Unstoppable: true}, nil},
		"nothing can pay it":  {Ask{Price: pricing.Price{Output: math.MaxInt64}, Bound: pricing.Bound{Output: math.MaxInt64}}, Need{}, pricing.ErrOverflow},
		"searches at worst":   {Ask{Price: pricing.Price{Search: ptr(1_000_000)}, Bound: pricing.Bound{Searches: 10}, Searches: 1}, Need{Worst: 10, Estimate: 10, Floor: 10}, nil},
		"a negative estimate": {Ask{Price: price, Bound: pricing.Bound{Output: 300}, Input: -1}, Need{}, pricing.ErrNegative},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.ask.Need()
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("Need = %+v, %v; want %+v, %v", got, err, c.want, c.err)
			}
		})
	}
}

func ptr(n pricing.Nano) *pricing.Nano { return &n }

func TestHealthy(t *testing.T) {
	for name, c := range map[string]struct {
		need Need
		want pricing.Nano
	}{
		"small":       {Need{Worst: dollar}, 5 * dollar},
		"large":       {Need{Worst: 2 * dollar}, 8 * dollar},
		"unstoppable": {Need{Worst: dollar, Unstoppable: true}, 0},
		"absurd":      {Need{Worst: math.MaxInt64 / 2}, 0},
	} {
		if got := c.need.Healthy(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestSlice(t *testing.T) {
	a := Ask{Bound: pricing.Bound{Output: 3000}}
	held, slices := int64(0), 0
	for more := a.Slice(held); more > 0; more = a.Slice(held) {
		held += more
		slices++
	}
	if held != 3000 || slices != 3 || a.Slice(4000) != 0 {
		t.Errorf("%d slices of %d tokens, then %d", slices, held, a.Slice(4000))
	}
}
