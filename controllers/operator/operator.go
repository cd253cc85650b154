// Package operator is the job `layers operator`: it wires the reconcilers into one manager and runs them.
package operator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/apikey"
	"github.com/layers-dev/layers/controllers/apply"
	"github.com/layers-dev/layers/controllers/audit"
	"github.com/layers-dev/layers/controllers/desired"
	"github.com/layers-dev/layers/controllers/gateway"
	"github.com/layers-dev/layers/controllers/index"
	"github.com/layers-dev/layers/controllers/outbox"
	"github.com/layers-dev/layers/controllers/programmed"
	"github.com/layers-dev/layers/controllers/publisher"
	"github.com/layers-dev/layers/controllers/secrets"
	"github.com/layers-dev/layers/controllers/status"
	"github.com/layers-dev/layers/controllers/stores"
	"github.com/layers-dev/layers/controllers/sweep"
)

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch,namespace=layers-system
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update,namespace=layers-system

// leaderElectionID names the Lease.
const leaderElectionID = "operator.layers.dev"

// eventSource is who tells of what happened.
const eventSource = "layers-operator"

// retryMin and retryMax bound the wait before a reconcile that failed is tried again: a store that was away for an hour
// is not to be missed for another quarter of one.
const (
	retryMin = 50 * time.Millisecond
	retryMax = 30 * time.Second
)

// Options of the job.
type Options struct {
	// Config says where the API server is.
	Config *rest.Config
	// GatewayImage is the data plane's image where an AIGateway names none; required.
	GatewayImage string
	// Namespaces to watch; none: all.
	Namespaces []string
	// Namespace is where the operator's own pods are; empty: it runs outside of the cluster.
	Namespace string
	// MetricsAddress and ProbeAddress to listen at; "0": not at all. Metrics are served over TLS, to whom the API server
	// lets GET /metrics.
	MetricsAddress, ProbeAddress string
	// MetricsCertDir holds tls.crt and tls.key of the metrics; empty: a certificate made at start.
	MetricsCertDir string
	// LeaderElect lets only one of several operators write, by a Lease in LeaderElectionNamespace (empty: the pod's own).
	LeaderElect             bool
	LeaderElectionNamespace string
	// Prober asks the replicas; nil: over HTTP at their addresses.
	Prober programmed.Prober
	// Logger takes the operator's log.
	Logger logr.Logger
	// SkipNameValidation lets one process run several operators, as tests do.
	SkipNameValidation bool
}

