package up

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// vendor is an upstream that speaks as each of the providers does, and answers with the path, the credential and the model
// that it was asked with.
func vendor(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Model string }
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		credential := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Goog-Api-Key")
		said, _ := json.Marshal(r.URL.Path + " " + credential + " " + req.Model)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.Replace(answerAt(r.URL.Path), "SAID", string(said), 1))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// answerAt is an answer in the shape that belongs to a path.
func answerAt(path string) string {
	switch {
	case strings.HasSuffix(path, "/messages"):
		return `{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":SAID}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`
	case strings.HasSuffix(path, ":generateContent"):
		return `{"candidates":[{"content":{"role":"model","parts":[{"text":SAID}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}`
	case strings.HasSuffix(path, "/responses"):
		return `{"id":"r","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"i","role":"assistant","status":"completed","content":[{"type":"output_text","text":SAID,"annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1}}`
	case strings.HasSuffix(path, "/embeddings"):
		return `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":SAID,"usage":{"prompt_tokens":1,"total_tokens":1}}`
	}
	return `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":SAID}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
}

// TestDemoWithRealUpstreams: each variable opens the models of its provider, which is asked in its own protocol; the others say
// which they need.
func TestDemoWithRealUpstreams(t *testing.T) {
	url := vendor(t)
	environment := map[string]string{
		"OPENAI_API_KEY": "sk-o", "ANTHROPIC_API_KEY": "sk-a", "GEMINI_API_KEY": "sk-g", "MORPH_API_KEY": "sk-m", "VERCEL_AI_GATEWAY_KEY": "sk-v",
		"PERPLEXITY_API_KEY": "sk-p",
	}
	where := map[string]string{}
	for _, name := range []string{"openai", "anthropic", "google", "perplexity", "morph", "vercel"} {
		where[name] = url + "/" + name
	}
	start := func(t *testing.T, variables ...string) *process {
		return start(t, Options{baseURLs: where, getenv: func(name string) string {
			if strings.Contains(strings.Join(variables, " "), name) {
				return environment[name]
			}
			return ""
		}})
	}
	ask := func(t *testing.T, p *process, model string) (int, string) {
		status, _, body := p.post(t, "lyr_live_anything", strings.Replace(hello, `"demo"`, `"`+model+`"`, 1))
		return status, body
	}
	tests := map[string]struct{ variable, model, want string }{
		"openai":             {"OPENAI_API_KEY", "openai/gpt-4o-mini", "/openai/chat/completions Bearer sk-o gpt-4o-mini"},
		"its own name":       {"OPENAI_API_KEY", "gpt-4o-mini", "/openai/chat/completions Bearer sk-o gpt-4o-mini"},
		"anthropic":          {"ANTHROPIC_API_KEY", "anthropic/claude-haiku-4.5", "/anthropic/v1/messages sk-a claude-haiku-4-5"},
		"google":             {"GEMINI_API_KEY", "google/gemini-2.5-flash", "/google/models/gemini-2.5-flash:generateContent sk-g "},
		"perplexity":         {"PERPLEXITY_API_KEY", "perplexity/sonar", "/perplexity/v1/responses Bearer sk-p perplexity/sonar"},
		"an id of before":    {"PERPLEXITY_API_KEY", "sonar", "/perplexity/v1/responses Bearer sk-p perplexity/sonar"},
		"morph":              {"MORPH_API_KEY", "morph/morph-v3-fast", "/morph/chat/completions Bearer sk-m morph-v3-fast"},
		"vercel":             {"VERCEL_AI_GATEWAY_KEY", "anthropic/claude-haiku-4.5", "/vercel/chat/completions Bearer sk-v anthropic/claude-haiku-4.5"},
		"vercel alone":       {"VERCEL_AI_GATEWAY_KEY", "openai/gpt-5.5-pro", "/vercel/chat/completions Bearer sk-v openai/gpt-5.5-pro"},
		"vercel for another": {"VERCEL_AI_GATEWAY_KEY", "perplexity/sonar", "/vercel/chat/completions Bearer sk-v perplexity/sonar"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, test.variable)
			if status, body := ask(t, p, test.model); status != http.StatusOK || !strings.Contains(body, test.want) {
				t.Errorf("%d %s", status, body)
			}
			if status, _ := ask(t, p, "demo"); status != http.StatusOK {
				t.Errorf("the demo model: %d", status)
			}
			if said := p.stderr.String(); !strings.Contains(said, "Served for real") || strings.Contains(said, environment[test.variable]) {
				t.Errorf("it says\n%s", said)
			}
		})
	}
	t.Run("embeddings", func(t *testing.T) {
		p := start(t, "OPENAI_API_KEY")
		status, _, body := p.postTo(t, "/v1/embeddings", `{"model":"text-embedding-3-small","input":["a","b"]}`)
		if status != http.StatusOK || !strings.Contains(body, "/openai/embeddings Bearer sk-o text-embedding-3-small") {
			t.Errorf("%d %s", status, body)
		}
	})
	t.Run("without a key", func(t *testing.T) {
		p := start(t)
		for model, wants := range map[string][]string{
			"openai/gpt-4o-mini": {"OPENAI_API_KEY, AI_GATEWAY_API_KEY or VERCEL_AI_GATEWAY_KEY"},
			"gemini-pro-latest":  {"set GEMINI_API_KEY."},
			"sonar-pro":          {"set PERPLEXITY_API_KEY."},
			"openai/gpt-5.5-pro": {"set AI_GATEWAY_API_KEY or VERCEL_AI_GATEWAY_KEY.", "OpenAI itself has it on an endpoint that chat completions do not reach."},
		} {
			status, body := ask(t, p, model)
			for _, want := range append(wants, "AI Gateway not configured", "gateway_not_configured") {
				if status != http.StatusServiceUnavailable || !strings.Contains(body, want) {
					t.Errorf("%s: %d %s\nwant %q", model, status, body, want)
				}
			}
		}
		if said := p.stderr.String(); strings.Contains(said, "Served for real") || !strings.Contains(said, "models of the catalogue have no key") {
			t.Errorf("it says\n%s", said)
		}
	})
}

// TestDemoOpenToOthers: a demo asks for no real key, so that whoever can reach it can spend.
func TestDemoOpenToOthers(t *testing.T) {
	getenv := func(name string) string { return map[string]string{"OPENAI_API_KEY": "sk-o"}[name] }
	for listen, want := range map[string]bool{"0.0.0.0:0": true, "[::]:0": true, "127.0.0.1:0": false, "localhost:0": false} {
		p := start(t, Options{Listen: listen, getenv: getenv})
		p.stop(t)
		if got := strings.Contains(p.stderr.String(), "spends the money"); got != want {
			t.Errorf("%s: warned %v\n%s", listen, got, p.stderr)
		}
	}
}

// TestDemoWorldIsValid: with and without keys the world is one that a gateway takes.
func TestDemoWorldIsValid(t *testing.T) {
	for _, getenv := range []func(string) string{nothingSet, func(string) string { return "sk-any" }} {
		w, err := readWorld(t.Context(), Options{getenv: getenv})
		if err != nil || len(w.notes) > 0 {
			t.Fatalf("%v, %v", err, w.notes)
		}
		if err := snapshot.Validate(w.out.Snapshot); err != nil {
			t.Error(err)
		}
	}
}

// TestDemoWithAPlaceholder: a variable that cannot be a key is named once and not used; its models say what they need.
func TestDemoWithAPlaceholder(t *testing.T) {
	p := start(t, Options{getenv: func(name string) string { return map[string]string{"OPENAI_API_KEY": "sk-…secret"}[name] }})
	if said := p.stderr.String(); strings.Count(said, "OPENAI_API_KEY") != 1 || !strings.Contains(said, "Warning: OPENAI_API_KEY holds") || strings.Contains(said, "secret") {
		t.Errorf("it says:\n%s", said)
	}
	status, _, body := p.post(t, "lyr_live_anything", strings.Replace(hello, `"demo"`, `"openai/gpt-4o-mini"`, 1))
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "AI Gateway not configured: for the model 'openai/gpt-4o-mini' set OPENAI_API_KEY") {
		t.Errorf("%d %s", status, body)
	}
}
