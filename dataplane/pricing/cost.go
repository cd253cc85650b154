package pricing

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// perMillion is the number of units that a price is for.
const perMillion = 1_000_000

// Errors of Cost and Worst.
var (
	// ErrNegative: a quantity or a price is below zero.
	ErrNegative = errors.New("negative quantity or price")
	// ErrOverflow: the amount does not fit into int64 nano-USD.
	ErrOverflow = errors.New("amount too large")
)

// Cost is what usage costs at a price: the sum of quantity times unit price over the lines, times the markup, divided by a
// million and rounded upwards once. All of it is at the step that the input reaches. Classes with quantity zero have no
// line. It is exact or ErrOverflow or ErrNegative.
func Cost(u Usage, p Price) (Nano, []Line, error) {
	input, err := u.allInput()
	if err != nil {
		return 0, nil, err
	}
	p = p.at(input)
	markup := p.Markup.String()
	lines := make([]Line, 0, 6)
	for _, l := range [...]Line{
		{Kind: "input", Quantity: u.Input, UnitPrice: p.Input},
		{Kind: "cache_read", Quantity: u.CacheRead, UnitPrice: orInput(p.CacheRead, p)},
		{Kind: "cache_write", Quantity: u.CacheWrite, UnitPrice: orInput(p.CacheWrite, p)},
		{Kind: "cache_write_1h", Quantity: u.CacheWrite1h, UnitPrice: longWrite(p)},
		{Kind: "output", Quantity: u.Output, UnitPrice: p.Output},
		{Kind: "search", Quantity: u.Searches, UnitPrice: search(p)},
	} {
		if l.Quantity == 0 {
			continue
		}
		l.Markup = markup
		lines = append(lines, l)
	}
	total, err := total(lines, p.Markup)
	if err != nil {
		return 0, nil, err
	}
	return total, lines, nil
}

// LinesTotal is what a bill's lines come to, by their quantities, unit prices and markup: what Cost said when it made them. Their
// amounts are not looked at. Errors are those of Cost, and ErrSyntax and ErrPrecision for a markup that is none or not the
// same in all lines.
func LinesTotal(lines []Line) (Nano, error) {
	if len(lines) == 0 {
		return 0, nil
	}
	var markup Ratio
	if text := lines[0].Markup; text != "" {
		var err error
		if markup, err = ParseRatio(text); err != nil {
			return 0, err
		}
	}
	for _, l := range lines {
		if l.Markup != lines[0].Markup {
			return 0, fmt.Errorf("markups %q and %q in one bill: %w", lines[0].Markup, l.Markup, ErrSyntax)
		}
	}
	return total(append([]Line(nil), lines...), markup)
}

// allInput is the input tokens of all classes, which a step counts.
func (u Usage) allInput() (int64, error) {
	sum := int64(0)
	for _, n := range [...]int64{u.Input, u.CacheRead, u.CacheWrite, u.CacheWrite1h} {
		if n < 0 {
			return 0, fmt.Errorf("%d input tokens: %w", n, ErrNegative)
		}
		if sum > math.MaxInt64-n {
			return math.MaxInt64, nil // above every step all the same
		}
		sum += n
	}
	return sum, nil
}

// Worst is an upper bound of Cost over every usage within a bound, whatever the classes of its input tokens, and whichever
// step it reaches.
func Worst(b Bound, p Price) (Nano, error) {
	base := p
	base.Steps = nil
	worst, err := flatWorst(b, base)
	for i := range p.Steps {
		if err != nil || b.Input <= p.Steps[i].Above {
			break
		}
		var dearer Nano
		dearer, err = flatWorst(b, p.step(i))
		worst = max(worst, dearer)
	}
	if err != nil {
		return 0, err
	}
	return worst, nil
}

// flatWorst is Worst at a price without steps.
func flatWorst(b Bound, p Price) (Nano, error) {
	dearest := max(p.Input, orInput(p.CacheRead, p), orInput(p.CacheWrite, p))
	if b.LongCache {
		dearest = max(dearest, longWrite(p))
	}
	cost, _, err := Cost(Usage{Input: b.Input, Output: b.Output, Searches: b.Searches}, Price{Input: dearest, Output: p.Output, Search: p.Search, Markup: p.Markup})
	return cost, err
}

// longWrite is the price of writing to a cache that is kept for an hour.
func longWrite(p Price) Nano {
	if p.CacheWrite1h == nil {
		return orInput(p.CacheWrite, p)
	}
	return *p.CacheWrite1h
}

func search(p Price) Nano {
	if p.Search == nil {
		return 0
	}
	return *p.Search
}

// orInput is an optional price, or the input price where it is not set.
func orInput(optional *Nano, p Price) Nano {
	if optional == nil {
		return p.Input
	}
	return *optional
}

// total fills in the lines' amounts and rounds their exact sum upwards, once.
func total(lines []Line, markup Ratio) (Nano, error) {
	num, den, err := markup.parts()
	if err != nil {
		return 0, err
	}
	var sum wide
	for i := range lines {
		l := &lines[i]
		if l.Quantity < 0 || l.UnitPrice < 0 {
			return 0, fmt.Errorf("pricing %d units of %s at %d: %w", l.Quantity, l.Kind, l.UnitPrice, ErrNegative)
		}
		product := wide{}.plus(bits.Mul64(uint64(l.Quantity), uint64(l.UnitPrice)))
		amount, _, err := product.times(num).over(perMillion * den)
		if err != nil {
			return 0, err
		}
		l.Amount = amount
		sum = sum.plus(product[1], product[2])
	}
	cost, rest, err := sum.times(num).over(perMillion * den)
	if err != nil {
		return 0, err
	}
	if rest == 0 {
		return cost, nil
	}
	if cost == math.MaxInt64 {
		return 0, ErrOverflow
	}
	return cost + 1, nil
}

// wide is a number of 192 bits, the highest word first. A product of two int64 is below 2^126, so six of them are below 2^129;
// times a markup, which is below 2^40, they are below 2^169: nothing here is ever carried out of it.
type wide [3]uint64

// plus adds a number of 128 bits.
func (w wide) plus(hi, lo uint64) wide {
	var carry uint64
	w[2], carry = bits.Add64(w[2], lo, 0)
	w[1], carry = bits.Add64(w[1], hi, carry)
	w[0] += carry
	return w
}

// times multiplies by less than 2^40.
func (w wide) times(n uint64) wide {
	hi2, lo2 := bits.Mul64(w[2], n)
	hi1, lo1 := bits.Mul64(w[1], n)
	mid, carry := bits.Add64(lo1, hi2, 0)
	return wide{w[0]*n + hi1 + carry, mid, lo2}
}

// over divides, and answers the rest, too; ErrOverflow where the quotient is no int64.
func (w wide) over(divisor uint64) (Nano, uint64, error) {
	if w[0] != 0 || w[1] >= divisor {
		return 0, 0, ErrOverflow
	}
	quotient, rest := bits.Div64(w[1], w[2], divisor)
	if quotient > math.MaxInt64 {
		return 0, 0, ErrOverflow
	}
	return Nano(quotient), rest, nil
}
