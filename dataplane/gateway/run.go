package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
)

// Run serves until ctx ends, then drains. It waits for nothing at boot: not for a snapshot, not for a store.
func Run(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	log, err := o.logger()
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, o)
	if err != nil {
		return err
	}
	if o.TLSDir != "" {
		cert, err := newCertificate(o.TLSDir, log, time.Now, lookEvery)
		if err != nil {
			return errors.Join(err, closeAll(listeners))
		}
		listeners.TLS = cert.config()
	}
	stores, err := openStores(o, log)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	defer stores.close()
	// What runs beside the server ends after it: a snapshot may still come while it drains.
	side, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	holder := source.NewHolder(log, time.Now)
	holder.Expect(o.GatewayUID)
	follow(side, &running, o, holder, log)
	running.Go(func() { stores.follow(side) })
	running.Go(func() { TameMemory(side) })
	if stores.books == nil {
		running.Go(func() { warnLive(side, holder, log) })
	}
	return Serve(ctx, Parts{
		Source: holder, Admission: stores.admission, Books: stores.given(), RedisTimeout: o.RedisTimeout, Owner: stores.owner, Lease: o.OwnerLease, WALDir: o.WALDir, Listeners: listeners, Drain: o.Drain, BodyBudget: o.BodyBudget,
		Log: log, Version: o.Version, Ready: func(b Bound) {
			log.Info("Serving", "api", b.API, "admin", b.Admin, "ack", b.Ack, "version", o.Version)
			if o.Ready != nil {
				o.Ready(b)
			}
		},
	})
}

// follow starts what brings snapshots. The mounted one is read before anything is served.
func follow(ctx context.Context, running *sync.WaitGroup, o Options, holder *source.Holder, log *slog.Logger) {
	if o.SnapshotDir != "" {
		dir := &source.Dir{Path: o.SnapshotDir, Holder: holder}
		dir.Load()
		running.Go(func() { dir.Run(ctx) })
	}
	if o.SnapshotSecret == "" {
		return
	}
	client, err := kubeClient()
	if err != nil {
		log.Error("Snapshot Secret is not watched", "error", err)
		return
	}
	namespace, name, _ := strings.Cut(o.SnapshotSecret, "/")
	secret := &source.Secret{Client: client, Namespace: namespace, Name: name, Holder: holder}
	running.Go(func() {
		if err := secret.Run(ctx); err != nil {
			log.Error("Snapshot Secret is not watched", "error", err)
		}
	})
}

// kubeClient speaks to the API server of the pod's cluster, else to that of the user's kubeconfig.
func kubeClient() (kubernetes.Interface, error) {
	config, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	return client, nil
}

// warnLive says why a replica that was told to be live is not ready.
func warnLive(ctx context.Context, holder *source.Holder, log *slog.Logger) {
	if _, err := holder.Wait(ctx, func(x *snapshot.Index) bool { return x.Mode == snapshot.Live }); err == nil {
		log.Error("AI Gateway not configured: mode Live needs --redis-url-file and --ledger-url-file")
	}
}

// listen opens the ports.
func listen(ctx context.Context, o Options) (l server.Listeners, err error) {
	var config net.ListenConfig
	open := func(flag, address string) net.Listener {
		if err != nil {
			return nil
		}
		var one net.Listener
		if one, err = config.Listen(ctx, "tcp", address); err != nil {
			err = fmt.Errorf("opening %s: %w", flag, err)
			return nil
		}
		return one
	}
	l.API, l.Admin = open("--listen", o.Listen), open("--admin-listen", o.AdminListen)
	if o.AckListen != "" {
		l.Ack = open("--ack-listen", o.AckListen)
	}
	if err != nil {
		return l, errors.Join(err, closeAll(l))
	}
	return l, nil
}

func closeAll(l server.Listeners) error {
	var errs []error
	for _, one := range []net.Listener{l.API, l.Admin, l.Ack} {
		if one != nil {
			errs = append(errs, one.Close())
		}
	}
	return errors.Join(errs...)
}

// stores are what Run opens.
type stores struct {
	admission *admit.Redis
	books     *books // nil: demo mode only
	owner     string
	follows   []*followed
}

// openStores prepares the stores that files name; without files it is an embedded Redis and no ledger.
func openStores(o Options, log *slog.Logger) (*stores, error) {
	if o.RedisURLFile == "" || o.LedgerURLFile == "" {
		embedded, err := admit.Embedded(admit.Options{})
		return &stores{admission: embedded}, err
	}
	owner, err := OwnerName(o.PodUID)
	if err != nil {
		return nil, err
	}
	redis, err := admit.NewLate(admit.Options{Owner: owner, Lease: o.OwnerLease, SyncEvery: o.SyncEvery})
	if err != nil {
		return nil, err
	}
	s := &stores{admission: redis, books: &books{open: openBooks}, owner: owner}
	s.follows = []*followed{
		{path: o.RedisURLFile, log: log, every: lookEvery, point: redis.Point},
		{path: o.LedgerURLFile, log: log, every: lookEvery, point: s.books.point, tidy: s.books.tidy},
	}
	for _, f := range s.follows {
		f.look()
	}
	return s, nil
}

// OwnerName names this start of a process for admit.Options.Owner: who runs it (empty: the host) and a random part, because what
// the start before held is not its own.
func OwnerName(who string) (string, error) {
	if who == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("finding a name for this replica (say one with --pod-uid): %w", err)
		}
		who = strings.ReplaceAll(host, " ", "-")
	}
	return who + "." + rand.Text(), nil
}

// given is books as an interface that is nil where there are none.
func (s *stores) given() Books {
	if s.books == nil {
		return nil
	}
	return s.books
}

// follow re-reads the files until ctx ends.
func (s *stores) follow(ctx context.Context) {
	var running sync.WaitGroup
	for _, f := range s.follows {
		running.Go(func() { f.run(ctx) })
	}
	running.Wait()
}

func (s *stores) close() {
	s.admission.Close()
	if s.books != nil {
		s.books.close()
	}
}
