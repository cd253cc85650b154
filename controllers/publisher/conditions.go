package publisher

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
)

// verdicts are the conditions of every object over all gateways that compile it.
type verdicts map[compile.ObjectKey]map[string]compile.Condition

// add takes what one gateway says. Of two gateways the worse wins (False, Unknown, True), the first on a tie: an object
// is only as good as where it is worst.
func (v verdicts) add(out compile.Output) {
	for key, conditions := range out.Conditions {
		if v[key] == nil {
			v[key] = map[string]compile.Condition{}
		}
		for _, c := range conditions {
			if have, found := v[key][c.Type]; !found || severity(c.Status) > severity(have.Status) {
				v[key][c.Type] = c
			}
		}
	}
}

// of are the conditions of one object, sorted by type.
func (v verdicts) of(key compile.ObjectKey) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range v[key] {
		out = append(out, metav1.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message})
	}
	slices.SortFunc(out, func(a, b metav1.Condition) int { return cmp.Compare(a.Type, b.Type) })
	return out
}

// refuse makes Accepted False for one object.
func (v verdicts) refuse(key compile.ObjectKey, reason, message string) {
	if v[key] == nil {
		v[key] = map[string]compile.Condition{}
	}
	v[key][v1alpha1.ConditionAccepted] = compile.Condition{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: reason, Message: message,
	}
}

func severity(s metav1.ConditionStatus) int {
	switch s {
	case metav1.ConditionFalse:
		return 2
	case metav1.ConditionUnknown:
		return 1
	}
	return 0
}
