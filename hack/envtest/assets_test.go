package envtest

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestAssetsFromVariable(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(AssetsVariable, dir)
	if _, err := Assets(t.Context(), io.Discard); err == nil {
		t.Fatal("an empty folder was taken")
	}
	for _, name := range binaries {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Assets(t.Context(), io.Discard)
	if err != nil || got != dir {
		t.Fatalf("Assets() = %q, %v; want %q", got, err, dir)
	}
}

func TestAssetsFromCache(t *testing.T) {
	cache := t.TempDir()
	t.Setenv(AssetsVariable, "")
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "layers", "envtest", kubernetesVersion)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range binaries {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Assets(t.Context(), io.Discard); err != nil || got != dir {
		t.Fatalf("Assets() = %q, %v; want %q", got, err, dir)
	}
}

func TestVersionIsTheModules(t *testing.T) {
	mod, err := os.ReadFile("modules/kubernetes/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`k8s\.io/kubernetes (v\S+)`).FindStringSubmatch(string(mod))
	if want == nil || want[1] != kubernetesVersion {
		t.Errorf("kubernetesVersion = %s, modules/kubernetes pins %v", kubernetesVersion, want)
	}
}

func TestTargetsAreTheBinaries(t *testing.T) {
	var names []string
	for _, target := range targets {
		names = append(names, target.name)
		mod, err := os.ReadFile(filepath.Join("modules", target.module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(mod), target.pkg) {
			t.Errorf("modules/%s does not pin %s", target.module, target.pkg)
		}
	}
	if got, want := strings.Join(names, " "), strings.Join(binaries, " "); got != want {
		t.Errorf("targets %s, binaries %s", got, want)
	}
	if !strings.Contains(ldflags(), "gitVersion="+kubernetesVersion) {
		t.Errorf("ldflags %s lack the version", ldflags())
	}
}
