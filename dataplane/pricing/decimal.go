package pricing

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// nanoPerUSD is how many nano-USD a dollar has; nanoDigits is its number of zeros.
const (
	nanoPerUSD = 1_000_000_000
	nanoDigits = 9
	// maxDecimal bounds the length of a decimal that is read.
	maxDecimal = 40
)

// Errors of the parsers, beside ErrOverflow.
var (
	// ErrSyntax: not digits with at most one point between them (no sign, no exponent).
	ErrSyntax = errors.New("not a decimal number of zero or more")
	// ErrPrecision: the amount is no whole number of nano-USD.
	ErrPrecision = errors.New("finer than a nano-dollar")
)

// ParseUSDPerMillion reads a price, a decimal string in USD per million units, as nano-USD per million. It is exact, or an
// error: ErrSyntax, ErrPrecision for more than nine places, ErrOverflow.
func ParseUSDPerMillion(s string) (Nano, error) {
	return parse(s, 1, nanoDigits)
}

// ParseUSDPerThousand reads a price, a decimal string in USD per thousand units, as nano-USD per million. Errors are those of
// ParseUSDPerMillion.
func ParseUSDPerThousand(s string) (Nano, error) {
	n, err := ParseUSDPerMillion(s)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64/1000 {
		return 0, fmt.Errorf("reading %q: %w", s, ErrOverflow)
	}
	return n * 1000, nil
}

// ParseCredits reads an amount of credits, of which perDollar (> 0) make a dollar, as nano-USD. It is exact, or an error:
// ErrSyntax, ErrPrecision, ErrOverflow.
func ParseCredits(s string, perDollar int64) (Nano, error) {
	if perDollar <= 0 {
		return 0, fmt.Errorf("reading credits: %d credits per dollar", perDollar)
	}
	return parse(s, perDollar, maxDecimal)
}

// FormatUSD writes an amount in USD as the shortest exact decimal, which is a JSON number too.
func FormatUSD(n Nano) string {
	return decimal(big.NewInt(n))
}

// FormatCredits writes an amount in credits, of which perDollar make a dollar, as the shortest exact decimal: nano-USD
// times credits per dollar never needs more than nine places.
func FormatCredits(n Nano, perDollar int64) string {
	return decimal(new(big.Int).Mul(big.NewInt(n), big.NewInt(perDollar)))
}

// parse reads a decimal of units, of which perDollar make a dollar, with at most maxPlaces places.
func parse(s string, perDollar int64, maxPlaces int) (Nano, error) {
	whole, places, point := strings.Cut(s, ".")
	if len(s) > maxDecimal || whole == "" || (point && places == "") || strings.Trim(whole+places, "0123456789") != "" {
		return 0, fmt.Errorf("reading %.40q: %w", s, ErrSyntax)
	}
	if len(places) > maxPlaces {
		return 0, fmt.Errorf("reading %q: %w", s, ErrPrecision)
	}
	digits, _ := new(big.Int).SetString(whole+places, 10) // they are digits
	digits.Mul(digits, big.NewInt(nanoPerUSD))
	divisor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(places))), nil)
	divisor.Mul(divisor, big.NewInt(perDollar))
	nano, rest := digits.QuoRem(digits, divisor, new(big.Int))
	if rest.Sign() != 0 {
		return 0, fmt.Errorf("reading %q: %w", s, ErrPrecision)
	}
	if !nano.IsInt64() {
		return 0, fmt.Errorf("reading %q: %w", s, ErrOverflow)
	}
	return nano.Int64(), nil
}

// decimal writes billionths as the shortest exact decimal.
func decimal(billionths *big.Int) string {
	sign := ""
	if billionths.Sign() < 0 {
		sign = "-"
	}
	digits := new(big.Int).Abs(billionths).String()
	if pad := nanoDigits + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	whole, places := digits[:len(digits)-nanoDigits], strings.TrimRight(digits[len(digits)-nanoDigits:], "0")
	if places == "" {
		return sign + whole
	}
	return sign + whole + "." + places
}
