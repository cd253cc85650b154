// Package gateway is the job `layers gateway`: the data plane as a process. Serve is the wiring that it shares with
// `layers up`.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/admit/failover"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/anthropic"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/inbound/responses"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/settle/reap"
	"github.com/layers-dev/layers/dataplane/settle/upkeep"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
	anthropicup "github.com/layers-dev/layers/dataplane/upstream/anthropic"
	"github.com/layers-dev/layers/dataplane/upstream/demo"
	"github.com/layers-dev/layers/dataplane/upstream/gemini"
	openaiup "github.com/layers-dev/layers/dataplane/upstream/openai"
	"github.com/layers-dev/layers/dataplane/upstream/perplexity"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Books is what the data plane needs of the ledger; ledger.Ledger has it.
type Books interface {
	keys.Outbox
	server.Accounts
	settle.Ledger
	failover.Ledger
	reap.Ledger
	upkeep.Ledger
	RecentOutput(ctx context.Context, keyDigest, model string, most int) ([]int64, error)
}

// Parts are what Serve wires together.
type Parts struct {
	// Source is where the snapshot comes from; source.Memory and source.Holder are ones.
	Source source.Source
	// Admission is never nil. Books may be: then only a snapshot in demo mode is served.
	Admission *admit.Redis
	Books     Books
	// RedisTimeout is how long a decision waits for Admission before it is made without; 0: failover.DefaultTimeout.
	RedisTimeout time.Duration
	// Owner and Lease are those of Admission's Options; no Owner: holds end by time.
	Owner string
	Lease time.Duration
	// WALDir is the folder of the write-ahead log; empty: there is none.
	WALDir string
	// Listeners are closed by Serve; Ack may be nil.
	Listeners server.Listeners
	Drain     server.Drain
	// BodyBudget bounds all request bodies in flight, in bytes; 0: server.DefaultBodyBudget.
	BodyBudget int64
	Log        *slog.Logger
	// Version is this build's, for people.
	Version string
	// Collectors are served by /metrics beside the data plane's own.
	Collectors []prometheus.Collector
	// Ready, if set, is called once when all ports answer.
	Ready func(Bound)
}

// Bound says where Serve listens: host:port, the port never 0. Ack is empty where there is none.
type Bound struct {
	API, Admin, Ack string
}

// Serve serves until ctx ends, then drains and returns nil, or what went wrong. The server drains, the settler empties its queue, what
// runs beside them ends, what is still held is left to others, the log is closed. The stores stay open: whoever opened them closes
// them afterwards.
func Serve(ctx context.Context, p Parts) (err error) {
	reg := prometheus.NewRegistry()
	all := append([]prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}, p.Collectors...)
	if c, ok := p.Source.(prometheus.Collector); ok {
		all = append(all, c)
	}
	upstreams, closeUpstreams := newUpstreams(p.Version)
	defer closeUpstreams()
	o := server.Options{
		Source: p.Source, Admitter: p.Admission, Upstreams: upstreams, Dialects: dialects(), Log: p.Log, Registry: reg, Version: p.Version, BodyBudget: p.BodyBudget,
		Now: time.Now, NewID: func() string { return "req_" + uuid.Must(uuid.NewV7()).String() }, Rand: rand.Int64N,
	}
	if p.Books != nil {
		m := newMoney(p)
		defer func() { err = errors.Join(err, m.end()) }()
		m.serve(&o)
		all = append(all, m.collectors...)
		// It goes on while the server drains.
		beside, stop := context.WithCancel(context.WithoutCancel(ctx))
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		running.Go(func() { m.run(beside) })
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	s, err := server.New(o)
	if err != nil {
		return err
	}
	if p.Ready != nil {
		// The listeners are open already: whoever connects now is answered.
		p.Ready(bound(p.Listeners))
	}
	return s.Serve(ctx, p.Listeners, p.Drain)
}

// authenticator gives the resolver's Reload to the server.
type authenticator struct{ *keys.Authenticator }

// Reload implements server.Keys.
func (a authenticator) Reload(ctx context.Context, digest string) (ledger.Key, error) {
	return a.Resolver.Reload(ctx, digest)
}

func bound(l server.Listeners) Bound {
	b := Bound{API: l.API.Addr().String(), Admin: l.Admin.Addr().String()}
	if l.Ack != nil {
		b.Ack = l.Ack.Addr().String()
	}
	return b
}

// newUpstreams makes one client for each protocol, and what closes its connections.
func newUpstreams(version string) (map[snapshot.ProviderType]chat.Upstream, func()) {
	client := transport.New(transport.Options{Version: version})
	openAI := openaiup.New(client)
	return map[snapshot.ProviderType]chat.Upstream{
		snapshot.OpenAI:           openAI,
		snapshot.OpenAICompatible: openAI,
		snapshot.Morph:            openAI,
		snapshot.VercelAIGateway:  openAI,
		snapshot.Anthropic:        anthropicup.New(client),
		snapshot.Gemini:           gemini.New(client, gemini.Options{}),
		snapshot.Perplexity:       perplexity.New(client),
		snapshot.DemoProvider:     demo.New(demo.Options{}),
	}, client.CloseIdle
}

// dialects are the protocols that clients may speak.
func dialects() map[chat.Protocol]chat.Dialect {
	out := map[chat.Protocol]chat.Dialect{}
	for _, d := range []chat.Dialect{openai.Completions{}, openai.Embeddings{}, anthropic.Messages{}, anthropic.CountTokens{}, responses.New(openai.Completions{})} {
		out[d.Protocol()] = d
	}
	return out
}
