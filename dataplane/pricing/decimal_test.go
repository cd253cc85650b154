package pricing_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/pricing"
)

func TestParseUSDPerMillion(t *testing.T) {
	for in, want := range map[string]struct {
		nano pricing.Nano
		err  error
	}{
		"0":                     {0, nil},
		"2.50":                  {2_500_000_000, nil},
		"0.075":                 {75_000_000, nil},
		"0.000000001":           {1, nil},
		"00012":                 {12_000_000_000, nil},
		"9223372036.854775807":  {math.MaxInt64, nil},
		"9223372036.854775808":  {0, pricing.ErrOverflow},
		"99999999999999999999":  {0, pricing.ErrOverflow},
		"0.0000000001":          {0, pricing.ErrPrecision},
		"0.0000000000":          {0, pricing.ErrPrecision},
		"":                      {0, pricing.ErrSyntax},
		".":                     {0, pricing.ErrSyntax},
		".5":                    {0, pricing.ErrSyntax},
		"5.":                    {0, pricing.ErrSyntax},
		"-1":                    {0, pricing.ErrSyntax},
		"+1":                    {0, pricing.ErrSyntax},
		"1e3":                   {0, pricing.ErrSyntax},
		"1.2.3":                 {0, pricing.ErrSyntax},
		"1,5":                   {0, pricing.ErrSyntax},
		" 1":                    {0, pricing.ErrSyntax},
		"1_000":                 {0, pricing.ErrSyntax},
		"٣":                     {0, pricing.ErrSyntax},
		strings.Repeat("0", 41): {0, pricing.ErrSyntax},
	} {
		if got, err := pricing.ParseUSDPerMillion(in); got != want.nano || !errors.Is(err, want.err) {
			t.Errorf("ParseUSDPerMillion(%q) = %d, %v; want %d, %v", in, got, err, want.nano, want.err)
		}
	}
}

func TestParseCredits(t *testing.T) {
	for _, c := range []struct {
		in        string
		perDollar int64
		want      pricing.Nano
		err       error
	}{
		{"100", 100, 1_000_000_000, nil},
		{"0.0000001", 100, 1, nil},
		{"0.00000001", 100, 0, pricing.ErrPrecision},
		{"3", 3, 1_000_000_000, nil},
		{"1", 3, 0, pricing.ErrPrecision},
		{"0.000000000000", 3, 0, nil},
		{"1", 1_000_000, 1_000, nil},
		{"-1", 100, 0, pricing.ErrSyntax},
		{"9223372036854775808", 100, 0, pricing.ErrOverflow},
	} {
		if got, err := pricing.ParseCredits(c.in, c.perDollar); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("ParseCredits(%q, %d) = %d, %v; want %d, %v", c.in, c.perDollar, got, err, c.want, c.err)
		}
	}
	for _, perDollar := range []int64{0, -1} {
		if _, err := pricing.ParseCredits("1", perDollar); err == nil {
			t.Errorf("%d credits per dollar were taken", perDollar)
		}
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[pricing.Nano]struct{ usd, credits string }{
		0:              {"0", "0"},
		1:              {"0.000000001", "0.0000001"},
		-1:             {"-0.000000001", "-0.0000001"},
		110_000:        {"0.00011", "0.011"},
		1_000_000_000:  {"1", "100"},
		-2_500_000_000: {"-2.5", "-250"},
		math.MaxInt64:  {"9223372036.854775807", "922337203685.4775807"},
		math.MinInt64:  {"-9223372036.854775808", "-922337203685.4775808"},
	} {
		if got := pricing.FormatUSD(n); got != want.usd {
			t.Errorf("FormatUSD(%d) = %s, want %s", n, got, want.usd)
		}
		if got := pricing.FormatCredits(n, 100); got != want.credits {
			t.Errorf("FormatCredits(%d, 100) = %s, want %s", n, got, want.credits)
		}
	}
}

func TestFormattedIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, perDollar := rapid.Int64Min(0).Draw(t, "nano"), rapid.Int64Range(1, 1_000_000_000).Draw(t, "perDollar")
		if got, err := pricing.ParseUSDPerMillion(pricing.FormatUSD(n)); got != n || err != nil {
			t.Fatalf("USD: %d, %v", got, err)
		}
		if got, err := pricing.ParseCredits(pricing.FormatCredits(n, perDollar), perDollar); got != n || err != nil {
			t.Fatalf("credits: %d, %v", got, err)
		}
	})
}

func TestFormatUSDIsAnExactJSONNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "nano")
		var number json.Number
		if err := json.Unmarshal([]byte(pricing.FormatUSD(n)), &number); err != nil {
			t.Fatal(err)
		}
		if got, ok := new(big.Rat).SetString(number.String()); !ok || got.Cmp(big.NewRat(n, 1_000_000_000)) != 0 {
			t.Fatalf("%d nano is written %s", n, number)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "2.50", "9223372036.854775808", "1e3", ".5"} {
		f.Add(s, int64(100))
	}
	f.Fuzz(func(t *testing.T, s string, perDollar int64) {
		n, err := pricing.ParseCredits(s, perDollar)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(s)
		if !ok || n < 0 || want.Cmp(new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(n), big.NewInt(perDollar)), big.NewInt(1_000_000_000))) != 0 {
			t.Fatalf("%q at %d a dollar is read as %d", s, perDollar, n)
		}
	})
}
