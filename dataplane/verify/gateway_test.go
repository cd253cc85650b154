package verify

import (
	"context"
	"strings"
	"testing"
	"time"
)

// fakeOptions ask the fake.
func fakeOptions(f *fake) Options {
	return Options{
		URL: "https://gateway.test/v1/", Key: fakeKey, Transport: f, Now: fakeNow, Parallel: 4, Timeout: time.Minute,
		Getenv: func(string) string { return "" }, Wait: func(context.Context, time.Duration) {},
	}
}

// askFake runs the gateway's suite.
func askFake(t *testing.T, f *fake, o Options) Report {
	t.Helper()
	r, err := Gateway(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// failures are the checks that failed, by name and protocol.
func failed(r Report) []Result {
	var out []Result
	for _, c := range r.Checks {
		if c.Outcome == Failed {
			out = append(out, c)
		}
	}
	return out
}

// TestGood: a gateway that is right in everything passes everything.
func TestGood(t *testing.T) {
	f := newFake()
	r := askFake(t, f, fakeOptions(f))
	for _, c := range failed(r) {
		t.Errorf("%s %s %q: expected %s, got %s", c.Subject, c.Protocol, c.Check, c.Expected, c.Got)
	}
	for _, c := range r.Checks {
		if c.Outcome == Skipped && c.Subject != fakePlain && c.Check != "models without a provider" {
			t.Errorf("%s %s %q is skipped: %s", c.Subject, c.Protocol, c.Check, c.Reason)
		}
		if strings.Contains(c.Reason+c.Got+c.Expected, fakeKey) {
			t.Errorf("%+v tells the key", c)
		}
	}
	if r.Passed < 120 || r.Passed+r.Skipped != len(r.Checks) || r.Target != "https://gateway.test" {
		t.Errorf("%s of %d, target %s", r.Summary(), len(r.Checks), r.Target)
	}
}
