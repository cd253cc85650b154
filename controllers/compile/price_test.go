package compile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func decimal(s string) *v1alpha1.Decimal { d := v1alpha1.Decimal(s); return &d }

// withPrices is an input whose first priced Model has other prices, and what became of that Model.
func withPrices(t *testing.T, change func(m *v1alpha1.Model)) (*snapshot.Model, compile.Output, string) {
	t.Helper()
	in := read(t, "testdata/basic.in.yaml")
	i := slices.IndexFunc(in.Models, func(m v1alpha1.Model) bool { return m.Spec.Pricing != nil })
	name := string(in.Models[i].Spec.PublicName)
	change(&in.Models[i])
	out := compile.Compile(in)
	for n := range out.Snapshot.Models {
		if out.Snapshot.Models[n].PublicName == name {
			return &out.Snapshot.Models[n], out, in.Models[i].Name
		}
	}
	return nil, out, in.Models[i].Name
}

// Steps are served in ascending order, whatever theirs was, and are a part of the price's version.
func TestStepsAreCompiled(t *testing.T) {
	plain, _, _ := withPrices(t, func(*v1alpha1.Model) {})
	steps := []v1alpha1.PricingStep{
		{AboveInputTokens: 500, InputPerMillion: "5", OutputPerMillion: "6"},
		{AboveInputTokens: 200, InputPerMillion: "3", OutputPerMillion: "4", CacheReadPerMillion: decimal("0.5"), CacheWritePerMillion: decimal("7"), CacheWrite1hPerMillion: decimal("8")},
	}
	m, _, _ := withPrices(t, func(m *v1alpha1.Model) { m.Spec.Pricing.Steps = steps })
	half, seven, eight := int64(500_000_000), int64(7_000_000_000), int64(8_000_000_000)
	want := []snapshot.PriceStep{
		{AboveInput: 200, InputPerMillion: 3_000_000_000, OutputPerMillion: 4_000_000_000, CacheReadPerMillion: &half, CacheWritePerMillion: &seven, CacheWrite1hPerMillion: &eight},
		{AboveInput: 500, InputPerMillion: 5_000_000_000, OutputPerMillion: 6_000_000_000},
	}
	if diff := cmp.Diff(want, m.Price.Steps); diff != "" || m.Price.Version == plain.Price.Version {
		t.Errorf("version %s, without steps %s\n%s", m.Price.Version, plain.Price.Version, diff)
	}
	slices.Reverse(steps)
	if again, _, _ := withPrices(t, func(m *v1alpha1.Model) { m.Spec.Pricing.Steps = steps }); again.Price.Version != m.Price.Version {
		t.Error("the order of steps is a part of the version")
	}
	steps[0].OutputPerMillion = "4.000000001"
	if other, _, _ := withPrices(t, func(m *v1alpha1.Model) { m.Spec.Pricing.Steps = steps }); other.Price.Version == m.Price.Version {
		t.Error("a step's price is no part of the version")
	}
}

// A price that is wrong anywhere is refused by its path, and the Model is not served.
func TestWrongPrices(t *testing.T) {
	step := func(above int64, input string) v1alpha1.PricingStep {
		return v1alpha1.PricingStep{AboveInputTokens: above, InputPerMillion: v1alpha1.Decimal(input), OutputPerMillion: "1"}
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.Model)
		want   string
	}{
		"a step":          {func(m *v1alpha1.Model) { m.Spec.Pricing.Steps = []v1alpha1.PricingStep{step(5, "x")} }, "pricing.steps[5].inputPerMillion"},
		"two of one size": {func(m *v1alpha1.Model) { m.Spec.Pricing.Steps = []v1alpha1.PricingStep{step(5, "1"), step(5, "2")} }, "pricing.steps"},
		"a step of all":   {func(m *v1alpha1.Model) { m.Spec.Pricing.Steps = []v1alpha1.PricingStep{step(0, "1")} }, "pricing.steps"},
		"the provider's": {func(m *v1alpha1.Model) {
			m.Spec.Backends[0].Pricing = &v1alpha1.ModelPricing{InputPerMillion: "1", OutputPerMillion: "-"}
		}, "].pricing.outputPerMillion"},
		"the price itself": {func(m *v1alpha1.Model) { m.Spec.Pricing.OutputPerMillion = "1e9" }, "pricing.outputPerMillion"},
	} {
		t.Run(name, func(t *testing.T) {
			m, out, object := withPrices(t, c.change)
			if m != nil {
				t.Errorf("it is served: %+v", m.Price)
			}
			said := ""
			for k, conditions := range out.Conditions {
				for _, cond := range conditions {
					if k.Name == object && cond.Type == v1alpha1.ConditionPriced && cond.Reason == v1alpha1.ReasonInvalid {
						said = cond.Message
					}
				}
			}
			if !strings.Contains(said, c.want) {
				t.Errorf("Priced says %q, not %q", said, c.want)
			}
		})
	}
}

func TestProvidersPriceIsCompiled(t *testing.T) {
	m, _, _ := withPrices(t, func(m *v1alpha1.Model) {
		m.Spec.Backends[0].Pricing = &v1alpha1.ModelPricing{InputPerMillion: "0.25", OutputPerMillion: "1"}
	})
	i := slices.IndexFunc(m.Backends, func(b snapshot.Backend) bool { return b.Price != nil })
	if i < 0 || m.Backends[i].Price.InputPerMillion != 250_000_000 || m.Price.InputPerMillion == 250_000_000 {
		t.Errorf("backends %+v", m.Backends)
	}
}

func TestMarkupIsCompiled(t *testing.T) {
	in := read(t, "testdata/basic.in.yaml")
	if len(in.Tiers) == 0 {
		t.Fatal("no tier to mark up")
	}
	for text, want := range map[string]*snapshot.Ratio{"1.25": {Num: 125, Den: 100}, "0": {Num: 0, Den: 1}, "1001": nil, "x": nil} {
		markup := v1alpha1.Factor(text)
		in.Tiers[0].Spec.Markup = &markup
		var got *snapshot.Ratio
		for _, tier := range compile.Compile(in).Snapshot.Tiers {
			if tier.Name == in.Tiers[0].Namespace+"/"+in.Tiers[0].Name {
				got = tier.Markup
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}
