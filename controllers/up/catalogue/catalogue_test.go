package catalogue

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/manifests"
)

func nothing(string) string { return "" }

// TestObjects: what the catalogue makes passes what the API server asks of a folder of manifests.
func TestObjects(t *testing.T) {
	served, err := Read("default", func(string) string { return "sk" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	var docs [][]byte
	for _, o := range served.Providers {
		docs = append(docs, marshal(t, o))
	}
	for _, o := range served.Models {
		docs = append(docs, marshal(t, o))
	}
	folder := fstest.MapFS{"all.yaml": {Data: bytes.Join(docs, []byte("---\n"))}}
	set, report, err := manifests.LoadFS(t.Context(), folder, "catalogue")
	if err != nil || len(report.Problems)+len(report.Warnings) > 0 {
		t.Fatalf("%v, %v", err, report)
	}
	if len(set.Models) < 55 || len(set.Providers) != 5 || len(served.Secrets) != 5 {
		t.Errorf("%d models, %d providers, %d credentials", len(set.Models), len(set.Providers), len(served.Secrets))
	}
}

func marshal(t *testing.T, o any) []byte {
	t.Helper()
	raw, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestNames: each name and alias is one model's, and each model has a provider.
func TestNames(t *testing.T) {
	f, err := read()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range f.Models {
		for _, name := range append(m.Aliases(), m.Name) {
			if seen[string(name)] {
				t.Errorf("%s is there twice", name)
			}
			seen[string(name)] = true
		}
		if m.owner().Name == "" || m.ID == "" || m.USD.Input == "" || m.USD.Output == "" {
			t.Errorf("%s is not complete", m.Name)
		}
		if m.Vercel != "" && m.Vercel != string(m.Name) {
			t.Errorf("%s: Vercel's names have the same form, got %s", m.Name, m.Vercel)
		}
	}
	for _, l := range f.LeftOut {
		if seen[l.Name] || l.Because == "" {
			t.Errorf("%s is left out and is there, or without a reason", l.Name)
		}
	}
}

// TestOrder: a provider's own account comes before Vercel's.
func TestOrder(t *testing.T) {
	served, err := Read("default", func(string) string { return "sk" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(served.Models, func(m v1alpha1.Model) bool { return m.Spec.PublicName == "openai/gpt-4o" })
	b := served.Models[i].Spec.Backends
	if len(b) != 2 || b[0].Name != "openai" || b[0].Priority != nil || b[1].Name != "vercel" || *b[1].Priority != 1 {
		t.Errorf("backends %+v", b)
	}
}

// TestNothingSet: without variables nothing is served, and every model says what it needs.
func TestNothingSet(t *testing.T) {
	served, err := Read("default", nothing, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(served.Models)+len(served.Providers)+len(served.Secrets)+len(served.Titles) > 0 {
		t.Errorf("served: %+v", served)
	}
	for _, m := range served.Unavailable {
		if !strings.Contains(m.Why, string(m.Name)) || !strings.HasSuffix(m.Why, ".") {
			t.Errorf("%s: %s", m.Name, m.Why)
		}
	}
}

// TestFirstVariable: of two variables for one provider the first that is set counts, and spaces are none of it.
func TestFirstVariable(t *testing.T) {
	p := find("vercel")
	for want, env := range map[string]map[string]string{
		"a": {"AI_GATEWAY_API_KEY": " a\n", "VERCEL_AI_GATEWAY_KEY": "b"},
		"b": {"AI_GATEWAY_API_KEY": "  ", "VERCEL_AI_GATEWAY_KEY": "b"},
		"":  {},
	} {
		if got, unfit := p.key(func(name string) string { return env[name] }); got != want || len(unfit) > 0 {
			t.Errorf("%v: %q", env, got)
		}
	}
}
