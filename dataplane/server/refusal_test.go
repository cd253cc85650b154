package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 10*usd)
	w.key("lyr_live_poor-poor-poor-poor", 0, func(k *ledger.Key) { k.Account = "ns/poor" })
	w.key("lyr_live_foreign-foreign-foreign", 0, func(k *ledger.Key) { k.GatewayUID = "other" })
	w.key("lyr_live_disabled-disabled", 0, func(k *ledger.Key) { k.State = ledger.KeyDisabled })
	w.key("lyr_live_no-tier-no-tier-no-tier", 0, func(k *ledger.Key) { k.Tier = "ns/gone" })
	w.key("lyr_live_no-policy-no-policy", 0, func(k *ledger.Key) { k.Policy = "ns/gone" })
	w.serve(func(context.Context, chat.Call) (*chat.Response, error) {
		t.Error("an upstream was called")
		return nil, errInternal(nil)
	})
	body := func(model, rest string) string {
		return `{"model":"` + model + `","messages":[{"role":"user","content":"hi"}]` + rest + `}`
	}
	const path = "/v1/chat/completions"
	cases := map[string]struct {
		method, path, key, body string
		headers                 []string
		status                  int
		code, message           string
	}{
		"no key":                   {body: hello, status: 401, code: "invalid_api_key", message: "Invalid API key"},
		"garbage":                  {key: "sk-123", body: hello, status: 401, code: "invalid_api_key", message: "Invalid API key"},
		"unknown":                  {key: "lyr_live_0123456789abcdefg", body: hello, status: 401, code: "invalid_api_key", message: "Invalid API key"},
		"another gateway's":        {key: "lyr_live_foreign-foreign-foreign", body: hello, status: 401, code: "invalid_api_key", message: "Invalid API key"},
		"disabled":                 {key: "lyr_live_disabled-disabled", body: hello, status: 401, code: "key_disabled", message: "Invalid API key"},
		"dangling tier":            {key: "lyr_live_no-tier-no-tier-no-tier", body: hello, status: 503, code: "gateway_not_configured", message: "AI Gateway not configured"},
		"dangling policy":          {key: "lyr_live_no-policy-no-policy", body: hello, status: 503, code: "gateway_not_configured", message: "AI Gateway not configured"},
		"401 before 400":           {key: "sk-123", body: "{", status: 401, code: "invalid_api_key"},
		"malformed":                {key: goodKey, body: "{", status: 400, code: "invalid_json"},
		"empty body":               {key: goodKey, status: 400, code: "invalid_json"},
		"two models":               {key: goodKey, body: `{"model":"test/text","messages":[{"role":"user","content":"hi"}],"model":"test/dear"}`, status: 400, code: "duplicate_parameter"},
		"MODEL":                    {key: goodKey, body: `{"model":"test/text","messages":[{"role":"user","content":"hi"}],"MODEL":"test/dear"}`, status: 400, code: "unknown_parameter"},
		"mod\\u0065l":              {key: goodKey, body: `{"model":"test/text","messages":[{"role":"user","content":"hi"}],"mod\u0065l":"test/dear"}`, status: 400, code: "duplicate_parameter"},
		"400 before 404":           {key: goodKey, body: `{"model":"none"}`, status: 400, code: "missing_required_parameter"},
		"form":                     {key: goodKey, body: hello, headers: []string{"Content-Type", "Multipart/form-data; boundary=x"}, status: 400, code: "unsupported_content_type"},
		"compressed":               {key: goodKey, body: hello, headers: []string{"Content-Encoding", "gzip"}, status: 400, code: "unsupported_content_encoding"},
		"too large":                {key: goodKey, body: body("good", `,"user":"`+strings.Repeat("x", 5000)+`"`), status: 413, code: "request_too_large"},
		"no such model":            {key: goodKey, body: body("none", ""), status: 404, code: "model_not_found"},
		"not routable":             {key: goodKey, body: body("parked", ""), status: 404, code: "model_not_found"},
		"not allowed":              {key: goodKey, body: body("dear", ""), status: 403, code: "model_not_allowed"},
		"cannot stream":            {key: goodKey, body: body("text", `,"stream":true`), status: 400, code: "unsupported_capability"},
		"cannot use tools":         {key: goodKey, body: body("text", `,"tools":[{"type":"function","function":{"name":"f"}}]`), status: 400, code: "unsupported_capability"},
		"too many tokens":          {key: goodKey, body: body("good", `,"max_tokens":101`), status: 400, code: "max_tokens_too_large"},
		"too many (newer name)":    {key: goodKey, body: body("good", `,"max_completion_tokens":101`), status: 400, code: "max_tokens_too_large"},
		"404 before 402":           {key: "lyr_live_poor-poor-poor-poor", body: body("none", ""), status: 404, code: "model_not_found"},
		"403 before 402":           {key: "lyr_live_poor-poor-poor-poor", body: body("dear", ""), status: 403, code: "model_not_allowed"},
		"no credits":               {key: "lyr_live_poor-poor-poor-poor", body: hello, status: 402, code: "insufficient_credits", message: "Insufficient credits"},
		"unknown URL":              {path: "/v1/nothing", key: goodKey, status: 404, code: "not_found"},
		"root":                     {path: "/", method: http.MethodGet, status: 404, code: "not_found"},
		"wrong method":             {method: http.MethodPut, key: goodKey, status: 405, code: "method_not_allowed"},
		"GET completions":          {method: http.MethodGet, key: goodKey, status: 405, code: "method_not_allowed"},
		"models without a key":     {method: http.MethodGet, path: "/v1/models", status: 401, code: "invalid_api_key"},
		"model that is not there":  {method: http.MethodGet, path: "/v1/models/none", key: goodKey, status: 404, code: "model_not_found"},
		"model that is not for me": {method: http.MethodGet, path: "/v1/models/test/dear", key: goodKey, status: 403, code: "model_not_allowed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.path == "" {
				c.path = path
			}
			if c.method == "" {
				c.method = http.MethodPost
			}
			got := w.do(c.method, c.path, c.key, c.body, c.headers...)
			e := got.failure(t)
			if got.status != c.status || e["code"] != c.code {
				t.Errorf("got %d %v, want %d %s", got.status, e, c.status, c.code)
			}
			if message, _ := e["message"].(string); !strings.HasPrefix(message, c.message) || strings.Contains(message, "lyr_live_0") {
				t.Errorf("message %q", message)
			}
			if kind := got.header.Get("Content-Type"); kind != "application/json" {
				t.Errorf("content type %q", kind)
			}
			if got.header.Get(headerRequestID) == "" || got.header.Get(headerLayersRequestID) == "" {
				t.Error("no request id")
			}
			if c.status == http.StatusMethodNotAllowed && !strings.Contains(got.header.Get("Allow"), "POST") {
				t.Errorf("Allow: %q", got.header.Get("Allow"))
			}
		})
	}
	if w.balance() != 10*usd {
		t.Errorf("refusals cost money: %d left", w.balance())
	}
}

