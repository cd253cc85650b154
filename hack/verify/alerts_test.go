package verify

import (
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/controllers/desired"
)

// alerts is what of a PrometheusRule is looked at.
type alerts struct {
	Kind string
	Spec struct {
		Groups []struct {
			Name  string  `json:"name"`
			Rules []alert `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}

type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

const ruleFile = "config/prometheus/rules.yaml"

func readRules(t *testing.T) []alert {
	t.Helper()
	var file alerts
	readYAML(t, ruleFile, &file)
	var all []alert
	for _, g := range file.Spec.Groups {
		all = append(all, g.Rules...)
	}
	if file.Kind != "PrometheusRule" || len(all) < 10 {
		t.Fatalf("%s has %d rules", file.Kind, len(all))
	}
	return all
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

var metric = regexp.MustCompile(`\blayers_[a-z0-9_]+\b`)

// metrics are the names that the program gives its metrics: every literal that is one, outside of tests.
func metrics(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || strings.HasPrefix(s.path, "hack/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && metric.FindString(text) == text && text != "" {
					found[text] = true
				}
			}
			return true
		})
	}
	return found
}

// TestAlertsSpeakOfMetrics finds every metric of an alert in the code, and everything in it that whoever is woken needs.
func TestAlertsSpeakOfMetrics(t *testing.T) {
	have, seen := metrics(t), map[string]bool{}
	if len(have) < 20 {
		t.Fatalf("only %d metrics found", len(have))
	}
	for _, a := range readRules(t) {
		names := metric.FindAllString(a.Expr, -1)
		if len(names) == 0 {
			t.Errorf("%s asks for no metric", a.Alert)
		}
		for _, name := range names {
			if !have[name] {
				t.Errorf("%s asks for %s, which nobody tells", a.Alert, name)
			}
			if strings.HasSuffix(name, "_total") != strings.Contains(a.Expr, "increase("+name) {
				t.Errorf("%s: %s is a counter or asked for as one, not both", a.Alert, name)
			}
		}
		if !strings.HasPrefix(a.Alert, "Layers") || seen[a.Alert] {
			t.Errorf("%q is no name of an alert, or there twice", a.Alert)
		}
		seen[a.Alert] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s: severity %q", a.Alert, a.Labels["severity"])
		}
		if len(a.Annotations["summary"]) < 20 || len(a.Annotations["description"]) < 20 {
			t.Errorf("%s does not say what it means and what to do", a.Alert)
		}
	}
}

// TestAlertsAreInTheManual finds every alert in the page that says what to do.
func TestAlertsAreInTheManual(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "dataplane", "console", "docs", "away.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range readRules(t) {
		if !strings.Contains(string(page), "`"+a.Alert+"`") {
			t.Errorf("the manual does not say what to do at %s", a.Alert)
		}
	}
	for _, name := range metric.FindAllString(string(page), -1) {
		if !metrics(t)[name] {
			t.Errorf("the manual speaks of %s, which nobody tells", name)
		}
	}
}

// TestMonitorsFindThePods compares what is scraped with what the operator makes.
func TestMonitorsFindThePods(t *testing.T) {
	var monitor struct {
		Spec struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
		} `json:"spec"`
	}
	readYAML(t, "config/prometheus/podmonitor.yaml", &monitor)
	want := desired.Labels("any")
	delete(want, desired.LabelInstance)
	if diff := cmp.Diff(want, monitor.Spec.Selector.MatchLabels); diff != "" {
		t.Errorf("the PodMonitor takes other pods (-operator +monitor):\n%s", diff)
	}
}

// TestPromtool has Prometheus itself read the rules, and run testdata/alerts.yaml: series over time, and the alerts that they
// must fire.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package is prometheus)")
	}
	var file struct {
		Spec any `json:"spec"`
	}
	readYAML(t, ruleFile, &file)
	b, err := yaml.Marshal(file.Spec)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cases, err := os.ReadFile("testdata/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"rules.yaml": b, "alerts.yaml": cases} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "alerts.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
