package responses

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Other tiers become the standard one, which has the price that there is, and are named; every other byte stays.
func TestTiers(t *testing.T) {
	ours := carried{Format: "x", Signature: "s"}.String()
	for body, want := range map[string]struct {
		body    string
		dropped []string
	}{
		`{"model":"m", "service_tier" : "flex" ,"input":"x"}`: {`{"model":"m", "service_tier" : "default" ,"input":"x"}`, []string{"service_tier"}},
		`{"service_tier":"priority","model":"m","input":"x"}`: {`{"service_tier":"default","model":"m","input":"x"}`, []string{"service_tier"}},
		`{"service_tier":"auto","model":"m","input":"x"}`:     {`{"service_tier":"auto","model":"m","input":"x"}`, nil},
		`{"model":"m","input":"x"}`:                           {`{"model":"m","input":"x"}`, nil},
		`{"service_tier":"scale","model":"m","input":[{"role":"user","content":"x"},{"type":"reasoning","summary":[],"encrypted_content":"` + ours + `"}]}`: {
			`{"service_tier":"default","model":"m","input":[{"role":"user","content":"x"}]}`, []string{"service_tier", "input.reasoning"},
		},
	} {
		r, bad := New(noErrors{}).Parse("req_1", nil, []byte(body))
		if bad != nil {
			t.Errorf("%s: %v", body, bad)
			continue
		}
		if d := cmp.Diff(want.body, string(r.Body)) + cmp.Diff(want.dropped, r.Dropped); d != "" {
			t.Errorf("%s: %s", body, d)
		}
		if m, ok := r.Fields.Get("model"); !ok || string(r.Body[m.ValueStart:m.ValueEnd]) != `"m"` {
			t.Errorf("%s: the members are found elsewhere", body)
		}
	}
}
