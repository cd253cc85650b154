package pricing_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// gemini has the shape of a real price with a step; a unit is a nano a token.
func gemini() pricing.Price {
	return pricing.Price{
		Input: 2_000_000, Output: 12_000_000, CacheRead: nano(500_000), Search: nano(7_000_000),
		Steps: []pricing.Step{{Above: 200, Input: 4_000_000, Output: 18_000_000, CacheRead: nano(1_000_000)}, {Above: 1000, Input: 9_000_000, Output: 20_000_000}},
	}
}

func TestSteps(t *testing.T) {
	for name, c := range map[string]struct {
		usage pricing.Usage
		want  pricing.Nano
	}{
		"below":                      {pricing.Usage{Input: 100, Output: 10}, 320},
		"at the threshold":           {pricing.Usage{Input: 200, Output: 10}, 520},
		"above it, all of it":        {pricing.Usage{Input: 201, Output: 10}, 984},
		"cached input counts":        {pricing.Usage{Input: 1, CacheRead: 200}, 204},
		"written input counts":       {pricing.Usage{Input: 1, CacheWrite: 100, CacheWrite1h: 100}, 804},
		"output does not count":      {pricing.Usage{Input: 1, Output: 500}, 6002},
		"the second step":            {pricing.Usage{Input: 1001, Output: 1}, 9029},
		"no fall back on the first":  {pricing.Usage{CacheRead: 1001}, 9009},
		"searches have one price":    {pricing.Usage{Input: 201, Searches: 1}, 811},
		"more input than can be":     {pricing.Usage{CacheRead: 1, CacheWrite: 1, Input: 1}, 4 + 1},
		"nothing used, nothing paid": {pricing.Usage{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got, lines, err := pricing.Cost(c.usage, gemini()); got != c.want || err != nil {
				t.Errorf("Cost = %d, %v; want %d\n%+v", got, err, c.want, lines)
			}
		})
	}
	huge := pricing.Usage{Input: math.MaxInt64, CacheRead: math.MaxInt64}
	free := pricing.Price{Steps: []pricing.Step{{Above: math.MaxInt64 - 1, Input: 1}}}
	if got, _, err := pricing.Cost(huge, free); got == 0 || err != nil {
		t.Errorf("more input than an int64 is not above every step: %d, %v", got, err)
	}
}

func TestMarkup(t *testing.T) {
	price := pricing.Price{Input: 1, Output: 1, Markup: pricing.Ratio{Num: 12, Den: 10}}
	got, lines, err := pricing.Cost(pricing.Usage{Input: 1_000_000, Output: 1_500_000}, price)
	want := []pricing.Line{
		{Kind: "input", Quantity: 1_000_000, UnitPrice: 1, Amount: 1, Markup: "1.2"},
		{Kind: "output", Quantity: 1_500_000, UnitPrice: 1, Amount: 1, Markup: "1.2"},
	}
	if diff := cmp.Diff(want, lines); got != 3 || err != nil || diff != "" {
		t.Errorf("2.5 nano marked up by a fifth are %d, %v\n%s", got, err, diff)
	}
	price.Markup = pricing.Ratio{Num: 10, Den: 10}
	if _, lines, _ := pricing.Cost(pricing.Usage{Input: 1}, price); lines[0].Markup != "" {
		t.Errorf("a markup of 1 is told: %+v", lines)
	}
	price.Markup = pricing.Ratio{Num: 1000, Den: 1}
	if got, _, err := pricing.Cost(pricing.Usage{Input: math.MaxInt64, CacheRead: math.MaxInt64, Output: math.MaxInt64}, pricing.Price{Input: 600, Output: 1, Markup: price.Markup}); !errors.Is(err, pricing.ErrOverflow) {
		t.Errorf("%d, %v", got, err)
	}
}

// stepped is a price with up to three steps, in any order of dearness, and a markup.
func stepped() *rapid.Generator[pricing.Price] {
	return rapid.Custom(func(t *rapid.T) pricing.Price {
		p := price().Draw(t, "base")
		p.Markup = ratio().Draw(t, "markup")
		above := int64(0)
		for range rapid.IntRange(0, 3).Draw(t, "steps") {
			above += rapid.Int64Range(1, 1_000_000).Draw(t, "above")
			s := price().Draw(t, "step")
			p.Steps = append(p.Steps, pricing.Step{Above: above, Input: s.Input, Output: s.Output, CacheRead: s.CacheRead, CacheWrite: s.CacheWrite})
		}
		return p
	})
}

