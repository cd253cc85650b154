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
	gone := without(rows, objects)
	if len(gone) != 2 || gone[0].ObjectName != "b/one" || gone[1].ObjectName != "a/two" {
		t.Errorf("without() = %v", gone)
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
