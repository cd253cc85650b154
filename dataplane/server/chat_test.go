package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestUnary(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 10*usd)
	w.serve(answers(20, 10))
	// 20 tokens at a dollar a thousand and 10 at two: 0.04 USD, 4 credits.
	got := w.do(http.MethodPost, "/api/v1/chat", goodKey, hello, headerRequestID, "mine")
	want := `{"id":"chatcmpl-1","choices":[{"message":{"content":"hello"}}],"usage":{"prompt_tokens":20,"completion_tokens":10,"cost":0.04}}`
	if got.status != http.StatusOK || got.body != want {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for name, value := range map[string]string{"X-Layers-Cost": "4", "X-Layers-Balance": "1000", headerRequestID: "mine", "Content-Type": "application/json"} {
		if got.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
		}
	}
	// The answer was given, so the charge is kept, at once.
	if w.balance() != 10*usd-40_000_000 {
		t.Errorf("balance %d", w.balance())
	}
	if got := w.chat(hello); got.header.Get("X-Layers-Balance") != "996" {
		t.Errorf("balance header of the next request: %q", got.header.Get("X-Layers-Balance"))
	}
	w.sound()
}

// curl and other plain tools label what they post as a form.
func TestContentTypes(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 10*usd)
	w.serve(answers(20, 10))
	for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", ";"} {
		if got := w.do(http.MethodPost, "/v1/chat/completions", goodKey, hello, "Content-Type", kind); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", kind, got.status, got.body)
		}
	}
}

// The same client-chosen id twice is two requests and two charges.
func TestSameClientID(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 10*usd)
	w.serve(answers(20, 10))
	for range 2 {
		w.do(http.MethodPost, "/api/v1/chat", goodKey, hello, headerRequestID, "same")
	}
	if w.balance() != 10*usd-80_000_000 {
		t.Errorf("balance %d", w.balance())
	}
}

func TestCharges(t *testing.T) {
	unary := func(out int64, usage *pricing.Usage) upstream {
		return func(context.Context, chat.Call) (*chat.Response, error) {
			body := `{"choices":[]}`
			if usage != nil {
				body = `{"choices":[],"usage":{}}`
			}
			return &chat.Response{Body: []byte(body), Usage: usage, OutputBytes: out}, nil
		}
	}
	cases := map[string]struct {
		up, second upstream
		unmetered  bool
		status     int
		charged    pricing.Nano
	}{
		"reported":                   {up: unary(5, &pricing.Usage{Input: 3, Output: 2}), status: 200, charged: 7_000_000},
		"reported above the hold":    {up: unary(5, &pricing.Usage{Input: 3, Output: 200}), status: 200, charged: 403_000_000},
		"explicit zero is reported":  {up: unary(5, &pricing.Usage{}), status: 200, charged: 0},
		"absent is estimated":        {up: unary(9, nil), status: 200, charged: estimated(hello, 9)},
		"absurd is estimated":        {up: unary(9, &pricing.Usage{Input: -1}), status: 200, charged: estimated(hello, 9)},
		"absurd cost is estimated":   {up: unary(9, &pricing.Usage{Input: 9_100_000_000}), status: 200, charged: estimated(hello, 9)},
		"estimate is bounded":        {up: unary(1<<40, &pricing.Usage{Output: 1 << 50}), status: 200, charged: estimated(hello, 4*10)},
		"empty answer is free":       {up: unary(0, &pricing.Usage{Input: 3, Output: 2}), status: 200, charged: 0},
		"reasoning alone is charged": {up: unary(0, &pricing.Usage{Input: 3, Output: 2, Reasoning: 2}), status: 200, charged: 7_000_000},
		"unmetered is free":          {up: unary(5, &pricing.Usage{Input: 3, Output: 2}), unmetered: true, status: 200, charged: 0},
		"failed is free":             {up: fails(400, false), status: 400, charged: 0},
		"second backend":             {up: fails(502, true), second: unary(5, &pricing.Usage{Input: 1}), status: 200, charged: 1_000_000},
		"both fail":                  {up: fails(502, true), second: fails(503, true), status: 503, charged: 0},
		"no fallback":                {up: fails(422, false), second: unary(5, &pricing.Usage{Input: 1}), status: 422, charged: 0},
		"panic":                      {up: func(context.Context, chat.Call) (*chat.Response, error) { panic("boom") }, status: 500, charged: 0},
		"streams all the same":       {up: streams(content("x")), status: 500, charged: 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key(goodKey, usd, func(k *ledger.Key) {
				if c.unmetered {
					k.Policy = "ns/unmetered"
				}
			})
			w.serve(c.up)
			w.serveModel("second", c.second)
			got := w.chat(hello)
			if got.status != c.status {
				t.Errorf("status %d %s, want %d", got.status, got.body, c.status)
			}
			if c.status == 200 && got.header.Get("X-Layers-Cost") != pricing.FormatCredits(c.charged, 100) {
				t.Errorf("X-Layers-Cost %q", got.header.Get("X-Layers-Cost"))
			}
			if c.status == 200 && !strings.Contains(got.body, `"cost":`+pricing.FormatUSD(c.charged)+"}") { // also where no usage is reported
				t.Errorf("the answer does not tell its cost: %s", got.body)
			}
			if spent := usd - w.balance(); spent != c.charged {
				t.Errorf("charged %d, want %d", spent, c.charged)
			}
			w.sound()
		})
	}
}

