package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
	anthropicup "github.com/layers-dev/layers/dataplane/upstream/anthropic"
	"github.com/layers-dev/layers/dataplane/upstream/gemini"
	openaiup "github.com/layers-dev/layers/dataplane/upstream/openai"
	"github.com/layers-dev/layers/dataplane/upstream/perplexity"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// wire keeps what adapters send, and answers nothing that is of use.
type wire struct{ body map[string]any }

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.body = nil
	if err := json.Unmarshal(raw, &w.body); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"error":{"message":"no"}}`)), Request: r}, nil
}

// at is the value at a path of members; nil: there is none.
func (w *wire) at(path string) any {
	var v any = w.body
	for _, name := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// What is cut is cut in the body that the provider gets, whichever protocols the client and the provider speak.
func TestClampOnTheWire(t *testing.T) {
	const (
		completions = `{"model":"good","messages":[{"role":"user","content":"hi"}]` // and more
		messages    = `{"model":"good","messages":[{"role":"user","content":"hi"}]`
		responses   = `{"model":"good","input":"hi"`
	)
	think := []string{"Text", "Streaming", "Thinking"}
	for name, c := range map[string]struct {
		kind     snapshot.ProviderType
		model    string
		protocol chat.Protocol
		body     string
		path     string // of the limit, in the body that the provider gets
		gone     string // what must not be there beside it
		budget   string // of thinking; must be below the limit
	}{
		"compatible":                        {snapshot.OpenAICompatible, "m", chat.Completions, completions + `}`, "max_tokens", "max_completion_tokens", ""},
		"compatible, said":                  {snapshot.OpenAICompatible, "m", chat.Completions, completions + `,"max_completion_tokens":19000}`, "max_completion_tokens", "max_tokens", ""},
		"compatible, Messages":              {snapshot.OpenAICompatible, "m", chat.Messages, messages + `,"max_tokens":19000}`, "max_tokens", "", ""},
		"compatible, Responses":             {snapshot.OpenAICompatible, "m", chat.Responses, responses + `}`, "max_tokens", "", ""},
		"OpenAI":                            {snapshot.OpenAI, "gpt-4o", chat.Completions, completions + `}`, "max_tokens", "max_completion_tokens", ""},
		"OpenAI, a model that thinks":       {snapshot.OpenAI, "gpt-5", chat.Completions, completions + `,"max_tokens":null}`, "max_completion_tokens", "max_tokens", ""},
		"OpenAI, Responses":                 {snapshot.OpenAI, "gpt-5", chat.Responses, responses + `,"max_output_tokens":19999}`, "max_output_tokens", "", ""},
		"OpenAI, Messages":                  {snapshot.OpenAI, "gpt-5", chat.Messages, messages + `,"max_tokens":20000}`, "max_output_tokens", "", ""},
		"Vercel":                            {snapshot.VercelAIGateway, "openai/gpt-5", chat.Completions, completions + `}`, "max_tokens", "", ""},
		"Morph":                             {snapshot.Morph, "morph-v3", chat.Completions, completions + `,"max_tokens":15000}`, "max_tokens", "", ""},
		"Anthropic":                         {snapshot.Anthropic, "claude-haiku-4-5", chat.Messages, messages + `,"max_tokens":20000}`, "max_tokens", "", ""},
		"Anthropic, thinking":               {snapshot.Anthropic, "claude-haiku-4-5", chat.Messages, messages + `,"max_tokens":20000,"thinking":{"type":"enabled","budget_tokens":18000}}`, "max_tokens", "", "thinking.budget_tokens"},
		"Anthropic, completions":            {snapshot.Anthropic, "claude-haiku-4-5", chat.Completions, completions + `}`, "max_tokens", "", ""},
		"Anthropic, completions, an effort": {snapshot.Anthropic, "claude-haiku-4-5", chat.Completions, completions + `,"reasoning_effort":"high"}`, "max_tokens", "", "thinking.budget_tokens"},
		"Gemini":                            {snapshot.Gemini, "gemini-2.5-flash", chat.Completions, completions + `}`, "generationConfig.maxOutputTokens", "", ""},
		"Gemini, Messages":                  {snapshot.Gemini, "gemini-2.5-flash", chat.Messages, messages + `,"max_tokens":20000}`, "generationConfig.maxOutputTokens", "", ""},
		"Perplexity":                        {snapshot.Perplexity, "openai/gpt-5", chat.Completions, completions + `}`, "max_output_tokens", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sent := &wire{}
			client := transport.New(transport.Options{RoundTripper: sent})
			openAI := openaiup.New(client)
			w := newWorld(t, long, func(o *Options, s *snapshot.Snapshot) {
				o.Upstreams = map[snapshot.ProviderType]chat.Upstream{
					snapshot.OpenAI: openAI, snapshot.OpenAICompatible: openAI, snapshot.Morph: openAI, snapshot.VercelAIGateway: openAI,
					snapshot.Anthropic: anthropicup.New(client), snapshot.Gemini: gemini.New(client, gemini.Options{}), snapshot.Perplexity: perplexity.New(client),
				}
				free := int64(0)
				s.Providers[0].Type = c.kind
				m := &s.Models[0]
				m.Backends, m.Capabilities = []snapshot.Backend{{Name: "one", Provider: "ns/p", Model: c.model, Weight: 1}}, think
				price := *m.Price
				price.SearchPerMillion = &free
				m.Price = &price
				s.Policies[0].MinOutputTokens = 1000
			})
			const affords = 5000 // tokens, and a little
			in := int64(len(c.body))
			if c.kind == snapshot.Perplexity { // what it may find is input
				in = 100_000
			}
			w.key(goodKey, in*perIn+affords*perOut+1)
			got := w.do(http.MethodPost, openStreams[c.protocol][0], goodKey, c.body)
			if got.header.Get(headerMaxTokens) != decimal(affords) || sent.at(c.path) != float64(affords) {
				t.Fatalf("%d %s, told %q; the provider gets %v", got.status, got.body, got.header.Get(headerMaxTokens), sent.body)
			}
			if c.gone != "" && sent.at(c.gone) != nil {
				t.Errorf("it gets %s, too: %v", c.gone, sent.body)
			}
			if c.budget != "" {
				if n, ok := sent.at(c.budget).(float64); !ok || n >= affords || n < 1024 {
					t.Errorf("it may think %v", sent.at(c.budget))
				}
			}
			w.sound()
		})
	}
}

// A limit that the client gave, and that is affordable, stays to the byte.
func TestWhatFitsIsNotTouched(t *testing.T) {
	body := strings.Replace(open, "{", `{ "max_tokens" : 20, `, 1)
	w := newWorld(t, long)
	w.key(goodKey, usd)
	w.serve(sees(func(got []byte) {
		if !bytes.Equal(got, []byte(body)) {
			t.Errorf("%s became %s", body, got)
		}
	}))
	if got := w.chat(body); got.status != 200 || got.header.Get(headerMaxTokens) != "" {
		t.Errorf("%d %v", got.status, got.header)
	}
}
