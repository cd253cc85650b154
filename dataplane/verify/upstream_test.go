package verify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/verify/client"
)

// upstreamOptions ask one provider at an address, with a key in its variable.
func upstreamOptions(t *testing.T, name, base string) Options {
	t.Helper()
	o := fakeOptions(newFake())
	p, ok := providerOf(name)
	if !ok {
		t.Fatalf("no provider %s", name)
	}
	o.URL, o.Key, o.Transport, o.Providers, o.BaseURL = "", "", nil, []string{name}, base
	o.Getenv = func(variable string) string {
		if variable == p.variables[len(p.variables)-1] {
			return fakeKey
		}
		return ""
	}
	return o
}

// askProvider runs the upstream's suite.
func askProvider(t *testing.T, o Options) Report {
	t.Helper()
	r, err := Upstream(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if strings.Contains(fmt.Sprint(c), fakeKey) {
			t.Errorf("the key is told: %+v", c)
		}
	}
	return r
}

// TestUpstreams: what is right at a provider comes through the adapters and passes, in every protocol that they serve.
func TestUpstreams(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.Handler
		path    string
		passed  int
		// can are in place of all that the provider has.
		can []string
	}{
		"openai":     {&fake{now: fakeNow, seen: map[string]bool{}, receipts: map[string]string{}, forgetful: true}, "/v1", 60, nil},
		"anthropic":  {newFake(), "", 60, nil},
		"vercel":     {newFake(), "/v1", 45, []string{canStream, canSee, canTools, canJSON}},
		"gemini":     {http.HandlerFunc(fakeGemini), "/v1beta", 50, nil},
		"perplexity": {http.HandlerFunc(fakePerplexity), "", 15, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(test.handler)
			t.Cleanup(s.Close)
			o := upstreamOptions(t, name, s.URL+test.path)
			o.Capabilities = test.can
			r := askProvider(t, o)
			for _, c := range failed(r) {
				t.Errorf("%s %s %q: expected %s, got %s", c.Subject, c.Protocol, c.Check, c.Expected, c.Got)
			}
			for _, c := range r.Checks {
				if !strings.HasPrefix(c.Subject, name+" ") {
					t.Errorf("subject %q", c.Subject)
				}
				if c.Outcome == Skipped && testing.Verbose() {
					t.Logf("%s %q: %s", c.Protocol, c.Check, c.Reason)
				}
			}
			if r.Passed < test.passed {
				t.Errorf("only %s", r.Summary())
			}
		})
	}
}

// TestUpstreamFaults: what is wrong at a provider, or would be charged wrong, is found through the adapters.
func TestUpstreamFaults(t *testing.T) {
	for name, test := range map[string]struct {
		provider string
		put      func(*fake)
		finds    string
	}{
		"no answer to a call":    {"anthropic", callsWith(func(c *chat.ToolCall) { c.Name = "other" }), "forced tool"},
		"any key":                {"anthropic", func(f *fake) { f.breakKey = "layers-verify-bad-key" }, "refused key"},
		"any model":              {"openai", statusOf(404, 500), "unknown model"},
		"no cache":               {"anthropic", used(func(_ *chat.Prompt, u *pricing.Usage) { u.CacheRead = 0 }), "prompt cache"},
		"no vectors":             {"openai", replaced("[0.5,-0.25]}]", "[]}]"), "vectors"},
		"streams that break off": {"anthropic", cut, "text, streamed"},
		"other words":            {"vercel", says("no"), "JSON schema, streamed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			test.put(f)
			s := httptest.NewServer(f)
			t.Cleanup(s.Close)
			base := s.URL
			if test.provider != "anthropic" {
				base += "/v1"
			}
			if r := askProvider(t, upstreamOptions(t, test.provider, base)); !found(r)[test.finds] {
				t.Errorf("%q does not find it: %+v", test.finds, failed(r))
			}
		})
	}
}

