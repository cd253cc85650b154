package main

import (
	"bytes"
	"strings"
	"testing"
)

func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestCommands(t *testing.T) {
	help, err := execute(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"operator", "up", "migrate", "grant", "keys", "ledger", "version"} {
		if !strings.Contains(help, "\n  "+name+" ") {
			t.Errorf("the help does not name %q:\n%s", name, help)
		}
	}
	if _, err := execute(t, "nonsense"); err == nil {
		t.Error("an unknown command is accepted")
	}
	if out, err := execute(t, "version"); err != nil || strings.TrimSpace(out) == "" {
		t.Errorf("version: %q, %v", out, err)
	}
}
