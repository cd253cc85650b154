package testenv_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/hack/testenv"
)

func TestProgramIsKilledAndStartedAgain(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		p, err := testenv.Launch(dir, nil, syscall.SIGKILL, "/bin/sh", "-c", "echo here; touch up; exec sleep 600")
		if err != nil {
			t.Fatal(err)
		}
		err = p.Until(t.Context(), func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, "up"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "up")); err != nil { // the next one is to say for itself that it is up
			t.Fatal(err)
		}
		p.Kill()
		select {
		case <-p.Gone():
		default:
			t.Fatal("it is killed and runs")
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || string(b) != "here\nhere\n" {
		t.Errorf("log %q, %v", b, err)
	}
}

func TestProgramThatEndsIsNotWaitedFor(t *testing.T) {
	p, err := testenv.Launch(t.TempDir(), nil, syscall.SIGKILL, "/bin/sh", "-c", "echo broken; exit 1")
	if err != nil {
		t.Fatal(err)
	}
	p.Ended()
	if err := p.Until(t.Context(), func(context.Context) error { return errors.New("not yet") }); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("err = %v", err)
	}
}

func TestFreePortsAreDifferent(t *testing.T) {
	ports, err := testenv.FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for _, p := range ports {
		seen[p]++
	}
	if len(seen) != 20 {
		t.Error(cmp.Diff(ports, nil))
	}
}
