package pricing_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/pricing"
)

func TestParseRatio(t *testing.T) {
	for text, c := range map[string]struct {
		want pricing.Ratio
		back string
		err  error
	}{
		"1":            {pricing.Ratio{Num: 1, Den: 1}, "", nil},
		"1.000":        {pricing.Ratio{Num: 1, Den: 1}, "", nil},
		"1.2":          {pricing.Ratio{Num: 12, Den: 10}, "1.2", nil},
		"01.20":        {pricing.Ratio{Num: 12, Den: 10}, "1.2", nil},
		"0":            {pricing.Ratio{Num: 0, Den: 1}, "0", nil},
		"0.000000001":  {pricing.Ratio{Num: 1, Den: 1_000_000_000}, "0.000000001", nil},
		"1000":         {pricing.Ratio{Num: 1000, Den: 1}, "1000", nil},
		"1000.1":       {err: pricing.ErrOverflow},
		"0.0000000001": {err: pricing.ErrPrecision},
		"":             {err: pricing.ErrSyntax},
		".5":           {err: pricing.ErrSyntax},
		"5.":           {err: pricing.ErrSyntax},
		"-1":           {err: pricing.ErrSyntax},
		"1e2":          {err: pricing.ErrSyntax},
		"1.2.3":        {err: pricing.ErrSyntax},
		"11111111111111111111111111111111111111111": {err: pricing.ErrSyntax},
	} {
		got, err := pricing.ParseRatio(text)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("ParseRatio(%q) = %+v, %v; want %+v, %v", text, got, err, c.want, c.err)
		}
		if err == nil && got.String() != c.back {
			t.Errorf("%q is written as %q", text, got.String())
		}
	}
}

func ratio() *rapid.Generator[pricing.Ratio] {
	return rapid.Custom(func(t *rapid.T) pricing.Ratio {
		den := int64(math.Pow10(rapid.IntRange(0, 9).Draw(t, "places")))
		return pricing.Ratio{Num: rapid.OneOf(rapid.Int64Range(0, 2*den), rapid.Int64Range(0, 1000*den)).Draw(t, "num"), Den: den}
	})
}

func TestRatioIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ratio().Draw(t, "ratio")
		text := r.String()
		if text == "" {
			text = "1"
		}
		back, err := pricing.ParseRatio(text)
		if err != nil || back.Num*(r.Den/back.Den) != r.Num {
			t.Fatalf("%+v is written %q and read %+v, %v", r, text, back, err)
		}
	})
}

func TestMarkupsThatAreNone(t *testing.T) {
	for _, c := range []struct {
		markup pricing.Ratio
		err    error
	}{
		{pricing.Ratio{Num: 1}, pricing.ErrNegative},
		{pricing.Ratio{Num: -1, Den: 10}, pricing.ErrNegative},
		{pricing.Ratio{Num: 1, Den: -10}, pricing.ErrNegative},
		{pricing.Ratio{Num: 1, Den: 3}, pricing.ErrOverflow},
		{pricing.Ratio{Num: 1001, Den: 1}, pricing.ErrOverflow},
		{pricing.Ratio{Num: 1, Den: 10_000_000_000}, pricing.ErrOverflow},
	} {
		if _, _, err := pricing.Cost(pricing.Usage{Input: 1}, pricing.Price{Input: 1, Markup: c.markup}); !errors.Is(err, c.err) {
			t.Errorf("%+v (%s): %v, want %v", c.markup, c.markup, err, c.err)
		}
	}
}
