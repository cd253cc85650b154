package up

import (
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/verify"
)

// verified runs the gateway's suite and tells every check that failed. minimum is how many have to pass.
func verified(t *testing.T, p *process, key string, minimum int, o verify.Options) verify.Report {
	t.Helper()
	o.URL, o.Key, o.Getenv, o.Parallel = p.API, key, nothingSet, 8
	report, err := verify.Gateway(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		if c.Outcome == verify.Failed {
			t.Errorf("%s %s %q: expected %s, got %s", c.Subject, c.Protocol, c.Check, c.Expected, c.Got)
		}
	}
	if report.Passed < minimum {
		t.Errorf("only %s", report.Summary())
	}
	return report
}

// outcomes are those of a check by its name.
func outcomes(r verify.Report, check string) string {
	var all []string
	for _, c := range r.Checks {
		if c.Check == check {
			all = append(all, string(c.Outcome))
		}
	}
	return strings.Join(all, " ")
}

// TestVerifyDemo: the demo keeps every promise that it can, in every protocol.
func TestVerifyDemo(t *testing.T) {
	r := verified(t, start(t, Options{}), "lyr_live_demo", 80, verify.Options{})
	for check, want := range map[string]string{
		"forced tool, streamed": "passed passed passed", "image": "passed passed passed", "JSON object": "passed passed",
		"cost and receipt": "skipped skipped skipped", "models without a provider": "skipped",
	} {
		if got := outcomes(r, check); got != want {
			t.Errorf("%s: %q, want %q", check, got, want)
		}
	}
}

// TestVerifyMetered: with keys, credits, limits and prices of its own, all of that is verified, too.
func TestVerifyMetered(t *testing.T) {
	files := manifest(t, "http://127.0.0.1:1", keys.Digest(plainKey))
	files["10-provider.yaml"] = api + "kind: Provider\nmetadata: {name: local}\nspec: {type: Demo}\n"
	files["20-model.yaml"] = api + `kind: Model
metadata: {name: small}
spec:
  publicName: acme/small
  capabilities: [Text, Streaming, Vision, Tools, JSON]
  limits: {contextTokens: 128000, maxOutputTokens: 16384}
  pricing: {inputPerMillion: "3", outputPerMillion: "15"}
  backends: [{name: local, providerRef: {name: local}, model: upstream-model}]
`
	files["15-tier.yaml"] = api + "kind: Tier\nmetadata: {name: basic}\nspec: {limits: [{unit: RequestsPerMinute, value: 6000}, {unit: OutputTokensPerMinute, value: 10000000}]}\n"
	files["40-keys.yaml"] = strings.Replace(files["40-keys.yaml"], "account: acme,", "account: acme, tierRef: {name: basic},", 1)
	r := verified(t, start(t, Options{Data: t.TempDir(), Manifests: folder(t, files)}), plainKey, 95, verify.Options{})
	for check, want := range map[string]string{
		"unknown key": "passed passed passed", "cost and receipt": "passed passed passed", "cost and receipt, streamed": "passed passed passed",
		"balance": "passed", "estimate": "passed", "nobody else's receipt": "passed",
		"rate limits": "passed", "prices as listed": "passed",
	} {
		if got := outcomes(r, check); got != want {
			t.Errorf("%s: %q, want %q", check, got, want)
		}
	}
}
