package operator_test

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// held are the namespaces whose Jobs nobody runs.
var held sync.Map

// runJobs does for Jobs what a cluster does, but for running them: they succeed, except in held namespaces.
func runJobs() {
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	jobs, err := c.Watch(ctx, &batchv1.JobList{})
	Expect(err).NotTo(HaveOccurred())
	go func() {
		for event := range jobs.ResultChan() {
			job, ok := event.Object.(*batchv1.Job)
			if !ok || len(job.Status.Conditions) > 0 {
				continue
			}
			if _, hold := held.Load(job.Namespace); !hold {
				_ = end(ctx, job, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete) // one that was deleted meanwhile needs no end
			}
		}
	}()
}

// newLedger is the URL of a ledger of its own, as a migration leaves it.
func newLedger(ctx context.Context) string {
	GinkgoHelper()
	url := "sqlite:" + filepath.Join(GinkgoT().TempDir(), "ledger.db")
	l, err := ledger.Open(ctx, url, ledger.Options{})
	Expect(err).NotTo(HaveOccurred())
	defer l.Close()
	Expect(l.Migrate(ctx)).To(Succeed())
	return url
}

// end writes the status of a Job that is over.
func end(ctx context.Context, job *batchv1.Job, kinds ...batchv1.JobConditionType) error {
	return endAt(ctx, job, time.Now(), kinds...)
}

func endAt(ctx context.Context, job *batchv1.Job, when time.Time, kinds ...batchv1.JobConditionType) error {
	at := metav1.NewTime(when.Truncate(time.Second))
	job.Status.StartTime = &at
	for _, kind := range kinds {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at,
		})
		if kind == batchv1.JobComplete {
			job.Status.CompletionTime = &at
		}
	}
	return c.Status().Update(ctx, job)
}

// migration waits for the one Job of a namespace that is not over and not the one of the name.
func migration(ctx context.Context, ns, not string) *batchv1.Job {
	GinkgoHelper()
	var found *batchv1.Job
	Eventually(func(g Gomega) {
		var jobs batchv1.JobList
		g.Expect(c.List(ctx, &jobs, client.InNamespace(ns))).To(Succeed())
		found = nil
		for i := range jobs.Items {
			if j := &jobs.Items[i]; len(j.Status.Conditions) == 0 && j.DeletionTimestamp.IsZero() && j.Name != not {
				g.Expect(found).To(BeNil(), "one at a time")
				found = j
			}
		}
		g.Expect(found).NotTo(BeNil())
	}).Should(Succeed())
	return found
}

// told waits for an event of an object, and there is one of its reason alone.
func told(ctx context.Context, obj client.Object, reason, note string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(notes(ctx, g, obj, reason)).To(ConsistOf(ContainSubstring(note)), "once, with its name")
	}).Should(Succeed())
}

// heard waits for an event of an object among others of its reason.
func heard(ctx context.Context, obj client.Object, reason, note string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(notes(ctx, g, obj, reason)).To(ContainElement(ContainSubstring(note)))
	}).Should(Succeed())
}

func notes(ctx context.Context, g Gomega, obj client.Object, reason string) []string {
	var events corev1.EventList
	g.Expect(c.List(ctx, &events, client.InNamespace(obj.GetNamespace()))).To(Succeed())
	var out []string
	for _, e := range events.Items {
		if e.InvolvedObject.UID == obj.GetUID() && e.Reason == reason {
			out = append(out, e.Message)
		}
	}
	return out
}
