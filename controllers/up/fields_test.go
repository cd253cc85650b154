package up

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
)

// TestFieldsAct changes one field of a manifest at a time and asks what a client sees of it.
func TestFieldsAct(t *testing.T) {
	const keySpec = "account: acme, creditPolicyRef: {name: trial}, key: {sha256:"
	tier := func(spec string) map[string]string {
		return map[string]string{"50-tier.yaml": api + "kind: Tier\nmetadata: {name: t}\nspec: {" + spec + "}\n"}
	}
	type answer struct {
		status int
		text   string // in the body or a header
	}
	today := time.Now().UTC().Truncate(24 * time.Hour)
	const inTier = "tierRef: {name: t}, "
	tests := map[string]struct {
		key   string            // put into the spec of the declared key
		files map[string]string // more files
		edit  [3]string         // file, old, new
		ask   []string          // paths or bodies, one after the other; the last answer counts
		want  answer
	}{
		"limits: value and burst of RequestsPerMinute": {key: inTier, files: tier("limits: [{unit: RequestsPerMinute, value: 1, burst: 2}], upgradeURL: https://example.com/more"),
			ask: []string{question, question, question}, want: answer{429, "RequestsPerMinute"}},
		"upgradeURL": {key: inTier, files: tier("limits: [{unit: RequestsPerDay, value: 1}], upgradeURL: https://example.com/more"),
			ask: []string{question, question}, want: answer{429, "https://example.com/more"}},
		"limits: RequestsPerDay": {key: inTier, files: tier("limits: [{unit: RequestsPerDay, value: 1}]"),
			ask: []string{question, question}, want: answer{429, "RequestsPerDay"}},
		"limits: OutputTokensPerMinute": {key: inTier, files: tier("limits: [{unit: OutputTokensPerMinute, value: 1}]"),
			ask: []string{question, question}, want: answer{429, "OutputTokensPerMinute"}},
		"limits: InputTokensPerMinute": {key: inTier, files: tier("limits: [{unit: InputTokensPerMinute, value: 1}]"),
			ask: []string{question, question}, want: answer{429, "InputTokensPerMinute"}},
		"maxBodyBytes":                {key: inTier, files: tier("maxBodyBytes: 1024"), ask: []string{`{"model":"small","messages":[],"x":"` + strings.Repeat("x", 2000) + `"}`}, want: answer{413, ""}},
		"models.names":                {key: inTier, files: tier("models: {names: [acme/other]}"), ask: []string{question}, want: answer{403, ""}},
		"models.selector.matchLabels": {key: inTier, files: tier("models: {selector: {matchLabels: {size: huge}}}"), ask: []string{question}, want: answer{403, ""}},
		"models.selector.matchExpressions": {key: inTier, files: tier("models: {selector: {matchExpressions: [{key: size, operator: In, values: [huge]}]}}"),
			ask: []string{question}, want: answer{403, ""}},
		"models.selector takes": {key: inTier, files: tier("models: {selector: {matchExpressions: [{key: size, operator: DoesNotExist}]}}"),
			ask: []string{question}, want: answer{200, ""}},
		"allowedNamespaces": {key: "", files: map[string]string{
			"50-tier.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: far, labels: {ai: 'no'}}\n---\n" + api + "kind: Tier\nmetadata: {name: t}\nspec: {allowedNamespaces: {from: Selector, selector: {matchLabels: {ai: 'yes'}}}}\n",
			"40-keys.yaml": api + "kind: APIKey\nmetadata: {name: declared, namespace: far}\nspec: {account: acme, tierRef: {name: t}, key: {sha256: " + keys.Digest(plainKey) + "}}\n",
		}, ask: []string{question}, want: answer{401, ""}},

		"key models":            {key: "models: [acme/other], ", ask: []string{question}, want: answer{403, ""}},
		"scopes":                {key: "scopes: [Usage], ", ask: []string{question}, want: answer{403, "Inference"}},
		"scopes of receipts":    {key: "scopes: [Inference], ", ask: []string{"/v1/usage/req_1"}, want: answer{403, "Usage"}},
		"spendCap amount":       {key: "spendCap: {amount: '0.001', period: Day}, ", ask: []string{question}, want: answer{402, fmt.Sprintf(`"reset":%d`, today.AddDate(0, 0, 1).Unix())}},
		"spendCap period":       {key: "spendCap: {amount: '0.001'}, ", ask: []string{question}, want: answer{402, fmt.Sprintf(`"reset":%d`, today.AddDate(0, 1, 1-today.Day()).Unix())}},
		"expiresAt":             {key: "expiresAt: '2020-01-01T00:00:00Z', ", ask: []string{question}, want: answer{401, "expired"}},
		"expiresAt to come":     {key: "expiresAt: '2100-01-01T00:00:00Z', ", ask: []string{question}, want: answer{200, ""}},
		"state":                 {key: "state: Disabled, ", ask: []string{question}, want: answer{401, "disabled"}},
		"account without money": {edit: [3]string{"30-credit.yaml", "grant: {amount: \"100000\"}", ""}, ask: []string{question}, want: answer{402, "Insufficient credits"}},
		"mode Unmetered":        {edit: [3]string{"30-credit.yaml", "grant: {amount: \"100000\"}", "mode: Unmetered"}, ask: []string{question}, want: answer{200, ""}},
		"defaults": {files: map[string]string{
			"00-gateway.yaml": api + "kind: AIGateway\nmetadata: {name: main}\nspec: {mode: Live, redis: {urlSecretRef: {name: s, key: u}}, ledger: {urlSecretRef: {name: s, key: u}}, defaults: {tierRef: {name: t}, creditPolicyRef: {name: free}}}\n",
			"50-tier.yaml":    api + "kind: Tier\nmetadata: {name: t}\nspec: {limits: [{unit: RequestsPerDay, value: 1}]}\n---\n" + api + "kind: CreditPolicy\nmetadata: {name: free}\nspec: {mode: Unmetered}\n",
		}, edit: [3]string{"40-keys.yaml", "creditPolicyRef: {name: trial}, ", ""}, ask: []string{question, question}, want: answer{429, "RequestsPerDay"}},
		"credits.perDollar": {files: map[string]string{
			"00-gateway.yaml": api + "kind: AIGateway\nmetadata: {name: main}\nspec: {mode: Live, redis: {urlSecretRef: {name: s, key: u}}, ledger: {urlSecretRef: {name: s, key: u}}, credits: {perDollar: 1000000}}\n",
		}, edit: [3]string{"30-credit.yaml", "100000", "1"}, ask: []string{question}, want: answer{402, "Insufficient credits"}},

		"aliases":         {edit: [3]string{"20-model.yaml", "[small]", "[little]"}, ask: []string{question}, want: answer{404, ""}},
		"publicName":      {edit: [3]string{"20-model.yaml", "acme/small", "acme/tiny"}, ask: []string{"/v1/models"}, want: answer{200, `"acme/tiny"`}},
		"capabilities":    {edit: [3]string{"20-model.yaml", "aliases:", "capabilities: [Text, Tools]\n  aliases:"}, ask: []string{strings.Replace(question, "{", `{"stream":true,`, 1)}, want: answer{400, "unsupported_capability"}},
		"maxOutputTokens": {edit: [3]string{"20-model.yaml", "maxOutputTokens: 4096", "maxOutputTokens: 10"}, ask: []string{strings.Replace(question, "{", `{"max_tokens":11,`, 1)}, want: answer{400, "max_tokens"}},
		"backends.model":  {edit: [3]string{"20-model.yaml", "model: upstream-model", "model: other"}, ask: []string{question}, want: answer{0, "upstream"}},
		"auth":            {edit: [3]string{"10-provider.yaml", "sk-upstream", "sk-other"}, ask: []string{question}, want: answer{0, "upstream"}},
		"baseURL":         {edit: [3]string{"10-provider.yaml", "/v1\"", "/v2\""}, ask: []string{question}, want: answer{0, ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := manifest(t, provider(t), keys.Digest(plainKey))
			files["40-keys.yaml"] = strings.Replace(strings.Split(files["40-keys.yaml"], "---\n")[0], keySpec, test.key+keySpec, 1)
			for name, text := range test.files {
				files[name] = text
			}
			if file, old, text := test.edit[0], test.edit[1], test.edit[2]; file != "" {
				if !strings.Contains(files[file], old) {
					t.Fatalf("%s has no %q", file, old)
				}
				files[file] = strings.Replace(files[file], old, text, 1)
			}
			p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)})
			var status int
			var said string
			for _, ask := range test.ask {
				status, said = p.ask(t, ask)
			}
			if status != test.want.status && (test.want.status != 0 || status < 400) || !strings.Contains(said, test.want.text) {
				t.Errorf("%d %s\nwant %d and %q\n%s", status, said, test.want.status, test.want.text, files)
			}
		})
	}
}