func TestParam(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	for body, param := range map[string]string{
		`{"model":"good","messages":[{"role":"user","content":"x"}],"max_completion_tokens":101}`:              "max_completion_tokens",
		`{"model":"good","messages":[{"role":"user","content":"x"}],"max_tokens":101}`:                         "max_tokens",
		`{"model":"text","messages":[{"role":"user","content":"x"}],"stream":true}`:                            "stream",
		`{"model":"good","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"}}`: "response_format",
		`{"model":"none","messages":[{"role":"user","content":"x"}]}`:                                          "model",
	} {
		if got := w.chat(body).failure(t)["param"]; got != param {
			t.Errorf("%s: param %v, want %s", body, got, param)
		}
	}
}

func TestKeyHeaders(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	for _, h := range [][2]string{{"Authorization", "Bearer " + goodKey}, {"Authorization", "bearer  " + goodKey}, {"api-key", goodKey}, {"x-api-key", goodKey}} {
		if got := w.do(http.MethodGet, "/v1/models", "", "", h[0], h[1]); got.status != http.StatusOK {
			t.Errorf("%v: %d %s", h, got.status, got.body)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	w := newWorld(t)
	for sent, kept := range map[string]bool{"abc-1.2_3": true, "": false, "with space": false, strings.Repeat("x", 129): false, strings.Repeat("x", 128): true} {
		got := w.do(http.MethodGet, "/api/v1/chat", "", "", headerRequestID, sent)
		ours, theirs := got.header.Get(headerLayersRequestID), got.header.Get(headerRequestID)
		if !strings.HasPrefix(ours, "req_") {
			t.Errorf("our id %q", ours)
		}
		if want := map[bool]string{true: sent, false: ours}[kept]; theirs != want {
			t.Errorf("sent %q: X-Request-Id %q, want %q", sent, theirs, want)
		}
	}
}

func TestRateLimit(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 100*usd, func(k *ledger.Key) { k.Tier = "ns/slow" })
	w.serve(answers(1, 1))
	for want := 1; want >= 0; want-- {
		got := w.chat(hello)
		if got.status != http.StatusOK || got.header.Get("X-RateLimit-Limit") != "60" || got.header.Get("X-RateLimit-Remaining") != strconv.Itoa(want) {
			t.Fatalf("%d %v", got.status, got.header)
		}
	}
	got := w.chat(hello)
	e := got.failure(t)
	if got.status != http.StatusTooManyRequests || e["code"] != "rate_limit_exceeded" || e["tier"] != "ns/slow" {
		t.Fatalf("%d %v", got.status, e)
	}
	if message := e["message"].(string); !strings.HasPrefix(message, "Rate limit exceeded") || !strings.Contains(message, "ns/slow") {
		t.Errorf("message %q", message)
	}
	ms, err := strconv.Atoi(got.header.Get("Retry-After-Ms"))
	if err != nil || ms < 1 || ms > 1000 || got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q, -Ms %q", got.header.Get("Retry-After"), got.header.Get("Retry-After-Ms"))
	}
	if reset, err := strconv.ParseInt(got.header.Get("X-RateLimit-Reset"), 10, 64); err != nil || reset < 1_700_000_000 {
		t.Errorf("X-RateLimit-Reset %q", got.header.Get("X-RateLimit-Reset"))
	}
}

