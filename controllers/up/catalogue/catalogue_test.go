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
	"github.com/layers-dev/layers/dataplane/pricing"
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
	if len(set.Models) < 60 || len(set.Providers) != 6 || len(served.Secrets) != 6 || len(served.Unavailable) > 0 {
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
		for _, name := range append(m.AllAliases(), m.Name) {
			if seen[string(name)] {
				t.Errorf("%s is there twice", name)
			}
			seen[string(name)] = true
		}
		if m.owner().Name == "" || m.ID == "" || m.USD.Input == "" || m.USD.Output == "" || !m.direct() && m.Vercel == "" {
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

// TestPrices: what can be used has a price, in the proportions that the providers document.
func TestPrices(t *testing.T) {
	f, err := read()
	if err != nil {
		t.Fatal(err)
	}
	searches, long := 0, 0
	for _, m := range f.Models {
		if can := slices.Contains(m.Can, v1alpha1.CapabilityWebSearch); can != (m.USD.Search != nil) {
			t.Errorf("%s searches: %v, for %v", m.Name, can, m.USD.Search)
		} else if can {
			searches++
		}
		if can := slices.Contains(m.Can, v1alpha1.CapabilityPromptCache); can != (m.USD.CacheRead != nil) {
			t.Errorf("%s caches: %v, for %v", m.Name, can, m.USD.CacheRead)
		}
		if (m.owner().Name == "anthropic") != (m.USD.CacheWrite1h != nil) {
			t.Errorf("%s has a cache of an hour for %v", m.Name, m.USD.CacheWrite1h)
		}
		if m.USD.CacheWrite1h == nil {
			continue
		}
		long++
		input, write, hour := nano(t, m.USD.Input), nano(t, *m.USD.CacheWrite), nano(t, *m.USD.CacheWrite1h)
		if 4*write != 5*input || hour != 2*input {
			t.Errorf("%s: cache writes for %s and %s, input for %s", m.Name, *m.USD.CacheWrite, *m.USD.CacheWrite1h, m.USD.Input)
		}
	}
	if searches < 40 || long < 15 {
		t.Errorf("%d models search, %d have a cache of an hour", searches, long)
	}
}

// TestSteps: where a provider asks more of large requests, it does so for every class of tokens, and the object says so where
// the model takes requests that large.
func TestSteps(t *testing.T) {
	f, err := read()
	if err != nil {
		t.Fatal(err)
	}
	known, served := 0, 0
	for _, m := range f.Models {
		steps := object("", m, nil).Spec.Pricing.Steps
		if (m.Step > 0) != (m.Above != nil) || (len(steps) == 1) != (m.Step > 0 && m.Context > m.Step) {
			t.Errorf("%s: step %d, %+v, as an object %+v", m.Name, m.Step, m.Above, steps)
		}
		if m.Above == nil {
			continue
		}
		known++
		if m.Above.Search != nil {
			t.Errorf("%s: searches have one price", m.Name)
		}
		for _, pair := range [][2]*v1alpha1.Decimal{
			{&m.USD.Input, &m.Above.Input}, {&m.USD.Output, &m.Above.Output}, {m.USD.CacheRead, m.Above.CacheRead},
			{m.USD.CacheWrite, m.Above.CacheWrite}, {m.USD.CacheWrite1h, m.Above.CacheWrite1h},
		} {
			if (pair[0] == nil) != (pair[1] == nil) || pair[0] != nil && nano(t, *pair[1]) <= nano(t, *pair[0]) {
				t.Errorf("%s: %+v, above %d tokens %+v", m.Name, m.USD, m.Step, *m.Above)
			}
		}
		if len(steps) == 1 {
			served++
			if s := steps[0]; s.AboveInputTokens != m.Step || s.InputPerMillion != m.Above.Input || s.CacheReadPerMillion != m.Above.CacheRead {
				t.Errorf("%s: %+v", m.Name, s)
			}
		}
	}
	if known < 15 || served < 5 {
		t.Errorf("%d models with a step, %d of them served", known, served)
	}
}

func nano(t *testing.T, price v1alpha1.Decimal) pricing.Nano {
	t.Helper()
	n, err := pricing.ParseUSDPerMillion(string(price))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestGroups: each model is in its provider's group, served there first and through Vercel AI Gateway second, and by it alone
// where its provider cannot be asked.
func TestGroups(t *testing.T) {
	groups, err := Groups()
	if err != nil {
		t.Fatal(err)
	}
	f, err := read()
	if err != nil {
		t.Fatal(err)
	}
	models, left := 0, 0
	for _, g := range groups {
		left += len(g.LeftOut)
		for _, e := range g.Models {
			models++
			own, direct := e.Model.Spec.Backends, e.Model.Spec.PublicName != "openai/gpt-5.5-pro"
			if !strings.HasPrefix(e.Model.Name, g.Provider.Name+".") || e.Model.Namespace != "" || (len(own) == 1) != direct || !direct && e.Vercel == nil {
				t.Errorf("%s in the group of %s: backends %+v, %+v", e.Model.Name, g.Provider.Name, own, e.Vercel)
			}
			if direct && own[0].ProviderRef.Name != g.Provider.Name || e.Vercel != nil && (e.Vercel.ProviderRef.Name != vercel || *e.Vercel.Priority != 1) {
				t.Errorf("%s is served by %+v and %+v", e.Model.Name, own, e.Vercel)
			}
		}
	}
	if last := groups[len(groups)-1]; models != len(f.Models) || left != len(f.LeftOut) || last.Provider.Name != vercel || len(last.Models) > 0 {
		t.Errorf("%d models and %d left out, the last group is %s", models, left, last.Provider.Name)
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
