package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
)

var (
	before = metav1.NewTime(time.Unix(1000, 0))
	now    = metav1.NewTime(time.Unix(2000, 0))
)

func TestMerge(t *testing.T) {
	have := []metav1.Condition{{
		Type: "Accepted", Status: "True", Reason: "Accepted", Message: "m", ObservedGeneration: 3, LastTransitionTime: before,
	}}
	for name, tc := range map[string]struct {
		want metav1.Condition
		time metav1.Time
		same bool
	}{
		"the same":        {metav1.Condition{Type: "Accepted", Status: "True", Reason: "Accepted", Message: "m"}, before, true},
		"another message": {metav1.Condition{Type: "Accepted", Status: "True", Reason: "Accepted", Message: "n"}, before, false},
		"another status":  {metav1.Condition{Type: "Accepted", Status: "False", Reason: "Accepted", Message: "m"}, now, false},
		"another type":    {metav1.Condition{Type: "Programmed", Status: "True", Reason: "Accepted", Message: "m"}, now, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Writer{Now: func() metav1.Time { return now }}
			object := &v1alpha1.Tier{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
			got, same := w.merge(have, Change{Object: object, Conditions: []metav1.Condition{tc.want}})
			if same != tc.same || !got[0].LastTransitionTime.Equal(&tc.time) || got[0].ObservedGeneration != 3 {
				t.Errorf("merge() = %v, %v; want %v since %v", got, same, tc.same, tc.time)
			}
			object.Generation = 4
			if _, same := w.merge(have, Change{Object: object, Conditions: []metav1.Condition{tc.want}}); same {
				t.Error("a new generation changes nothing")
			}
		})
	}
}

func TestFieldsEqual(t *testing.T) {
	gw := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	gw.Status = v1alpha1.AIGatewayStatus{ObservedGeneration: 2, Address: "http://a", Replicas: v1alpha1.GatewayReplicas{Ready: 1}}
	for name, tc := range map[string]struct {
		change Change
		want   bool
	}{
		"no fields":             {Change{}, true},
		"an equal field":        {Change{Fields: map[string]any{"address": "http://a"}}, true},
		"another value":         {Change{Fields: map[string]any{"address": "http://b"}}, false},
		"an equal nested field": {Change{Fields: map[string]any{"replicas": map[string]any{"ready": int64(1)}}}, true},
		"another nested value":  {Change{Fields: map[string]any{"replicas": map[string]any{"ready": int64(2)}}}, false},
		"a missing field":       {Change{Fields: map[string]any{"snapshotHash": "ab"}}, false},
		"absent as it is to be": {Change{Fields: map[string]any{"snapshotHash": nil}}, true},
		"there, to be absent":   {Change{Fields: map[string]any{"address": nil}}, false},
		"observed":              {Change{Observed: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			tc.change.Object = gw
			got, err := fieldsEqual(tc.change)
			if err != nil || got != tc.want {
				t.Errorf("fieldsEqual() = %v, %v; want %v", got, err, tc.want)
			}
		})
	}
	gw.Generation = 3
	if same, err := fieldsEqual(Change{Object: gw, Observed: true}); err != nil || same {
		t.Errorf("a new generation changes nothing: %v, %v", same, err)
	}
}

func TestConditionsOfEveryKind(t *testing.T) {
	want := []metav1.Condition{{Type: "Programmed"}}
	for _, obj := range []client.Object{
		&v1alpha1.AIGateway{Status: v1alpha1.AIGatewayStatus{Conditions: want}},
		&v1alpha1.Provider{Status: v1alpha1.ProviderStatus{Conditions: want}},
		&v1alpha1.Model{Status: v1alpha1.ModelStatus{Conditions: want}},
		&v1alpha1.Tier{Status: v1alpha1.TierStatus{Conditions: want}},
		&v1alpha1.CreditPolicy{Status: v1alpha1.CreditPolicyStatus{Conditions: want}},
		&v1alpha1.APIKey{Status: v1alpha1.APIKeyStatus{Conditions: want}},
	} {
		if diff := cmp.Diff(want, Conditions(obj)); diff != "" {
			t.Errorf("%T: -want +got:\n%s", obj, diff)
		}
	}
	if got := Conditions(&metav1.PartialObjectMetadata{}); got != nil {
		t.Errorf("another kind has %v", got)
	}
}
