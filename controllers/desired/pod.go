package desired

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Where a pod finds its files.
const (
	snapshotDir = "/etc/layers/snapshot"
	redisDir    = "/etc/layers/redis"
	ledgerDir   = "/etc/layers/ledger"
	tlsDir      = "/etc/layers/tls"
	walDir      = "/var/lib/layers/wal"
)

const (
	// walSize is more than the write-ahead log ever takes, or the kubelet would evict the pod.
	walSize = "160Mi"
	// podUID is the env variable that the arguments take the pod's UID from.
	podUID = "POD_UID"
)

// mount are keys of a Secret as files. Never an env variable (such a container cannot restart while the API server is
// down) and never a subPath (such a file does not follow its Secret).
type mount struct {
	name, path, secret string
	keys               []string
}

// mounts are the same for the container and the pod. None is optional: a pod waits for its Secrets.
func mounts(gw *v1alpha1.AIGateway) []mount {
	out := []mount{{"snapshot", snapshotDir, SnapshotName(gw.Name), []string{snapshot.SecretDataKey}}}
	if s := gw.Spec.Redis; s != nil {
		out = append(out, mount{"redis", redisDir, s.URLSecretRef.Name, []string{s.URLSecretRef.Key}})
	}
	if s := gw.Spec.Ledger; s != nil {
		out = append(out, mount{"ledger", ledgerDir, s.URLSecretRef.Name, []string{s.URLSecretRef.Key}})
	}
	if s := gw.Spec.TLS; s != nil {
		out = append(out, mount{"tls", tlsDir, s.SecretRef.Name, []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey}})
	}
	return out
}

func (m mount) volume() *corev1ac.VolumeApplyConfiguration {
	source := corev1ac.SecretVolumeSource().WithSecretName(m.secret).WithOptional(false).WithDefaultMode(secretMode)
	for _, key := range m.keys {
		source.WithItems(corev1ac.KeyToPath().WithKey(key).WithPath(key))
	}
	return corev1ac.Volume().WithName(m.name).WithSecret(source)
}

func (m mount) volumeMount() *corev1ac.VolumeMountApplyConfiguration {
	return corev1ac.VolumeMount().WithName(m.name).WithMountPath(m.path).WithReadOnly(true)
}

func pod(gw *v1alpha1.AIGateway, facts Facts) *corev1ac.PodSpecApplyConfiguration {
	delay, timeout := drain(gw)
	spec := placed(securedPod(), gw).
		WithServiceAccountName(Name(gw.Name)).
		WithTerminationGracePeriodSeconds(int64(delay) + int64(timeout) + graceSeconds).
		WithTopologySpreadConstraints(constraints(gw)...).
		WithContainers(container(gw, facts))
	if a := template(gw).Affinity; a != nil {
		spec.WithAffinity(same[corev1ac.AffinityApplyConfiguration](a))
	}
	for _, m := range mounts(gw) {
		spec.WithVolumes(m.volume())
	}
	if gw.Spec.Ledger != nil {
		spec.WithVolumes(walVolume())
	}
	return withExtraVolumes(spec, gw)
}

// walVolume is where settlements wait for the ledger: it outlives the container, and the reaper has what it has where it goes
// with its pod.
func walVolume() *corev1ac.VolumeApplyConfiguration {
	return corev1ac.Volume().WithName("wal").WithEmptyDir(corev1ac.EmptyDirVolumeSource().WithSizeLimit(resource.MustParse(walSize)))
}

// securedPod is what every pod of ours has: no root, no environment of other Services.
func securedPod() *corev1ac.PodSpecApplyConfiguration {
	return corev1ac.PodSpec().
		WithEnableServiceLinks(false).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).WithRunAsUser(nonRoot).WithRunAsGroup(nonRoot).WithFSGroup(nonRoot).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault)))
}

func secured(c *corev1ac.ContainerApplyConfiguration) *corev1ac.ContainerApplyConfiguration {
	return c.WithSecurityContext(corev1ac.SecurityContext().
		WithAllowPrivilegeEscalation(false).WithReadOnlyRootFilesystem(true).
		WithCapabilities(corev1ac.Capabilities().WithDrop("ALL")))
}

func container(gw *v1alpha1.AIGateway, facts Facts) *corev1ac.ContainerApplyConfiguration {
	c := secured(corev1ac.Container()).
		WithName("gateway").WithImage(image(gw, facts)).WithArgs(args(gw)...).
		WithPorts(port(apiPort(gw), PortHTTP), port("admin", PortAdmin), port("ack", PortAck)).
		WithStartupProbe(probe("/healthz", 1, 60)).
		WithLivenessProbe(probe("/healthz", 10, 6)).
		WithReadinessProbe(probe("/readyz", 2, 2)).
		WithResources(resources(gw.Spec.Deployment.Resources))
	for _, e := range template(gw).ExtraEnv {
		if e.Name != podUID { // a name given twice would be refused
			c.WithEnv(corev1ac.EnvVar().WithName(e.Name).WithValue(e.Value))
		}
	}
	for _, m := range mounts(gw) {
		c.WithVolumeMounts(m.volumeMount())
	}
	if gw.Spec.Ledger != nil {
		c.WithVolumeMounts(corev1ac.VolumeMount().WithName("wal").WithMountPath(walDir)).
			WithEnv(corev1ac.EnvVar().WithName(podUID).
				WithValueFrom(corev1ac.EnvVarSource().WithFieldRef(corev1ac.ObjectFieldSelector().WithAPIVersion("v1").WithFieldPath("metadata.uid"))))
	}
	return withExtraMounts(c, gw)
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
		out = append(out, "--ledger-url-file="+ledgerDir+"/"+s.URLSecretRef.Key, "--wal-dir="+walDir, "--pod-uid=$("+podUID+")")
	}
	if gw.Spec.TLS != nil {
		out = append(out, "--tls-dir="+tlsDir)
	}
	return append(out,
		fmt.Sprintf("--drain-delay=%ds", delay),
		fmt.Sprintf("--drain-timeout=%ds", timeout),
		"--log-format=json")
}

func port(name string, number int32) *corev1ac.ContainerPortApplyConfiguration {
	return corev1ac.ContainerPort().WithName(name).WithContainerPort(number).WithProtocol(corev1.ProtocolTCP)
}

// probe asks the admin port, which has no TLS.
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
