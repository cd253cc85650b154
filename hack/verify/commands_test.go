package verify

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommands builds the program and asks it for its commands, as somebody who has just met it does.
func TestCommands(t *testing.T) {
	program := filepath.Join(t.TempDir(), "layers")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	run := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
		return string(out), err
	}
	help, err := run()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"operator", "gateway", "up", "migrate", "grant", "keys", "ledger", "verify", "version"} {
		if strings.Count(help, "\n  "+name+" ") != 1 {
			t.Errorf("the help does not name %q once:\n%s", name, help)
		}
	}
	if _, err := run("nonsense"); err == nil {
		t.Error("an unknown command is accepted")
	}
	if out, err := run("version"); err != nil || strings.TrimSpace(out) == "" {
		t.Errorf("version: %q, %v", out, err)
	}
}
