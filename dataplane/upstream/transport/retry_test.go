package transport

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		seconds, ms, message string
		want                 time.Duration
	}{
		{"", "", "", 0},
		{"7", "", "", 7 * time.Second},
		{"0.5", "", "", 500 * time.Millisecond},
		{"7", "250", "", 250 * time.Millisecond},
		{"287441", "", "", 287441 * time.Second},
		{"999999999999999999", "", "", maxRetryAfter},
		{now.Add(90 * time.Second).UTC().Format(http.TimeFormat), "", "", 90 * time.Second},
		{now.Add(-90 * time.Second).UTC().Format(http.TimeFormat), "", "", 0},
		{"", "", "Limit reached. Please try again in 3.89s. Visit", 3890 * time.Millisecond},
		{"", "", "Please try again in 174ms.", 174 * time.Millisecond},
		{"", "", "Please try again in 6m0s.", 6 * time.Minute},
		{"-1", "x", "try again in a while", 0},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.seconds)
		h.Set("Retry-After-Ms", c.ms)
		if got := RetryAfter(h, c.message, now); got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}
