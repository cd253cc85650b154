package verify

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
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

// subjects are the models that were verified, each once.
func subjects(r Report) []string {
	var out []string
	for _, c := range r.Checks {
		if c.Subject != gatewaySubject && !slices.Contains(out, c.Subject) {
			out = append(out, c.Subject)
		}
	}
	return out
}

// reasons are why checks of a name were skipped.
func reasons(r Report, check string) string {
	var out []string
	for _, c := range r.Checks {
		if c.Check == check && c.Outcome == Skipped {
			out = append(out, c.Reason)
		}
	}
	return strings.Join(out, "; ")
}

// TestModels: which models are verified, and what is said of the others.
func TestModels(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string
		says   map[string]string
	}{
		"all":      {func(*Options) {}, []string{fakeModel, fakeVector, fakePlain}, map[string]string{"models without a provider": "1 models are listed and cannot be called; the first: AI Gateway not configured: set KEY.", "further models": ""}},
		"some":     {func(o *Options) { o.MaxModels = 1 }, []string{fakeModel}, map[string]string{"further models": "3 more models are listed; --max-models or --model has them verified"}},
		"named":    {func(o *Options) { o.Models = []string{fakePlain} }, []string{fakePlain}, map[string]string{"image": strings.Repeat("the model does not have Vision; ", 2) + "the model does not have Vision"}},
		"unlisted": {func(o *Options) { o.Models = []string{"acme/hidden"} }, []string{"acme/hidden"}, map[string]string{"image": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			o := fakeOptions(f)
			test.change(&o)
			r := askFake(t, f, o)
			if got := subjects(r); !slices.Equal(got, test.want) {
				t.Errorf("verified %v, want %v", got, test.want)
			}
			for check, want := range test.says {
				if got := reasons(r, check); got != want {
					t.Errorf("%s: %q, want %q", check, got, want)
				}
			}
			for _, c := range failed(r) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestTried: where nothing says what a model has, each capability is tried, and its refusal is a skip; where somebody says
// that it has it, a failure.
func TestTried(t *testing.T) {
	refuse := onReply("", func(r *http.Request, w *recorder) {
		if strings.HasPrefix(r.URL.Path, "/v1/") && strings.Contains(w.body.String(), "toolu_") {
			w.status = http.StatusBadRequest
			w.header.Set("Content-Type", "application/json")
			w.set([]byte(`{"type":"error","error":{"message":"no tools here","type":"invalid_request_error","param":null,"code":"x"}}`))
		}
	})
	for name, test := range map[string]struct {
		change func(*Options)
		want   Outcome
	}{
		"not known": {func(o *Options) { o.Models = []string{"acme/hidden"} }, Skipped},
		"listed":    {func(o *Options) { o.Models = []string{fakeModel} }, Failed},
		"said":      {func(o *Options) { o.Models, o.Capabilities = []string{"acme/hidden"}, []string{"tools"} }, Failed},
		"said not":  {func(o *Options) { o.Models, o.Capabilities = []string{fakeModel}, []string{"vision"} }, Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			refuse(f)
			o := fakeOptions(f)
			test.change(&o)
			for _, c := range askFake(t, f, o).Checks {
				if c.Check == "forced tool" && c.Outcome != test.want {
					t.Errorf("%+v, want %s", c, test.want)
				}
			}
		})
	}
}

// TestDemoMode: in demo mode nothing is charged, and every key is good.
func TestDemoMode(t *testing.T) {
	f := newFake()
	f.demo, f.breakKey = true, unknownKey
	r := askFake(t, f, fakeOptions(f))
	for check, want := range map[string]string{"balance": "demo mode charges nothing", "unknown key": "in demo mode every key is good; in demo mode every key is good; in demo mode every key is good"} {
		if got := reasons(r, check); got != want {
			t.Errorf("%s: %q", check, got)
		}
	}
	if bad := failed(r); len(bad) > 0 {
		t.Errorf("%+v", bad)
	}
}

// TestUnmetered: a key that is not charged has no balance, and nobody minds.
func TestUnmetered(t *testing.T) {
	f := newFake()
	replaced(`"unmetered":false`, `"unmetered":true`)(f)
	r := askFake(t, f, fakeOptions(f))
	if got := reasons(r, "balance"); !strings.Contains(got, "charges nothing") || len(failed(r)) > 0 {
		t.Errorf("%q, %+v", got, failed(r))
	}
}

// TestNoLimits: a tier without limits has no headers of them.
func TestNoLimits(t *testing.T) {
	f := newFake()
	f.breakReply = func(_ *http.Request, w *recorder) {
		for name := range w.header {
			if strings.HasPrefix(strings.ToLower(name), "x-ratelimit") {
				delete(w.header, name)
			}
		}
	}
	r := askFake(t, f, fakeOptions(f))
	if got := reasons(r, "rate limits"); got != "the key's tier has no limits" || len(failed(r)) > 0 {
		t.Errorf("%q, %+v", got, failed(r))
	}
}

// TestListedCapabilities: the forms in which a list may tell them.
func TestListedCapabilities(t *testing.T) {
	for raw, want := range map[string][]string{
		``: nil, `null`: nil, `"Text"`: nil, `[]`: {}, `["Tools","web_search"]`: {"Tools", "web_search"}, `{"tools":true,"vision":false}`: {"tools"},
	} {
		if got := (listed{Capabilities: []byte(raw)}).capabilities(); !slices.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%s: %v", raw, got)
		}
	}
	m := model{can: []string{"tools", "web_search", "PROMPT-CACHE"}}
	if !m.has(canTools) || !m.has(canSearch) || !m.has(canCache) || m.has(canSee) || m.lacks([]string{canTools, canSee}) != canSee {
		t.Error("names of capabilities are not matched")
	}
}

// TestApply: a model that only merges edits is asked to merge one, to the byte.
func TestApply(t *testing.T) {
	for said, want := range map[string]Outcome{applyWant: Passed, applyWant + "\n": Passed, strings.ReplaceAll(applyWant, "&", `\u0026`): Failed} {
		f := newFake()
		f.breakAnswer = func(_ *chat.Prompt, a *chat.Answer) { firstText(a, said) }
		o := fakeOptions(f)
		o.Models, o.Capabilities = []string{"acme/morph-v3-fast"}, []string{canText}
		for _, c := range askFake(t, f, o).Checks {
			if c.Subject == "acme/morph-v3-fast" && c.Check == "text" && c.Outcome != want {
				t.Errorf("%q: %+v", said, c)
			}
		}
	}
}

// TestBase: an address is taken with and without /v1, and nothing else is.
func TestBase(t *testing.T) {
	for text, want := range map[string]string{
		"https://g.test": "https://g.test", "https://g.test/": "https://g.test", "http://g.test:8080/v1": "http://g.test:8080",
		"https://g.test/ai/v1/": "https://g.test/ai", "g.test": "", "ftp://g.test": "", "https://": "", "://": "",
	} {
		if got, err := baseOf(text); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}
