package stores

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Changed passes a change of a gateway's spec, and of what StoresReady says: what waited for the stores goes on.
func Changed() predicate.Predicate {
	stores := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return storesReady(e.ObjectOld) != storesReady(e.ObjectNew)
	}}
	return predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Predicate(stores))
}

func storesReady(obj client.Object) metav1.ConditionStatus {
	gw, ok := obj.(*v1alpha1.AIGateway)
	if !ok {
		return ""
	}
	if c := meta.FindStatusCondition(gw.Status.Conditions, v1alpha1.ConditionStoresReady); c != nil {
		return c.Status
	}
	return ""
}
