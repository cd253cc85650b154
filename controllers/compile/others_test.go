package compile_test

import (
	"testing"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// An unpriced model costs nothing (litellm#35914): a Model without prices is served to nobody, and says so.
func TestUnpricedModelIsNotServed(t *testing.T) {
	m, out, object := withPrices(t, func(m *v1alpha1.Model) { m.Spec.Pricing = nil })
	if m != nil {
		t.Errorf("it is served: %+v", m)
	}
	said := false
	for k, conditions := range out.Conditions {
		for _, c := range conditions {
			said = said || k.Name == object && c.Type == v1alpha1.ConditionPriced && c.Status == "False" && c.Reason == v1alpha1.ReasonUnpriced
		}
	}
	if !said {
		t.Error("no condition says that it has no price")
	}
}
