// Package server is the data plane over HTTP: one tree of handlers that return errors, one place that writes errors,
// deadlines for each phase, and a drain in bounded steps.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/route"
	"github.com/layers-dev/layers/dataplane/server/body"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
)

// Keys finds the row of a key. Errors are those of the package keys.
type Keys interface {
	// Authenticate finds a plain key's row, in whatever state; ip is the client's address.
	Authenticate(ctx context.Context, plain, ip string) (ledger.Key, error)
	// Reload reads the row again from the store.
	Reload(ctx context.Context, digest string) (ledger.Key, error)
}

// Accounts reads the ledger; see ledger.Ledger. ledger.ErrNotFound says that there is no such row.
type Accounts interface {
	Current(ctx context.Context, id string) (account ledger.Account, next int64, err error)
	KeySpends(ctx context.Context, keyID string, windows []ledger.Window) ([]ledger.Spend, error)
	Receipt(ctx context.Context, account, requestID string) (ledger.Receipt, error)
}

// Settler takes the ends of requests; see settle.Settler.
type Settler interface {
	Submit(row ledger.Settlement, keyDigest string) (wait func(context.Context) error, err error)
	// Full says that a settlement may not be taken: then no request is admitted.
	Full() bool
	// Release takes away the hold that a request may have, and tries until it is done.
	Release(account, requestID string)
	// Away says that the ledger cannot be reached: what was settled last did not reach it.
	Away() bool
	// Close empties the queue.
	Close(ctx context.Context) error
}

// Admission decides who may run; see failover.Failover.
type Admission interface {
	admit.Admitter
	admit.Extender
	admit.Claims
}

// Options are what a Server needs. All of the first group must be set, but Keys, Accounts and Settler: without them only
// a snapshot in demo mode is served.
type Options struct {
	Source   source.Source
	Admitter Admission
	Keys     Keys
	Accounts Accounts
	Settler  Settler
	// Book estimates how long answers get; nil: one that knows what this server has seen.
	Book *forecast.Book
	// Degraded names the stores that cannot be reached ("ledger", "redis"), for the acknowledgement; nil: not known.
	Degraded  func() []string
	Upstreams map[snapshot.ProviderType]chat.Upstream
	// Dialects are the protocols that clients may speak; Completions, in whose shape all other errors are, must be there.
	Dialects map[chat.Protocol]chat.Dialect
	Log      *slog.Logger
	Registry *prometheus.Registry
	Now      func() time.Time
	// NewID makes request ids: "req_" + UUIDv7.
	NewID func() string
	// Rand answers a random number in [0, n).
	Rand func(n int64) int64
	// Version is this build's, for people.
	Version string

	// BodyBudget bounds all request bodies in flight, in bytes. The largest body that is taken is nearly half of it.
	BodyBudget int64
	// MaxDrained bounds the upstream calls that go on for their usage after their client left.
	MaxDrained int64
	// ContentWait is how long a stream's headers wait for the first content; Heartbeat is how long a stream is silent before a comment is sent.
	ContentWait, Heartbeat time.Duration
	// BodyIdle and BodyTotal bound the reading of a body, WriteTimeout one write to the client.
	BodyIdle, BodyTotal, WriteTimeout time.Duration
	// CommitWait is how long an answer waits for the ledger to have its charge.
	CommitWait time.Duration
	// StoreTimeout bounds one question to a store.
	StoreTimeout time.Duration
}

// Defaults of Options.
const (
	DefaultBodyBudget   = 65 << 20
	DefaultMaxDrained   = 256
	DefaultContentWait  = 5 * time.Second
	DefaultHeartbeat    = 15 * time.Second
	DefaultBodyIdle     = 30 * time.Second
	DefaultBodyTotal    = 5 * time.Minute
	DefaultWriteTimeout = time.Minute
	DefaultCommitWait   = 2 * time.Second
	DefaultStoreTimeout = 5 * time.Second
)

// Server answers requests. It is safe for concurrent use.
type Server struct {
	o       Options
	bodies  *body.Reader
	metrics *observe.Metrics
	drained *semaphore.Weighted
	router  *route.Router

	draining atomic.Bool
	running  crowd
	// cut ends the upstream calls that still run when the time to drain is over.
	cut      context.Context
	cutCalls context.CancelFunc
}

// New checks the options and makes a Server.
func New(o Options) (*Server, error) {
	if o.Source == nil || o.Admitter == nil || o.Log == nil || o.Registry == nil || o.Now == nil || o.NewID == nil || o.Rand == nil {
		return nil, errors.New("server needs a source, an admitter, a log, a registry, a clock, ids and randomness")
	}
	o = o.withDefaults()
	if o.Book == nil {
		o.Book = forecast.New(forecast.Options{Now: o.Now})
	}
	metrics, err := observe.New(o.Registry, o.Log, o.Now)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	s := &Server{
		o: o, metrics: metrics,
		bodies:  body.NewReader(o.BodyBudget, o.BodyIdle, o.BodyTotal, o.Now),
		drained: semaphore.NewWeighted(o.MaxDrained),
		router:  route.New(route.Options{Now: o.Now, Rand: o.Rand}),
	}
	if err := observe.Circuits(o.Registry, s.router.Open); err != nil {
		return nil, err
	}
	s.cut, s.cutCalls = context.WithCancel(context.Background())
	return s, nil
}

func (o Options) withDefaults() Options {
	orInt := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	or := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	orInt(&o.BodyBudget, DefaultBodyBudget)
	orInt(&o.MaxDrained, DefaultMaxDrained)
	or(&o.ContentWait, DefaultContentWait)
	or(&o.Heartbeat, DefaultHeartbeat)
	or(&o.BodyIdle, DefaultBodyIdle)
	or(&o.BodyTotal, DefaultBodyTotal)
	or(&o.WriteTimeout, DefaultWriteTimeout)
	or(&o.CommitWait, DefaultCommitWait)
	or(&o.StoreTimeout, DefaultStoreTimeout)
	return o
}

// Ready says whether the replica should get requests: it has a snapshot that it can serve and is not draining. Redis,
// PostgreSQL and the operator have no say.
func (s *Server) Ready() bool {
	x := s.o.Source.Current()
	return x != nil && !s.draining.Load() && s.serves(x)
}

// serves says whether the stores that the snapshot's mode needs were given.
func (s *Server) serves(x *snapshot.Index) bool {
	return x.Mode == snapshot.Demo || (s.o.Keys != nil && s.o.Accounts != nil && s.o.Settler != nil)
}

// Handler is the API.
func (s *Server) Handler() http.Handler { return s.api() }
