package up

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
)

// claude is an upstream of Anthropic's Messages: every answer wrote 2,000 tokens to a cache of an hour and searched twice.
// It answers with the names of the top-level fields that it was asked with.
func claude(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var fields map[string]json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&fields); err != nil || r.URL.Path != "/v1/messages" || r.Header.Get("X-Api-Key") != "sk-upstream" {
			http.Error(w, "bad request", http.StatusTeapot)
			return
		}
		var names []string
		for name := range fields {
			names = append(names, name)
		}
		text, _ := json.Marshal(strings.Join(names, " "))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":`+string(text)+`}],`+
			`"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":100,"output_tokens":10,"cache_read_input_tokens":0,"cache_creation_input_tokens":2000,`+
			`"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":2000},"server_tool_use":{"web_search_requests":2}}}`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// claudeModel serves it with those prices and further fields of the Model's spec.
func claudeModel(t *testing.T, prices, more string) *process {
	t.Helper()
	files := manifest(t, claude(t), keys.Digest(plainKey))
	files["10-provider.yaml"] = strings.Replace(files["10-provider.yaml"], "OpenAICompatible", "Anthropic", 1)
	files["20-model.yaml"] = api + `kind: Model
metadata: {name: small}
spec:
  publicName: acme/small
  aliases: [small]
  limits: {contextTokens: 128000, maxOutputTokens: 4096}
  pricing: {inputPerMillion: "3", outputPerMillion: "15", cacheReadPerMillion: "0.3"` + prices + `}
  backends: [{name: local, providerRef: {name: local}, model: upstream-model}]
` + more
	return start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)})
}

// with is the question with further fields.
func with(fields string) string { return strings.Replace(question, "{", "{"+fields+",", 1) }

// TestUnsupportedParameter: what the upstream has nothing for is dropped and named, or refused and named, as the Model says.
func TestUnsupportedParameter(t *testing.T) {
	ask := with(`"seed":1,"logit_bias":{"1":1},"stop":["x"]`)
	for name, more := range map[string]string{"Drop": "  onUnsupportedParameter: Drop\n", "the default": ""} {
		t.Run(name, func(t *testing.T) {
			p := claudeModel(t, "", more)
			status, header, body := p.post(t, plainKey, ask)
			if dropped := header.Get("X-Layers-Dropped-Params"); status != http.StatusOK || !strings.Contains(dropped, "seed") || !strings.Contains(dropped, "logit_bias") || strings.Contains(dropped, "stop") {
				t.Errorf("%d, dropped %q: %s", status, dropped, body)
			}
			if !strings.Contains(body, "stop_sequences") || strings.Contains(body, "seed") {
				t.Errorf("the provider was asked with %s", body)
			}
			if _, header, _ := p.post(t, plainKey, question); header.Get("X-Layers-Dropped-Params") != "" {
				t.Errorf("nothing was dropped, and %s", header)
			}
		})
	}
	t.Run("Reject", func(t *testing.T) {
		p := claudeModel(t, "", "  onUnsupportedParameter: Reject\n")
		status, _, body := p.post(t, plainKey, ask)
		if status != http.StatusBadRequest || !strings.Contains(body, `"code":"unsupported_parameter"`) || !strings.Contains(body, "seed") && !strings.Contains(body, "logit_bias") {
			t.Errorf("%d %s", status, body)
		}
		if status, _, body := p.post(t, plainKey, with(`"stop":["x"]`)); status != http.StatusOK {
			t.Errorf("a parameter that it has: %d %s", status, body)
		}
	})
}

// TestPricesOfCachesAndSearches: caches of an hour and web searches are on the bill at their own prices, on both of the
// protocols that ask for them; without a price they are refused before the provider hears of them.
func TestPricesOfCachesAndSearches(t *testing.T) {
	const prices = `, cacheWritePerMillion: "3.75", cacheWrite1hPerMillion: "6", searchPerThousand: "10"`
	const can = "  capabilities: [Text, Streaming, PromptCache, WebSearch]\n"
	// 100 tokens at 3, 10 at 15 and 2,000 at 6 USD a million, and 2 searches at 10 USD a thousand.
	const usd = 0.0003 + 0.00015 + 0.012 + 0.02
	const message = `{"model":"small","max_tokens":100,"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":2}],` +
		`"messages":[{"role":"user","content":[{"type":"text","text":"1","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}`
	t.Run("billed", func(t *testing.T) {
		p := claudeModel(t, prices, can)
		for path, body := range map[string]string{
			"/v1/chat/completions": with(`"cache":"1h","web_search_options":{}`),
			"/v1/messages":         message,
		} {
			status, header, got := p.postTo(t, path, body)
			if cost := cost.FindStringSubmatch(got); status != http.StatusOK || len(cost) != 2 || cost[1] != fmt.Sprint(usd) {
				t.Errorf("%s: %d, cost %v, want %v: %s", path, status, cost, usd, got)
			}
			receipt := p.receipt(t, header.Get("X-Layers-Request-Id"))
			for _, want := range []string{`"cache_write_1h":2000`, `"searches":2`, `{"kind":"cache_write_1h","quantity":2000,"usd_per_million":"6"`, `{"kind":"search","quantity":2,"usd_per_million":"10000"`} {
				if !strings.Contains(receipt, want) {
					t.Errorf("%s: receipt without %s: %s", path, want, receipt)
				}
			}
		}
	})
	t.Run("no price of an hour", func(t *testing.T) {
		p := claudeModel(t, strings.Replace(prices, `, cacheWrite1hPerMillion: "6"`, "", 1), can)
		for path, body := range map[string]string{"/v1/chat/completions": with(`"cache":"1h"`), "/v1/messages": message} {
			if status, _, got := p.postTo(t, path, body); status != http.StatusBadRequest || !strings.Contains(got, "caches of an hour") {
				t.Errorf("%s: %d %s", path, status, got)
			}
		}
		if status, _, got := p.postTo(t, "/v1/chat/completions", with(`"cache":"5m"`)); status != http.StatusOK {
			t.Errorf("five minutes: %d %s", status, got)
		}
	})
	t.Run("no price of searches", func(t *testing.T) {
		without := strings.Replace(prices, `, searchPerThousand: "10"`, "", 1)
		p := claudeModel(t, without, strings.Replace(can, ", WebSearch", "", 1))
		if status, _, got := p.postTo(t, "/v1/messages", message); status != http.StatusBadRequest || !strings.Contains(got, "WebSearch") {
			t.Errorf("%d %s", status, got)
		}
		// A Model that says it searches must say for how much.
		p = claudeModel(t, without, can)
		if status, _, got := p.postTo(t, "/v1/messages", message); status != http.StatusNotFound {
			t.Errorf("%d %s", status, got)
		}
		if want := "searchPerThousand is required with capability WebSearch"; !strings.Contains(p.stderr.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, p.stderr)
		}
	})
}

// postTo posts a body to a path.
func (p *process) postTo(t *testing.T, path, body string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.API+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+plainKey)
	req.Header.Set("Content-Type", "application/json")
	return do(t, req)
}
