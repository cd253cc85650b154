package manifests

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"
)

// load writes files into a new folder and loads it; the folder's name is taken out of the report.
func load(t *testing.T, files map[string]string) (Set, Report) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, report, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]Finding{report.Warnings, report.Problems} {
		for i := range list {
			list[i].File = strings.TrimPrefix(list[i].File, dir+"/")
			list[i].Message = strings.ReplaceAll(list[i].Message, dir+"/", "")
		}
	}
	return set, report
}

func lines(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.String())
	}
	return out
}

const (
	head = "apiVersion: layers.dev/v1alpha1\n"
	demo = head + "kind: Provider\nmetadata: {name: demo}\nspec: {type: Demo}\n"
)

func TestReport(t *testing.T) {
	tests := map[string]struct {
		files              map[string]string
		objects            int
		warnings, problems []string
	}{
		"a good object": {files: map[string]string{"a.yaml": demo}, objects: 1},
		"an unknown field": {
			files: map[string]string{"a.yaml": strings.Replace(demo, "{type: Demo}", "{type: Demo, foo: 1, auths: {b: 2}}", 1)}, objects: 1,
			warnings: []string{
				`a.yaml: Provider default/demo: unknown field "spec.auths"`,
				`a.yaml: Provider default/demo: unknown field "spec.foo"`,
			},
		},
		"an unknown field of the metadata": {
			files: map[string]string{"a.yaml": strings.Replace(demo, "{name: demo}", "{name: demo, label: {}}", 1)}, objects: 1,
			warnings: []string{`a.yaml: Provider default/demo: unknown field "metadata.label"`},
		},
		"an unknown field at the root": {
			files: map[string]string{"a.yaml": demo + "specs: {}\n"}, objects: 1,
			warnings: []string{`a.yaml: Provider default/demo: unknown field "specs"`},
		},
		"a key twice": {
			files:    map[string]string{"a.yaml": demo + "kind: Model\n"},
			problems: []string{`a.yaml: document 1: not YAML: line 5: a key is given twice`},
		},
		"a key twice in JSON": {
			files:    map[string]string{"a.json": `{"apiVersion":"layers.dev/v1alpha1","kind":"Provider","metadata":{"name":"a","name":"b"},"spec":{"type":"Demo"}}`},
			problems: []string{`a.json: duplicate field "metadata.name"`},
		},
		"a bad document keeps the others": {
			files: map[string]string{"a.yaml": demo + "---\na: [\n---\n" + strings.ReplaceAll(demo, "name: demo", "name: other")}, objects: 2,
			problems: []string{"a.yaml: document 2: not YAML: line 1: did not find expected node content"},
		},
		"bad JSON": {files: map[string]string{"a.json": "{"}, problems: []string{"a.json: unexpected EOF"}},
		"a wrong type": {
			files: map[string]string{"a.yaml": strings.Replace(demo, "{type: Demo}", "{type: 1}", 1)},
			problems: []string{
				`a.yaml: Provider default/demo: spec.type: Invalid value: "integer": spec.type in body must be of type string: "integer"`,
				`a.yaml: Provider default/demo: spec.type: Unsupported value: 1: supported values: "OpenAI", "OpenAICompatible", "Anthropic", "Gemini", "Perplexity", "Morph", "VercelAIGateway", "Demo"`,
			},
		},
		"a field missing": {
			files:    map[string]string{"a.yaml": head + "kind: APIKey\nmetadata: {name: k}\nspec: {key: {generate: {secretName: k}}}\n"},
			problems: []string{"a.yaml: APIKey default/k: spec.account: Required value"},
		},
		"a bad name": {
			files:    map[string]string{"a.yaml": strings.Replace(demo, "{name: demo}", "{name: De_mo}", 1)},
			problems: []string{`a.yaml: Provider default/De_mo: metadata.name: Invalid value: "De_mo": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`},
		},
		"generateName": {
			files:    map[string]string{"a.yaml": strings.Replace(demo, "{name: demo}", "{generateName: demo-}", 1)},
			problems: []string{"a.yaml: Provider default/: metadata.name: Required value: generateName needs an API server"},
		},
		"two items of one key": {
			files:    map[string]string{"a.yaml": head + "kind: Tier\nmetadata: {name: t}\nspec: {limits: [{unit: RequestsPerMinute, value: 1}, {unit: RequestsPerMinute, value: 2}]}\n"},
			problems: []string{`a.yaml: Tier default/t: spec.limits[1]: Duplicate value: {"unit":"RequestsPerMinute"}`},
		},
		"one object twice": {
			files: map[string]string{"a.yaml": demo, "b.yml": demo}, objects: 1,
			problems: []string{"b.yml: Provider default/demo: declared twice, first in a.yaml"},
		},
		"one name in two namespaces": {
			files: map[string]string{"a.yaml": demo, "b.yml": strings.Replace(demo, "{name: demo}", "{name: demo, namespace: other}", 1)}, objects: 2,
		},
		"another version": {
			files:    map[string]string{"a.yaml": strings.Replace(demo, "v1alpha1", "v2", 1)},
			problems: []string{`a.yaml: no matches for kind "Provider" in version "layers.dev/v2"`},
		},
		"no kind":  {files: map[string]string{"a.yaml": "a: 1\n"}, problems: []string{"a.yaml: apiVersion and kind are required"}},
		"a scalar": {files: map[string]string{"a.yaml": "hello\n"}, problems: []string{"a.yaml: not an object"}},
		"another kind": {
			files:    map[string]string{"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: apps}\n"},
			warnings: []string{"a.yaml: Deployment apps/d: ignored, only Secrets, Namespaces and the kinds of layers.dev are read"},
		},
		"files that are none of ours": {
			files: map[string]string{
				"kustomization.yaml": "resources: [a.yaml]\n", "k.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
				"README.md": "# a: [", "empty.yaml": "", "comment.yaml": "# nothing\n---\n---\n", "values.txt": "a: [",
			},
		},
		"a Secret that is none": {
			files:    map[string]string{"a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: '%%%'}\n"},
			problems: []string{"a.yaml: Secret default/s: illegal base64 data at input byte 0"},
		},
		"a Secret with an unknown field": {
			files: map[string]string{"a.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringdata: {k: v}\n"}, objects: 1,
			warnings: []string{`a.yaml: Secret default/s: unknown field "stringdata"`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			set, report := load(t, tc.files)
			if set.Len() != tc.objects {
				t.Errorf("%d objects, want %d", set.Len(), tc.objects)
			}
			if diff := cmp.Diff(tc.warnings, lines(report.Warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.problems, lines(report.Problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultsAndSecrets(t *testing.T) {
	set, report := load(t, map[string]string{"all.yaml": head + `kind: Model
metadata: {name: m}
spec:
  publicName: acme/m
  limits: {contextTokens: 10, maxOutputTokens: 5}
  backends: [{name: a, providerRef: {name: p}, model: m}]
status: {observedGeneration: 7}
---
` + head + `kind: Tier
metadata: {name: t}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {a: YQ==, b: b2xk}
stringData: {b: new}
`})
	if len(report.Problems)+len(report.Warnings) > 0 {
		t.Fatalf("%v", report)
	}
	m := set.Models[0]
	if *m.Spec.Backends[0].Weight != 1 || *m.Spec.Backends[0].Priority != 0 || m.Spec.Timeouts.TotalSeconds != 900 || len(m.Spec.Capabilities) != 2 {
		t.Errorf("defaults are missing: %+v", m.Spec)
	}
	if m.Namespace != DefaultNamespace || m.Generation != 1 || m.Status.ObservedGeneration != 0 {
		t.Errorf("not as the API server makes it: %+v", m)
	}
	if got := set.Tiers[0].Spec.MaxBodyBytes; got != 32<<20 {
		t.Errorf("maxBodyBytes %d: the default of a spec that is left out", got)
	}
	want := map[types.NamespacedName]map[string][]byte{{Namespace: "default", Name: "s"}: {"a": []byte("a"), "b": []byte("new")}}
	if diff := cmp.Diff(want, set.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

// TestStable: the same folder gives the same UIDs and times, in the order of the files.
func TestStable(t *testing.T) {
	files := map[string]string{
		"b.yaml": demo,
		"a.json": `{"apiVersion":"v1","kind":"List","items":[` +
			`{"apiVersion":"layers.dev/v1alpha1","kind":"Provider","metadata":{"name":"z"},"spec":{"type":"Demo"}},` +
			`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"k":"v"}}]}`,
	}
	one, report := load(t, files)
	if len(report.Problems)+len(report.Warnings) > 0 {
		t.Fatalf("%v", report)
	}
	if got := one.Files["Provider default/demo"]; filepath.Base(got) != "b.yaml" {
		t.Errorf("the file of an object is %q", got)
	}
	two, _ := load(t, files)
	one.Files, two.Files = nil, nil
	if diff := cmp.Diff(one, two, cmpopts.IgnoreUnexported(Set{})); diff != "" {
		t.Errorf("two loads differ:\n%s", diff)
	}
	z, d := one.Providers[0], one.Providers[1]
	if z.Name != "z" || !z.CreationTimestamp.Time.Before(d.CreationTimestamp.Time) || z.UID == d.UID || z.UID == "" {
		t.Errorf("order or identity is wrong: %+v %+v", z.ObjectMeta, d.ObjectMeta)
	}
	if string(one.Secrets[types.NamespacedName{Namespace: "default", Name: "s"}]["k"]) != "v" {
		t.Error("the list's Secret is missing")
	}
}

func TestTypedList(t *testing.T) {
	set, report := load(t, map[string]string{"a.yaml": head + "kind: ProviderList\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(demo), "\n", "\n  ") + "\n- 3\n"})
	if set.Len() != 1 || len(report.Problems) != 1 || report.Problems[0].Message != "items[1]: not an object" {
		t.Errorf("%d objects, %v", set.Len(), report)
	}
}

// TestUnquoted: what is no YAML is never quoted, because it may be the data of a Secret.
func TestUnquoted(t *testing.T) {
	for doc, want := range map[string]string{
		"a: *hunter2":             "not YAML: unknown anchor",
		"a: !!int hunter2":        "not YAML: cannot decode !!str",
		"? [hunter2]":             "not YAML: invalid map key",
		"a: {b: hunter2":          "not YAML: line 1: did not find expected",
		"a: 1\na: hunter2":        "not YAML: line 2: a key is given twice",
		"hunter2: 1\nhunter2: 2":  "not YAML: line 2: a key is given twice",
		"a: b: hunter2":           "not YAML: mapping values are not allowed in this context",
		"a: |\n  x\n hunter2: @y": "not YAML: line 2: did not find expected key",
	} {
		docs := documents("a.yaml", []byte(doc+"\n"))
		if len(docs) != 1 || docs[0].err == nil {
			t.Errorf("%q is taken: %v", doc, docs)
			continue
		}
		if got := docs[0].err.Error(); strings.Contains(got, "hunter2") || !strings.HasPrefix(got, "document 1: "+want) {
			t.Errorf("%q: %s", doc, got)
		}
	}
}

// TestFilesBesideManifests: what an editor leaves is not read, a link that leads nowhere is one bad file.
func TestFilesBesideManifests(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".#a.yaml", "gone.yaml"} {
		if err := os.Symlink("nowhere", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_, report, err := Load(t.Context(), dir)
	if err != nil || len(report.Problems) != 1 || report.Problems[0].File != filepath.Join(dir, "gone.yaml") {
		t.Errorf("report %v, %v", report, err)
	}
}

func TestNoFolder(t *testing.T) {
	if _, _, err := Load(t.Context(), filepath.Join(t.TempDir(), "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(demo), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
