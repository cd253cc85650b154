package gateway

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apply"
)

func TestAvailable(t *testing.T) {
	ready := appsv1.Deployment{Status: appsv1.DeploymentStatus{ReadyReplicas: 1}}
	for name, tc := range map[string]struct {
		scope scope
		want  metav1.Condition
	}{
		"nothing is ready": {
			scope{},
			metav1.Condition{Type: "Available", Status: "False", Reason: "NoReadyReplicas", Message: "No replica is ready."},
		},
		"one replica is ready": {
			scope{deployment: ready},
			metav1.Condition{Type: "Available", Status: "True", Reason: "Available", Message: "At least one replica is ready."},
		},
		"the ledger is not migrated": {
			scope{waits: `Job "m" has not migrated the ledger yet.`},
			metav1.Condition{Type: "Available", Status: "False", Reason: "NoReadyReplicas", Message: `No replica is ready: Job "m" has not migrated the ledger yet.`},
		},
		"an old replica serves meanwhile": {
			scope{deployment: ready, waits: "x"},
			metav1.Condition{Type: "Available", Status: "True", Reason: "Available", Message: "At least one replica is ready."},
		},
		"something is refused meanwhile": {
			scope{invalid: "no such label", waits: "x"},
			metav1.Condition{Type: "Available", Status: "False", Reason: "Invalid", Message: "no such label."},
		},
		"something is in the way": {
			scope{deployment: ready, inTheWay: &apply.NotOwnedError{Kind: "Service", Name: "main-gateway"}},
			metav1.Condition{Type: "Available", Status: "False", Reason: "NotOwned", Message: `Service "main-gateway" exists and is not owned by this object.`},
		},
		"something is refused": {
			scope{deployment: ready, invalid: "spec.a: Invalid value: 2"},
			metav1.Condition{Type: "Available", Status: "False", Reason: "Invalid", Message: "spec.a: Invalid value: 2."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, available(&tc.scope)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestReportCounts(t *testing.T) {
	three := int32(3)
	gw := &v1alpha1.AIGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "ai", Name: "main"}}
	gw.Spec.Deployment.Replicas = &three
	got := report(&scope{gateway: gw, deployment: appsv1.Deployment{Status: appsv1.DeploymentStatus{ReadyReplicas: 2}}}).Fields
	want := map[string]any{
		"address":  "http://main-gateway.ai.svc",
		"replicas": map[string]any{"desired": int64(3), "ready": int64(2)},
		"selector": "app.kubernetes.io/component=gateway,app.kubernetes.io/instance=main,app.kubernetes.io/name=layers",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWantedReplicas(t *testing.T) {
	three, five := int32(3), int32(5)
	gw := &v1alpha1.AIGateway{}
	gw.Spec.Deployment.Replicas = &three
	s := &scope{gateway: gw}
	s.deployment.Spec.Replicas = &five
	if got := wanted(s); got != 3 {
		t.Errorf("wanted() = %d: without an autoscaler the spec says how many", got)
	}
	ten := int32(10)
	gw.Spec.Deployment.MaxReplicas = &ten
	if got := wanted(s); got != 5 {
		t.Errorf("wanted() = %d: the autoscaler says how many", got)
	}
}

func TestOwnsReplicas(t *testing.T) {
	entry := func(manager, subresource, fields string) []metav1.ManagedFieldsEntry {
		return []metav1.ManagedFieldsEntry{{Manager: manager, Subresource: subresource, FieldsV1: metav1.NewFieldsV1(fields)}}
	}
	const replicas = `{"f:spec":{"f:replicas":{}}}`
	for name, tc := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		want    bool
	}{
		"nobody":              {nil, false},
		"ours":                {entry("layers-operator", "", replicas), true},
		"ours, other fields":  {entry("layers-operator", "", `{"f:spec":{"f:template":{}}}`), false},
		"the autoscaler's":    {entry("kube-controller-manager", "scale", replicas), false},
		"handed over already": {entry("layers-operator-scale", "", replicas), false},
		"broken":              {entry("layers-operator", "", `{`), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ownsReplicas(tc.entries); got != tc.want {
				t.Errorf("ownsReplicas() = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestPortOf(t *testing.T) {
	for base, want := range map[string][]int32{
		"": nil, "https://api.openai.com/v1": nil, "http://models.internal/v1": {80},
		"http://mockprovider:8000/v1": {8000}, "https://[2001:db8::1]:8443": {8443}, "http://x:99999": nil,
	} {
		if diff := cmp.Diff(want, portOf(base)); diff != "" {
			t.Errorf("portOf(%q): -want +got:\n%s", base, diff)
		}
	}
}