// One rounding, of the exact sum times the exact markup; the lines say all that is needed to compute it again.
func TestCostOfStepsAndMarkupIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := stepped().Draw(t, "price")
		got, lines := cost(t, usage().Draw(t, "usage"), p)
		exact := new(big.Rat)
		for _, l := range lines {
			exact.Add(exact, new(big.Rat).SetInt(new(big.Int).Mul(big.NewInt(l.Quantity), big.NewInt(l.UnitPrice))))
		}
		exact.Mul(exact, big.NewRat(p.Markup.Num, p.Markup.Den*1_000_000))
		over := new(big.Rat).Sub(new(big.Rat).SetInt64(got), exact)
		if over.Sign() < 0 || over.Cmp(big.NewRat(1, 1)) >= 0 {
			t.Fatalf("%d is %s above the exact amount", got, over.FloatString(3))
		}
		for i := range lines {
			lines[i].Amount = -1
		}
		if again, err := pricing.LinesTotal(lines); again != got || err != nil {
			t.Fatalf("the bill says %d, its lines %d, %v", got, again, err)
		}
	})
}

func TestWorstBoundsCostInEveryStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, u := stepped().Draw(t, "price"), usage().Draw(t, "usage")
		spare := rapid.Int64Range(0, 1_000_000)
		b := pricing.Bound{Input: u.Input + u.CacheRead + u.CacheWrite + spare.Draw(t, "spare"), Output: u.Output}
		worst, err := pricing.Worst(b, p)
		if errors.Is(err, pricing.ErrOverflow) {
			t.Skip("too large")
		}
		if err != nil {
			t.Fatal(err)
		}
		if real, _ := cost(t, u, p); real > worst {
			t.Fatalf("%+v costs %d, worst case %d", u, real, worst)
		}
		b.Output++
		if more, err := pricing.Worst(b, p); err == nil && more < worst {
			t.Fatalf("a token more costs %d instead of %d", more, worst)
		}
	})
}

// A step that the bound does not reach is not held for.
func TestWorstLeavesOutWhatCannotBeReached(t *testing.T) {
	for input, want := range map[int64]pricing.Nano{200: 400 + 12, 201: 804 + 18, 1000: 4000 + 18, 1001: 9009 + 20} {
		if got, err := pricing.Worst(pricing.Bound{Input: input, Output: 1}, gemini()); got != want || err != nil {
			t.Errorf("Worst of %d = %d, %v; want %d", input, got, err, want)
		}
	}
	cheaper := pricing.Price{Input: 5_000_000, Steps: []pricing.Step{{Above: 100, Input: 1_000_000}}}
	if got, err := pricing.Worst(pricing.Bound{Input: 101}, cheaper); got < 500 || err != nil {
		t.Errorf("where more is cheaper: %d, %v", got, err)
	}
	broken := pricing.Price{Steps: []pricing.Step{{Above: 1, Output: -1}}}
	if _, err := pricing.Worst(pricing.Bound{Input: 2, Output: 1}, broken); !errors.Is(err, pricing.ErrNegative) {
		t.Errorf("a negative step: %v", err)
	}
}

func TestLinesTotal(t *testing.T) {
	for name, c := range map[string]struct {
		lines []pricing.Line
		want  pricing.Nano
		err   error
	}{
		"nothing":            {nil, 0, nil},
		"rounded once":       {[]pricing.Line{{Quantity: 1, UnitPrice: 1}, {Quantity: 1, UnitPrice: 1}}, 1, nil},
		"amounts are unread": {[]pricing.Line{{Quantity: 1_000_000, UnitPrice: 4, Amount: 77}}, 4, nil},
		"two markups":        {[]pricing.Line{{Markup: "1.1"}, {Markup: "1.2"}}, 0, pricing.ErrSyntax},
		"one has none":       {[]pricing.Line{{Markup: "1.1"}, {}}, 0, pricing.ErrSyntax},
		"no markup":          {[]pricing.Line{{Markup: "x"}}, 0, pricing.ErrSyntax},
		"negative":           {[]pricing.Line{{Quantity: -1, UnitPrice: 1}}, 0, pricing.ErrNegative},
		"too much":           {[]pricing.Line{{Quantity: math.MaxInt64, UnitPrice: math.MaxInt64}}, 0, pricing.ErrOverflow},
	} {
		if got, err := pricing.LinesTotal(c.lines); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v; want %d, %v", name, got, err, c.want, c.err)
		}
	}
}
