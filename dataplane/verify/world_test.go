package verify

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	serving "github.com/layers-dev/layers/dataplane/gateway"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/server"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
)

// worldProviders are the providers behind the gateway of TestWorld.
func worldProviders(t *testing.T) []snapshot.Provider {
	t.Helper()
	lenient := newFake()
	lenient.forgetful = true
	var out []snapshot.Provider
	for _, p := range []struct {
		kind    snapshot.ProviderType
		handler http.Handler
		path    string
	}{
		{snapshot.Anthropic, newFake(), ""}, {snapshot.OpenAI, lenient, "/v1"}, {snapshot.Gemini, http.HandlerFunc(fakeGemini), "/v1beta"}, {snapshot.Perplexity, http.HandlerFunc(fakePerplexity), ""},
	} {
		s := httptest.NewServer(p.handler)
		t.Cleanup(s.Close)
		out = append(out, snapshot.Provider{ID: "ns/" + strings.ToLower(string(p.kind)), Type: p.kind, BaseURL: s.URL + p.path, Credential: fakeKey})
	}
	return out
}

// worldSnapshot has a model of each provider, one of vectors, and a tier with limits.
func worldSnapshot(t *testing.T) *snapshot.Snapshot {
	t.Helper()
	price := func(n int64) *int64 { return &n }
	s := &snapshot.Snapshot{
		Gateway: "ns/gw", GatewayUID: "uid", AckToken: "ack", Mode: snapshot.Live, CreditsPerDollar: 100, Providers: worldProviders(t), DefaultTier: "ns/basic",
		Tiers: []snapshot.Tier{{Name: "ns/basic", MaxBodyBytes: 1 << 20, Limits: []snapshot.RateLimit{{Unit: snapshot.RequestsPerMinute, Value: 60_000, Burst: 60_000}}}},
	}
	add := func(name, kind, id string, can []string) {
		s.Models = append(s.Models, snapshot.Model{
			Object: "ns/" + name, PublicName: "world/" + name, Created: 1, Capabilities: can,
			Backends: []snapshot.Backend{{Name: "only", Provider: "ns/" + kind, Model: id, Weight: 1}},
			Price: &snapshot.Price{
				Version: "v1", InputPerMillion: 1_100_000_000, OutputPerMillion: 5_300_000_000, CacheReadPerMillion: price(130_000_000), CacheWritePerMillion: price(1_700_000_000),
				SearchPerMillion: price(10_000_000_000_000),
			},
			Limits: snapshot.Limits{ContextTokens: 200_000, MaxOutputTokens: 64_000},
			Times:  snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 30, IdleSeconds: 30, TotalSeconds: 60},
		})
	}
	for _, p := range providers {
		if p.name != "vercel" && p.name != "morph" {
			add(p.name, p.name, p.model.id, p.model.can)
		}
	}
	add("embed", "openai", "text-embedding-3-small", []string{canText})
	return s
}

// startWorld serves a snapshot with real stores until the end of the test, and answers the address.
func startWorld(t *testing.T, s *snapshot.Snapshot, key string) string {
	t.Helper()
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
		Source: "manifest", GatewayUID: "uid", ObjectUID: "key", ObjectName: "ns/key",
	}
	if _, err := books.UpsertKey(t.Context(), ledger.KeyUpsert{Key: row, FirstGrant: 1_000_000_000_000}); err != nil {
		t.Fatal(err)
	}
	if err := memory.Publish(s); err != nil {
		t.Fatal(err)
	}
	listen := func() net.Listener {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	ready, ended := make(chan string, 1), make(chan error, 1)
	parts := serving.Parts{
		Source: memory, Admission: redis, Books: books, Log: log, Version: "test", Drain: server.Drain{Timeout: 5 * time.Second},
		Listeners: server.Listeners{API: listen(), Admin: listen()}, Ready: func(b serving.Bound) { ready <- b.API },
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- serving.Serve(ctx, parts) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case api := <-ready:
		return "http://" + api
	case err := <-ended:
		ended <- nil
		t.Fatal("the gateway did not start:", err)
	}
	return ""
}

// TestWorld: the gateway itself, in front of providers of four kinds, keeps every promise with every model in every protocol.
func TestWorld(t *testing.T) {
	const key = "lyr_live_a-key-of-the-world-of-this-test"
	o := fakeOptions(nil)
	o.URL, o.Key, o.Now = startWorld(t, worldSnapshot(t), key), key, time.Now
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o.Transport = transport
	r := askFake(t, nil, o)
	for _, c := range failed(r) {
		t.Errorf("%s %s %q: expected %s, got %s", c.Subject, c.Protocol, c.Check, c.Expected, c.Got)
	}
	if r.Passed < 280 {
		t.Errorf("only %s", r.Summary())
	}
	for check, want := range map[string]int{"thinking across a tool call": 9, "prompt cache": 6, "web search, streamed": 12, "vectors": 1, "rate limits": 1, "cost and receipt, streamed": 3, "without Vision": 1} {
		n := 0
		for _, c := range r.Checks {
			if c.Check == check && c.Outcome == Passed {
				n++
			}
		}
		if n != want {
			t.Errorf("%q passed %d times, want %d: skipped because %s", check, n, want, reasons(r, check))
		}
	}
}
