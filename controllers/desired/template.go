package desired

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// extra begins the names of the template's volumes, so that none is one of ours.
const extra = "extra-"

// same is the apply configuration of a value of Kubernetes that came as JSON: both have the same, so that nothing fails.
func same[To, From any](from *From) *To {
	to := new(To)
	if raw, err := json.Marshal(from); err == nil {
		_ = json.Unmarshal(raw, to)
	}
	return to
}

// placed says where a pod may run, as the template of the spec does.
func placed(spec *corev1ac.PodSpecApplyConfiguration, gw *v1alpha1.AIGateway) *corev1ac.PodSpecApplyConfiguration {
	t := template(gw)
	if len(t.NodeSelector) > 0 {
		spec.WithNodeSelector(pairs(t.NodeSelector))
	}
	for i := range t.Tolerations {
		spec.WithTolerations(same[corev1ac.TolerationApplyConfiguration](&t.Tolerations[i]))
	}
	if t.PriorityClassName != "" {
		spec.WithPriorityClassName(t.PriorityClassName)
	}
	return spec
}

// constraints are the template's, else ours.
func constraints(gw *v1alpha1.AIGateway) []*corev1ac.TopologySpreadConstraintApplyConfiguration {
	theirs := template(gw).TopologySpreadConstraints
	if len(theirs) == 0 {
		return []*corev1ac.TopologySpreadConstraintApplyConfiguration{spread(gw, corev1.LabelTopologyZone), spread(gw, corev1.LabelHostname)}
	}
	var out []*corev1ac.TopologySpreadConstraintApplyConfiguration
	for i := range theirs {
		c := same[corev1ac.TopologySpreadConstraintApplyConfiguration](&theirs[i])
		if c.LabelSelector == nil { // it would count no pods at all
			c.WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(gw.Name)))
		}
		out = append(out, c)
	}
	return out
}

// spread keeps the replicas of one revision apart as well as it goes, and never keeps one from starting.
func spread(gw *v1alpha1.AIGateway, topology string) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return corev1ac.TopologySpreadConstraint().
		WithTopologyKey(topology).WithMaxSkew(1).WithWhenUnsatisfiable(corev1.ScheduleAnyway).
		WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(gw.Name))).
		WithMatchLabelKeys("pod-template-hash")
}

// withExtraVolumes gives a pod the template's volumes.
func withExtraVolumes(spec *corev1ac.PodSpecApplyConfiguration, gw *v1alpha1.AIGateway) *corev1ac.PodSpecApplyConfiguration {
	for _, v := range template(gw).ExtraVolumes {
		volume := corev1ac.Volume().WithName(extra + v.Name)
		if v.SecretName != "" {
			volume.WithSecret(corev1ac.SecretVolumeSource().WithSecretName(v.SecretName).WithOptional(false).WithDefaultMode(secretMode))
		} else {
			volume.WithConfigMap(corev1ac.ConfigMapVolumeSource().WithName(v.ConfigMapName).WithOptional(false))
		}
		spec.WithVolumes(volume)
	}
	return spec
}

// withExtraMounts gives a container of such a pod their files.
func withExtraMounts(c *corev1ac.ContainerApplyConfiguration, gw *v1alpha1.AIGateway) *corev1ac.ContainerApplyConfiguration {
	for _, v := range template(gw).ExtraVolumes {
		c.WithVolumeMounts(corev1ac.VolumeMount().WithName(extra + v.Name).WithMountPath(v.MountPath).WithReadOnly(true))
	}
	return c
}
