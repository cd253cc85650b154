package sweep

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestTooMany(t *testing.T) {
	for name, tc := range map[string]struct {
		gone, all int
		want      bool
	}{
		"none of none":         {0, 0, false},
		"ten of ten":           {10, 10, false},
		"eleven of eleven":     {11, 11, true},
		"eleven of twenty-two": {11, 22, false},
		"twelve of 23":         {12, 23, true},
		"a tenth of many":      {1000, 10000, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tooMany(tc.gone, tc.all); got != tc.want {
				t.Errorf("tooMany(%d, %d) = %v", tc.gone, tc.all, got)
			}
		})
	}
}

func TestWithout(t *testing.T) {
	rows := []ledger.Key{{ObjectName: "a/one"}, {ObjectName: "b/one"}, {ObjectName: "a/two"}}
	objects := []v1alpha1.APIKey{{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "one"}}, {ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "three"}}}
	gone := without(rows, objects, &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "main"}})
	if len(gone) != 2 || gone[0].ObjectName != "b/one" || gone[1].ObjectName != "a/two" {
		t.Errorf("without() = %v", gone)
	}
}

// A key that was deleted and made again for another gateway leaves a row with the first one, which has no object any more.
func TestAnObjectOfAnotherGatewayIsNotTheRows(t *testing.T) {
	gw := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main"}}
	for name, tc := range map[string]struct {
		namespace string
		ref       *v1alpha1.GatewayRef
		gone      int
	}{
		"names no gateway":                  {"ai", nil, 0},
		"names this one":                    {"ai", &v1alpha1.GatewayRef{Name: "main"}, 0},
		"names this one from elsewhere":     {"team", &v1alpha1.GatewayRef{Namespace: "ai", Name: "main"}, 0},
		"names another":                     {"ai", &v1alpha1.GatewayRef{Name: "other"}, 1},
		"names one of another namespace":    {"ai", &v1alpha1.GatewayRef{Namespace: "b", Name: "main"}, 1},
		"names none in another namespace":   {"team", nil, 1},
		"names its own namespace's instead": {"team", &v1alpha1.GatewayRef{Name: "main"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			object := v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: tc.namespace, Name: "acme"}, Spec: v1alpha1.APIKeySpec{GatewayRef: tc.ref}}
			rows := []ledger.Key{{ObjectName: tc.namespace + "/acme"}}
			if got := without(rows, []v1alpha1.APIKey{object}, gw); len(got) != tc.gone {
				t.Errorf("without() = %v, want %d", got, tc.gone)
			}
		})
	}
}

// An operator that watches some namespaces sees no objects of others, and ends none of their keys.
func TestWatches(t *testing.T) {
	row := ledger.Key{ObjectName: "team/acme"}
	for name, tc := range map[string]struct {
		namespaces []string
		want       bool
	}{
		"all":      {nil, true},
		"this one": {[]string{"ai", "team"}, true},
		"others":   {[]string{"ai"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&Reconciler{Namespaces: tc.namespaces}).watches(row); got != tc.want {
				t.Errorf("watches() = %v, want %v", got, tc.want)
			}
		})
	}
}