// ask posts a body or gets a path, and answers the body after the headers.
func (p *process) ask(t *testing.T, what string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.API+"/v1/chat/completions", strings.NewReader(what))
	if strings.HasPrefix(what, "/") {
		req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, p.API+what, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+plainKey)
	req.Header.Set("Content-Type", "application/json")
	status, _, body := do(t, req)
	return status, body
}

// TestHeadersAndBackends: extra headers reach the provider, and of two backends the one of the lower priority is asked
// while the other waits, whatever their weights.
func TestHeadersAndBackends(t *testing.T) {
	var asked []string
	seen := make(chan string, 16)
	upstream := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen <- name + " " + r.Header.Get("X-Team")
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(upstreamBody(1)))
		}))
		t.Cleanup(s.Close)
		return s.URL + "/v1"
	}
	files := manifest(t, upstream("first"), keys.Digest(plainKey))
	files["10-provider.yaml"] = strings.Replace(files["10-provider.yaml"], "auth:", "headers: [{name: X-Team, value: blue}], auth:", 1) + "---\n" +
		api + "kind: Provider\nmetadata: {name: second}\nspec: {type: OpenAICompatible, baseURL: \"" + upstream("second") + "\", auth: {secretRef: {name: local, key: api-key}}}\n"
	files["20-model.yaml"] = strings.Replace(files["20-model.yaml"], "backends: [", "backends: [{name: second, providerRef: {name: second}, model: m, priority: 5, weight: 100}, ", 1)
	p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)})
	for range 5 {
		if got := p.status(t, plainKey); got != 200 {
			t.Errorf("status %d", got)
		}
		select {
		case one := <-seen:
			asked = append(asked, one)
		case <-time.After(10 * time.Second):
			t.Fatal("nobody was asked")
		}
	}
	for _, one := range asked {
		if one != "first blue" {
			t.Errorf("asked: %s", one)
		}
	}
}

