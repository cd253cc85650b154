package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/anthropic"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/inbound/responses"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "ns/acme"
	goodKey = "lyr_live_abcdefghijklmnopqrstuvwxyz"
	usd     = pricing.Nano(1_000_000_000)
)

// upstream is a scripted provider.
type upstream func(ctx context.Context, c chat.Call) (*chat.Response, error)

// Do implements chat.Upstream.
func (u upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) { return u(ctx, c) }

// Fit says what the test says; else that the provider speaks whatever the client does.
func (w *world) Fit(_ *snapshot.Provider, protocol chat.Protocol) chat.Fit {
	if fit, ok := w.fit[protocol]; ok {
		return fit
	}
	return chat.Passes
}

// script is a stream whose events a test sends one by one; closing the channel ends it.
type script struct {
	ctx    context.Context
	events chan chat.Event
}

// Next implements chat.Stream.
func (s script) Next() (chat.Event, error) {
	select {
	case ev, ok := <-s.events:
		if !ok {
			return chat.Event{}, io.EOF
		}
		return ev, nil
	case <-s.ctx.Done():
		return chat.Event{}, &chat.Error{Status: 502, Type: typeServer, Message: "upstream ended", Cause: s.ctx.Err()}
	}
}

// Close implements chat.Stream.
func (s script) Close() error { return nil }

// streams answers every call with a new stream of those events.
func streams(events ...chat.Event) upstream {
	return func(ctx context.Context, _ chat.Call) (*chat.Response, error) {
		ch := make(chan chat.Event, len(events))
		for _, ev := range events {
			ch <- ev
		}
		close(ch)
		return &chat.Response{Events: script{ctx, ch}}, nil
	}
}

func event(data string, change ...func(*chat.Event)) chat.Event {
	ev := chat.Event{Data: []byte(data), Raw: []byte("data: " + data + "\n\n")}
	for _, c := range change {
		c(&ev)
	}
	return ev
}

func content(text string) chat.Event {
	return event(`{"choices":[{"delta":{"content":"`+text+`"}}]}`, func(e *chat.Event) { e.Content, e.OutputBytes = true, int64(len(text)) })
}

func role() chat.Event { return event(`{"choices":[{"delta":{"role":"assistant"}}]}`) }

func used(in, out int64) chat.Event {
	return event(fmt.Sprintf(`{"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, in, out), func(e *chat.Event) {
		e.Usage, e.UsageOnly = &pricing.Usage{Input: in, Output: out}, true
	})
}

func done() chat.Event { return event("[DONE]", func(e *chat.Event) { e.Done = true }) }

// answers is a unary answer with usage.
func answers(in, out int64) upstream {
	return func(context.Context, chat.Call) (*chat.Response, error) {
		return &chat.Response{
			Header: http.Header{"Content-Type": {"application/json"}}, UpstreamID: "chatcmpl-1", OutputBytes: 5,
			Body:  fmt.Appendf(nil, `{"id":"chatcmpl-1","choices":[{"message":{"content":"hello"}}],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, in, out),
			Usage: &pricing.Usage{Input: in, Output: out},
		}, nil
	}
}

func fails(status int, fallback bool) upstream {
	return func(context.Context, chat.Call) (*chat.Response, error) {
		return nil, &chat.Error{Status: status, Type: "upstream_says", Code: "made_up_by_upstream", Message: "no", Fallback: fallback}
	}
}

// world is a server on real stores, with a scripted provider.
type world struct {
	t        *testing.T
	server   *Server
	api      *httptest.Server
	memory   *source.Memory
	books    ledger.Ledger
	redis    *admit.Redis
	registry *prometheus.Registry
	log      *safeBuffer

	mu sync.Mutex
	up map[string]upstream // by backend model
	// fit of protocols; set before the server serves.
	fit map[chat.Protocol]chat.Fit
}

// safeBuffer is a bytes.Buffer for many goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (w *world) serve(up upstream) { w.serveModel("first", up) }

