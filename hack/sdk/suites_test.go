package sdk

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// canaryProbes are what CompatCanary looks at with its profile "modern".
var canaryProbes = map[string]string{
	"models.list": "pass", "chat.basic": "pass", "chat.streaming": "pass", "chat.tool_call": "pass", "chat.structured_output": "pass",
	"responses.basic": "pass", "responses.streaming": "pass",
}

// TestCompatCanary runs CompatCanary, unmodified, against a model at each maker's API, and against the demo.
func TestCompatCanary(t *testing.T) {
	node, scripts := nodeScripts(t)
	cli := filepath.Join(filepath.Dir(scripts), "node_modules", "compatcanary", "src", "cli.js")
	g := live(t)
	for _, model := range g.models {
		t.Run(filepath.Base(model), func(t *testing.T) { canary(t, node, cli, g, model) })
	}
	t.Run("demo", func(t *testing.T) {
		g := demo(t)
		canary(t, node, cli, g, g.model)
	})
}

func canary(t *testing.T, node, cli string, g target, model string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), node, cli, "scan", "--base-url", g.baseURL, "--model", model, "--format", "json", "--fail-on", "any")
	cmd.Env = append(g.environment(), "OPENAI_API_KEY="+g.key)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	var report struct {
		Results []struct{ ID, Status, Summary string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := map[string]string{}
	for _, r := range report.Results {
		got[r.ID] = r.Status
		if r.Status != "pass" {
			t.Logf("%s: %s", r.ID, r.Summary)
		}
	}
	if diff := cmp.Diff(canaryProbes, got); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
}
