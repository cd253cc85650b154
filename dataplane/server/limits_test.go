package server

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

const path = "/v1/chat/completions"

// limited gives the default tier every kind of limit.
func limited(_ *Options, s *snapshot.Snapshot) {
	s.Tiers[0].Limits = []snapshot.RateLimit{
		{Unit: snapshot.RequestsPerMinute, Value: 60, Burst: 5}, {Unit: snapshot.InputTokensPerMinute, Value: 600, Burst: 600},
		{Unit: snapshot.OutputTokensPerMinute, Value: 600, Burst: 60}, {Unit: snapshot.RequestsPerDay, Value: 4},
	}
	s.Tiers[0].MaxConcurrent = 2
	s.Tiers[0].UpgradeURL = "https://example.com/more"
}

// Whatever a known caller asks, and whatever the answer, it tells where the limits stand; what is no admission takes nothing.
func TestHeadersOnEveryAnswer(t *testing.T) {
	w := newWorld(t, limited)
	w.key(goodKey, 10*usd)
	w.serve(answers(1, 1))
	ask := []struct {
		name, method, path, body string
		status                   int
		remaining                string
	}{
		{"models", "GET", "/v1/models", "", 200, "4"},
		{"a model", "GET", "/v1/models/test/good", "", 200, "4"},
		{"no model", "GET", "/v1/models/none", "", 404, "4"},
		{"no receipt", "GET", "/v1/usage/req_1", "", 404, "4"},
		{"an estimate", "POST", "/v1/estimate", hello, 200, "3"},
		{"malformed", "POST", path, "{", 400, "4"},
		{"unknown", "POST", path, strings.Replace(hello, "test/good", "none", 1), 404, "4"},
		{"not allowed", "POST", path, strings.Replace(hello, "test/good", "dear", 1), 403, "4"},
		{"too large", "POST", path, strings.Repeat(" ", 5000), 413, "4"},
		{"a chat", "POST", path, hello, 200, "3"},
		{"a stream", "POST", path, helloStream, 200, "2"},
		{"models again", "GET", "/v1/models", "", 200, "2"},
	}
	for _, c := range ask {
		if c.name == "a stream" {
			w.serve(streams(content("a"), used(1, 1), done()))
		}
		got := w.do(c.method, c.path, goodKey, c.body)
		if got.status != c.status {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
		for _, name := range []string{"X-RateLimit-Reset", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-limit-requests"} {
			if got.header.Get(name) == "" {
				t.Errorf("%s: no %s", c.name, name)
			}
		}
		// The tightest request limit is that of the day.
		if l, r := got.header.Get("X-RateLimit-Limit"), got.header.Get("X-RateLimit-Remaining"); l != "4" || r != c.remaining || got.header.Get("x-ratelimit-remaining-requests") != r {
			t.Errorf("%s: %s of %s, want %s of 4", c.name, r, l, c.remaining)
		}
	}
	for name, got := range map[string]reply{"no key": w.do("GET", "/v1/models", "", ""), "an unknown one": w.do("POST", path, "lyr_live_0123456789abcdefg", hello)} {
		if got.status != http.StatusUnauthorized || got.header.Get("X-RateLimit-Limit") != "" || got.header.Get("x-ratelimit-limit-tokens") != "" {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
	}
}

// Tokens that were estimated are given back, and tokens that were really used are taken.
func TestTokensAreCorrected(t *testing.T) {
	w := newWorld(t, limited)
	w.key(goodKey, 10*usd)
	w.serve(answers(300, 1))
	if got := w.chat(hello); got.status != 200 || got.header.Get("x-ratelimit-remaining-tokens") != "50" {
		t.Fatalf("%d %v", got.status, got.header)
	}
	// 10 output tokens were asked for and one came: 59 are left of 60. Of 600 for input 300 are.
	got := w.do("GET", "/v1/models", goodKey, "")
	if left := got.header.Get("x-ratelimit-remaining-tokens"); left != "59" && left != "60" {
		t.Errorf("%s tokens are left", left)
	}
	w.serve(answers(290, 1))
	w.chat(hello)
	got = w.chat(hello)
	if e := got.failure(t); got.status != 429 || e["rule"] != "InputTokensPerMinute" || e["limit"] != 600.0 || e["object"] != "Tier ns/free" || e["upgrade_url"] != "https://example.com/more" {
		t.Errorf("%d %v", got.status, e)
	}
	if got.header.Get("Retry-After") == "" || got.header.Get("Retry-After-Ms") == "" {
		t.Errorf("no Retry-After: %v", got.header)
	}
}

func TestScopes(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd, func(k *ledger.Key) { k.Scopes = []string{"Inference"} })
	const reader = "lyr_live_reader-reader-reader"
	w.key(reader, 0, func(k *ledger.Key) { k.Scopes = []string{"Usage"} })
	w.serve(answers(1, 1))
	id := w.chat(hello).header.Get(headerLayersRequestID)
	for _, c := range []struct {
		key, method, path string
		status            int
	}{
		{goodKey, "POST", path, 200}, {goodKey, "POST", "/v1/estimate", 200}, {goodKey, "GET", "/v1/usage/" + id, 403}, {goodKey, "GET", "/v1/models", 200},
		{reader, "POST", path, 403}, {reader, "POST", "/v1/estimate", 403}, {reader, "GET", "/v1/usage/" + id, 200}, {reader, "GET", "/v1/models", 200},
	} {
		body := ""
		if c.method == "POST" {
			body = hello
		}
		got := w.do(c.method, c.path, c.key, body)
		if got.status != c.status {
			t.Errorf("%s %s with %s: %d %s", c.method, c.path, c.key, got.status, got.body)
		}
		if c.status == 403 {
			if e := got.failure(t); e["code"] != "insufficient_scope" || e["type"] != typePermission || !strings.HasPrefix(e["object"].(string), "APIKey ns/") {
				t.Errorf("%v", e)
			}
		}
	}
}

// A key narrows its tier, by public name or alias; a tier whose selector takes nothing allows nothing.
func TestKeyModels(t *testing.T) {
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) {
		s.Tiers = append(s.Tiers, snapshot.Tier{Name: "ns/nothing", NoModels: true, MaxBodyBytes: 4096})
	})
	w.key(goodKey, usd, func(k *ledger.Key) { k.Models = []string{"good", "dear", "gone"} })
	const none = "lyr_live_nothing-nothing-nothing"
	w.key(none, 0, func(k *ledger.Key) { k.Tier = "ns/nothing" })
	w.serve(answers(1, 1))
	for model, object := range map[string]string{"good": "", "test/good": "", "text": "APIKey ns/" + goodKey, "dear": "Tier ns/free"} {
		got := w.chat(strings.Replace(hello, "test/good", model, 1))
		if object == "" {
			if got.status != 200 {
				t.Errorf("%s: %d %s", model, got.status, got.body)
			}
			continue
		}
		if e := got.failure(t); got.status != 403 || e["code"] != "model_not_allowed" || e["object"] != object {
			t.Errorf("%s: %d %v", model, got.status, e)
		}
	}
	if got := w.do("GET", "/v1/models", goodKey, ""); !strings.Contains(got.body, "test/good") || strings.Contains(got.body, "test/text") || strings.Contains(got.body, "test/dear") {
		t.Errorf("models %s", got.body)
	}
	if got := w.do("GET", "/v1/models", none, ""); got.status != 200 || !strings.Contains(got.body, `"data":[]`) {
		t.Errorf("models of nothing: %s", got.body)
	}
	if got := w.do("POST", path, none, hello); got.status != 403 {
		t.Errorf("nothing: %d %s", got.status, got.body)
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	w.key(goodKey, usd, func(k *ledger.Key) { k.ExpiresAt = past.UnixMicro() })
	w.serve(answers(1, 1))
	for range 2 {
		got := w.chat(hello)
		if e := got.failure(t); got.status != 401 || e["code"] != "key_expired" || !strings.HasPrefix(e["message"].(string), "Invalid API key: it expired at "+past.UTC().Format(time.RFC3339)) {
			t.Errorf("%d %v", got.status, e)
		}
	}
	// It lasts longer from now on, whatever this replica remembers.
	w.key(goodKey, usd, func(k *ledger.Key) { k.ExpiresAt = future.UnixMicro() })
	if got := w.chat(hello); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A revocation is seen by the next request of routes that call no model, too.
func TestRevokedReader(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	if got := w.do("GET", "/v1/models", goodKey, ""); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	row, err := w.books.RevokeKey(t.Context(), keys.Digest(goodKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.redis.LoadKey(t.Context(), row.Account, row.Digest, string(row.State), row.Version); err != nil {
		t.Fatal(err)
	}
	if got := w.do("GET", "/v1/models", goodKey, ""); got.status != 401 || got.failure(t)["code"] != "key_revoked" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestUnavailableModel(t *testing.T) {
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) {
		m := s.Models[0]
		m.PublicName, m.Aliases, m.Backends, m.Price, m.Unavailable = "test/later", nil, nil, nil, "set OPENAI_API_KEY."
		s.Models = append(s.Models, m)
		s.Tiers[0].Models = nil
	})
	w.key(goodKey, usd)
	if got := w.do("GET", "/v1/models", goodKey, ""); !strings.Contains(got.body, "test/later") {
		t.Errorf("models %s", got.body)
	}
	got := w.chat(strings.Replace(hello, "test/good", "test/later", 1))
	if e := got.failure(t); got.status != 503 || e["message"] != "AI Gateway not configured: set OPENAI_API_KEY." {
		t.Errorf("%d %v", got.status, e)
	}
}

func TestReceipt(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	const stranger = "lyr_live_stranger-stranger-stranger"
	w.key(stranger, 0, func(k *ledger.Key) { k.Account = "ns/other" })
	w.serve(answers(20, 10))
	id := w.chat(hello).header.Get(headerLayersRequestID)
	got := w.do("GET", "/v1/usage/"+id, goodKey, "")
	var r receipt
	if err := json.Unmarshal([]byte(got.body), &r); err != nil || got.status != 200 {
		t.Fatalf("%d %s %v", got.status, got.body, err)
	}
	started, err := time.Parse(time.RFC3339Nano, r.StartedAt)
	finished, err2 := time.Parse(time.RFC3339Nano, r.FinishedAt)
	if err != nil || err2 != nil || finished.Before(started) || time.Since(finished) > time.Minute {
		t.Errorf("times %s %s", r.StartedAt, r.FinishedAt)
	}
	for what, ok := range map[string]bool{
		"ids":     r.ID == id && r.Object == "usage.receipt" && r.Account == account && strings.HasPrefix(r.APIKey, "key_") && r.ProviderRequestID == "chatcmpl-1" && r.Transaction != "",
		"route":   r.Model == "test/good" && r.Provider == "ns/p" && r.Backend == "one" && r.Status == 200 && !r.Stream,
		"tokens":  r.Tokens == tokens{Input: 20, Output: 10} && r.Evidence == "reported",
		"money":   r.Charge["usd"] == "0.04" && r.Charge["credits"] == "4" && r.Cost["usd"] == "0.04" && r.Hold["usd"] != "" && r.Prices == "v1",
		"lines":   len(r.Lines) == 2 && r.Lines[0].Kind == "input" && r.Lines[0].Quantity == 20 && r.Lines[0].USDPerMillion == "1000" && r.Lines[0].Amount["usd"] == "0.02",
		"no keys": !strings.Contains(got.body, goodKey) && !strings.Contains(got.body, "sk-provider"),
	} {
		if !ok {
			t.Errorf("%s: %s", what, got.body)
		}
	}
	for name, got := range map[string]reply{
		"another account's": w.do("GET", "/v1/usage/"+id, stranger, ""), "unknown": w.do("GET", "/v1/usage/req_0", goodKey, ""),
		"garbage": w.do("GET", "/v1/usage/%00%27--", goodKey, ""), "no id": w.do("GET", "/v1/usage/", goodKey, ""),
	} {
		if e := got.failure(t); got.status != 404 || (e["code"] != "receipt_not_found" && name != "no id") {
			t.Errorf("%s: %d %v", name, got.status, e)
		}
	}
	if got := w.do("POST", "/v1/usage/"+id, goodKey, ""); got.status != 405 {
		t.Errorf("POST: %d", got.status)
	}
}

// dear is hello with an answer ten times as long.
var dear = strings.Replace(hello, `"max_tokens":10`, `"max_tokens":100`, 1)

// estimates is an estimate that must succeed.
func (w *world) estimates(body string) (e estimate) {
	w.t.Helper()
	got := w.do("POST", "/v1/estimate", goodKey, body)
	if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.status != 200 {
		w.t.Fatalf("%d %s %v", got.status, got.body, err)
	}
	return e
}

// An estimate names every rule that would refuse, not only the first.
func TestEstimateBites(t *testing.T) {
	w := newWorld(t, limited)
	w.key(goodKey, usd/4, func(k *ledger.Key) { k.CapAmount, k.CapPeriod = usd/8, ledger.PeriodDay })
	w.serve(answers(1, 1))
	bites := func(body string) (rules []string) {
		t.Helper()
		for _, l := range w.estimates(body).Limits {
			if l.Bites {
				rules = append(rules, l.Rule)
			}
		}
		return rules
	}
	if got := bites(hello); got != nil {
		t.Errorf("%v bite", got)
	}
	if got := bites(dear); !slices.Equal(got, []string{"SpendCap", "Credits"}) {
		t.Errorf("%v bite, not the cap and the credits", got)
	}
	for range 4 { // all that a day allows
		if got := w.chat(hello); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got := bites(hello); !slices.Equal(got, []string{"RequestsPerDay"}) {
		t.Errorf("%v bite, not the day", got)
	}
}

// An estimate says what a request would cost and meet, and leaves no trace of itself.
func TestEstimate(t *testing.T) {
	w := newWorld(t, limited)
	w.key(goodKey, usd/4, func(k *ledger.Key) { k.CapAmount, k.CapPeriod = usd, ledger.PeriodDay })
	w.serve(func(_ context.Context, _ chat.Call) (*chat.Response, error) {
		t.Error("an estimate called the provider")
		return nil, errInternal(nil)
	})
	ask := w.estimates
	e := ask(hello)
	in := int64(len(hello))
	for what, ok := range map[string]bool{
		"model":  e.Object == "estimate" && e.Model == "test/good" && len(e.Route) == 2 && e.Route[0] == stop{"one", "ns/p", 0, 1} && e.Route[1].Backend == "two",
		"price":  e.Price != nil && e.Price.Input == "1000" && e.Price.Output == "2000" && e.Price.CacheRead == "1000" && e.Price.Version == "v1",
		"tokens": e.Tokens == tokenPair{(in + 3) / 4, 10} && e.WorstTokens == tokenPair{in, 10},
		"money":  e.Cost["usd"] == "0.041" && e.Hold["usd"] == "0.101" && e.Balance["usd"] == "0.25",
		"limits": len(e.Limits) == 7 && e.Limits[0].Rule == "RequestsPerMinute" && e.Limits[4].Rule == "MaxConcurrentRequests" && e.Limits[5].Object == "APIKey ns/"+goodKey && e.Limits[6].Rule == "Credits",
		"yes":    e.Admitted && e.Status == 200 && e.Refusal == nil,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, e)
		}
	}
	if e := ask(dear); e.Admitted || e.Status != 402 || !strings.Contains(string(e.Refusal), `"code":"insufficient_credits"`) {
		t.Errorf("%+v %s", e, e.Refusal)
	}
	if got := w.do("POST", "/v1/estimate", goodKey, "{"); got.status != 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
	for range 10 { // more than the day allows
		if e := ask(hello); !e.Admitted {
			t.Fatalf("estimates take of the limits: %s", e.Refusal)
		}
	}
	w.sound()
	if w.balance() != usd/4 {
		t.Errorf("balance %d", w.balance())
	}
}

// What a key has spent is read from the ledger, then followed; the cap of a period refuses for good, and says until when.
func TestSpendCap(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 10*usd, func(k *ledger.Key) { k.CapAmount, k.CapPeriod = usd/5, ledger.PeriodDay })
	w.serve(answers(20, 10)) // 0.04 each, and a hold of 0.101
	passed := 0
	for range 10 {
		got := w.chat(hello)
		if got.status == 200 {
			passed++
			continue
		}
		e := got.failure(t)
		reset, _ := e["reset"].(float64)
		midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		if got.status != 402 || e["code"] != "spend_cap_reached" || e["object"] != "APIKey ns/"+goodKey || e["type"] != "insufficient_quota" || int64(reset) < midnight.Unix() || got.header.Get("Retry-After") != "" {
			t.Errorf("%d %v", got.status, e)
		}
	}
	if passed != 3 { // 3 x 0.04 + 0.101 is more than 0.2
		t.Errorf("%d passed", passed)
	}
	w.sound()
}
