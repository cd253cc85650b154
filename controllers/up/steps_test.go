package up

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// counted is an upstream of Anthropic's Messages whose answers have used what the question says: "input read write write1h
// output searches".
func counted(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in, read, write, long, out, searches int
		body, _ := io.ReadAll(r.Body)
		_, rest, _ := strings.Cut(string(body), "use ")
		if n, err := fmt.Sscanf(rest, "%d %d %d %d %d %d", &in, &read, &write, &long, &out, &searches); n != 6 {
			http.Error(w, fmt.Sprint(err), http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn",`+
			`"stop_sequence":null,"usage":{"input_tokens":%d,"output_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":%d,`+
			`"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d},"server_tool_use":{"web_search_requests":%d}}}`,
			in, out, read, write+long, write, long, searches)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// stepped are the manifests of a Model with a step, whose provider asks half of the prices, for keys with a markup.
func stepped(t *testing.T) map[string]string {
	t.Helper()
	files := manifest(t, counted(t), keys.Digest(plainKey))
	files["10-provider.yaml"] = strings.Replace(files["10-provider.yaml"], "OpenAICompatible", "Anthropic", 1)
	files["20-model.yaml"] = api + `kind: Model
metadata: {name: small}
spec:
  publicName: acme/small
  aliases: [small]
  limits: {contextTokens: 128000, maxOutputTokens: 4096}
  pricing:
    inputPerMillion: "2"
    outputPerMillion: "10"
    cacheReadPerMillion: "1"
    cacheWritePerMillion: "3"
    cacheWrite1hPerMillion: "4"
    searchPerThousand: "10"
    steps:
    - aboveInputTokens: 1000
      inputPerMillion: "20"
      outputPerMillion: "100"
      cacheReadPerMillion: "11"
      cacheWritePerMillion: "31"
      cacheWrite1hPerMillion: "41"
  backends:
  - name: local
    providerRef: {name: local}
    model: upstream-model
    pricing: {inputPerMillion: "1", outputPerMillion: "5", searchPerThousand: "6", steps: [{aboveInputTokens: 500, inputPerMillion: "7", outputPerMillion: "9"}]}
`
	files["35-tier.yaml"] = api + "kind: Tier\nmetadata: {name: dear}\nspec: {markup: \"1.25\"}\n"
	files["40-keys.yaml"] = strings.ReplaceAll(files["40-keys.yaml"], "spec: {account: acme,", "spec: {account: acme, tierRef: {name: dear},")
	return files
}

func use(input, read, write, long, output, searches int) string {
	return fmt.Sprintf(`{"model":"small","max_tokens":4000,"messages":[{"role":"user","content":"use %d %d %d %d %d %d"}]}`, input, read, write, long, output, searches)
}

// TestStepsAndMarkup: a request with more input than aboveInputTokens is at the step's prices as a whole, inputPerMillion,
// outputPerMillion, cacheReadPerMillion, cacheWritePerMillion and cacheWrite1hPerMillion; the tier's markup multiplies it.
func TestStepsAndMarkup(t *testing.T) {
	p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, stepped(t))})
	for _, c := range []struct {
		body string
		nano int64 // before the markup of a quarter
		line string
	}{
		{use(1000, 0, 0, 0, 10, 0), 1000*2000 + 10*10_000, `{"kind":"input","quantity":1000,"usd_per_million":"2"`},
		{use(1001, 0, 0, 0, 10, 0), 1001*20_000 + 10*100_000, `{"kind":"input","quantity":1001,"usd_per_million":"20"`},
		{use(1, 1000, 0, 0, 0, 0), 20_000 + 1000*11_000, `{"kind":"cache_read","quantity":1000,"usd_per_million":"11"`},
		{use(1, 0, 1000, 0, 0, 0), 20_000 + 1000*31_000, `{"kind":"cache_write","quantity":1000,"usd_per_million":"31"`},
		{use(1, 0, 0, 1000, 0, 0), 20_000 + 1000*41_000, `{"kind":"cache_write_1h","quantity":1000,"usd_per_million":"41"`},
	} {
		status, header, got := p.postTo(t, "/v1/messages", c.body)
		want := fmt.Sprint(float64(c.nano*5/4) / 1e9)
		if cost := cost.FindStringSubmatch(got); status != http.StatusOK || len(cost) != 2 || cost[1] != want {
			t.Errorf("%s: %d, cost %v, want %s: %s", c.body, status, cost, want, got)
			continue
		}
		if receipt := p.receipt(t, header.Get("X-Layers-Request-Id")); !strings.Contains(receipt, c.line) || !strings.Contains(receipt, `"markup":"1.25"`) {
			t.Errorf("%s: receipt %s, want %s", c.body, receipt, c.line)
		}
	}
	_, _, estimate := p.postTo(t, "/v1/estimate", use(1, 0, 0, 0, 1, 0))
	for _, want := range []string{`"markup":"1.25"`, `"above_input_tokens":1000,"input_usd_per_million":"20"`} {
		if !strings.Contains(estimate, want) {
			t.Errorf("the estimate does not say %s: %s", want, estimate)
		}
	}
}

// TestProviderCost: what the provider asks is by the backend's own pricing, inputPerMillion, outputPerMillion, searchPerThousand
// and its steps (aboveInputTokens), without markup; what it does not set, cacheReadPerMillion, cacheWritePerMillion and
// cacheWrite1hPerMillion, is as its input; it is in the ledger, and nowhere that a client sees.
func TestProviderCost(t *testing.T) {
	data := t.TempDir()
	p := start(t, Options{Data: data, Manifests: folder(t, stepped(t))})
	asked := map[string]int64{}
	for body, want := range map[string]int64{use(100, 0, 0, 0, 10, 0): 100*1000 + 10*5000, use(1, 100, 100, 100, 0, 0): 301 * 1000, use(501, 0, 0, 0, 10, 2): 501*7000 + 10*9000 + 2*6_000_000} {
		status, header, got := p.postTo(t, "/v1/messages", body)
		id := header.Get("X-Layers-Request-Id")
		if status != http.StatusOK || id == "" {
			t.Fatalf("%d %s", status, got)
		}
		if receipt := p.receipt(t, id); strings.Contains(receipt, "provider_cost") {
			t.Errorf("the client sees what the provider asks: %s", receipt)
		}
		asked[id] = want
	}
	p.stop(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(data, "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for id, want := range asked {
		r, err := l.Receipt(t.Context(), "default/acme", id)
		if err != nil || r.ProviderCost != want || r.Charged <= want {
			t.Errorf("%s: the provider asks %d, charged %d, %v; want %d", id, r.ProviderCost, r.Charged, err, want)
		}
	}
}
