package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// installTimeout bounds the download of a library.
const installTimeout = 5 * time.Minute

// scriptTimeout bounds the checks of one script.
const scriptTimeout = 5 * time.Minute

// wantChecks are the lines that a script prints when every check has passed.
const wantChecks = `ok models
ok chat
ok stream
ok stream without usage
ok tools
ok invalid key
ok malformed body
`

func TestNode(t *testing.T) {
	node, scripts := nodeScripts(t)
	eachTarget(t, func(t *testing.T, g target) { run(t, g, wantChecks, nil, node, filepath.Join(scripts, "check.mjs")) })
}

func TestPython(t *testing.T) {
	python := program(t, "python3")
	library := pythonLibrary(t, python)
	eachTarget(t, func(t *testing.T, g target) {
		run(t, g, wantChecks, []string{"PYTHONPATH=" + library}, python, filepath.Join("python", "check.py"))
	})
}

// eachTarget runs a test against the demo and against a metered gateway with a provider behind it.
func eachTarget(t *testing.T, test func(*testing.T, target)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T) target{"demo": demo, "live": live} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

// program finds a program, or fails the test: these libraries are what people use, so a machine that tests has them.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the SDK tests need %s in PATH: %v", name, err)
	}
	return path
}

// run runs a script against a gateway and compares the checks that it says have passed.
func run(t *testing.T, g target, want string, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
	defer cancel()
	var problems strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stderr = append(g.environment(), env...), &problems
	out, err := cmd.Output()
	if diff := cmp.Diff(want, string(out)); diff != "" || err != nil {
		t.Errorf("%s: %v\nchecks (-want +got):\n%s%s", filepath.Base(name), err, diff, problems.String())
	}
}

// nodeMajor is the version of Node that the libraries want.
const nodeMajor = 22

// nodeScripts answers the Node to use and the folder of the scripts, beside the libraries that the lock file pins.
func nodeScripts(t *testing.T) (node, scripts string) {
	t.Helper()
	npm := program(t, "npm")
	dir := install(t, "node", []string{"package.json", "package-lock.json"}, func(dir string) *exec.Cmd {
		cmd := exec.Command(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		cmd.Dir = dir
		return cmd
	})
	names, err := filepath.Glob(filepath.Join("node", "*.mjs"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d scripts, %v", len(names), err)
	}
	// A folder of its own: another version of the tests may run from the same cache.
	scripts, err = os.MkdirTemp(dir, "scripts-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(scripts) })
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(scripts, filepath.Base(name)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return nodeProgram(t, dir), scripts
}

// nodeProgram is the machine's Node, or, if it is too old, the one that is installed with the libraries.
func nodeProgram(t *testing.T, dir string) string {
	t.Helper()
	node := program(t, "node")
	out, err := exec.CommandContext(t.Context(), node, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major int
	if _, err := fmt.Sscanf(string(out), "v%d", &major); err == nil && major >= nodeMajor {
		return node
	}
	found, err := filepath.Glob(filepath.Join(dir, "node_modules", "node-*", "bin", "node"))
	if err != nil || len(found) != 1 {
		t.Fatalf("node is %s, want %d or newer, and %d are installed with the libraries", strings.TrimSpace(string(out)), nodeMajor, len(found))
	}
	return found[0]
}

// pythonLibrary answers the folder with the libraries that the requirements pin.
func pythonLibrary(t *testing.T, python string) string {
	t.Helper()
	return install(t, "python", []string{"requirements.txt"}, func(dir string) *exec.Cmd {
		return exec.Command(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps",
			"--only-binary=:all:", "--requirement", filepath.Join(dir, "requirements.txt"), "--target", dir)
	})
}

// install answers the cache folder of what some pinning files say, making it first if need be. It appears under its name
// only when it is whole.
func install(t *testing.T, kind string, pins []string, command func(dir string) *exec.Cmd) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	parent := filepath.Join(cache, "layers", "sdk")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	temp, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	var all []byte
	for _, name := range pins {
		b, err := os.ReadFile(filepath.Join(kind, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
		if err := os.WriteFile(filepath.Join(temp, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	done := filepath.Join(parent, kind+"-"+digest(all))
	if _, err := os.Stat(done); err == nil {
		return done
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	cmd := command(temp)
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("installing the library for %s: %v\n%s", kind, err, out)
	}
	if err := os.Rename(temp, done); err != nil {
		if _, gone := os.Stat(done); gone != nil { // nobody else was faster
			t.Fatal(err)
		}
	}
	return done
}

// digest names what was pinned.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
