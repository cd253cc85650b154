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

// Cost is what usage costs at a price: the sum of quantity times unit price over the lines, divided by a million and
// rounded upwards once. Classes with quantity zero have no line. Intermediates have 128 bits, so it is exact or
// ErrOverflow or ErrNegative.
func Cost(u Usage, p Price) (Nano, []Line, error) {
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
		if l.Quantity < 0 || l.UnitPrice < 0 {
			return 0, nil, fmt.Errorf("pricing %d units of %s at %d: %w", l.Quantity, l.Kind, l.UnitPrice, ErrNegative)
		}
		lines = append(lines, l)
	}
	total, err := total(lines)
	if err != nil {
		return 0, nil, err
	}
	return total, lines, nil
}

// Worst is an upper bound of Cost over every usage within a bound, whatever the classes of its input tokens.
func Worst(b Bound, p Price) (Nano, error) {
	dearest := max(p.Input, orInput(p.CacheRead, p), orInput(p.CacheWrite, p))
	if b.LongCache {
		dearest = max(dearest, longWrite(p))
	}
	cost, _, err := Cost(Usage{Input: b.Input, Output: b.Output, Searches: b.Searches}, Price{Input: dearest, Output: p.Output, Search: p.Search})
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

// total fills in the lines' amounts and rounds their exact sum upwards. Products of two int64 are below 2^126, so that
// four of them fit into 128 bits; of six the carry is looked at.
func total(lines []Line) (Nano, error) {
	var hi, lo uint64
	for i := range lines {
		l := &lines[i]
		h, m := bits.Mul64(uint64(l.Quantity), uint64(l.UnitPrice))
		amount, _, err := divide(h, m)
		if err != nil {
			return 0, err
		}
		l.Amount = amount
		var carry uint64
		lo, carry = bits.Add64(lo, m, 0)
		if hi, carry = bits.Add64(hi, h, carry); carry != 0 {
			return 0, ErrOverflow
		}
	}
	sum, rest, err := divide(hi, lo)
	if err != nil {
		return 0, err
	}
	if rest == 0 {
		return sum, nil
	}
	if sum == math.MaxInt64 {
		return 0, ErrOverflow
	}
	return sum + 1, nil
}

// divide is a 128-bit number divided by a million, and the rest.
func divide(hi, lo uint64) (Nano, uint64, error) {
	if hi >= perMillion {
		return 0, 0, ErrOverflow
	}
	quotient, rest := bits.Div64(hi, lo, perMillion)
	if quotient > math.MaxInt64 {
		return 0, 0, ErrOverflow
	}
	return Nano(quotient), rest, nil
}
