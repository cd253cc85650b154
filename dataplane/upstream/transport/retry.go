package transport

import (
	"math/big"
	"net/http"
	"regexp"
	"time"
)

// maxRetryAfter bounds what is believed; upstreams do say days.
const maxRetryAfter = 30 * 24 * time.Hour

// tryAgain is OpenAI's way to say it in words: "Please try again in 3.89s", "in 174ms", "in 6m0s".
var tryAgain = regexp.MustCompile(`(?i)try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)`)

// RetryAfter reads when to come back, from the headers or the message; 0: not said.
func RetryAfter(h http.Header, message string, now time.Time) time.Duration {
	if d := number(h.Get("Retry-After-Ms"), time.Millisecond); d > 0 {
		return d
	}
	v := h.Get("Retry-After")
	if d := number(v, time.Second); d > 0 {
		return d
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter)
	}
	if m := tryAgain.FindStringSubmatch(message); m != nil {
		if d, err := time.ParseDuration(m[1]); err == nil {
			return min(d, maxRetryAfter)
		}
	}
	return 0
}

// decimal is a plain number, as headers have it.
var decimal = regexp.MustCompile(`^\d{1,18}(?:\.\d{1,9})?$`)

// number reads a decimal number of units.
func number(s string, unit time.Duration) time.Duration {
	if !decimal.MatchString(s) {
		return 0
	}
	n, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0
	}
	n.Mul(n, new(big.Rat).SetInt64(int64(unit)))
	if n.Cmp(new(big.Rat).SetInt64(int64(maxRetryAfter))) > 0 {
		return maxRetryAfter
	}
	return time.Duration(new(big.Int).Quo(n.Num(), n.Denom()).Int64())
}
