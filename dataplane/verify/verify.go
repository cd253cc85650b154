// Package verify is the job `layers verify`: it asks a gateway, or a provider through this build's own adapters, for
// everything that the data plane promises, and reports what was wrong about each answer. The two suites share the checks of
// capabilities; they differ in how a request travels.
package verify

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// Defaults of Options.
const (
	DefaultTimeout   = 2 * time.Minute
	DefaultParallel  = 4
	DefaultMaxModels = 8
)

// Options say what is verified.
type Options struct {
	// URL of the gateway, with or without /v1 at its end, and a key for it. Gateway only.
	URL, Key string
	// Providers by name; empty: all. BaseURL is in place of the provider's own, for one provider. Upstream only.
	Providers []string
	BaseURL   string
	// Models by public name, or by the provider's id. Empty: all that a gateway lists, up to MaxModels that it serves; of a
	// provider one that is known to have most capabilities.
	Models    []string
	MaxModels int
	// Capabilities are in place of what is known of the models; empty: what is known, or else each is tried.
	Capabilities []string
	// Timeout bounds each check, Parallel how many run at once.
	Timeout  time.Duration
	Parallel int
	// Getenv reads the environment; nil: os.Getenv.
	Getenv func(string) string
	// Version of this build, for the User-Agent.
	Version string
	// Transport carries the gateway's requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Wait waits between tries, until ctx ends; nil: it waits that long.
	Wait func(ctx context.Context, d time.Duration)
}

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	if o.MaxModels <= 0 {
		o.MaxModels = DefaultMaxModels
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	return o
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Outcome of a check.
type Outcome string

// Outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is that of one check.
type Result struct {
	// Subject is the model, or what else was asked.
	Subject string `json:"subject"`
	// Protocol is as chat.Protocol has it; empty: the check is of none.
	Protocol string  `json:"protocol"`
	Check    string  `json:"check"`
	Outcome  Outcome `json:"outcome"`
	// Expected and Got say what was wrong, Reason why a check was skipped.
	Expected string `json:"expected,omitempty"`
	Got      string `json:"got,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Milliseconds is how long it took.
	Milliseconds int64 `json:"milliseconds"`
}

// Report is what a suite found.
type Report struct {
	// Suite is gateway or upstream; Target is what was asked, without its key.
	Suite   string   `json:"suite"`
	Target  string   `json:"target"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Checks  []Result `json:"checks"`
}

func (r *Report) add(results ...Result) {
	for _, one := range results {
		switch one.Outcome {
		case Passed:
			r.Passed++
		case Failed:
			r.Failed++
		case Skipped:
			r.Skipped++
		}
		r.Checks = append(r.Checks, one)
	}
}

// skip is why a check says nothing.
type skip struct{ why string }

func (s skip) Error() string { return s.why }

// judged fills in what came of a check; key is taken out of every text.
func (r Result) judged(err error, key string) Result {
	hide := func(text string) string {
		if len(key) >= minKey {
			text = strings.ReplaceAll(text, key, hiddenKey)
		}
		return client.Clip(text)
	}
	var skipped skip
	var m *client.Mismatch
	switch {
	case err == nil:
		r.Outcome = Passed
	case errors.As(err, &skipped):
		r.Outcome, r.Reason = Skipped, hide(skipped.why)
	case errors.As(err, &m):
		r.Outcome, r.Expected, r.Got = Failed, hide(m.Want), hide(m.Got)
	default:
		r.Outcome, r.Expected, r.Got = Failed, "an answer", hide(err.Error())
	}
	return r
}