// TestClientIP: with clientIP the caller is who a trusted proxy's header says, and whoever tries keys is slowed down alone.
func TestClientIP(t *testing.T) {
	gateway := func(clientIP string) map[string]string {
		files := manifest(t, provider(t), keys.Digest(plainKey))
		files["00-gateway.yaml"] = api + "kind: AIGateway\nmetadata: {name: main}\nspec: {mode: Live, redis: {urlSecretRef: {name: s, key: u}}, ledger: {urlSecretRef: {name: s, key: u}}" + clientIP + "}\n"
		return files
	}
	tests := map[string]struct {
		clientIP string
		other    int
	}{
		"trusted":        {", clientIP: {trustedProxies: [127.0.0.0/8], header: X-Real-IP}", 401},
		"not trusted":    {", clientIP: {trustedProxies: [10.0.0.0/8], header: X-Real-IP}", 429},
		"another header": {", clientIP: {trustedProxies: [127.0.0.0/8], header: X-Other}", 429},
		"without":        {"", 429},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, Options{Data: t.TempDir(), Manifests: folder(t, gateway(test.clientIP))})
			guess := func(ip string, i int) int {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.API+"/v1/chat/completions", strings.NewReader(question))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", fmt.Sprintf("Bearer lyr_live_guess-number-%016d", i))
				req.Header.Set("X-Real-IP", ip)
				status, _, _ := do(t, req)
				return status
			}
			i := 0
			for ; guess("203.0.113.1", i) != 429; i++ {
				if i > 5000 {
					t.Fatal("nobody stops guessing")
				}
			}
			got := guess("203.0.113.2", i)
			for range 50 { // on a slow machine a guess is allowed again now and then
				if got == 401 && test.other == 429 {
					got = guess("203.0.113.2", i)
				}
			}
			if got != test.other {
				t.Errorf("another address: %d, want %d", got, test.other)
			}
		})
	}
}
