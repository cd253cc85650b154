package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// aptIn puts an apt-get that runs script first in PATH.
func aptIn(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("TMPDIR", t.TempDir()) // for the lock
}

func TestFindOrInstall(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root installs")
	}
	target := filepath.Join(t.TempDir(), "server")
	find := func() string {
		if _, err := os.Stat(target); err != nil {
			return ""
		}
		return target
	}
	for _, c := range []struct{ name, script, wantErr string }{
		{"broken", "exit 1", "apt-get update"},
		{"useless", "exit 0", "not found"},
		{"works", `[ "$1" = update ] || echo "$@" > ` + target, ""},
		{"there already", "exit 1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			aptIn(t, c.script)
			var log strings.Builder
			got, err := findOrInstall(&log, "some-server", find)
			if c.wantErr == "" && (err != nil || got != target) {
				t.Fatalf("got %q, %v; log %s", got, err, log.String())
			}
			if c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)) {
				t.Fatalf("err = %v, want %q", err, c.wantErr)
			}
			if c.name != "there already" && !strings.Contains(log.String(), "apt-get") {
				t.Error("it did not say what it does")
			}
		})
	}
	said, err := os.ReadFile(target)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(said)), "some-server") {
		t.Errorf("installed %q, %v", said, err)
	}
}

func TestNothingToInstallWith(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := findOrInstall(os.Stderr, "some-server", func() string { return "" })
	if err == nil || !strings.Contains(err.Error(), "apt-get install some-server") {
		t.Errorf("err = %v", err)
	}
}
