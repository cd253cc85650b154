package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// TestReconcileWithProvidersExports: exports as providers make them are compared as they are.
func TestReconcileWithProvidersExports(t *testing.T) {
	url, l := fresh(t)
	a, b := settled("req_1", 1_230_000_000), settled("req_2", 770_000_000)
	a.Model, b.Model = "anthropic/claude-opus", "anthropic/claude-haiku"
	b.FinishedAt += 86_400_000_000 // the day after, which is 2023-11-15
	if _, err := l.Settle(t.Context(), []ledger.Settlement{a, b}); err != nil {
		t.Fatal(err)
	}
	const sound = "ledger 2.000000000 USD, provider 2.000000000 USD, drift 0.000000000 USD (0.000 %) in 2 groups"
	const costs = `{"object":"page","data":[
		{"object":"bucket","start_time":1699920000,"end_time":1700006400,"results":[
			{"object":"organization.costs.result","amount":{"value":1.2,"currency":"usd"},"line_item":null,"project_id":"p1"},
			{"object":"organization.costs.result","amount":{"value":0.0300000000000000,"currency":"usd"},"line_item":null,"project_id":"p2"}]},
		{"object":"bucket","start_time":1700006400,"end_time":1700092800,"results":[{"object":"organization.costs.result","amount":{"value":7.7e-1,"currency":"usd"}}]},
		{"object":"bucket","start_time":1700092800,"end_time":1700179200,"results":[]}],"has_more":false,"next_page":null}`
	const report = `{"data":[{"starting_at":"2023-11-14T00:00:00Z","ending_at":"2023-11-15T00:00:00Z","results":[
			{"currency":"USD","amount":"100","model":"claude-opus-4","token_type":"output_tokens"},{"currency":"USD","amount":"23.0000","model":"claude-opus-4"}]},
		{"starting_at":"2023-11-15T00:00:00Z","results":[{"currency":"USD","amount":"77","model":"claude-haiku-4"}]}],"has_more":false}`
	for name, x := range map[string]struct {
		file, content string
		flags         []string
		fails         bool
		says          string
	}{
		"OpenAI, costs as CSV": {"costs.csv", "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,organization_name\n" +
			"1699920000,1700006400,2023-11-14T00:00:00+00:00,2023-11-15T00:00:00+00:00,1.2300000000000000,usd,,,\"Some, Inc.\"\n" +
			"1700006400,1700092800,2023-11-15T00:00:00+00:00,2023-11-16T00:00:00+00:00,0.77,usd,,,\n" +
			"1700092800,1700179200,2023-11-16T00:00:00+00:00,2023-11-17T00:00:00+00:00,,,,,\n", []string{"--columns", "date=start_time_iso,cost_usd=amount_value"}, false, "(0.000 %) in 3 groups"},
		"OpenAI, /organization/costs": {"costs.json", costs, []string{"--columns", "date=start_time,cost_usd=results.amount.value"}, false, sound},
		"OpenAI, a page of several": {"costs.json", strings.Replace(costs, `"has_more":false`, `"has_more":true`, 1),
			[]string{"--columns", "date=start_time,cost_usd=results.amount.value"}, true, "one page of several"},
		"Anthropic, cost as CSV": {"cost.csv", "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd\n" +
			"2023-11-14,claude-opus-4,Default,key,message,\u2264 200k,output,1.00\n2023-11-14,claude-opus-4,Default,key,message,\u2264 200k,input,0.23\n" +
			"2023-11-15,claude-haiku-4,Default,key,message,\u2264 200k,input,0.77\n",
			[]string{"--columns", "date=usage_date_utc", "--by", "model", "--models", "claude-opus-4=anthropic/claude-opus,claude-haiku-4=anthropic/claude-haiku"}, false, sound},
		"Anthropic, cost_report": {"cost.json", report, []string{"--columns", "date=starting_at,cost_cents=results.amount,model=results.model", "--by", "model",
			"--models", "claude-opus-4=anthropic/claude-opus", "--models", "claude-haiku-4=anthropic/claude-haiku"}, false, sound},
		"cents are no dollars": {"cost.json", report, []string{"--columns", "date=starting_at,cost_usd=results.amount"}, true, "provider 200.000000000 USD"},
		"another name":         {"costs.csv", "date,cost_usd\n2023-11-14,2\n", []string{"--columns", "cost_usd=costs"}, true, "no costs (--columns says"},
		"no such column":       {"costs.csv", "date,cost_usd\n2023-11-14,2\n", []string{"--columns", "price=cost_usd"}, true, "--columns"},
		"both":                 {"costs.csv", "date,cost_usd\n2023-11-14,2\n", []string{"--columns", "cost_usd=a,cost_cents=b"}, true, "either cost_usd or cost_cents"},
		"no list":              {"costs.json", `{"data":{}}`, nil, true, "no array"},
		"nothing":              {"costs.json", `{"object":"page"}`, nil, true, "neither an array"},
		"a number":             {"costs.json", `7`, nil, true, "neither an array"},
		"cut":                  {"costs.json", report[:200], []string{"--columns", "date=starting_at,cost_cents=results.amount"}, true, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), x.file)
			if err := os.WriteFile(file, []byte(x.content), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := layers(t, append([]string{"ledger", "reconcile", "--ledger", url, "--provider", "default/p", "--threshold", "0", "--import", file}, x.flags...)...)
			if (err != nil) != x.fails || !strings.Contains(out, x.says) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
