package desired

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// targetCPU is the share of the requested CPU, in percent, that an autoscaler keeps the replicas at.
const targetCPU = 70

// Replicas is how many the spec wants; with an autoscaler, at least.
func Replicas(gw *v1alpha1.AIGateway) int32 { return or(gw.Spec.Deployment.Replicas, defaultReplicas) }

// Autoscaled says whether an autoscaler owns the number of replicas. One that is scaled to zero is off: an autoscaler
// leaves a Deployment with no replicas alone, and does not start one.
func Autoscaled(gw *v1alpha1.AIGateway) bool {
	return gw.Spec.Deployment.MaxReplicas != nil && Replicas(gw) > 0
}

// HorizontalPodAutoscaler grows the data plane by CPU; nil: it is not to be there.
func HorizontalPodAutoscaler(gw *v1alpha1.AIGateway) *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	if !Autoscaled(gw) {
		return nil
	}
	return autoscalingv2ac.HorizontalPodAutoscaler(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithSpec(autoscalingv2ac.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(Name(gw.Name))).
			WithMinReplicas(Replicas(gw)).
			WithMaxReplicas(*gw.Spec.Deployment.MaxReplicas).
			WithMetrics(autoscalingv2ac.MetricSpec().
				WithType(autoscalingv2.ResourceMetricSourceType).
				WithResource(autoscalingv2ac.ResourceMetricSource().
					WithName(corev1.ResourceCPU).
					WithTarget(autoscalingv2ac.MetricTarget().
						WithType(autoscalingv2.UtilizationMetricType).WithAverageUtilization(targetCPU)))))
}

// PodDisruptionBudget lets the cluster take one replica at a time, also of those that an autoscaler adds; nil: there are
// never two, so that there is nothing to keep.
func PodDisruptionBudget(gw *v1alpha1.AIGateway) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	most := Replicas(gw)
	if Autoscaled(gw) {
		most = *gw.Spec.Deployment.MaxReplicas
	}
	if most < 2 {
		return nil
	}
	return policyv1ac.PodDisruptionBudget(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(gw.Name))))
}

// Handover is the number of replicas alone: what a second field owner holds when Deployment stops naming it, so that
// server-side apply does not take it back to one before the autoscaler sets it.
func Handover(gw *v1alpha1.AIGateway, replicas int32) *appsv1ac.DeploymentApplyConfiguration {
	return appsv1ac.Deployment(Name(gw.Name), gw.Namespace).
		WithSpec(appsv1ac.DeploymentSpec().WithReplicas(replicas))
}
