package stores

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/layers-dev/layers/api/v1alpha1"
)

func TestChanged(t *testing.T) {
	gw := func(generation int64, ready metav1.ConditionStatus) *v1alpha1.AIGateway {
		g := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Generation: generation}}
		g.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStoresReady, Status: ready}}
		return g
	}
	for name, tc := range map[string]struct {
		before, after *v1alpha1.AIGateway
		want          bool
	}{
		"nothing":      {gw(1, "True"), gw(1, "True"), false},
		"the spec":     {gw(1, "True"), gw(2, "True"), true},
		"stores came":  {gw(1, "False"), gw(1, "True"), true},
		"stores went":  {gw(1, "True"), gw(1, "False"), true},
		"first status": {&v1alpha1.AIGateway{}, gw(0, "True"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Changed().Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