func TestPanicIsCountedAndQuiet(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(func(context.Context, chat.Call) (*chat.Response, error) { panic("boom") })
	got := w.chat(hello)
	if strings.Contains(got.body, "boom") || got.failure(t)["code"] != "internal_error" {
		t.Errorf("body %s", got.body)
	}
	if !strings.Contains(w.metrics(), "layers_panics_total 1") {
		t.Error("not counted")
	}
}

func (w *world) metrics() string {
	w.t.Helper()
	r, _ := http.NewRequest(http.MethodGet, "/metrics", nil)
	rec := newRecorder()
	w.server.AdminHandler().ServeHTTP(rec, r)
	return rec.Body.String()
}

// Keys, prompts and what upstreams make up are in no log and no label.
func TestSecretsStayInside(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 10*usd)
	const prompt = "my-secret-prompt"
	body := strings.Replace(hello, "hi", prompt, 1)
	w.serve(answers(20, 10))
	w.chat(body)
	w.serve(func(context.Context, chat.Call) (*chat.Response, error) { panic(errors.New("x")) })
	w.chat(body)
	w.serve(fails(400, false))
	w.chat(body)
	log, metrics := w.log.String(), w.metrics()
	for _, secret := range []string{goodKey, prompt, "sk-provider", "ack-secret"} {
		if strings.Contains(log, secret) || strings.Contains(metrics, secret) {
			t.Errorf("%s is in the log or the metrics", secret)
		}
	}
	if strings.Contains(metrics, account) || strings.Contains(metrics, "made_up_by_upstream") || strings.Contains(metrics, "key_") && strings.Contains(metrics, `key="`) {
		t.Error("an unbounded label")
	}
	for _, want := range []string{
		`layers_requests_total{model="test/good",outcome="ok",route="chat",status="200"} 1`,
		`layers_requests_total{model="test/good",outcome="internal_error",route="chat",status="500"} 1`,
		`layers_requests_total{model="test/good",outcome="upstream_error",route="chat",status="400"} 1`,
		`layers_tokens_total{class="input",model="test/good"} 20`,
		`layers_charged_nanodollars_total{model="test/good"} 4e+07`,
		`layers_admission_decisions_total{outcome="admitted"} 3`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, grep(metrics, "layers_"))
		}
	}
	if !strings.Contains(log, "costNano=40000000") || !strings.Contains(log, "account="+account) {
		t.Errorf("log: %s", log)
	}
}

