package manifests

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/api/v1alpha1"
)

const (
	digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	tier   = head + "kind: Tier\nmetadata: {name: pro}\nspec: {maxBodyBytes: 2048}\n"
	key    = head + "kind: APIKey\nmetadata: {name: k}\nspec: {account: acme, key: {sha256: " + digest + "}}\n"
	secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {api-key: one}\n"
)

// write changes a folder: an empty text removes the file.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(strings.TrimPrefix(text, "EMPTY")), 0o600)
		if text == "" {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// values are what the tests look at, by object.
func values(s *Set) map[string]any {
	out := map[string]any{}
	for _, p := range s.Providers {
		out["Provider "+p.Name] = string(p.Spec.Type)
	}
	for _, t := range s.Tiers {
		out["Tier "+t.Name] = t.Spec.MaxBodyBytes
	}
	for _, k := range s.APIKeys {
		out["APIKey "+k.Name] = k.Spec.Account + " " + string(k.Spec.State)
	}
	for name, data := range s.Secrets {
		out["Secret "+name.Name] = string(data["api-key"])
	}
	for name, labels := range s.Namespaces {
		out["Namespace "+name] = labels["ai"]
	}
	return out
}

// TestReload changes a folder and reads it again: what is good is taken, what is bad goes on as it was.
func TestReload(t *testing.T) {
	before := map[string]string{
		"a.yaml": demo + "---\n" + tier, "k.yaml": key, "s.yaml": secret,
		"n.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: team, labels: {ai: 'yes'}}\n",
	}
	same := map[string]any{"Provider demo": "Demo", "Tier pro": int64(2048), "APIKey k": "acme Active", "Secret s": "one", "Namespace team": "yes"}
	const goesOn = ": the version before goes on"
	tests := map[string]struct {
		change   map[string]string
		want     map[string]any // what differs; nil: gone
		problems []string
	}{
		"nothing": {},
		"a good edit": {
			change: map[string]string{"a.yaml": demo + "---\n" + strings.Replace(tier, "2048", "4096", 1)},
			want:   map[string]any{"Tier pro": int64(4096)},
		},
		"a new object":     {change: map[string]string{"b.yaml": strings.Replace(tier, "pro", "new", 1)}, want: map[string]any{"Tier new": int64(2048)}},
		"a moved object":   {change: map[string]string{"a.yaml": demo, "b.yaml": tier}},
		"an object gone":   {change: map[string]string{"a.yaml": tier}, want: map[string]any{"Provider demo": nil}},
		"a file gone":      {change: map[string]string{"k.yaml": ""}, want: map[string]any{"APIKey k": nil}},
		"another Secret":   {change: map[string]string{"s.yaml": strings.Replace(secret, "one", "two", 1)}, want: map[string]any{"Secret s": "two"}},
		"a namespace gone": {change: map[string]string{"n.yaml": ""}, want: map[string]any{"Namespace team": nil}},
		"one object against the schema, another good": {
			change: map[string]string{"a.yaml": strings.Replace(demo, "Demo", "OpenAI", 1) + "---\n" + strings.Replace(tier, "2048", "4096", 1)},
			want:   map[string]any{"Tier pro": int64(4096)},
			problems: []string{
				"a.yaml: Provider default/demo: spec: Invalid value: auth is required for every type but OpenAICompatible and Demo",
				`a.yaml: Provider default/demo: spec.type: Invalid value: "OpenAI": type is immutable`,
				"a.yaml: Provider default/demo" + goesOn,
			},
		},
		"a new object against the schema": {
			change:   map[string]string{"b.yaml": head + "kind: Tier\nmetadata: {name: new}\nspec: {maxBodyBytes: 1}\n"},
			problems: []string{"b.yaml: Tier default/new: spec.maxBodyBytes: Invalid value: 1: spec.maxBodyBytes in body should be greater than or equal to 1024"},
		},
		"an immutable field": {
			change:   map[string]string{"k.yaml": strings.Replace(key, "acme", "other", 1)},
			problems: []string{"k.yaml: APIKey default/k: spec.account: Invalid value: \"other\": account is immutable", "k.yaml: APIKey default/k" + goesOn},
		},
		"no YAML": {
			change: map[string]string{"a.yaml": demo + "---\n{\n", "k.yaml": strings.Replace(key, "acme,", "acme, state: Disabled,", 1)},
			want:   map[string]any{"APIKey k": "acme Disabled"},
			problems: []string{
				"a.yaml: document 2: not YAML: line 1: did not find expected node content",
				`a.yaml: what it declared before goes on: "Tier default/pro"`,
			},
		},
		"a kind that is none": {
			change: map[string]string{"k.yaml": strings.Replace(key, "kind: APIKey", "kind: APIKeys", 1)},
			problems: []string{
				`k.yaml: no matches for kind "APIKeys" in version "layers.dev/v1alpha1"`,
				`k.yaml: what it declared before goes on: "APIKey default/k"`,
			},
		},
		"an emptied file": {
			change: map[string]string{"k.yaml": "EMPTY"},
			problems: []string{
				"k.yaml: the file is empty; remove it to remove what it declared",
				`k.yaml: what it declared before goes on: "APIKey default/k"`,
			},
		},
		"a Secret that is none": {
			change: map[string]string{"s.yaml": strings.Replace(secret, "{api-key: one}", "[one]", 1)},
			problems: []string{
				"s.yaml: Secret default/s: json: cannot unmarshal array into Go struct field Secret.stringData of type map[string]string",
				"s.yaml: Secret default/s" + goesOn,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, before)
			first, _, err := Load(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, test.change)
			// Twice: what went on once goes on.
			second, _, err := Reload(t.Context(), dir, &first)
			if err != nil {
				t.Fatal(err)
			}
			got, report, err := Reload(t.Context(), dir, &second)
			if err != nil || !got.Equal(&second) {
				t.Errorf("reading it again: %v, %v", err, got.Changed(&second))
			}
			want := map[string]any{}
			for object, v := range same {
				want[object] = v
			}
			for object, v := range test.want {
				if want[object] = v; v == nil {
					delete(want, object)
				}
			}
			if diff := cmp.Diff(want, values(&got)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			problems := lines(report.Problems)
			for i := range problems {
				problems[i] = strings.ReplaceAll(problems[i], dir+"/", "")
			}
			if diff := cmp.Diff(test.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReloadFolderGone: no folder says nothing about its objects.
func TestReloadFolderGone(t *testing.T) {
	first, _ := load(t, map[string]string{"a.yaml": demo})
	if _, _, err := Reload(t.Context(), filepath.Join(t.TempDir(), "gone"), &first); err == nil {
		t.Error("a folder that is not there was read")
	}
}

func TestRevert(t *testing.T) {
	first, _ := load(t, map[string]string{"a.yaml": tier + "---\n" + key, "s.yaml": secret})
	second, _ := load(t, map[string]string{
		"a.yaml": strings.Replace(tier, "2048", "4096", 1) + "---\n" + strings.Replace(key, "acme,", "acme, state: Disabled,", 1),
		"b.yaml": demo, "s.yaml": strings.Replace(secret, "one", "two", 1),
	})
	if diff := cmp.Diff([]string{"APIKey default/k", "Secret default/s", "Tier default/pro"}, second.Changed(&first)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	got := second.Revert([]string{"Tier default/pro", "Secret default/s", "Provider default/demo", "Model default/none"}, &first)
	want := map[string]any{"Provider demo": "Demo", "Tier pro": int64(2048), "APIKey k": "acme Disabled", "Secret s": "one"}
	if diff := cmp.Diff(want, values(&got)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(second.APIKeys, got.APIKeys); diff != "" {
		t.Errorf("what is not reverted stays as it is, age included (-want +got):\n%s", diff)
	}
	if got.Equal(&second) || second.Equal(&first) || !got.Equal(&got) {
		t.Error("Equal does not tell the sets apart")
	}
}

// TestReloadAges: what was there before is older than what is new, in whatever file that stands, and stays so.
func TestReloadAges(t *testing.T) {
	other := func(name string) string { return strings.Replace(tier, "name: pro", "name: "+name, 1) }
	dir := t.TempDir()
	write(t, dir, map[string]string{"m.yaml": tier + "---\n" + other("second"), "s.yaml": secret})
	first, _, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	last := &first
	for _, step := range []map[string]string{{"a.yaml": other("new")}, {"b.yaml": other("newer") + "---\n" + other("newest")}, {"a.yaml": ""}} {
		write(t, dir, step)
		next, report, err := Reload(t.Context(), dir, last)
		if err != nil || len(report.Problems) > 0 {
			t.Fatalf("%v %v", err, report)
		}
		next = next.Revert(nil, last)
		last = &next
	}
	slices.SortFunc(last.Tiers, func(a, b v1alpha1.Tier) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	var names []string
	for i, tier := range last.Tiers {
		names = append(names, tier.Name)
		if i > 0 && tier.CreationTimestamp.Equal(&last.Tiers[i-1].CreationTimestamp) {
			t.Errorf("%s is as old as another", tier.Name)
		}
	}
	if diff := cmp.Diff([]string{"pro", "second", "newer", "newest"}, names); diff != "" {
		t.Errorf("by age (-want +got):\n%s", diff)
	}
}
