package stores

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/desired"
)

// migrateAgain is how long a migration that failed is left to be looked at before it is tried again.
const migrateAgain = 5 * time.Minute

// Migration is the name of the Job that migrates the gateway's ledger for the image that it is to run; empty: it has no
// ledger. The gateway's controller waits for the same Job. Errors are a *Problem, or the API server's.
func (c *Cache) Migration(ctx context.Context, gw *v1alpha1.AIGateway, facts desired.Facts) (string, error) {
	ref := desired.AdminURL(gw)
	if ref == nil {
		return "", nil
	}
	url, err := c.url(ctx, gw.Namespace, *ref)
	if err != nil {
		return "", err
	}
	return desired.MigrationName(gw, facts, database(url)), nil
}

// Migrated says whether a migration is done: by its Job, or by the Deployment that was applied after it, which outlives it.
func Migrated(job *batchv1.Job, deployment *appsv1.Deployment, name string) bool {
	return deployment.Annotations[desired.AnnotationMigrated] == name || finished(job, batchv1.JobComplete) != nil
}

func finished(job *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i, c := range job.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

// migrate makes the Job of the gateway's migration if need be; the error is a *Problem while it is not done.
func (r *Reconciler) migrate(ctx context.Context, gw *v1alpha1.AIGateway) error {
	name, err := r.Cache.Migration(ctx, gw, r.Facts)
	if err != nil || name == "" {
		return err
	}
	job, deployment := &batchv1.Job{}, &appsv1.Deployment{}
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: gw.Namespace, Name: desired.Name(gw.Name)}, deployment)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the Deployment: %w", err)
	}
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: gw.Namespace, Name: name}, job)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading Job %q: %w", name, err)
	}
	if !metav1.IsControlledBy(deployment, gw) {
		deployment = &appsv1.Deployment{}
	}
	if err == nil && !metav1.IsControlledBy(job, gw) {
		return &Problem{Reason: v1alpha1.ReasonNotOwned, Message: fmt.Sprintf("Job %q exists and is not owned by this object.", name)}
	}
	if Migrated(job, deployment, name) {
		return nil
	}
	if err != nil {
		return r.start(ctx, gw, name)
	}
	return r.going(ctx, gw, job)
}

// start makes the Job.
func (r *Reconciler) start(ctx context.Context, gw *v1alpha1.AIGateway, name string) error {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: gw.Namespace, Name: name}}
	if err := r.Applier.Owned(ctx, gw, job, desired.Migration(gw, r.Facts, name)); err != nil {
		return err
	}
	r.Events.Eventf(gw, nil, corev1.EventTypeNormal, "MigrationStarted", "Migrate", "Job %q migrates the ledger.", name)
	return pendingMigration(name)
}

// going says how far the Job is. One that failed is shown for a while, then made anew; one whose pods are to be others now,
// and that does not run, at once: what was wrong with them may be what keeps it.
func (r *Reconciler) going(ctx context.Context, gw *v1alpha1.AIGateway, job *batchv1.Job) error {
	failed := finished(job, batchv1.JobFailed)
	runs := job.Status.Ready != nil && *job.Status.Ready > 0
	others := job.Annotations[desired.AnnotationPods] != desired.Migration(gw, r.Facts, job.Name).Annotations[desired.AnnotationPods]
	late := failed != nil && r.Now().Sub(failed.LastTransitionTime.Time) > migrateAgain
	if late || others && !runs {
		if err := r.Applier.Gone(ctx, gw, job); err != nil {
			return err
		}
	}
	if failed == nil {
		return pendingMigration(job.Name)
	}
	return &Problem{Reason: v1alpha1.ReasonMigrationFailed, Message: fmt.Sprintf(
		"Job %q failed to migrate the ledger; it is tried again after five minutes, or once it is deleted.", job.Name)}
}

func pendingMigration(name string) error {
	return &Problem{Reason: v1alpha1.ReasonPending, Message: fmt.Sprintf("Job %q migrates the ledger.", name)}
}

// unpinned is the gateway with the operator's own image.
func unpinned(gw *v1alpha1.AIGateway) *v1alpha1.AIGateway {
	own := gw.DeepCopy()
	own.Spec.Deployment.Image = ""
	return own
}

// others deletes the gateway's migrations that nothing waits for any more; one of them may never have found its image.
func (r *Reconciler) others(ctx context.Context, gw *v1alpha1.AIGateway) error {
	name, err := r.Cache.Migration(ctx, gw, r.Facts)
	if err != nil || name == "" {
		return err
	}
	var jobs batchv1.JobList
	err = r.Client.List(ctx, &jobs, client.InNamespace(gw.Namespace), client.MatchingLabels(desired.MigrationSelector(gw.Name)))
	if err != nil {
		return fmt.Errorf("listing migrations: %w", err)
	}
	for i := range jobs.Items {
		if jobs.Items[i].Name == name {
			continue
		}
		if err := r.Applier.Gone(ctx, gw, &jobs.Items[i]); err != nil {
			return err
		}
	}
	return nil
}