func grep(text, word string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, word) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func TestDemo(t *testing.T) {
	w := newWorld(t, func(o *Options, s *snapshot.Snapshot) {
		o.Keys, o.Accounts, o.Settler = nil, nil, nil
		s.Mode, s.DefaultTier = snapshot.Demo, "ns/slow"
		for i := range s.Models {
			s.Models[i].Price = nil
		}
	})
	w.serve(answers(20, 10))
	got := w.do(http.MethodPost, "/v1/chat/completions", "lyr_live_x", hello)
	if got.status != http.StatusOK || !strings.Contains(got.body, `"cost":0`) || got.header.Get("X-RateLimit-Limit") != "60" || got.header.Get("X-Layers-Balance") != "" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	for _, key := range []string{"lyr_live_", "sk-x", ""} {
		if got := w.do(http.MethodPost, "/v1/chat/completions", key, hello); got.status != http.StatusUnauthorized {
			t.Errorf("key %q: %d", key, got.status)
		}
	}
}

func TestModels(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	got := w.do(http.MethodGet, "/v1/models", goodKey, "")
	var list struct {
		Object string
		Data   []struct {
			ID      string `json:"id"`
			OwnedBy string `json:"owned_by"`
			Created int64
		}
	}
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		t.Fatal(err)
	}
	// Neither the one that the tier has not, nor the one that takes no requests.
	if list.Object != "list" || len(list.Data) != 2 || list.Data[0].ID != "test/good" || list.Data[1].ID != "test/text" || list.Data[0].OwnedBy != "test" || list.Data[0].Created != 1700000000 {
		t.Errorf("%s", got.body)
	}
	for _, path := range []string{"/v1/models/test/good", "/v1/models/test%2Fgood", "/v1/models/good"} {
		if got := w.do(http.MethodGet, path, goodKey, ""); got.status != http.StatusOK || !strings.Contains(got.body, `"id":"test/good"`) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := w.do(http.MethodHead, "/v1/models", goodKey, ""); got.status != http.StatusOK || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	got := w.do(http.MethodGet, "/api/v1/chat", "", "")
	if got.status != http.StatusOK || !strings.Contains(got.body, `"status":"ok"`) || !strings.Contains(got.body, `"version":"v0"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAcknowledgement(t *testing.T) {
	w := newWorld(t)
	ask := func(header string) (int, string) {
		r, _ := http.NewRequest(http.MethodGet, "/snapshot", nil)
		r.Header.Set("Authorization", header)
		rec := newRecorder()
		w.server.AckHandler().ServeHTTP(rec, r)
		return rec.Code, rec.Body.String()
	}
	x := w.memory.Current()
	if status, body := ask("Bearer ack-secret"); status != http.StatusOK || body != `{"hash":"`+x.Hash+`","sequence":1}` {
		t.Errorf("%d %s", status, body)
	}
	for _, bad := range []string{"", "Bearer ", "Bearer ack-secre", "Bearer ack-secret2", "Basic ack-secret"} {
		if status, body := ask(bad); status != http.StatusUnauthorized || strings.Contains(body, x.Hash) {
			t.Errorf("%q: %d %s", bad, status, body)
		}
	}
	if sameToken("", "") {
		t.Error("an empty token is a token")
	}
}

func TestHeadersOfTheProvider(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(func(context.Context, chat.Call) (*chat.Response, error) {
		return &chat.Response{
			Header: http.Header{"X-Request-Id": {"theirs"}, "X-Upstream": {"a"}}, Body: []byte(`{"n": 12345678901234567890}`), OutputBytes: 1, Usage: &pricing.Usage{},
		}, nil
	})
	got := w.do(http.MethodPost, "/v1/chat/completions", goodKey, hello, headerRequestID, "mine")
	if got.header.Get("X-Upstream") != "a" || got.header.Get(headerRequestID) != "mine" || len(got.header.Values(headerRequestID)) != 1 {
		t.Errorf("headers %v", got.header)
	}
	if got.body != `{"n": 12345678901234567890}` {
		t.Errorf("body %s", got.body)
	}
}
