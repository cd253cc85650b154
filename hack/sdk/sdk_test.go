package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	node := program(t, "node")
	script := nodeScript(t)
	eachTarget(t, func(t *testing.T, g target) { run(t, g, nil, node, script) })
}

func TestPython(t *testing.T) {
	python := program(t, "python3")
	library := pythonLibrary(t, python)
	eachTarget(t, func(t *testing.T, g target) {
		run(t, g, []string{"PYTHONPATH=" + library}, python, filepath.Join("python", "check.py"))
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
func run(t *testing.T, g target, env []string, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var problems strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stderr = append(g.environment(), env...), &problems
	out, err := cmd.Output()
	if diff := cmp.Diff(wantChecks, string(out)); diff != "" || err != nil {
		t.Errorf("%s: %v\nchecks (-want +got):\n%s%s", filepath.Base(name), err, diff, problems.String())
	}
}

// nodeScript answers the script's path beside the library that the lock file pins.
func nodeScript(t *testing.T) string {
	t.Helper()
	npm := program(t, "npm")
	dir := install(t, "node", []string{"package.json", "package-lock.json"}, func(dir string) *exec.Cmd {
		cmd := exec.Command(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
		cmd.Dir = dir
		return cmd
	})
	b, err := os.ReadFile(filepath.Join("node", "check.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	// A name of its own: another version of the tests may run from the same cache.
	script := filepath.Join(dir, digest(b)+".mjs")
	if err := os.WriteFile(script, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return script
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
