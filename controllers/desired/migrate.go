package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	batchv1ac "k8s.io/client-go/applyconfigurations/batch/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

const (
	// AnnotationMigrated on a Deployment names the migration that had succeeded when it was applied.
	AnnotationMigrated = "layers.dev/migrated"
	// AnnotationPods on a migration's Job is the hash of its pods, which no Job lets change.
	AnnotationPods = "layers.dev/pods"
	// migrateRetries of a Job's pod, ever more slowly, before it has failed.
	migrateRetries = 4
	// migrateKeepSeconds is how long a finished Job is kept to be looked at.
	migrateKeepSeconds = 24 * 60 * 60
)

// AdminURL is where the URL is that may change the ledger's schema; nil: the gateway has no ledger.
func AdminURL(gw *v1alpha1.AIGateway) *v1alpha1.SecretKeyRef {
	switch l := gw.Spec.Ledger; {
	case l == nil:
		return nil
	case l.AdminURLSecretRef != nil:
		return l.AdminURLSecretRef
	default:
		return &l.URLSecretRef
	}
}

// MigrationName is the name of the Job that brings one database to the schema of one image. database says which one, by
// its address and without its password: a password that changes is no reason to migrate.
func MigrationName(gw *v1alpha1.AIGateway, facts Facts, database string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{image(gw, facts), database}, "\x00")))
	return base(gw.Name) + "-migrate-" + hex.EncodeToString(sum[:4])
}

// MigrationSelector is what the migration Jobs of one gateway have.
func MigrationSelector(gateway string) map[string]string {
	labels := Selector(gateway)
	labels[labelComponent] = "migrate"
	return labels
}

// Migration is the Job that runs `layers migrate` with the administrator's URL, which no other pod gets to see.
func Migration(gw *v1alpha1.AIGateway, facts Facts, name string) *batchv1ac.JobApplyConfiguration {
	labels := MigrationSelector(gw.Name)
	labels[LabelManagedBy] = ManagedBy
	ref := AdminURL(gw)
	file := mount{"ledger", ledgerDir, ref.Name, []string{ref.Key}}
	c := withExtraMounts(secured(corev1ac.Container()), gw).WithName("migrate").WithImage(image(gw, facts)).
		WithArgs("migrate", "--ledger-url-file="+ledgerDir+"/"+ref.Key).
		WithResources(corev1ac.ResourceRequirements().WithRequests(corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
		})).
		WithVolumeMounts(file.volumeMount())
	pod := withExtraVolumes(placed(securedPod(), gw), gw).
		WithRestartPolicy(corev1.RestartPolicyNever).
		WithAutomountServiceAccountToken(false).
		WithContainers(c).WithVolumes(file.volume())
	return batchv1ac.Job(name, gw.Namespace).
		WithLabels(labels).WithOwnerReferences(Owner(gw)).
		WithAnnotations(map[string]string{AnnotationPods: hash(pod)}).
		WithSpec(batchv1ac.JobSpec().
			WithBackoffLimit(migrateRetries).
			WithTTLSecondsAfterFinished(migrateKeepSeconds).
			WithTemplate(corev1ac.PodTemplateSpec().WithLabels(labels).WithSpec(pod)))
}

// hash is short, and another for what has another JSON.
func hash(pod *corev1ac.PodSpecApplyConfiguration) string {
	raw, err := json.Marshal(pod)
	if err != nil {
		return "" // a pod that the API server would not take either
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}
