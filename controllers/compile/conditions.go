package compile

import (
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

var (
	accepted = Condition{v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "The spec is accepted."}
	resolved = Condition{v1alpha1.ConditionResolvedRefs, metav1.ConditionTrue, v1alpha1.ReasonResolved, "All references are resolved."}
)

// refused is Accepted=False.
func refused(reason, message string) *Condition {
	return &Condition{v1alpha1.ConditionAccepted, metav1.ConditionFalse, reason, message}
}

// list names things, sorted, each once, quoted, so that the same things always make the same sentence.
func list(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	for i, n := range names {
		names[i] = strconv.Quote(n)
	}
	return strings.Join(names, ", ")
}

// refs gathers what is wrong with the references of one object.
type refs struct {
	missing, unusable []string
}

// check looks one reference up.
func (p *refs) check(r *run, k ObjectKey) bool {
	name := k.Kind + " " + k.Name
	switch {
	case r.usable[k]:
		return true
	case r.exists[k]:
		p.unusable = append(p.unusable, name)
	default:
		p.missing = append(p.missing, name)
	}
	return false
}

// condition is ResolvedRefs; consequence is a clause that says what follows from a bad reference.
func (p *refs) condition(consequence string) Condition {
	c := resolved
	var parts []string
	if len(p.unusable) > 0 {
		c.Reason = v1alpha1.ReasonRefNotUsable
		parts = append(parts, "not usable: "+list(p.unusable))
	}
	if len(p.missing) > 0 {
		c.Reason = v1alpha1.ReasonRefNotFound
		parts = append([]string{"not found: " + list(p.missing)}, parts...)
	}
	if len(parts) == 0 {
		return c
	}
	c.Status = metav1.ConditionFalse
	c.Message = "Some references are broken (" + strings.Join(parts, "; ") + "), " + consequence + "."
	return c
}