// A grant is seen by the very next request, although the copy of the balance says otherwise.
func TestCredits(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd/100)
	w.serve(answers(10, 10))
	got := w.chat(hello)
	e := got.failure(t)
	if got.status != http.StatusPaymentRequired {
		t.Fatalf("%d %v", got.status, e)
	}
	// 79 bytes of input at most, 10 tokens of output: 0.099 USD.
	required, _ := e["required"].(map[string]any)
	balance, _ := e["balance"].(map[string]any)
	if required["credits"] != "9.9" && required["usd"] == "" || balance["credits"] != "1" || balance["usd"] != "0.01" {
		t.Errorf("amounts %v", e)
	}
	if _, err := w.books.Grant(t.Context(), ledger.Grant{ID: "g", Account: account, Amount: usd, Kind: "manual", Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if got := w.chat(hello); got.status != http.StatusOK {
		t.Fatalf("after the grant: %d %s", got.status, got.body)
	}
	w.sound()
}

// Money that is only tied up in running requests is 429, which SDKs retry, not 402.
func TestCreditsReserved(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd/8)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		close(entered)
		<-leave
		return answers(1, 1)(ctx, c)
	})
	first := make(chan int)
	go func() { first <- w.chat(hello).status }()
	<-entered
	got := w.chat(hello)
	if e := got.failure(t); got.status != http.StatusTooManyRequests || e["code"] != "credits_reserved" || got.header.Get("Retry-After") != "1" {
		t.Errorf("%d %v", got.status, e)
	}
	close(leave)
	if status := <-first; status != http.StatusOK {
		t.Errorf("the first: %d", status)
	}
	w.serve(answers(1, 1))
	if got := w.chat(hello); got.status != http.StatusOK {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
	w.sound()
}

// A revoked key is refused by the next request, whatever this replica remembers.
func TestRevoked(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(answers(1, 1))
	if got := w.chat(hello); got.status != http.StatusOK {
		t.Fatalf("before: %d %s", got.status, got.body)
	}
	row, err := w.books.RevokeKey(t.Context(), keys.Digest(goodKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Publish(t.Context(), w.redis, w.redis, row); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got := w.chat(hello)
		if e := got.failure(t); got.status != http.StatusUnauthorized || e["code"] != "key_revoked" || !strings.HasPrefix(e["message"].(string), "Invalid API key") {
			t.Errorf("%d %v", got.status, e)
		}
	}
}

func TestDisabledAndBack(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(answers(1, 1))
	for i, state := range []ledger.KeyState{ledger.KeyActive, ledger.KeyDisabled, ledger.KeyActive} {
		row := w.key(goodKey, usd, func(k *ledger.Key) { k.State = state })
		if err := keys.Publish(t.Context(), w.redis, w.redis, row); err != nil {
			t.Fatal(err)
		}
		want := map[ledger.KeyState]int{ledger.KeyActive: 200, ledger.KeyDisabled: 401}[state]
		if got := w.chat(hello); got.status != want {
			t.Errorf("step %d: %d %s, want %d", i, got.status, got.body, want)
		}
	}
}

func TestNotConfigured(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *snapshot.Snapshot) { o.Keys = nil })
	got := w.chat(hello)
	if e := got.failure(t); got.status != http.StatusServiceUnavailable || !strings.HasPrefix(e["message"].(string), "AI Gateway not configured") {
		t.Errorf("%d %v", got.status, e)
	}
	if w.server.Ready() {
		t.Error("ready without a key store")
	}
}

func TestStoreDown(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.redis.Close()
	got := w.chat(hello)
	if e := got.failure(t); got.status != http.StatusServiceUnavailable || e["code"] != "store_unavailable" || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", got.status, e)
	}
	if !w.server.Ready() {
		t.Error("readiness asks the store")
	}
}
