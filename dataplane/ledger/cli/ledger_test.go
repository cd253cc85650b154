package cli_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// fresh is a migrated ledger: its URL, and itself.
func fresh(t *testing.T) (string, ledger.Ledger) {
	t.Helper()
	url := "sqlite:" + filepath.Join(t.TempDir(), "l.db")
	said(t, "migrate", "--ledger", url)
	l, err := ledger.Open(t.Context(), url, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return url, l
}

func TestGrantKinds(t *testing.T) {
	url, l := fresh(t)
	began := time.Now()
	said(t, "grant", "acme", "3", "--ledger", url, "--reason", "x", "--id", "bought", "--kind", "purchased", "--source", "invoice 7")
	said(t, "grant", "acme", "2", "--ledger", url, "--reason", "x", "--id", "plan", "--kind", "subscription", "--expires", "2999-01-31", "--priority", "5")
	said(t, "grant", "acme", "1", "--ledger", url, "--reason", "x", "--id", "gift", "--expires", "720h")
	if got := said(t, "grant", "acme", "3", "--ledger", url, "--reason", "x", "--kind", "purchased", "--source", "invoice 7"); !strings.HasSuffix(got, "balance 6 credits") {
		t.Errorf("the same source again: %q", got)
	}
	got, err := l.Grants(t.Context(), "default/acme")
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	in := time.UnixMicro(got[1].ExpiresAt).Sub(began)
	if in < 720*time.Hour || in > 721*time.Hour {
		t.Errorf("the gift expires in %v", in)
	}
	type terms struct {
		ID, Kind, Source  string
		Priority, Expires int64
	}
	var have []terms
	for _, g := range got {
		have = append(have, terms{g.ID, g.Kind, g.Source, g.Priority, g.ExpiresAt})
	}
	want := []terms{
		{"plan", "subscription", "", 5, time.Date(2999, 1, 31, 0, 0, 0, 0, time.UTC).UnixMicro()},
		{"gift", "manual", "", 10, got[1].ExpiresAt}, {"bought", "purchased", "invoice 7", 30, 0},
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	for name, flags := range map[string][]string{
		"kind": {"--kind", "present"}, "over": {"--expires", "2001-01-01"}, "no time": {"--expires", "soon"}, "negative": {"--expires", "-5h"},
		"source": {"--source", "invoice 7"}, "priority": {"--priority", "-1"},
	} {
		if out, err := layers(t, append([]string{"grant", "acme", "1", "--ledger", url, "--reason", "x"}, flags...)...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestAdjustAndOverdraft(t *testing.T) {
	url, l := fresh(t)
	said(t, "grant", "acme", "5", "--ledger", url, "--reason", "x")
	for range 2 {
		got := said(t, "ledger", "adjust", "acme", "--ledger", url, "--amount=-7.5", "--reason", "paid twice", "--id", "1")
		if want := "adjustment 1: -7.5 credits to default/acme, balance -2.5 credits"; got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	if got := said(t, "ledger", "adjust", "acme", "--ledger", url, "--amount", "10", "--reason", "an outage"); !strings.HasSuffix(got, "balance 7.5 credits") {
		t.Errorf("said %q", got)
	}
	if got, want := said(t, "ledger", "overdraft", "acme", "20", "--ledger", url), "default/acme may go 20 credits below zero, balance 7.5 credits"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if a, err := l.Account(t.Context(), "default/acme"); err != nil || a.Overdraft != 200_000_000 {
		t.Errorf("%+v, %v", a, err)
	}
	said(t, "ledger", "overdraft", "acme", "0", "--ledger", url)
	if a, err := l.Account(t.Context(), "default/acme"); err != nil || a.Overdraft != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	for name, args := range map[string][]string{
		"no reason": {"adjust", "acme", "--amount", "1"}, "empty reason": {"adjust", "acme", "--amount", "1", "--reason", " "},
		"no amount": {"adjust", "acme", "--reason", "x"}, "zero": {"adjust", "acme", "--amount", "0", "--reason", "x"},
		"two signs": {"adjust", "acme", "--amount=--1", "--reason", "x"}, "nobody": {"adjust", "nobody", "--amount", "1", "--reason", "x"},
		"used id": {"adjust", "acme", "--amount", "1", "--reason", "x", "--id", "1"}, "overdraft of nobody": {"overdraft", "nobody", "1"},
		"overdraft of nothing": {"overdraft", "acme", ""}, "negative overdraft": {"overdraft", "acme", "--", "-1"},
	} {
		if out, err := layers(t, append([]string{"ledger", args[0], "--ledger", url}, args[1:]...)...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// TestMistyped: what is mistyped fails, and makes neither an account nor a file.
func TestMistyped(t *testing.T) {
	url, _ := fresh(t)
	said(t, "grant", "acme", "1", "--ledger", url, "--reason", "x", "--id", "1")
	elsewhere := filepath.Join(t.TempDir(), "other.db")
	for says, args := range map[string][]string{
		"unknown command":          {"ledger", "chek"},
		"there is no ledger at":    {"ledger", "check", "--ledger", "sqlite:" + elsewhere},
		"is that of another one":   {"grant", "acme", "2", "--ledger", url, "--reason", "x", "--id", "1"},
		"granting: nothing":        {"grant", "acme", "0", "--ledger", url, "--reason", "x"},
		"adjusting: by nothing":    {"ledger", "adjust", "acme", "--amount=0", "--ledger", url, "--reason", "x"},
		"account default/acne":     {"ledger", "adjust", "acne", "--amount=1", "--ledger", url, "--reason", "x"},
		"not a decimal number":     {"grant", "acme", "1,000", "--ledger", url, "--reason", "x"},
		"which ledger":             {"ledger", "check"},
		"without adjusting twice:": {"ledger", "adjust", "acme", "--amount=9000000000", "--ledger", url, "--reason", "x"},
	} {
		if out, err := layers(t, args...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("a ledger was made")
	}
	if got := said(t, "ledger"); !strings.Contains(got, "reconcile") {
		t.Errorf("the help: %s", got)
	}
}

func TestExport(t *testing.T) {
	url, _ := fresh(t)
	if got := said(t, "ledger", "export", "--format", "json", "--ledger", url); got != "[]" {
		t.Errorf("an empty ledger exports %q", got)
	}
	said(t, "grant", "acme", "5", "--ledger", url, "--reason", "=1+1, \"welcome\"", "--id", "1")
	rows, err := csv.NewReader(strings.NewReader(said(t, "ledger", "export", "--ledger", url))).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%q, %v", rows, err)
	}
	if _, err := time.Parse(time.RFC3339Nano, rows[1][0]); err != nil {
		t.Error(err)
	}
	want := [][]string{
		{"transaction", "kind", "account", "amount_nano_usd", "amount_usd", "reason"},
		{"grant:1", "grant", "default/acme", "50000000", "0.05", "'=1+1, \"welcome\""},
		{"grant:1", "grant", "system/manual", "-50000000", "-0.05", "'=1+1, \"welcome\""},
	}
	for i := range rows {
		if diff := cmp.Diff(want[i], rows[i][1:]); diff != "" {
			t.Error(diff)
		}
	}
	var entries []map[string]any
	if err := json.Unmarshal([]byte(said(t, "ledger", "export", "--format", "json", "--ledger", url)), &entries); err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	if e := entries[1]; e["account"] != "system/manual" || e["amount_usd"] != "-0.05" || e["reason"] != "=1+1, \"welcome\"" {
		t.Errorf("%v", e)
	}
	if got := said(t, "ledger", "export", "--ledger", url, "--to", "2001-01-01"); strings.Count(got, "\n") != 0 {
		t.Errorf("before it all: %q", got)
	}
	for name, flags := range map[string][]string{
		"format": {"--format", "xml"}, "no time": {"--from", "soon"}, "empty": {"--from", "2001-01-02", "--to", "2001-01-01"},
	} {
		if out, err := layers(t, append([]string{"ledger", "export", "--ledger", url}, flags...)...); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestCheckAWindow(t *testing.T) {
	url, l := fresh(t)
	s := settled("req_1", 5)
	s.Lines = []pricing.Line{{Kind: "input", Quantity: 2_000_000, UnitPrice: 3}}
	if _, err := l.Settle(t.Context(), []ledger.Settlement{s}); err != nil {
		t.Fatal(err)
	}
	said(t, "ledger", "check", "--ledger", url)
	said(t, "ledger", "check", "--ledger", url, "--to", "2023-11-14")
	said(t, "ledger", "check", "--ledger", url, "--window", "2023-11-13")
	for _, window := range [][]string{{"--from", "2023-11-14", "--to", "2023-11-15"}, {"--window", "2023-11-14"}} {
		out, err := layers(t, append([]string{"ledger", "check", "--ledger", url}, window...)...)
		if exit(err) != 2 || !strings.Contains(out, "request req_1: its row says that it costs 5, its usage 6\ndrift of kind request: 1\n") {
			t.Errorf("%v: %s", err, out)
		}
	}
	for _, bad := range [][]string{{"--window", "soon"}, {"--window", "yesterday", "--to", "2023-11-15"}, {"--window", "1969-01-01"}} {
		if out, err := layers(t, append([]string{"ledger", "check", "--ledger", url}, bad...)...); exit(err) != 1 {
			t.Errorf("%v: %s", bad, out)
		}
	}
}

// TestCheckYesterday finds what is wrong with yesterday, and not what is wrong with today.
func TestCheckYesterday(t *testing.T) {
	url, l := fresh(t)
	wrong := settled("req_1", 5)
	wrong.Lines = []pricing.Line{{Kind: "input", Quantity: 2_000_000, UnitPrice: 3}}
	wrong.FinishedAt = time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Microsecond).UnixMicro()
	if _, err := l.Settle(t.Context(), []ledger.Settlement{wrong}); err != nil {
		t.Fatal(err)
	}
	said(t, "ledger", "check", "--ledger", url, "--window", "today")
	out, err := layers(t, "ledger", "check", "--ledger", url, "--window", "yesterday")
	if err == nil || !strings.Contains(out, "request req_1: its row says that it costs 5, its usage 6") {
		t.Errorf("%v: %s", err, out)
	}
}

// settled is a request of 14 November 2023.
func settled(id string, cost pricing.Nano) ledger.Settlement {
	return ledger.Settlement{
		RequestID: id, Account: "default/acme", Model: "m", Provider: "default/p", UpstreamID: "up_" + id, Cost: cost, Charged: cost,
		Evidence: ledger.EvidenceReported, FinishedAt: 1_700_000_000_000_000,
	}
}

// exit is the exit code of a command.
func exit(err error) int {
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.ExitCode()
	default:
		return 1
	}
}

func TestReconcile(t *testing.T) {
	url, l := fresh(t)
	a, b, c := settled("req_1", 1_500_000_000), settled("req_2", 1_000_000_000), settled("req_3", 7)
	a.ProviderCost, b.Model, c.Provider = 1_000_000_000, "n", "default/other" // a: with markup
	if _, err := l.Settle(t.Context(), []ledger.Settlement{a, b, c}); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		file, content string
		flags         []string
		fails         bool
		says          string
	}{
		"the same": {"u.csv", "date,cost_usd,ignored\n2023-11-14,1.25,x\n2023-11-14T22:00:00Z,0.75,y\n", nil, false, "ledger 2.000000000 USD, provider 2.000000000 USD, drift 0.000000000 USD (0.000 %) in 1 groups"},
		"within":   {"u.csv", "\ufeffDate,Cost_USD\n2023-11-14,2.01\n", nil, false, "2023-11-14: the ledger has 2 USD, the provider 2.01 USD, difference -0.01 USD"},
		"above":    {"u.csv", "date,cost_usd\n2023-11-14,2.01\n", []string{"--threshold", "0.1"}, true, "drift 0.010000000 USD (0.498 %)"},
		"by model": {"u.json", `[{"date":"2023-11-14","model":"m","cost_usd":1.5},{"date":"2023-11-14","model":"n","cost_usd":"0.5"}]`, []string{"--by", "model"}, true,
			"2023-11-14 n: the ledger has 1 USD, the provider 0.5 USD, difference 0.5 USD\nledger 2.000000000 USD, provider 2.000000000 USD, drift 1.000000000 USD (50.000 %) in 2 groups"},
		"by request": {"u.json", `[{"request_id":"up_req_1","cost_usd":1e0},{"request_id":"up_req_9","cost_usd":0.000000001}]`, []string{"--by", "request"}, true, "up_req_2: the ledger has 1 USD, the provider 0 USD"},
		"not asked":  {"u.csv", "date,cost_usd\n2023-11-14,0\n", nil, true, "(unbounded)"},
		"window":     {"u.csv", "date,cost_usd\n2023-11-14,2\n2023-11-15,5\n", []string{"--from", "2023-11-14", "--to", "2023-11-15"}, false, "drift 0.000000000 USD"},
		"nothing":    {"u.csv", "date,cost_usd\n", []string{"--from", "2001-01-01", "--to", "2001-01-02"}, true, ""},
		"no column":  {"u.csv", "date,cost\n2023-11-14,2\n", nil, true, ""},
		"no date":    {"u.csv", "cost_usd\n2\n", nil, true, ""},
		"no model": {"u.csv", "date,cost_usd\n2023-11-14,2\n", []string{"--by", "model", "--threshold", "0"}, false,
			"2023-11-14 without a model: the ledger has 0 USD, the provider 2 USD, difference -2 USD\n2023-11-14 m: the ledger has 1 USD"},
		"some without a model": {"u.json", `[{"date":"2023-11-14","model":"m","cost_usd":1},{"date":"2023-11-14","model":"n","cost_usd":0.75},{"date":"2023-11-14","model":null,"cost_usd":"0.25"}]`,
			[]string{"--by", "model", "--threshold", "0"}, false, "drift 0.000000000 USD (0.000 %) in 3 groups"},
		"too much without a model": {"u.json", `[{"date":"2023-11-14","model":"m","cost_usd":1},{"date":"2023-11-14","model":"n","cost_usd":0.75},{"date":"2023-11-14","cost_usd":0.5}]`,
			[]string{"--by", "model"}, true, "provider 2.250000000 USD, drift 0.250000000 USD"},
		"of another day":           {"u.csv", "date,model,cost_usd\n2023-11-14,m,1\n2023-11-15,,1\n", []string{"--by", "model"}, true, "drift 2.000000000 USD"},
		"a credit without a model": {"u.csv", "date,model,cost_usd\n2023-11-14,m,1\n2023-11-14,n,1.5\n2023-11-14,,-0.5\n", []string{"--by", "model", "--threshold", "0"}, false, "drift 0.000000000 USD"},
		"no day for it":            {"u.csv", "model,cost_usd\nm,1\n", []string{"--by", "model"}, true, ""},
		"no request":               {"u.csv", "date,cost_usd\n2023-11-14,2\n", []string{"--by", "request"}, true, ""},
		"no number":                {"u.csv", "date,cost_usd\n2023-11-14,2 USD\n", nil, true, ""},
		"huge number":              {"u.csv", "date,cost_usd\n2023-11-14,2e999999999\n", nil, true, ""},
		"ending":                   {"u.txt", "date,cost_usd\n2023-11-14,2\n", nil, true, ""},
		"no JSON":                  {"u.json", "date,cost_usd\n2023-11-14,2\n", nil, true, ""},
		"threshold":                {"u.csv", "date,cost_usd\n2023-11-14,2\n", []string{"--threshold", "-1"}, true, ""},
		"by":                       {"u.csv", "date,cost_usd\n2023-11-14,2\n", []string{"--by", "week"}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), x.file)
			if err := os.WriteFile(file, []byte(x.content), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := layers(t, append([]string{"ledger", "reconcile", "--ledger", url, "--provider", "default/p", "--import", file}, x.flags...)...)
			code := map[bool]int{false: 1, true: 2}[strings.Contains(out, " USD, drift ")]
			if !x.fails {
				code = 0
			}
			if exit(err) != code || !strings.Contains(out, x.says) {
				t.Errorf("exit code %d, %v\n%s", exit(err), err, out)
			}
		})
	}
}

// TestReconcileRounds: a provider's sums have more places than money; they are rounded to the nearest, and never by a float.
func TestReconcileRounds(t *testing.T) {
	url, l := fresh(t)
	for i, cost := range []pricing.Nano{12_345, 100_000_000_000_001} {
		s := settled(fmt.Sprint("req_", i), cost)
		if _, err := l.Settle(t.Context(), []ledger.Settlement{s}); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "u.json")
	content := `[{"request_id":"up_req_0","cost_usd":0.00001234549999},{"request_id":"up_req_1","cost_usd":100000.0000000005}]`
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	said(t, "ledger", "reconcile", "--ledger", url, "--provider", "default/p", "--by", "request", "--threshold", "0", "--import", file)
}

// TestReconcileMetrics: the drift is there for a collector of files, whether it is above the threshold or not, and no failure is one.
func TestReconcileMetrics(t *testing.T) {
	url, l := fresh(t)
	if _, err := l.Settle(t.Context(), []ledger.Settlement{settled("req_1", 1_500_000_000)}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	export, metrics := filepath.Join(dir, "u.csv"), filepath.Join(dir, "drift.prom")
	for _, x := range []struct {
		cost, drift string
		code        int
	}{{"1.25", "0.250000000", 2}, {"1.5", "0.000000000", 0}, {"no number", "0.000000000", 1}} {
		if err := os.WriteFile(export, []byte("date,cost_usd\n2023-11-14,"+x.cost+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := layers(t, "ledger", "reconcile", "--ledger", url, "--provider", "default/p", "--import", export, "--metrics", metrics)
		text, readErr := os.ReadFile(metrics)
		if exit(err) != x.code || readErr != nil || !strings.Contains(string(text), `layers_reconciled_drift_usd{provider="default/p"} `+x.drift+"\n") ||
			!strings.Contains(string(text), `layers_reconciled_usd{provider="default/p",by="ledger"} 1.500000000`) {
			t.Errorf("%s: exit code %d, %v, %v\n%s", x.cost, exit(err), err, readErr, text)
		}
	}
}
