package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/controllers/manifests"
)

// ours are the documents of a rendered chart that are objects of the API's own kinds.
func ours(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, doc := range bytes.Split(b, []byte("\n---\n")) {
		if bytes.Contains(doc, []byte("\napiVersion: "+v1alpha1.GroupVersion.String()+"\n")) {
			out = append(out, doc)
		}
	}
	return bytes.Join(out, []byte("\n---\n"))
}

// TestGoldenModels: what helm renders passes what the API server asks of objects, has the values' namespace, gateways and
// Secrets, and compiles into models that are all served.
func TestGoldenModels(t *testing.T) {
	folder := fstest.MapFS{"models.yaml": {Data: ours(t, "testdata/models.golden.yaml")}}
	set, report, err := manifests.LoadFS(t.Context(), folder, "chart")
	if err != nil || len(report.Problems)+len(report.Warnings) > 0 {
		t.Fatalf("%v: %v", err, report)
	}
	in := compile.Input{
		Gateway:  &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Name: "main", Namespace: "ai"}},
		Gateways: []string{"main"}, Providers: set.Providers, Models: set.Models, Secrets: map[types.NamespacedName]map[string][]byte{},
	}
	var names []string
	for _, p := range set.Providers {
		ref := p.Spec.Auth.SecretRef
		names = append(names, p.Name+" "+ref.Name+" "+ref.Key)
		in.Secrets[types.NamespacedName{Namespace: p.Namespace, Name: ref.Name}] = map[string][]byte{ref.Key: []byte("sk-any")}
	}
	want := []string{"anthropic anthropic api-key", "google google api-key", "openai my-openai token", "perplexity perplexity api-key", "vercel vercel api-key"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	second := 0
	for _, m := range set.Models {
		if m.Namespace != "ai" || len(m.Spec.GatewayRefs) != 1 || m.Spec.GatewayRefs[0].Name != "main" || strings.HasPrefix(m.Name, "morph.") {
			t.Errorf("%s/%s: gateways %v", m.Namespace, m.Name, m.Spec.GatewayRefs)
		}
		if b := m.Spec.Backends; b[len(b)-1].ProviderRef.Name == vercel {
			second++
		}
	}
	out := compile.Compile(in)
	for key, conditions := range out.Conditions {
		for _, c := range conditions {
			if c.Status == metav1.ConditionFalse {
				t.Errorf("%v: %s is False: %s", key, c.Type, c.Message)
			}
		}
	}
	if len(out.Snapshot.Models) != len(set.Models) || len(set.Models) < 55 || second < 45 {
		t.Errorf("%d of %d models are served, %d by Vercel AI Gateway, too", len(out.Snapshot.Models), len(set.Models), second)
	}
}

// TestGoldenWithoutModels: nobody gets models without asking.
func TestGoldenWithoutModels(t *testing.T) {
	for _, name := range []string{"default", "full", "bare"} {
		if got := ours(t, "testdata/"+name+".golden.yaml"); len(got) > 0 {
			t.Errorf("%s has\n%s", name, got)
		}
	}
}

// TestGoldenModelsLikeConfig: the chart's templates have the objects of config/models, and no others.
func TestGoldenModelsLikeConfig(t *testing.T) {
	count := func(pattern string) map[string]int {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		out := map[string]int{}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(b)) {
				if strings.HasPrefix(line, "  publicName: ") || strings.HasPrefix(line, "  type: ") {
					out[strings.TrimSpace(line)]++
				}
			}
		}
		return out
	}
	want := count("../../config/models/*.yaml")
	for line := range count("../../config/models-vercel/*.yaml") {
		want[line]++
	}
	if diff := cmp.Diff(want, count("../../charts/layers/templates/models-*.yaml")); diff != "" {
		t.Errorf("-config +chart:\n%s", diff)
	}
}

func TestModelsTemplateRefuses(t *testing.T) {
	const provider = "# x\n---\nkind: Provider\nmetadata:\n  name: p\nspec:\n  auth:\n    secretRef:\n      key: api-key\n      name: p\n"
	const model = "# x\n---\nkind: Model\nmetadata:\n  name: p.m\nspec:\n  backends:\n  - name: p\n  publicName: p/m\n"
	for name, in := range map[string]string{
		"another Secret":    strings.Replace(provider, "      name: p\n", "      name: q\n", 1),
		"labels":            strings.Replace(provider, "  name: p\nspec", "  name: p\n  labels: {}\nspecs", 1),
		"a model's backend": strings.Replace(model, "  backends:\n", "", 1),
	} {
		if out, err := modelsTemplate("p", []byte(in), nil); err == nil {
			t.Errorf("%s: made\n%s", name, out)
		}
	}
	out, err := modelsTemplate("p", []byte(model), map[string]string{"p.m": "  - {\"name\":\"v\"}\n"})
	want := "  backends:\n  - name: p\n  {{- if .Values.models.vercel.enabled }}\n  - {\"name\":\"v\"}\n  {{- end }}\n  publicName: p/m\n{{- end }}\n"
	if err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestWriteModels: a template whose file went goes, too.
func TestWriteModels(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "models-gone.yaml")
	if err := os.WriteFile(gone, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeModels("../../config", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("it is there: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 6 {
		t.Errorf("%v: %v", files, err)
	}
	for _, f := range files {
		fresh, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(filepath.Join("../../charts/layers/templates", filepath.Base(f)))
		if err != nil || !bytes.Equal(fresh, old) {
			t.Errorf("%s is not what `make generate` makes: %v", filepath.Base(f), err)
		}
	}
}
