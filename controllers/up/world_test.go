package up

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// folder writes manifests into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// nothingSet is an environment without keys.
func nothingSet(string) string { return "" }

const api = "apiVersion: layers.dev/v1alpha1\n"

func TestDemoWorld(t *testing.T) {
	w, err := readWorld(t.Context(), Options{getenv: nothingSet})
	if err != nil || len(w.notes) > 0 {
		t.Fatalf("%v, %v", err, w)
	}
	s := w.out.Snapshot
	if models := w.available(); !w.demo() || len(models) != 1 || models[0].PublicName != "layers/demo" || models[0].Aliases[0] != "demo" || len(w.out.Keys) > 0 {
		t.Errorf("the demo is %+v", models)
	}
	if len(s.Models) < 60 || len(w.real) > 0 {
		t.Errorf("%d models, real: %v", len(s.Models), w.real)
	}
	if err := snapshot.Validate(s); err != nil {
		t.Error(err)
	}
}

func TestWorldWithoutGatewayAndKey(t *testing.T) {
	w, err := readWorld(t.Context(), Options{Manifests: folder(t, map[string]string{"a.yaml": api + "kind: Provider\nmetadata: {name: p}\nspec: {type: Demo}\n"})})
	if err != nil || len(w.notes) > 0 {
		t.Fatalf("%v, %v", err, w)
	}
	s := w.out.Snapshot
	if w.demo() || s.CreditsPerDollar != 100 || w.drain() != drainTimeout || s.Gateway != "up" {
		t.Errorf("the built-in gateway is %+v", s)
	}
	k := w.out.Keys[0]
	if len(w.out.Keys) != 1 || k.Account != "default/dev" || k.SecretName != "dev" || w.devSecret.Name != "dev" || k.Disabled {
		t.Errorf("the development key is %+v", w.out.Keys)
	}
	if len(s.Policies) != 1 || !s.Policies[0].Unmetered || s.Policies[0].Name != k.Policy {
		t.Errorf("its policy is %+v", s.Policies)
	}
}

func TestWorldOfAGateway(t *testing.T) {
	gateway := func(name, spec string) string {
		return api + "kind: AIGateway\nmetadata: {name: " + name + "}\nspec: {" + spec + "}\n---\n"
	}
	w, err := readWorld(t.Context(), Options{Manifests: folder(t, map[string]string{
		"a.yaml": gateway("one", "mode: Demo, credits: {perDollar: 7}, drain: {timeoutSeconds: 3}") + gateway("two", "mode: Demo"),
	})})
	if err != nil {
		t.Fatal(err)
	}
	if !w.demo() || w.out.Snapshot.CreditsPerDollar != 7 || w.drain() != 3*time.Second || len(w.out.Keys) > 0 {
		t.Errorf("got %+v", w.out)
	}
	if len(w.notes) != 1 || !strings.Contains(w.notes[0].text, "a.yaml: AIGateway default/two: ignored") {
		t.Errorf("notes: %v", w.notes)
	}
}

// TestWorldNotes: whatever is wrong is told with file and object, and the rest is served.
func TestWorldNotes(t *testing.T) {
	w, err := readWorld(t.Context(), Options{Manifests: folder(t, map[string]string{
		"a.yaml": api + "kind: Provider\nmetadata: {name: good}\nspec: {type: Demo, colour: red}\n",
		"b.yaml": api + "kind: Provider\nmetadata: {name: bad}\nspec: {type: OpenAI}\n",
		"c.yaml": api + "kind: Model\nmetadata: {name: m}\nspec: {publicName: acme/m, limits: {contextTokens: 9, maxOutputTokens: 9}, backends: [{name: a, providerRef: {name: good}, model: m}]}\n",
	})})
	if err != nil {
		t.Fatal(err)
	}
	wants := []note{
		{`a.yaml: Provider default/good: unknown field "spec.colour"`, false},
		{`b.yaml: Provider default/bad: spec: Invalid value: auth is required for every type but OpenAICompatible and Demo`, true},
		{`c.yaml: Model default/m: Priced=False Unpriced: The Model has no pricing and is not served.`, true},
	}
	if len(w.notes) != len(wants) {
		t.Fatalf("notes: %v", w.notes)
	}
	for i, want := range wants {
		if got := w.notes[i]; !strings.HasSuffix(got.text, want.text) || got.bad != want.bad {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
	if len(w.out.Snapshot.Providers) != 1 {
		t.Errorf("providers: %+v", w.out.Snapshot.Providers)
	}
}

// TestBrokenGateway: an AIGateway that is not good is never replaced by one with other defaults, and a folder whose keys
// are not good gets no key that is free.
func TestBrokenGateway(t *testing.T) {
	const provider = "kind: Provider\nmetadata: {name: good}\nspec: {type: Demo}\n---\n"
	broken := folder(t, map[string]string{"a.yaml": api + provider + api + "kind: AIGateway\nmetadata: {name: main}\nspec: {mode: demo}\n"})
	if _, err := readWorld(t.Context(), Options{Manifests: broken}); err == nil || !strings.Contains(err.Error(), "AIGateway is not good") {
		t.Errorf("a broken AIGateway: %v", err)
	}
	for name, doc := range map[string]string{
		"refused":    api + "kind: APIKey\nmetadata: {name: k}\nspec: {account: ACME, key: {generate: {secretName: k}}}\n",
		"unreadable": api + "kind: APIKey\nmetadata: {name: k\n",
	} {
		w, err := readWorld(t.Context(), Options{Manifests: folder(t, map[string]string{"a.yaml": api + provider, "k.yaml": doc})})
		if err != nil || len(w.out.Keys) > 0 {
			t.Errorf("%s: %v, keys %v", name, err, w.out.Keys)
		}
	}
}

func TestNothingToServe(t *testing.T) {
	tests := map[string]map[string]string{
		"no objects in":    {"README.md": "# nothing"},
		"no object in":     {"a.yaml": api + "kind: Provider\nmetadata: {name: bad}\nspec: {type: OpenAI}\n"},
		"such file or dir": nil,
	}
	for want, files := range tests {
		dir := filepath.Join(t.TempDir(), "gone")
		if files != nil {
			dir = folder(t, files)
		}
		if _, err := readWorld(t.Context(), Options{Manifests: dir}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
