package desired

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Defaults of spec.drain and spec.deployment.replicas as the schema has them, for objects that did not pass through it.
const (
	defaultReplicas     = 2
	defaultDelaySeconds = 10
	defaultDrainSeconds = 900
	// graceSeconds is what a replica has after its drain to flush what it still holds.
	graceSeconds = 15
	// nonRoot is the user of the image.
	nonRoot = 65532
	// secretMode lets the pod's group read a mounted Secret, and nobody write it.
	secretMode = 0o440
)

// Facts are what the operator knows beside the object.
type Facts struct {
	// Image of the data plane where the spec names none.
	Image string
}

// Deployment is the gateway's data plane. Nothing in it changes with a snapshot or with the content of a Secret: those
// are mounted files that the replicas follow, so only what needs new pods makes new pods.
func Deployment(gw *v1alpha1.AIGateway, facts Facts) *appsv1ac.DeploymentApplyConfiguration {
	return appsv1ac.Deployment(Name(gw.Name), gw.Namespace).
		WithLabels(Labels(gw.Name)).WithOwnerReferences(Owner(gw)).
		WithAnnotations(map[string]string{AnnotationGeneration: strconv.FormatInt(gw.Generation, 10)}).
		WithSpec(appsv1ac.DeploymentSpec().
			WithReplicas(Replicas(gw)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(gw.Name))).
			WithStrategy(appsv1ac.DeploymentStrategy().
				WithType(appsv1.RollingUpdateDeploymentStrategyType).
				WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
					WithMaxUnavailable(intstr.FromInt32(0)).WithMaxSurge(intstr.FromInt32(1)))).
			WithTemplate(corev1ac.PodTemplateSpec().
				WithLabels(Labels(gw.Name)).
				WithSpec(pod(gw, facts))))
}

// Replicas is how many the spec wants.
func Replicas(gw *v1alpha1.AIGateway) int32 { return or(gw.Spec.Deployment.Replicas, defaultReplicas) }

func pod(gw *v1alpha1.AIGateway, facts Facts) *corev1ac.PodSpecApplyConfiguration {
	delay, timeout := drain(gw)
	spec := corev1ac.PodSpec().
		WithServiceAccountName(Name(gw.Name)).
		WithTerminationGracePeriodSeconds(int64(delay) + int64(timeout) + graceSeconds).
		WithEnableServiceLinks(false).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(nonRoot).WithRunAsGroup(nonRoot).WithFSGroup(nonRoot).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithContainers(container(gw, facts))
	for _, m := range mounts(gw) {
		spec.WithVolumes(m.volume())
	}
	return spec
}

func drain(gw *v1alpha1.AIGateway) (delay, timeout int32) {
	return or(gw.Spec.Drain.DelaySeconds, defaultDelaySeconds), or(gw.Spec.Drain.TimeoutSeconds, defaultDrainSeconds)
}

func container(gw *v1alpha1.AIGateway, facts Facts) *corev1ac.ContainerApplyConfiguration {
	image := gw.Spec.Deployment.Image
	if image == "" {
		image = facts.Image
	}
	c := corev1ac.Container().
		WithName("gateway").WithImage(image).WithArgs(args(gw)...).
		WithPorts(port("http", PortHTTP), port("admin", PortAdmin), port("ack", PortAck)).
		WithStartupProbe(probe("/healthz", 1, 60)).
		WithLivenessProbe(probe("/healthz", 10, 6)).
		WithReadinessProbe(probe("/readyz", 2, 2)).
		WithResources(resources(gw.Spec.Deployment.Resources)).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")))
	for _, m := range mounts(gw) {
		c.WithVolumeMounts(corev1ac.VolumeMount().WithName(m.name).WithMountPath(m.path).WithReadOnly(true))
	}
	return c
}

// args are those of `layers gateway`.
func args(gw *v1alpha1.AIGateway) []string {
	delay, timeout := drain(gw)
	out := []string{
		"gateway",
		fmt.Sprintf("--listen=:%d", PortHTTP),
		fmt.Sprintf("--admin-listen=:%d", PortAdmin),
		fmt.Sprintf("--ack-listen=:%d", PortAck),
		"--snapshot-dir=" + snapshotDir,
		"--snapshot-secret=" + gw.Namespace + "/" + SnapshotName(gw.Name),
		"--gateway-uid=" + string(gw.UID),
	}
	if s := gw.Spec.Redis; s != nil {
		out = append(out, "--redis-url-file="+redisDir+"/"+s.URLSecretRef.Key)
	}
	if s := gw.Spec.Ledger; s != nil {
		out = append(out, "--ledger-url-file="+ledgerDir+"/"+s.URLSecretRef.Key)
	}
	return append(out,
		fmt.Sprintf("--drain-delay=%ds", delay),
		fmt.Sprintf("--drain-timeout=%ds", timeout),
		"--log-format=json")
}

// Where a pod finds its files.
const (
	snapshotDir = "/etc/layers/snapshot"
	redisDir    = "/etc/layers/redis"
	ledgerDir   = "/etc/layers/ledger"
)

// mount is one key of a Secret as a file. Never an env variable (such a container cannot restart while the API server is
// down) and never a subPath (such a file does not follow its Secret).
type mount struct {
	name, path, secret, key string
}

// mounts are the same for the container and the pod. None is optional: a pod waits for its Secrets.
func mounts(gw *v1alpha1.AIGateway) []mount {
	out := []mount{{"snapshot", snapshotDir, SnapshotName(gw.Name), snapshot.SecretDataKey}}
	if s := gw.Spec.Redis; s != nil {
		out = append(out, mount{"redis", redisDir, s.URLSecretRef.Name, s.URLSecretRef.Key})
	}
	if s := gw.Spec.Ledger; s != nil {
		out = append(out, mount{"ledger", ledgerDir, s.URLSecretRef.Name, s.URLSecretRef.Key})
	}
	return out
}

func (m mount) volume() *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName(m.name).WithSecret(corev1ac.SecretVolumeSource().
		WithSecretName(m.secret).WithOptional(false).WithDefaultMode(secretMode).
		WithItems(corev1ac.KeyToPath().WithKey(m.key).WithPath(m.key)))
}

func port(name string, number int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
}

func probe(path string, period, failures int32) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString("admin"))).
		WithPeriodSeconds(period).WithFailureThreshold(failures).WithTimeoutSeconds(2)
}

func resources(r v1alpha1.GatewayResources) *corev1ac.ResourceRequirementsApplyConfiguration {
	out := corev1ac.ResourceRequirements()
	if len(r.Requests) > 0 {
		out.WithRequests(r.Requests)
	}
	if len(r.Limits) > 0 {
		out.WithLimits(r.Limits)
	}
	return out
}

func or[T any](p *T, d T) T {
	if p == nil {
		return d
	}
	return *p
}
