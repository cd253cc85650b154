package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/gateway"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../shared/wire"

// recorded are the cases on record; nil: there are none.
func recorded(t *testing.T) []Case {
	t.Helper()
	if _, err := os.Stat(filepath.Join(recordings, "manifest.json")); err != nil {
		t.Log("no recorded traffic beside the checkout, only the project's own exchanges are looked at:", err)
		return nil
	}
	cases, err := Load(recordings)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 200 {
		t.Fatalf("only %d recordings", len(cases))
	}
	return cases
}

// exchanges are the project's own cases and those on record.
func exchanges(t *testing.T) []Case { return append(own(t), recorded(t)...) }

const key = "lyr_live_abcdefghijklmnopqrstuvwxyz"

// world is a gateway on stores of its own, and the provider that stands behind all its models.
type world struct {
	api      string
	provider *provider
	client   *http.Client
}

// provider answers each path as a test says, and keeps what it was asked last.
type provider struct {
	mu      sync.Mutex
	answers map[string]*Case
	asked   map[string]asked
}

// asked is a request as it reached the provider.
type asked struct {
	path   string
	header http.Header
	body   []byte
}

// ServeHTTP answers /NAME/... as NAME's recording does.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	c := p.answers[name]
	p.asked[name] = asked{path, r.Header, body}
	p.mu.Unlock()
	if c == nil {
		http.NotFound(w, r)
		return
	}
	for name, values := range c.Header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Connection", "Content-Encoding", "Date":
		default:
			w.Header()[name] = values
		}
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
		if c.Stream && c.Status == http.StatusOK {
			w.Header().Set("Content-Type", "text/event-stream")
		}
	}
	out := c.Body
	if c.Compressed != nil {
		w.Header().Set("Content-Encoding", "gzip")
		out = c.Compressed
	}
	w.WriteHeader(c.Status)
	_, _ = w.Write(out) // a gateway that left needs nothing
}

// serve makes NAME answer with a recording.
func (p *provider) serve(name string, c *Case) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[name] = c
}

// last is what NAME was asked last.
func (p *provider) last(name string) asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[name]
}

// route is one model of the gateway: what its provider is and what it is called there.
type route struct {
	name  string
	kind  snapshot.ProviderType
	model string
}

// newWorld starts a gateway with those models, each with a provider of its own.
func newWorld(t *testing.T, routes []route) *world {
	t.Helper()
	p := &provider{answers: map[string]*Case{}, asked: map[string]asked{}}
	upstream := httptest.NewServer(p)
	t.Cleanup(upstream.Close)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	memory := source.NewMemory(log, time.Now)
	redis, err := admit.Embedded(admit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	books, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(books.Close)
	if err := books.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	row := ledger.Key{
		Digest: keys.Digest(key), Name: "ns/key", Account: "ns/acme", State: ledger.KeyActive,
		Source: "manifest", GatewayUID: "wire", ObjectUID: "key", ObjectName: "ns/key",
	}
	if _, err := books.UpsertKey(t.Context(), ledger.KeyUpsert{Key: row, FirstGrant: 1_000_000_000_000}); err != nil {
		t.Fatal(err)
	}
	if err := memory.Publish(config(upstream.URL, routes)); err != nil {
		t.Fatal(err)
	}
	w := &world{provider: p, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	t.Cleanup(w.client.CloseIdleConnections)
	w.start(t, gateway.Parts{
		Source: memory, Admission: redis, Books: books, Log: log, Version: "test", Drain: server.Drain{Timeout: 5 * time.Second},
	})
	return w
}

// start serves until the end of the test.
func (w *world) start(t *testing.T, parts gateway.Parts) {
	t.Helper()
	listen := func() net.Listener {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	parts.Listeners = server.Listeners{API: listen(), Admin: listen()}
	ready := make(chan string, 1)
	parts.Ready = func(b gateway.Bound) { ready <- b.API }
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Serve(ctx, parts) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case api := <-ready:
		w.api = "http://" + api
	case err := <-ended:
		ended <- nil
		t.Fatal("the gateway did not start:", err)
	}
}

// config has a model for each route that can do everything, at prices that are never the same twice.
func config(base string, routes []route) *snapshot.Snapshot {
	price := func(n int64) *int64 { return &n }
	s := &snapshot.Snapshot{Sequence: 1, Gateway: "wire", GatewayUID: "wire", AckToken: "ack", Mode: snapshot.Live, CreditsPerDollar: 100}
	for _, r := range routes {
		s.Providers = append(s.Providers, snapshot.Provider{ID: "ns/" + r.name, Type: r.kind, BaseURL: base + "/" + r.name, Credential: "sk-provider"})
		s.Models = append(s.Models, snapshot.Model{
			Object: "ns/" + r.name, PublicName: r.name, Created: 1700000000,
			Capabilities: []string{"Text", "Streaming", "Vision", "Tools", "JSON", "Thinking", "WebSearch", "PromptCache", "Embeddings"},
			Backends:     []snapshot.Backend{{Name: "only", Provider: "ns/" + r.name, Model: r.model, Weight: 1}},
			Price: &snapshot.Price{
				Version: "v1", InputPerMillion: 1_000_000, OutputPerMillion: 5_000_000, CacheReadPerMillion: price(100_000), CacheWritePerMillion: price(1_250_000),
				CacheWrite1hPerMillion: price(2_000_000), SearchPerMillion: price(10_000_000),
			},
			Limits: snapshot.Limits{ContextTokens: 1_000_000, MaxOutputTokens: 128_000},
			Times:  snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 60, IdleSeconds: 60, TotalSeconds: 120},
		})
	}
	return s
}

// paths of the protocols.
var paths = map[chat.Protocol]string{
	chat.Completions: "/v1/chat/completions", chat.Messages: "/v1/messages", chat.Responses: "/v1/responses", chat.Embeddings: "/v1/embeddings",
	chat.CountTokens: "/v1/messages/count_tokens",
}

// reply is an answer as the client got it.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) ask(t *testing.T, protocol chat.Protocol, body []byte) reply {
	t.Helper()
	return w.do(t, http.MethodPost, paths[protocol], body)
}

func (w *world) do(t *testing.T, method, path string, body []byte) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.api+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, out}
}

// receipt is what the ledger has of an answer.
type receipt struct {
	Evidence string
	Tokens   struct {
		Input, Output, Reasoning int64
		Read                     int64 `json:"cache_read"`
		Write                    int64 `json:"cache_write"`
		Hour                     int64 `json:"cache_write_1h"`
	}
	Searches int64
}

func (w *world) receipt(t *testing.T, r reply) receipt {
	t.Helper()
	// A gateway whose disk is slow answers before the ledger has the charge.
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		got := w.do(t, http.MethodGet, "/v1/usage/"+r.header.Get("X-Layers-Request-Id"), nil)
		var out receipt
		if got.status == http.StatusOK && json.Unmarshal(got.body, &out) == nil {
			return out
		}
		if time.Now().After(deadline) {
			t.Fatalf("no receipt: %d %s", got.status, got.body)
		}
	}
}

func (r receipt) usage() *Usage {
	return &Usage{
		Input: r.Tokens.Input, Read: r.Tokens.Read, Write: r.Tokens.Write, WriteHour: r.Tokens.Hour, Output: r.Tokens.Output,
		Reasoning: r.Tokens.Reasoning, Searches: r.Searches,
	}
}
