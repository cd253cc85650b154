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

func line(kind string, quantity, unit, amount int64) pricing.Line {
	return pricing.Line{Kind: kind, Quantity: quantity, UnitPrice: unit, Amount: amount}
}

func nano(n int64) *pricing.Nano { return &n }

func TestCost(t *testing.T) {
	gpt := pricing.Price{Input: 2_500_000_000, CacheRead: nano(1_250_000_000), Output: 10_000_000_000}
	for name, c := range map[string]struct {
		usage pricing.Usage
		price pricing.Price
		want  pricing.Nano
		lines []pricing.Line
		err   error
	}{
		"nothing used":           {price: gpt, lines: []pricing.Line{}},
		"hello":                  {pricing.Usage{Input: 8, Output: 9}, gpt, 110_000, []pricing.Line{line("input", 8, 2_500_000_000, 20_000), line("output", 9, 10_000_000_000, 90_000)}, nil},
		"cached":                 {pricing.Usage{Input: 1, CacheRead: 3}, gpt, 6_250, []pricing.Line{line("input", 1, 2_500_000_000, 2_500), line("cache_read", 3, 1_250_000_000, 3_750)}, nil},
		"unpriced cache write":   {pricing.Usage{CacheWrite: 2}, gpt, 5_000, []pricing.Line{line("cache_write", 2, 2_500_000_000, 5_000)}, nil},
		"free cache read":        {pricing.Usage{CacheRead: 2}, pricing.Price{Input: 5, CacheRead: nano(0)}, 0, []pricing.Line{line("cache_read", 2, 0, 0)}, nil},
		"rounded up once":        {pricing.Usage{Input: 1, Output: 1}, pricing.Price{Input: 1, Output: 1}, 1, []pricing.Line{line("input", 1, 1, 0), line("output", 1, 1, 0)}, nil},
		"exact is not rounded":   {pricing.Usage{Input: 1_000_000}, pricing.Price{Input: 7}, 7, []pricing.Line{line("input", 1_000_000, 7, 7)}, nil},
		"reasoning is in output": {pricing.Usage{Output: 10, Reasoning: 9}, pricing.Price{Output: 1_000_000}, 10, []pricing.Line{line("output", 10, 1_000_000, 10)}, nil},
		"128 bits":               {pricing.Usage{Input: math.MaxInt64}, pricing.Price{Input: 1_000_000}, math.MaxInt64, []pricing.Line{line("input", math.MaxInt64, 1_000_000, math.MaxInt64)}, nil},
		"a line overflows":       {pricing.Usage{Input: math.MaxInt64}, pricing.Price{Input: 1_000_001}, 0, nil, pricing.ErrOverflow},
		"the sum overflows":      {pricing.Usage{Input: math.MaxInt64, Output: 1}, pricing.Price{Input: 1_000_000, Output: 1}, 0, nil, pricing.ErrOverflow},
		"everything overflows":   {pricing.Usage{Input: math.MaxInt64, CacheRead: math.MaxInt64, CacheWrite: math.MaxInt64, Output: math.MaxInt64}, pricing.Price{Input: math.MaxInt64, Output: math.MaxInt64}, 0, nil, pricing.ErrOverflow},
		"negative quantity":      {pricing.Usage{Input: -1}, gpt, 0, nil, pricing.ErrNegative},
		"negative price":         {pricing.Usage{Output: 1}, pricing.Price{Output: -1}, 0, nil, pricing.ErrNegative},
	} {
		t.Run(name, func(t *testing.T) {
			got, lines, err := pricing.Cost(c.usage, c.price)
			if !errors.Is(err, c.err) || got != c.want {
				t.Fatalf("Cost = %d, %v; want %d, %v", got, err, c.want, c.err)
			}
			if diff := cmp.Diff(c.lines, lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWorst(t *testing.T) {
	price := pricing.Price{Input: 3, CacheRead: nano(1), CacheWrite: nano(4), Output: 15}
	if got, err := pricing.Worst(pricing.Bound{Input: 1_000_000, Output: 2_000_000}, price); got != 34 || err != nil {
		t.Errorf("Worst = %d, %v; want 34", got, err)
	}
	if _, err := pricing.Worst(pricing.Bound{Input: -1}, price); !errors.Is(err, pricing.ErrNegative) {
		t.Errorf("negative tokens: %v", err)
	}
	if _, err := pricing.Worst(pricing.Bound{Input: math.MaxInt64, Output: 0}, pricing.Price{Input: math.MaxInt64}); !errors.Is(err, pricing.ErrOverflow) {
		t.Errorf("overflow: %v", err)
	}
}

// quantities and prices of the size that occurs, and now and then far beyond.
func quantity() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, 2_000_000), rapid.Int64Range(0, 1<<40))
}

func price() *rapid.Generator[pricing.Price] {
	amount := rapid.OneOf(rapid.Int64Range(0, 10), rapid.Int64Range(0, 100_000_000_000))
	return rapid.Custom(func(t *rapid.T) pricing.Price {
		return pricing.Price{
			Input: amount.Draw(t, "input"), Output: amount.Draw(t, "output"),
			CacheRead: rapid.Ptr(amount, true).Draw(t, "cacheRead"), CacheWrite: rapid.Ptr(amount, true).Draw(t, "cacheWrite"),
		}
	})
}

func usage() *rapid.Generator[pricing.Usage] {
	return rapid.Custom(func(t *rapid.T) pricing.Usage {
		return pricing.Usage{
			Input: quantity().Draw(t, "input"), CacheRead: quantity().Draw(t, "cacheRead"),
			CacheWrite: quantity().Draw(t, "cacheWrite"), Output: quantity().Draw(t, "output"),
		}
	})
}

// cost is Cost, or the end of this case where it overflows.
func cost(t *rapid.T, u pricing.Usage, p pricing.Price) (pricing.Nano, []pricing.Line) {
	total, lines, err := pricing.Cost(u, p)
	if errors.Is(err, pricing.ErrOverflow) {
		t.Skip("too large")
	}
	if err != nil {
		t.Fatal(err)
	}
	return total, lines
}

func TestCostIsTheExactSumRoundedUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, lines := cost(t, usage().Draw(t, "usage"), price().Draw(t, "price"))
		exact := new(big.Int)
		for _, l := range lines {
			product := new(big.Int).Mul(big.NewInt(l.Quantity), big.NewInt(l.UnitPrice))
			exact.Add(exact, product)
			if floor := product.Div(product, big.NewInt(1_000_000)); floor.Int64() != l.Amount {
				t.Fatalf("line %+v: amount should be %v", l, floor)
			}
		}
		over := new(big.Int).Sub(new(big.Int).Mul(big.NewInt(total), big.NewInt(1_000_000)), exact)
		if over.Sign() < 0 || over.Cmp(big.NewInt(1_000_000)) >= 0 {
			t.Fatalf("%d is %v millionths of a nano above the lines %+v", total, over, lines)
		}
	})
}

func TestCostIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, less := price().Draw(t, "price"), usage().Draw(t, "usage")
		more := less
		field := rapid.SampledFrom([]*int64{&more.Input, &more.CacheRead, &more.CacheWrite, &more.Output}).Draw(t, "field")
		*field += quantity().Draw(t, "more")
		a, _ := cost(t, less, p)
		b, _ := cost(t, more, p)
		if b < a {
			t.Fatalf("%+v costs %d, %+v only %d", less, a, more, b)
		}
	})
}

func TestWorstBoundsCost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, u := price().Draw(t, "price"), usage().Draw(t, "usage")
		spare := rapid.Int64Range(0, 5)
		in := u.Input + u.CacheRead + u.CacheWrite + spare.Draw(t, "spare input")
		worst, err := pricing.Worst(pricing.Bound{Input: in, Output: u.Output + spare.Draw(t, "spare output")}, p)
		if errors.Is(err, pricing.ErrOverflow) {
			t.Skip("too large")
		}
		if err != nil {
			t.Fatal(err)
		}
		if real, _ := cost(t, u, p); real > worst {
			t.Fatalf("%+v costs %d, worst case %d", u, real, worst)
		}
	})
}
