package desired

import (
	"cmp"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Defaults of spec.drain and spec.deployment.replicas as the schema has them, for objects that did not pass through it.
const (
	defaultReplicas     = 2
	defaultDelaySeconds = 10
	defaultDrainSeconds = 900
	// graceSeconds is what a replica has after its drain: to end what it cuts, to write what the ledger does not have yet, and to leave
	// the rest to others.
	graceSeconds = 20
	// nonRoot is the user of the image.
	nonRoot = 65532
	// secretMode lets the pod's group read a mounted Secret, and nobody write it.
	secretMode = 0o440
)

// Facts are what the operator knows beside the object.
type Facts struct {
	// Image of the data plane where the spec names none.
	Image string
	// OperatorNamespace is where the operator's pods are; empty: it has none.
	OperatorNamespace string
	// StorePorts are the TCP ports of Redis and the ledger; none: the usual ones.
	StorePorts []int32
	// ProviderPorts are the TCP ports of the Providers' base URLs, beside HTTPS.
	ProviderPorts []int32
	// Migrated names the migration that succeeded, for the Deployment's annotation; empty: none is needed.
	Migrated string
	// Unscaled is a Deployment that is to be made, or that an autoscaler no longer scales: its number of replicas is named.
	Unscaled bool
}

// Deployment is the gateway's data plane. Nothing in it changes with a snapshot or with the content of a Secret: those
// are mounted files that the replicas follow, so only what needs new pods makes new pods.
func Deployment(gw *v1alpha1.AIGateway, facts Facts) *appsv1ac.DeploymentApplyConfiguration {
	pods := corev1ac.PodTemplateSpec().WithSpec(pod(gw, facts))
	labels := pairs(template(gw).Labels)
	maps.Copy(labels, Labels(gw.Name)) // ours win: by them the pods are found
	pods.WithLabels(labels)
	if a := template(gw).Annotations; len(a) > 0 {
		pods.WithAnnotations(pairs(a))
	}
	spec := appsv1ac.DeploymentSpec().
		WithSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(gw.Name))).
		WithStrategy(appsv1ac.DeploymentStrategy().
			WithType(appsv1.RollingUpdateDeploymentStrategyType).
			WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
				WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromInt32(1)))).
		WithTemplate(pods)
	if !Autoscaled(gw) || facts.Unscaled {
		spec.WithReplicas(Replicas(gw))
	}
	out := appsv1ac.Deployment(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithAnnotations(map[string]string{AnnotationGeneration: strconv.FormatInt(gw.Generation, 10)}).
		WithSpec(spec)
	if facts.Migrated != "" {
		out.WithAnnotations(map[string]string{AnnotationMigrated: facts.Migrated})
	}
	return out
}

func drain(gw *v1alpha1.AIGateway) (delay, timeout int32) {
	return or(gw.Spec.Drain.DelaySeconds, defaultDelaySeconds), or(gw.Spec.Drain.TimeoutSeconds, defaultDrainSeconds)
}

func image(gw *v1alpha1.AIGateway, facts Facts) string {
	return cmp.Or(gw.Spec.Deployment.Image, facts.Image)
}

func template(gw *v1alpha1.AIGateway) v1alpha1.GatewayPodTemplate {
	return or(gw.Spec.Deployment.Template, v1alpha1.GatewayPodTemplate{})
}

// pairs is a list of names and values as the map that Kubernetes has.
func pairs(list []v1alpha1.GatewayKeyValue) map[string]string {
	out := make(map[string]string, len(list))
	for _, p := range list {
		out[p.Name] = p.Value
	}
	return out
}

func or[T any](p *T, d T) T {
	if p == nil {
		return d
	}
	return *p
}
