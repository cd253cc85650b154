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
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
