package up

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// withPolicy starts a process whose key pays by a CreditPolicy, and has the rest of manifest.
func withPolicy(t *testing.T, spec string, more ...string) (*process, string) {
	t.Helper()
	files := manifest(t, provider(t), keys.Digest(plainKey))
	files["30-credit.yaml"] = api + "kind: CreditPolicy\nmetadata: {name: trial}\nspec: {" + spec + "}\n"
	for _, text := range more {
		files["50-more.yaml"] = api + text
		files["40-keys.yaml"] = strings.ReplaceAll(files["40-keys.yaml"], "account: acme", "tierRef: {name: t}, account: acme")
	}
	data := t.TempDir()
	return start(t, Options{Data: data, Manifests: folder(t, files)}), filepath.Join(data, "ledger.db")
}

// TestShadowEnforcement: with enforcement: Shadow what limits and credits would refuse is told and not refused.
func TestShadowEnforcement(t *testing.T) {
	const limited = "kind: Tier\nmetadata: {name: t}\nspec: {limits: [{unit: RequestsPerDay, value: 1}]}\n"
	for name, c := range map[string]struct {
		policy, tier string
		status       int
		told         string
	}{
		"enforcement: Enforce, no credits":  {`enforcement: Enforce`, "", http.StatusPaymentRequired, ""},
		"enforcement: Shadow, no credits":   {`enforcement: Shadow`, "", http.StatusOK, "Credits"},
		"enforcement: Enforce, above limit": {`enforcement: Enforce, grant: {amount: "1000"}`, limited, http.StatusTooManyRequests, ""},
		"enforcement: Shadow, above limit":  {`enforcement: Shadow, grant: {amount: "1000"}`, limited, http.StatusOK, "RequestsPerDay"},
		"enforcement: Shadow, nothing":      {`enforcement: Shadow, grant: {amount: "1000"}`, "", http.StatusOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var more []string
			if c.tier != "" {
				more = []string{c.tier}
			}
			p, _ := withPolicy(t, c.policy, more...)
			if c.tier != "" {
				p.status(t, plainKey)
			}
			status, h, body := p.post(t, plainKey, question)
			told := h.Get("X-Layers-Shadow")
			if status != c.status || (told == "") != (c.told == "") || !strings.Contains(strings.ToLower(told), strings.ToLower(c.told)) {
				t.Errorf("%d, shadow %q: %s", status, told, body)
			}
		})
	}
}

// TestOverdraft: an account without credits may go below zero by the policy's overdraft, and no further.
func TestOverdraft(t *testing.T) {
	p, path := withPolicy(t, `overdraft: "0.5"`) // the request may cost a quarter of a credit
	if got := p.status(t, plainKey); got != http.StatusOK {
		t.Errorf("overdraft of 0.5: %d", got)
	}
	p.stop(t)
	if acc, err := read(t, path, time.Now).Account(t.Context(), "default/acme"); err != nil || acc.Balance >= 0 {
		t.Errorf("balance %d, %v", acc.Balance, err)
	}
	short, _ := withPolicy(t, `overdraft: "0.005"`)
	if got := short.status(t, plainKey); got != http.StatusPaymentRequired {
		t.Errorf("overdraft of 0.005: %d", got)
	}
}

// TestTopUpURL: a 402 names where to get more credits.
func TestTopUpURL(t *testing.T) {
	for spec, want := range map[string]string{`topUpURL: "https://example.com/credits"`: `"top_up_url":"https://example.com/credits"`, "mode: Prepaid": ""} {
		p, _ := withPolicy(t, spec)
		status, _, body := p.post(t, plainKey, question)
		if status != http.StatusPaymentRequired || !strings.Contains(body, want) || strings.Contains(body, "top_up_url") != (want != "") {
			t.Errorf("%s: %d %s", spec, status, body)
		}
	}
}

func read(t *testing.T, path string, now func() time.Time) ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// TestGrantExpires: what remains of a grant goes after its expireDays, and stays without them.
func TestGrantExpires(t *testing.T) {
	for spec, c := range map[string]struct {
		days int
		gone bool
	}{
		`grant: {amount: "500", expireDays: 30}`: {31, true},
		`grant: {amount: "500", expireDays: 60}`: {31, false},
		`grant: {amount: "500"}`:                 {3600, false},
	} {
		p, path := withPolicy(t, spec)
		p.stop(t)
		later := read(t, path, func() time.Time { return time.Now().AddDate(0, 0, c.days) })
		if acc, _, err := later.Current(t.Context(), "default/acme"); err != nil || (acc.Balance == 0) != c.gone {
			t.Errorf("%s: after %d days %d remain, %v", spec, c.days, acc.Balance, err)
		}
	}
}

// TestMinOutputTokens: where credits are short, an answer is cut at what they cover, if that is hold.minOutputTokens at least.
func TestMinOutputTokens(t *testing.T) {
	const credits = `grant: {amount: "0.05"}` // for about 800 tokens of output
	for policy, want := range map[string]int{
		credits: http.StatusOK,
		credits + ", hold: {minOutputTokens: 700}":              http.StatusOK,
		credits + ", hold: {minOutputTokens: 900}":              http.StatusPaymentRequired,
		`grant: {amount: "0.005"}`:                              http.StatusPaymentRequired,
		`grant: {amount: "0.005"}, hold: {minOutputTokens: 16}`: http.StatusOK,
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			p, _ := withPolicy(t, policy)
			status, h, body := p.post(t, plainKey, question)
			if status != want || (h.Get("X-Layers-Max-Tokens") != "") != (want == http.StatusOK) {
				t.Errorf("%d, cut to %q: %s", status, h.Get("X-Layers-Max-Tokens"), body)
			}
		})
	}
}

// TestDefaultOutputTokens: for a stream of an account that has plenty hold.defaultOutputTokens is held until answers of the key and the model are known.
func TestDefaultOutputTokens(t *testing.T) {
	held := func(hold string) pricing.Nano {
		p, _ := withPolicy(t, `grant: {amount: "100000"}`+hold)
		_, h, _ := p.post(t, plainKey, strings.Replace(question, "{", `{"stream":true,`, 1))
		status, body := 0, ""
		deadline := time.Now().Add(10 * time.Second)
		for ; status != http.StatusOK && time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
			status, body = p.ask(t, "/v1/usage/"+h.Get("X-Layers-Request-Id"))
		}
		var receipt struct {
			Hold map[string]string `json:"hold"`
		}
		if err := json.Unmarshal([]byte(body), &receipt); err != nil || receipt.Hold["usd"] == "" {
			t.Fatalf("receipt %d: %s", status, body)
		}
		nano, err := pricing.ParseUSDPerMillion(receipt.Hold["usd"])
		if err != nil {
			t.Fatal(err)
		}
		return nano
	}
	by := held("")
	if got := held(", hold: {defaultOutputTokens: 1024}"); got != by {
		t.Errorf("1024: %d, by default %d", got, by)
	}
	if got := held(", hold: {defaultOutputTokens: 3000}"); got <= by {
		t.Errorf("3000: %d, by default %d", got, by)
	}
	if got := held(", hold: {defaultOutputTokens: 10}"); got >= by {
		t.Errorf("10: %d, by default %d", got, by)
	}
}