// Run runs the operator until ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Config == nil || o.GatewayImage == "" {
		return errors.New("operator: a configuration and a gateway image are required")
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(o.Config, managerOptions(o, scheme))
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := index.Setup(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	cluster, err := clusterUID(ctx, mgr.GetAPIReader())
	if err != nil {
		return err
	}
	open := &stores.Cache{Secrets: secretReader(mgr)}
	defer open.Close()
	if err := setup(mgr, o, open, cluster); err != nil {
		return err
	}
	if err := mgr.Add(&outbox.Runner{Stores: open, Log: o.Logger.WithName("outbox")}); err != nil {
		return fmt.Errorf("adding the outbox: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("adding health checks: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	return scheme, nil
}

func managerOptions(o Options, scheme *runtime.Scheme) ctrl.Options {
	opts := ctrl.Options{
		Scheme:                        scheme,
		Logger:                        o.Logger,
		Metrics:                       metricsOptions(o),
		HealthProbeBindAddress:        o.ProbeAddress,
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionNamespace:       o.LeaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true,
		Controller:                    config.Controller{SkipNameValidation: &o.SkipNameValidation},
		Cache: cache.Options{
			// Only the gateways' pods: the cluster may have a hundred thousand others.
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Pod{}: {Label: labels.SelectorFromSet(labels.Set{desired.LabelManagedBy: desired.ManagedBy})},
			},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		// Informers hold the metadata of Secrets alone; what is in them is read when it is needed.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	}
	if len(o.Namespaces) > 0 {
		opts.Cache.DefaultNamespaces = map[string]cache.Config{}
		for _, n := range o.Namespaces {
			opts.Cache.DefaultNamespaces[n] = cache.Config{}
		}
	}
	return opts
}

func metricsOptions(o Options) server.Options {
	return server.Options{
		BindAddress: o.MetricsAddress, SecureServing: true, CertDir: o.MetricsCertDir,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
	}
}

// clusterUID is the UID of namespace kube-system, which outlives everything but the cluster.
func clusterUID(ctx context.Context, reader client.Reader) (string, error) {
	ns := &corev1.Namespace{}
	if err := reader.Get(ctx, types.NamespacedName{Name: metav1.NamespaceSystem}, ns); err != nil {
		return "", fmt.Errorf("reading the cluster's identity: %w", err)
	}
	return string(ns.UID), nil
}

func secretReader(mgr ctrl.Manager) *secrets.Reader {
	return &secrets.Reader{Metadata: mgr.GetClient(), Live: mgr.GetAPIReader()}
}

// setup registers the reconcilers.
func setup(mgr ctrl.Manager, o Options, open *stores.Cache, cluster string) error {
	c := mgr.GetClient()
	writer := func(name string) *status.Writer {
		return &status.Writer{Client: c, Owner: client.FieldOwner("layers-operator-" + name), Now: metav1.Now}
	}
	prober := o.Prober
	if prober == nil {
		prober = programmed.NewHTTPProber()
	}
	facts := desired.Facts{Image: o.GatewayImage, OperatorNamespace: o.Namespace}
	applier, events := &apply.Applier{Client: c}, mgr.GetEventRecorder(eventSource)
	one, two, many := controllerOptions(1), controllerOptions(2), controllerOptions(4)
	checks, err := audit.NewMetrics(metrics.Registry)
	if err != nil {
		return err
	}
	return errors.Join(
		(&gateway.Reconciler{
			Client: c, Applier: applier, Secrets: secretReader(mgr), Stores: open, Status: writer("gateway"), Facts: facts,
		}).SetupWithManager(mgr, one),
		(&publisher.Reconciler{
			Client: c, Secrets: secretReader(mgr), Status: writer("publisher"), Now: time.Now, Token: token,
		}).SetupWithManager(mgr, many),
		(&programmed.Reconciler{
			Client: c, Secrets: secretReader(mgr), Status: writer("programmed"), Prober: prober, Now: time.Now,
		}).SetupWithManager(mgr, many),
		(&stores.Reconciler{
			Client: c, Cache: open, Applier: applier, Status: writer("stores"), Events: events, Facts: facts, Now: time.Now,
		}).SetupWithManager(mgr, many),
		(&apikey.Reconciler{
			Client: c, Secrets: secretReader(mgr), Stores: open, Status: writer("apikey"), Events: events,
			ClusterUID: cluster, Random: rand.Reader, Now: time.Now,
		}).SetupWithManager(mgr, many),
		(&sweep.Reconciler{
			Client: c, Live: mgr.GetAPIReader(), Stores: open, Status: writer("sweep"), Events: events,
			ClusterUID: cluster, Namespaces: o.Namespaces,
		}).SetupWithManager(mgr, one),
		(&audit.Reconciler{
			Client: c, Stores: open, Status: writer("audit"), Events: events, Metrics: checks, Now: time.Now,
		}).SetupWithManager(mgr, two),
	)
}

// controllerOptions lets a standby keep its queues warm, and tries again soon.
func controllerOptions(workers int) controller.Options {
	warm := true
	return controller.Options{
		MaxConcurrentReconciles: workers,
		EnableWarmup:            &warm,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryMin, retryMax),
	}
}

// token is 256 random bits in hex.
func token() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	return hex.EncodeToString(b), nil
}
