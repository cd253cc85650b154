package up

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/controllers/audit"
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/gateway"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// stores are embedded, or clients of servers.
type stores struct {
	admission *admit.Redis
	// ledger is nil in demo mode, which records nothing.
	ledger ledger.Ledger
	// owner names this start for the admission's holds; empty in demo mode, which has none to lose.
	owner string
	// ledgerURL is for people, to grant credits with; empty where it is a server's, which may hold a password.
	ledgerURL string
}

// openStores opens what the mode needs and brings the ledger's schema to this build's version.
func openStores(ctx context.Context, o Options, demo bool) (*stores, error) {
	s := &stores{}
	var err error
	if !demo {
		if s.owner, err = gateway.OwnerName(""); err != nil {
			return nil, err
		}
	}
	if o.Redis == "" {
		s.admission, err = admit.Embedded(admit.Options{Owner: s.owner})
	} else if s.admission, err = admit.NewRedis(admit.Options{URL: o.Redis, Owner: s.owner}); err == nil {
		err = s.admission.Ping(ctx)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("opening Redis: %w", err)
	}
	if demo {
		return s, nil
	}
	if err := s.openLedger(ctx, o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stores) openLedger(ctx context.Context, o Options) error {
	at := o.Ledger
	if at == "" {
		at = "sqlite:" + filepath.Join(o.Data, "ledger.db")
		s.ledgerURL = at
	}
	l, err := ledger.Open(ctx, at, ledger.Options{})
	if err != nil {
		return err
	}
	s.ledger = l
	return l.Migrate(ctx)
}

// pin holds the ledger and the AIGateway to one meaning of a credit.
func (s *stores) pin(ctx context.Context, perDollar int64) error {
	got, err := s.ledger.CreditsPerDollar(ctx, perDollar)
	if err != nil {
		return fmt.Errorf("reading what a credit is: %w", err)
	}
	if got != perDollar {
		return fmt.Errorf("the ledger counts %d credits a dollar, the AIGateway says %d: it cannot change (another ledger, or another --data, can have another value)", got, perDollar)
	}
	return nil
}

// nightly is what checks the ledger every night, as the operator does in a cluster, and the metrics that tell what it found.
func (s *stores) nightly(gateway string, log *slog.Logger) ([]prometheus.Collector, func(context.Context)) {
	if s.ledger == nil {
		return nil, func(context.Context) {}
	}
	of := types.NamespacedName{Namespace: "default", Name: gateway} // of the one that is built in
	if namespace, name, declared := strings.Cut(gateway, "/"); declared {
		of = types.NamespacedName{Namespace: namespace, Name: name}
	}
	n := audit.Nightly{Ledger: s.ledger, Gateway: of, Metrics: audit.Unregistered(), Log: log, Now: time.Now}
	return []prometheus.Collector{n.Metrics}, n.Run
}

func (s *stores) close() {
	if s.admission != nil {
		s.admission.Close()
	}
	if s.ledger != nil {
		s.ledger.Close()
	}
}

// prepareData finds and makes the data folder; only the user may look into it.
func prepareData(o *Options) error {
	if o.Data == "" {
		dir, err := DefaultData()
		if err != nil {
			return err
		}
		o.Data = dir
	}
	dir, err := filepath.Abs(o.Data)
	if err != nil {
		return fmt.Errorf("finding the data folder: %w", err)
	}
	o.Data = dir
	if err := os.MkdirAll(filepath.Join(dir, "keys"), privateDir); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	// It may have been there already, open to others.
	if err := os.Chmod(filepath.Join(dir, "keys"), privateDir); err != nil {
		return fmt.Errorf("closing the folder of keys: %w", err)
	}
	return nil
}

// walDir is where settlements wait for the ledger, one folder for each: what was owed to one must not be written to another.
func (o Options) walDir() string {
	if o.Ledger == "" {
		return filepath.Join(o.Data, "wal")
	}
	name := o.Ledger
	if u, err := url.Parse(o.Ledger); err == nil { // another password is no other ledger
		name = u.Host + u.Path + u.Opaque
	}
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(o.Data, "wal-"+hex.EncodeToString(sum[:4]))
}

// syncKeys makes the ledger's rows what the folder declares. It answers where the first generated key is, if there is
// one, and what is wrong with single keys.
func (s *stores) syncKeys(ctx context.Context, o Options, w *world) (keyFile string, notes []note, err error) {
	if s.ledger == nil {
		return "", nil, nil
	}
	files := keyFiles{dir: filepath.Join(o.Data, "keys"), random: o.Random}
	notes, err = rows{s.ledger, s.admission, files, time.Now}.sync(ctx, w.out.Keys)
	if err != nil {
		return "", nil, fmt.Errorf("bringing keys into the ledger: %w", err)
	}
	for _, k := range w.out.Keys {
		if k.SecretName != "" && !k.Disabled {
			return files.path(types.NamespacedName{Namespace: k.Object.Namespace, Name: k.SecretName}), notes, nil
		}
	}
	return "", notes, nil
}