func (w *world) serveModel(model string, up upstream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up[model] = up
}

// Do implements chat.Upstream.
func (w *world) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	w.mu.Lock()
	up := w.up[c.Model]
	w.mu.Unlock()
	return up(ctx, c)
}

// config is the snapshot of the tests: a dollar per thousand input tokens, two per thousand output tokens.
func config() *snapshot.Snapshot {
	times := snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 5, IdleSeconds: 5, TotalSeconds: 20}
	model := func(name string, capabilities ...string) snapshot.Model {
		return snapshot.Model{
			Object: "ns/" + name, PublicName: "test/" + name, Aliases: []string{name}, Capabilities: capabilities, Created: 1700000000,
			Backends: []snapshot.Backend{{Name: "one", Provider: "ns/p", Model: "first", Weight: 1}, {Name: "two", Provider: "ns/p", Model: "second", Priority: 1, Weight: 1}},
			Price:    &snapshot.Price{Version: "v1", InputPerMillion: 1000 * usd, OutputPerMillion: 2000 * usd},
			Limits:   snapshot.Limits{ContextTokens: 1000, MaxOutputTokens: 100}, Times: times,
		}
	}
	parked := model("parked", "Text")
	parked.Backends = []snapshot.Backend{{Name: "one", Provider: "ns/p", Model: "first"}}
	return &snapshot.Snapshot{
		Gateway: "up", GatewayUID: "up", AckToken: "ack-secret", Mode: snapshot.Live, CreditsPerDollar: 100,
		Providers: []snapshot.Provider{{ID: "ns/p", Type: snapshot.OpenAICompatible, BaseURL: "http://x", Credential: "sk-provider"}},
		Models:    []snapshot.Model{model("good", "Text", "Streaming", "Tools"), model("text", "Text"), model("dear", "Text"), parked},
		Tiers: []snapshot.Tier{
			{Name: "ns/free", Models: []string{"test/good", "text", "parked"}, MaxBodyBytes: 4096},
			{Name: "ns/slow", Limits: []snapshot.RateLimit{{Unit: snapshot.RequestsPerMinute, Value: 60, Burst: 2}}, MaxBodyBytes: 4096},
		},
		Policies:    []snapshot.CreditPolicy{{Name: "ns/prepaid"}, {Name: "ns/unmetered", Unmetered: true}},
		DefaultTier: "ns/free", DefaultPolicy: "ns/prepaid",
	}
}

func dialects() map[chat.Protocol]chat.Dialect {
	out := map[chat.Protocol]chat.Dialect{}
	for _, d := range []chat.Dialect{openai.Completions{}, openai.Embeddings{}, anthropic.Messages{}, anthropic.CountTokens{}, responses.New(openai.Completions{})} {
		out[d.Protocol()] = d
	}
	return out
}

