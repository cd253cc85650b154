package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/manifests"
	"github.com/layers-dev/layers/controllers/up/catalogue"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// repository is the root, seen from this package.
const repository = "../.."

// TestUpToDate: what is in the repository is what the catalogue makes, and nothing else is.
func TestUpToDate(t *testing.T) {
	fresh := t.TempDir()
	stale := filepath.Join(fresh, filepath.FromSlash(base), "gone.yaml")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte("# of a provider that went\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(fresh); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{base, overlay} {
		if diff := cmp.Diff(texts(t, filepath.Join(fresh, dir)), texts(t, filepath.Join(repository, dir))); diff != "" {
			t.Errorf("%s is not what `make generate` makes (-new +old):\n%s", dir, diff)
		}
	}
}

// texts are the files of a folder by their names.
func texts(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(raw)
	}
	return out
}

// load reads folders and further documents as `layers up` does, into what the compiler takes.
func load(t *testing.T, more string, dirs ...string) compile.Input {
	t.Helper()
	folder := fstest.MapFS{"more.yaml": {Data: []byte("# more\n" + more)}}
	for _, dir := range dirs {
		for name, text := range texts(t, filepath.Join(repository, dir)) {
			folder[strings.ReplaceAll(dir, "/", "-")+"-"+name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	set, report, err := manifests.LoadFS(t.Context(), folder, base)
	if err != nil || len(report.Problems)+len(report.Warnings) > 0 {
		t.Fatalf("%v: %v", err, report)
	}
	gateway := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Name: "up", Namespace: manifests.DefaultNamespace}}
	gateway.Spec.Mode = v1alpha1.ModeLive
	return compile.Input{Gateway: gateway, Gateways: []string{"up"}, Local: true, Providers: set.Providers, Models: set.Models, Secrets: set.Secrets}
}

// example are the Secrets of the example, with their comments.
func example(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repository, base, "secrets.yaml.example"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// check holds the conditions of every object to what is wanted of them.
func check(t *testing.T, conditions map[compile.ObjectKey][]compile.Condition, want map[string]metav1.ConditionStatus) {
	t.Helper()
	seen := map[string]int{}
	for key, all := range conditions {
		for _, c := range all {
			status, looked := want[key.Kind+" "+c.Type]
			if looked && c.Status != status {
				t.Errorf("%v: %s is %s: %s", key, c.Type, c.Status, c.Message)
			}
			seen[key.Kind+" "+c.Type]++
		}
	}
	for what := range want {
		if seen[what] == 0 {
			t.Errorf("nothing has %s", what)
		}
	}
}

// TestConditions: every object is accepted and every model has a price; without Secrets no provider has its credential, and
// with those of the example everything is served.
func TestConditions(t *testing.T) {
	const yes, no = metav1.ConditionTrue, metav1.ConditionFalse
	out := compile.Compile(load(t, "", base))
	check(t, out.Conditions, map[string]metav1.ConditionStatus{
		"Provider Accepted": yes, "Provider CredentialsResolved": no, "Model Accepted": yes, "Model Priced": yes, "Model ResolvedRefs": no,
	})
	if len(out.Snapshot.Models) > 0 {
		t.Errorf("%d models are served without a credential", len(out.Snapshot.Models))
	}

	in := load(t, example(t), base)
	out = compile.Compile(in)
	check(t, out.Conditions, map[string]metav1.ConditionStatus{
		"Provider Accepted": yes, "Provider CredentialsResolved": yes, "Model Accepted": yes, "Model Priced": yes, "Model ResolvedRefs": yes,
	})
	if got := len(out.Snapshot.Models); got != len(in.Models) || got < 60 || len(out.Snapshot.Providers) != 5 {
		t.Errorf("%d of %d models are served by %d providers", got, len(in.Models), len(out.Snapshot.Providers))
	}
	out.Snapshot.GatewayUID, out.Snapshot.AckToken = "up", "token"
	if err := snapshot.Validate(out.Snapshot); err != nil {
		t.Error(err)
	}
	// In a cluster the Secret of one provider is enough for its models.
	for name := range in.Secrets {
		if name.Name != "anthropic" {
			delete(in.Secrets, name)
		}
	}
	out = compile.Compile(in)
	for _, m := range out.Snapshot.Models {
		if !strings.HasPrefix(m.PublicName, "anthropic/") {
			t.Errorf("%s is served without its credential", m.PublicName)
		}
	}
	if len(out.Snapshot.Models) < 10 {
		t.Errorf("%d models of one provider", len(out.Snapshot.Models))
	}
}

// TestKustomizations: each lists all the files beside it, and each patch of the overlay adds to a model that is there a backend of
// a Provider that the overlay has.
func TestKustomizations(t *testing.T) {
	type kustomization struct {
		Resources []string
		Patches   []struct {
			Target struct{ Kind, Name string }
			Patch  string
		}
	}
	read := func(dir string) (k kustomization) {
		files := texts(t, filepath.Join(repository, dir))
		if err := yaml.Unmarshal([]byte(files["kustomization.yaml"]), &k); err != nil {
			t.Fatal(err)
		}
		for name := range files {
			if filepath.Ext(name) == ".yaml" && name != "kustomization.yaml" && !strings.Contains(strings.Join(k.Resources, " "), name) {
				t.Errorf("%s is not in %v", name, k.Resources)
			}
		}
		return k
	}
	if k := read(base); len(k.Resources) != 5 || len(k.Patches) > 0 {
		t.Errorf("%+v", k)
	}
	in := load(t, example(t), base, overlay)
	k := read(overlay)
	if len(k.Patches) < 40 || k.Resources[0] != "../models" {
		t.Errorf("%d patches, of %v", len(k.Patches), k.Resources)
	}
	for _, p := range k.Patches {
		var ops []struct {
			Op, Path string
			Value    v1alpha1.ModelBackend
		}
		if err := json.Unmarshal([]byte(p.Patch), &ops); err != nil || len(ops) != 1 || ops[0].Op != "add" || ops[0].Path != "/spec/backends/-" || p.Target.Kind != "Model" {
			t.Fatalf("%+v: %v", p, err)
		}
		patched := 0
		for i := range in.Models {
			if m := &in.Models[i]; m.Name == p.Target.Name {
				m.Spec.Backends = append(m.Spec.Backends, ops[0].Value)
				patched++
			}
		}
		if patched != 1 {
			t.Errorf("%d models are called %s", patched, p.Target.Name)
		}
	}
	out := compile.Compile(in)
	check(t, out.Conditions, map[string]metav1.ConditionStatus{"Model ResolvedRefs": metav1.ConditionTrue, "Model Accepted": metav1.ConditionTrue})
	second := 0
	for _, m := range out.Snapshot.Models {
		if last := m.Backends[len(m.Backends)-1]; last.Provider == manifests.DefaultNamespace+"/vercel" && last.Priority == 1 {
			second++
		}
	}
	if second != len(k.Patches)+1 { // one model is there and nowhere else
		t.Errorf("%d models have Vercel AI Gateway, %d patches", second, len(k.Patches))
	}
}

// TestLeftOut: what is left out is told in its provider's file.
func TestLeftOut(t *testing.T) {
	groups, err := catalogue.Groups()
	if err != nil {
		t.Fatal(err)
	}
	files := texts(t, filepath.Join(repository, base))
	for _, g := range groups {
		for _, l := range g.LeftOut {
			if want := "#   " + l.Name + ": " + l.Because + "\n"; !strings.Contains(files[g.Provider.Name+".yaml"], want) {
				t.Errorf("%s.yaml does not say %q", g.Provider.Name, want)
			}
		}
	}
	if !strings.Contains(files["openai.yaml"], "#   openai/gpt-5.5-pro: ") || strings.Contains(files["openai.yaml"], "publicName: openai/gpt-5.5-pro") {
		t.Error("openai.yaml does not leave out what chat completions do not reach")
	}
	// An example is no file that a folder of manifests has.
	if _, there := files["secrets.yaml"]; there || strings.Contains(files["kustomization.yaml"], "secrets") {
		t.Error("the example is applied")
	}
}
