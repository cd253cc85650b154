package pricing

import (
	"fmt"
	"math/big"
	"strings"
)

const (
	// maxRatio bounds a markup, ratioPlaces the places of its decimal.
	maxRatio    = 1000
	ratioPlaces = 9
)

// Ratio is an exact fraction, Num/Den, such as a markup; the zero Ratio is 1. Num is at most 1000 times Den, Den a power of ten
// up to 10^9.
type Ratio struct {
	Num int64 `json:"num"`
	Den int64 `json:"den"`
}

// ParseRatio reads a decimal string from 0 to 1000 with at most nine places. It is exact, or an error: ErrSyntax, ErrPrecision,
// ErrOverflow.
func ParseRatio(s string) (Ratio, error) {
	whole, places, point := strings.Cut(s, ".")
	if len(s) > maxDecimal || whole == "" || (point && places == "") || strings.Trim(whole+places, "0123456789") != "" {
		return Ratio{}, fmt.Errorf("reading %.40q: %w", s, ErrSyntax)
	}
	places = strings.TrimRight(places, "0")
	if len(places) > ratioPlaces {
		return Ratio{}, fmt.Errorf("reading %q: more than %d places: %w", s, ratioPlaces, ErrPrecision)
	}
	num, _ := new(big.Int).SetString(whole+places, 10) // they are digits
	den := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(places))), nil)
	if num.Cmp(new(big.Int).Mul(den, big.NewInt(maxRatio))) > 0 {
		return Ratio{}, fmt.Errorf("reading %q: more than %d: %w", s, maxRatio, ErrOverflow)
	}
	return Ratio{Num: num.Int64(), Den: den.Int64()}, nil
}

// String writes the ratio as ParseRatio reads it, as the shortest exact decimal; empty for 1.
func (r Ratio) String() string {
	if r.Num == r.Den {
		return ""
	}
	if r.Den <= 0 || nanoPerUSD%r.Den != 0 {
		return fmt.Sprintf("%d/%d", r.Num, r.Den) // no Ratio of ParseRatio, and refused by Cost
	}
	return decimal(new(big.Int).Mul(big.NewInt(r.Num), big.NewInt(nanoPerUSD/r.Den)))
}

// parts are the fraction's, once it is sure that it is one: ErrNegative or ErrOverflow where it is not.
func (r Ratio) parts() (num, den uint64, err error) {
	switch {
	case r == Ratio{}:
		return 1, 1, nil
	case r.Num < 0 || r.Den <= 0:
		return 0, 0, fmt.Errorf("markup %d/%d: %w", r.Num, r.Den, ErrNegative)
	case r.Den > nanoPerUSD || nanoPerUSD%r.Den != 0 || r.Num > maxRatio*r.Den:
		return 0, 0, fmt.Errorf("markup %d/%d: %w", r.Num, r.Den, ErrOverflow)
	}
	return uint64(r.Num), uint64(r.Den), nil
}