func newWorld(t *testing.T, change ...func(*Options, *snapshot.Snapshot)) *world {
	t.Helper()
	w := &world{t: t, up: map[string]upstream{}, log: &safeBuffer{}, registry: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.memory = source.NewMemory(log, time.Now)
	var err error
	if w.redis, err = admit.Embedded(admit.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.redis.Close)
	if w.books, err = ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.books.Close)
	if err := w.books.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	resolver := keys.NewResolver(keys.Options{Store: w.books, Cache: w.redis})
	settler := settle.New(settle.Options{Ledger: w.books, Confirmer: w.redis, Log: log})
	o := Options{
		Source: w.memory, Admitter: w.redis, Keys: authenticator{&keys.Authenticator{Resolver: resolver, Guard: keys.NewGuard(keys.GuardOptions{})}},
		Accounts: w.books, Settler: settler, Dialects: dialects(), Upstreams: map[snapshot.ProviderType]chat.Upstream{snapshot.OpenAICompatible: w},
		Log: log, Registry: w.registry, Now: time.Now, NewID: func() string { return "req_" + uuid.NewString() }, Rand: func(int64) int64 { return 0 }, Version: "v0",
	}
	s := config()
	for _, c := range change {
		c(&o, s)
	}
	if w.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := w.memory.Publish(s); err != nil {
		t.Fatal(err)
	}
	w.api = httptest.NewServer(w.server.Handler())
	t.Cleanup(func() {
		w.server.cutCalls()
		w.api.Close()
		if err := settler.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// authenticator is how the resolver's Reload reaches the server.
type authenticator struct{ *keys.Authenticator }

// Reload implements Keys.
func (a authenticator) Reload(ctx context.Context, digest string) (ledger.Key, error) {
	return a.Resolver.Reload(ctx, digest)
}

// key makes the row of a key; grant is what the account begins with.
func (w *world) key(plain string, grant pricing.Nano, change ...func(*ledger.Key)) ledger.Key {
	w.t.Helper()
	k := ledger.Key{
		Digest: keys.Digest(plain), Name: "ns/" + plain, Account: account, State: ledger.KeyActive,
		Source: "manifest", GatewayUID: "up", ObjectUID: plain, ObjectName: "ns/" + plain,
	}
	for _, c := range change {
		c(&k)
	}
	got, err := w.books.UpsertKey(w.t.Context(), ledger.KeyUpsert{Key: k, FirstGrant: grant})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) balance() pricing.Nano {
	w.t.Helper()
	a, err := w.books.Account(w.t.Context(), account)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Balance
}

// sound fails the test unless the books balance and nothing is reserved.
func (w *world) sound() {
	w.t.Helper()
	bad, err := w.books.Check(w.t.Context())
	if err != nil || len(bad) > 0 {
		w.t.Errorf("the ledger is not sound: %v %v", bad, err)
	}
	// A charge is in the ledger a moment before its hold is gone.
	eventually(w.t, "nothing is reserved", func() bool { return w.reserved() == 0 })
}

// reserved asks the script itself, with a request that cannot pass.
func (w *world) reserved() pricing.Nano {
	w.t.Helper()
	k, err := w.books.KeyByDigest(w.t.Context(), keys.Digest(goodKey))
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := w.redis.Admit(w.t.Context(), admit.Request{ID: "probe-" + uuid.NewString(), Account: account, KeyDigest: k.Digest, KeyVersion: k.Version, Hold: admit.MaxNano, HoldFor: time.Minute})
	if err != nil || d.Outcome != admit.InsufficientCredits {
		w.t.Fatalf("probing: %+v, %v", d, err)
	}
	return d.Reserved
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// failure is the error object of a reply.
func (r reply) failure(t *testing.T) map[string]any {
	t.Helper()
	var out struct {
		Error map[string]any `json:"error"`
	}
	if err := json.Unmarshal([]byte(r.body), &out); err != nil || out.Error == nil {
		t.Fatalf("no error in %q: %v", r.body, err)
	}
	return out.Error
}

// open sends a request and does not read the answer.
func (w *world) open(ctx context.Context, method, path, key, body string, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.api.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.api.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (w *world) do(method, path, key, body string, headers ...string) reply {
	w.t.Helper()
	resp := w.open(w.t.Context(), method, path, key, body, headers...)
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func (w *world) chat(body string) reply {
	w.t.Helper()
	return w.do(http.MethodPost, "/v1/chat/completions", goodKey, body)
}

const (
	hello       = `{"model":"test/good","messages":[{"role":"user","content":"hi"}],"max_tokens":10}`
	helloStream = `{"model":"good","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"stream":true,"stream_options":{"include_usage":true}}`
)

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// estimated is what an answer of so many bytes costs where no usage is reported.
func estimated(body string, out int64) pricing.Nano {
	tokens := func(n int64) int64 { return (n + 3) / 4 }
	return tokens(int64(len(body)))*1_000_000 + tokens(out)*2_000_000
}