// TestHeard: an adapter that hears no usage, or another one than the client, charges wrong.
func TestHeard(t *testing.T) {
	a := &client.Answer{Usage: &client.Usage{Input: 10, CacheRead: 4, Output: 5}}
	for text, good := range map[string]bool{
		"": true, `{"input":6,"cache_read":4,"output":5}`: true, `null`: false, `{"input":10,"output":5}`: false, `{"input":6,"cache_read":4,"output":6}`: false, `{`: false,
	} {
		r := reply{header: http.Header{usageHeader: {text}}}
		if err := r.heardSame(a); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := (&reply{header: http.Header{usageHeader: {"null"}}}).heardSame(nil); err != nil {
		t.Error(err)
	}
}

// TestChosen: which providers are asked, and with which models.
func TestChosen(t *testing.T) {
	o := Options{Providers: []string{"gemini"}, Models: []string{"gemini-2.5-flash", "gemini-x"}}.withDefaults()
	p, err := chosenProviders(o)
	if err != nil || len(p) != 1 {
		t.Fatal(p, err)
	}
	models := p[0].models(o)
	if len(models) != 2 || !models[0].has(canThink) || models[0].can == nil || models[1].can != nil {
		t.Errorf("%+v", models)
	}
	o.Capabilities = []string{canTools}
	if models := p[0].models(o); models[0].has(canThink) || !models[1].has(canTools) {
		t.Errorf("%+v", models)
	}
	if _, err := chosenProviders(Options{Models: []string{"m"}}); err == nil {
		t.Error("a model of no provider is taken")
	}
	if all, err := chosenProviders(Options{}); err != nil || len(all) != len(providers) {
		t.Errorf("%v, %v", all, err)
	}
}

// TestDirect: what is no good never reaches the provider, and what breaks off is told as the server tells it.
func TestDirect(t *testing.T) {
	up := &broken{}
	d := newDirect(up, snapshot.Provider{Type: snapshot.OpenAI}, fakeOptions(newFake()).withDefaults())
	ask := func(path, body string) (*http.Response, string) {
		t.Helper()
		r, err := d.RoundTrip(httptest.NewRequest(http.MethodPost, "http://x"+path, strings.NewReader(body)))
		if err != nil {
			return nil, err.Error()
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r, string(text)
	}
	const stream = `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`
	if r, body := ask("/v1/chat/completions", `{"model":7}`); r.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"error"`) || up.asked {
		t.Errorf("%v %s", r, body)
	}
	if r, body := ask("/v1/chat/completions", stream); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "gone") {
		t.Errorf("before content: %v %s", r, body)
	}
	up.pieces = []chat.Piece{{Kind: chat.PieceStart, ID: "x", Model: "m"}, {Kind: chat.PieceText, Text: "Hi"}}
	if r, body := ask("/v1/chat/completions", stream); r.StatusCode != http.StatusOK || !strings.Contains(body, `"Hi"`) || !strings.Contains(body, "gone") || strings.Contains(body, "[DONE]") {
		t.Errorf("after content: %v %s", r, body)
	}
	if _, body := ask("/v1/other", "{}"); !strings.Contains(body, "there is no /v1/other") {
		t.Error(body)
	}
}

// broken streams its pieces and then fails.
type broken struct {
	asked  bool
	pieces []chat.Piece
	n      int
}

func (b *broken) Fit(*snapshot.Provider, chat.Protocol) chat.Fit { return chat.Translates }

func (b *broken) Do(context.Context, chat.Call) (*chat.Response, error) {
	b.asked, b.n = true, 0
	return &chat.Response{Events: b}, nil
}

func (b *broken) Next() (chat.Event, error) {
	if b.n == len(b.pieces) {
		return chat.Event{}, &chat.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Message: "The provider is gone."}
	}
	b.n++
	return chat.Event{Pieces: b.pieces[b.n-1 : b.n], Content: b.pieces[b.n-1].Content()}, nil
}

func (b *broken) Close() error { return nil }
