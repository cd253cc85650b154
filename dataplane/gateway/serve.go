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
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/anthropic"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/inbound/responses"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
	anthropicup "github.com/layers-dev/layers/dataplane/upstream/anthropic"
	"github.com/layers-dev/layers/dataplane/upstream/demo"
	"github.com/layers-dev/layers/dataplane/upstream/gemini"
	openaiup "github.com/layers-dev/layers/dataplane/upstream/openai"
	"github.com/layers-dev/layers/dataplane/upstream/perplexity"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Admission is the admission store and the cache that replicas share; admit.Redis is one.
type Admission interface {
	admit.Admitter
	keys.Cache
}

// Books is what the data plane needs of the ledger; ledger.Ledger has it.
type Books interface {
	keys.Outbox
	server.Accounts
	settle.Ledger
}

// Parts are what Serve wires together.
type Parts struct {
	// Source is where the snapshot comes from; source.Memory and source.Holder are ones.
	Source source.Source
	// Admission is never nil. Books may be: then only a snapshot in demo mode is served.
	Admission Admission
	Books     Books
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

// Serve serves until ctx ends, then drains and returns nil, or what went wrong. The stores stay open: whoever opened
// them closes them afterwards.
func Serve(ctx context.Context, p Parts) error {
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
		resolver := keys.NewResolver(keys.Options{Store: p.Books, Cache: p.Admission})
		o.Keys = authenticator{&keys.Authenticator{Resolver: resolver, Guard: keys.NewGuard(keys.GuardOptions{})}}
		o.Accounts = p.Books
		settler := settle.New(settle.Options{Ledger: p.Books, Confirmer: p.Admission, Log: p.Log})
		o.Settler = settler
		all = append(all, settler)
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return errors.Join(fmt.Errorf("registering metrics: %w", err), closeSettler(o.Settler))
		}
	}
	s, err := server.New(o)
	if err != nil {
		return errors.Join(err, closeSettler(o.Settler))
	}
	if p.Ready != nil {
		// The listeners are open already: whoever connects now is answered.
		p.Ready(bound(p.Listeners))
	}
	// Changed keys are told of while the server drains, too.
	side, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	if p.Books != nil {
		d := delivery{source: p.Source, books: p.Books, admission: p.Admission, log: p.Log, every: deliverEvery}
		running.Go(func() { d.run(side) })
	}
	return s.Serve(ctx, p.Listeners, p.Drain)
}

// authenticator gives the resolver's Reload to the server.
type authenticator struct{ *keys.Authenticator }

// Reload implements server.Keys.
func (a authenticator) Reload(ctx context.Context, digest string) (ledger.Key, error) {
	return a.Resolver.Reload(ctx, digest)
}

// closeSettler ends an empty settler.
func closeSettler(s server.Settler) error {
	if s == nil {
		return nil
	}
	return s.Close(context.Background())
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
