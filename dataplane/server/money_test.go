package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// searching sells a search for a cent on the first backend's provider and model.
func searching(kind snapshot.ProviderType, model string) func(*Options, *snapshot.Snapshot) {
	return func(o *Options, s *snapshot.Snapshot) {
		price, search := *s.Models[0].Price, 10_000*usd
		price.SearchPerMillion = &search
		s.Models[0].Price, s.Models[0].Capabilities = &price, append(s.Models[0].Capabilities, "WebSearch")
		s.Models[0].Backends = s.Models[0].Backends[:1]
		s.Models[0].Backends[0].Model = model
		s.Providers[0].Type = kind
		o.Upstreams[kind] = o.Upstreams[snapshot.OpenAICompatible]
	}
}

// What a provider may search, asked or not, is held for before, charged after, and told in the estimate and the receipt.
func TestSearchesAreHeldFor(t *testing.T) {
	const (
		plain = `{"model":"good","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`
		asked = `{"model":"good","max_tokens":10,"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"web_search","max_uses":2}]}`
	)
	for _, c := range []struct {
		kind        snapshot.ProviderType
		model, body string
		searches    int64
	}{
		{snapshot.Perplexity, "perplexity/sonar", plain, untoldSearches},
		{snapshot.Perplexity, "perplexity/sonar", asked, untoldSearches}, // it takes no limit
		{snapshot.VercelAIGateway, "perplexity/sonar", plain, untoldSearches},
		{snapshot.OpenAI, "gpt-4o-search-preview", plain, untoldSearches},
		{snapshot.OpenAI, "gpt-5.4", plain, 0},
		{snapshot.OpenAI, "gpt-5.4", asked, 2},
		{snapshot.Gemini, "gemini-3", plain, 0},
		{snapshot.Gemini, "gemini-3", asked, untoldSearches},
		{snapshot.Anthropic, "claude", asked, 2},
	} {
		t.Run(fmt.Sprint(c.kind, c.model, c.searches), func(t *testing.T) {
			w := newWorld(t, searching(c.kind, c.model))
			w.key(goodKey, 10*usd)
			in := int64(len(c.body))
			if c.searches > 0 {
				in = 1000 // what is found is input, too
			}
			hold := in*1_000_000 + 10*2_000_000 + c.searches*10_000_000
			e := w.estimates(c.body)
			if e.WorstSearches != c.searches || e.WorstTokens.Input != in || e.Hold["usd"] != pricing.FormatUSD(hold) {
				t.Errorf("%+v, want a hold of %s", e, pricing.FormatUSD(hold))
			}
			w.serveModel(c.model, func(context.Context, chat.Call) (*chat.Response, error) {
				if got := w.reserved(); got != hold {
					t.Errorf("%d are held, want %d", got, hold)
				}
				return &chat.Response{Body: []byte(`{"usage":{}}`), OutputBytes: 1, Usage: &pricing.Usage{Input: 20, Output: 10, Searches: c.searches}}, nil
			})
			got := w.chat(c.body)
			if spent := 10*usd - w.balance(); got.status != 200 || spent != 40_000_000+c.searches*10_000_000 {
				t.Errorf("%d, charged %d: %s", got.status, spent, got.body)
			}
			eventually(t, "the metric", func() bool {
				return strings.Contains(w.metrics(), fmt.Sprintf(`layers_searches_total{model="test/good"} %d`, c.searches)) == (c.searches > 0)
			})
			w.sound()
		})
	}
}

// Every protocol's body is estimated as what it is, and holds what the estimate said.
func TestEstimateOfEachProtocol(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	var held pricing.Nano
	w.serve(func(context.Context, chat.Call) (*chat.Response, error) {
		held = w.reserved()
		return &chat.Response{Body: []byte(`{"usage":{}}`), OutputBytes: 1, Usage: &pricing.Usage{Input: 1}}, nil
	})
	anthropic := []string{"Anthropic-Version", "2023-06-01"}
	for name, c := range map[string]struct {
		path, query, body string
		headers           []string
		output            int64
	}{
		"chat":                {"/v1/chat/completions", "", hello, nil, 10},
		"messages":            {"/v1/messages", "", asked[chat.Messages][1], anthropic, 10},
		"messages, by query":  {"/v1/messages", "?for=/v1/messages", asked[chat.Messages][1], nil, 10},
		"responses":           {"/v1/responses", "", asked[chat.Responses][1], nil, 10},
		"embeddings":          {"/v1/embeddings", "?for=/v1/embeddings", `{"model":"good","input":"x"}`, nil, 0},
		"responses, unbound":  {"/v1/responses", "", `{"model":"good","input":"x"}`, nil, 100},
		"chat in spite of it": {"/v1/chat/completions", "?for=/v1/chat/completions", hello, anthropic, 10},
	} {
		var e estimate
		got := w.do("POST", "/v1/estimate"+c.query, goodKey, c.body, c.headers...)
		if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status != 200 || e.WorstTokens != (tokenPair{int64(len(c.body)), c.output}) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		if got := w.do("POST", c.path, goodKey, c.body, c.headers...); got.status != 200 || e.Hold["usd"] != pricing.FormatUSD(held) {
			t.Errorf("%s: %d %s: %d were held, the estimate said %v", name, got.status, got.body, held, e.Hold)
		}
	}
	if got := w.do("POST", "/v1/estimate?for=/v1/models", goodKey, hello); got.status != 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.do("POST", "/v1/estimate", goodKey, `{}`, anthropic...); got.status != 400 || !strings.Contains(got.body, `"type":"error"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}
