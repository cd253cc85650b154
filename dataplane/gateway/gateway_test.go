package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/testenv"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(child(text)) //nolint:forbidigo // the child process of a test ends here
	}
	// client-go's logger flushes for as long as the process lives.
	goleak.VerifyTestMain(m, append(testenv.IgnoreServers(), goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"))...)
}

const (
	liveKey = "lyr_live_abcdefghijklmnopqrstuvwxyz"
	usd     = pricing.Nano(1_000_000_000)
)

// provider answers as OpenAI does; a prompt "tool" makes it call one.
func provider(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Model    string
			Stream   bool
			Messages []struct{ Content string }
			Tools    []json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Model != "upstream-model" || r.Header.Get("Authorization") != "Bearer sk-provider" {
			http.Error(w, `{"error":{"message":"bad request","type":"invalid_request_error"}}`, http.StatusBadRequest)
			return
		}
		switch {
		case in.Stream:
			w.Header().Set("Content-Type", "text/event-stream")
			for _, data := range []string{
				`{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`,
				`{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hel"}}]}`,
				`{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}`,
				`{"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":10,"total_tokens":30}}`,
				`[DONE]`,
			} {
				_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
			}
		case len(in.Tools) > 0:
			_, _ = io.WriteString(w, `{"id":"c1","object":"chat.completion","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bern\"}"}}]}}],"usage":{"prompt_tokens":20,"completion_tokens":10,"total_tokens":30}}`)
		default:
			_, _ = io.WriteString(w, `{"id":"c1","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello"}}],"usage":{"prompt_tokens":20,"completion_tokens":10,"total_tokens":30}}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func config(mode snapshot.Mode, providerType snapshot.ProviderType, baseURL string) *snapshot.Snapshot {
	m := snapshot.Model{
		Object: "ns/m", PublicName: "test/model", Aliases: []string{"model"}, Capabilities: []string{"Text", "Streaming", "Tools"}, Created: 1,
		Backends: []snapshot.Backend{{Name: "b", Provider: "ns/p", Model: "upstream-model", Weight: 1}},
		Price:    &snapshot.Price{Version: "v1", InputPerMillion: 1000 * usd, OutputPerMillion: 2000 * usd},
		Limits:   snapshot.Limits{ContextTokens: 1000, MaxOutputTokens: 100},
		Times:    snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 10, IdleSeconds: 10, TotalSeconds: 20},
	}
	return &snapshot.Snapshot{
		Sequence: 1, Gateway: "ns/gw", GatewayUID: "uid", AckToken: "ack", Mode: mode, CreditsPerDollar: 100,
		Providers: []snapshot.Provider{{ID: "ns/p", Type: providerType, BaseURL: baseURL, Credential: "sk-provider"}},
		Models:    []snapshot.Model{m},
	}
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func publish(t *testing.T, dir string, s *snapshot.Snapshot) {
	t.Helper()
	b, err := snapshot.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, snapshot.SecretDataKey), b)
}

// run starts the job and stops it at the end of the test.
func run(t *testing.T, o Options) Bound {
	t.Helper()
	o.Listen, o.AdminListen, o.AckListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	o.LogFormat, o.LogLevel, o.Stderr = "text", "info", t.Output()
	o.Drain.Timeout = 5 * time.Second
	ready, ended := make(chan Bound, 1), make(chan error, 1)
	o.Ready = func(b Bound) { ready <- b }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	select {
	case b := <-ready:
		return b
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return Bound{}
}

func client(api, key string) openai.Client {
	return openai.NewClient(option.WithBaseURL("http://"+api+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

func question() openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: "test/model", MaxTokens: openai.Int(10), Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hi")},
	}
}

// The official SDK, unmodified, against the whole job: real Redis, SQLite, a provider over HTTP.
func TestSDK(t *testing.T) {
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "ledger.db")
	books := openLedger(t, url)
	publish(t, dir, config(snapshot.Live, snapshot.OpenAICompatible, provider(t).URL))
	b := run(t, Options{
		SnapshotDir:   dir,
		RedisURLFile:  write(t, filepath.Join(dir, "redis"), []byte(testenv.Redis(t)+"\n")),
		LedgerURLFile: write(t, filepath.Join(dir, "ledger"), []byte(url+"\n")),
	})
	c, ctx := client(b.API, liveKey), t.Context()

	list, err := c.Models.List(ctx)
	if err != nil || len(list.Data) != 1 || list.Data[0].ID != "test/model" {
		t.Fatalf("models: %+v %v", list, err)
	}
	if m, err := c.Models.Get(ctx, "test/model"); err != nil || m.ID != "test/model" {
		t.Errorf("model: %+v %v", m, err)
	}
	answer, err := c.Chat.Completions.New(ctx, question())
	if err != nil || answer.Choices[0].Message.Content != "Hello" || !strings.Contains(answer.Usage.RawJSON(), `"cost":0.04`) {
		t.Fatalf("chat: %v %+v", err, answer)
	}
	q := question()
	q.StreamOptions.IncludeUsage = openai.Bool(true)
	stream, acc := c.Chat.Completions.NewStreaming(ctx, q), openai.ChatCompletionAccumulator{}
	for stream.Next() {
		acc.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil || acc.Choices[0].Message.Content != "Hello" || acc.Usage.TotalTokens != 30 {
		t.Errorf("stream: %v %+v", err, acc.ChatCompletion)
	}
	q = question()
	q.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: "weather"})}
	if answer, err = c.Chat.Completions.New(ctx, q); err != nil || answer.Choices[0].Message.ToolCalls[0].Function.Arguments != `{"city":"Bern"}` {
		t.Errorf("tool call: %v %+v", err, answer)
	}
	wrong := client(b.API, "lyr_live_wrong-wrong-wrong-wrong")
	_, err = wrong.Chat.Completions.New(ctx, question())
	wantStatus(t, err, http.StatusUnauthorized)
	err = c.Post(ctx, "chat/completions", []byte(`{"model":`), nil)
	wantStatus(t, err, http.StatusBadRequest)

	account, err := books.Account(ctx, "ns/acme")
	if err != nil || account.Balance != usd-3*40_000_000 {
		t.Errorf("balance %+v %v", account, err)
	}
	if bad, err := books.Check(ctx); err != nil || len(bad) > 0 {
		t.Errorf("ledger: %v %v", bad, err)
	}
}

func openLedger(t *testing.T, url string) ledger.Ledger {
	t.Helper()
	books, err := ledger.Open(t.Context(), url, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(books.Close)
	if err := books.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := ledger.Key{Digest: keys.Digest(liveKey), Name: "ns/k", Account: "ns/acme", State: ledger.KeyActive, Source: "kubernetes", ClusterUID: "c", GatewayUID: "uid", ObjectUID: "o", ObjectName: "ns/k"}
	if _, err := books.UpsertKey(t.Context(), ledger.KeyUpsert{Key: k, FirstGrant: usd}); err != nil {
		t.Fatal(err)
	}
	return books
}

func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != status || e.Message == "" {
		t.Errorf("got %v, want %d", err, status)
	}
}

// Demo mode needs neither store, and a new snapshot in the mounted folder is served.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	publish(t, dir, config(snapshot.Demo, snapshot.DemoProvider, ""))
	b := run(t, Options{SnapshotDir: dir})
	demoClient := client(b.API, "lyr_live_x")
	if answer, err := demoClient.Chat.Completions.New(t.Context(), question()); err != nil || answer.Choices[0].Message.Content == "" {
		t.Fatalf("%v %+v", err, answer)
	}
	next := config(snapshot.Demo, snapshot.DemoProvider, "")
	next.Sequence, next.Models[0].PublicName = 2, "test/renamed"
	publish(t, dir, next)
	eventually(t, "acknowledgement", func() bool {
		_, body := get(t, "http://"+b.Ack+"/snapshot", "ack")
		return strings.Contains(body, `"sequence":2`)
	})
	if _, body := get(t, "http://"+b.Admin+"/metrics", ""); !strings.Contains(body, "layers_snapshot_sequence 2") || !strings.Contains(body, "go_goroutines") {
		t.Error("metrics are missing")
	}
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Without a snapshot, and live without stores, the replica says that it is not ready.
func TestUnready(t *testing.T) {
	dir := t.TempDir()
	b := run(t, Options{SnapshotDir: dir})
	if status, _ := get(t, "http://"+b.Admin+"/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("without a snapshot: %d", status)
	}
	publish(t, dir, config(snapshot.Live, snapshot.OpenAICompatible, "http://x"))
	eventually(t, "snapshot", func() bool {
		_, body := get(t, "http://"+b.Admin+"/metrics", "")
		return strings.Contains(body, "layers_snapshot_sequence 1")
	})
	if status, _ := get(t, "http://"+b.Admin+"/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("live without stores: %d", status)
	}
	if status, body := get(t, "http://"+b.API+"/v1/models", liveKey); status != http.StatusServiceUnavailable || !strings.Contains(body, "AI Gateway not configured") {
		t.Errorf("%d %s", status, body)
	}
}

// What an earlier gateway of the same name left in the mounted folder is not served, and does not keep its own out.
func TestGatewayUID(t *testing.T) {
	dir := t.TempDir()
	left := config(snapshot.Demo, snapshot.DemoProvider, "")
	left.Sequence, left.GatewayUID = 9, "another"
	publish(t, dir, left)
	own := config(snapshot.Demo, snapshot.DemoProvider, "")
	b := run(t, Options{SnapshotDir: dir, GatewayUID: own.GatewayUID})
	if status, _ := get(t, "http://"+b.Admin+"/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("with another's snapshot: %d", status)
	}
	publish(t, dir, own)
	eventually(t, "its own snapshot", func() bool {
		status, _ := get(t, "http://"+b.Admin+"/readyz", "")
		return status == http.StatusOK
	})
}

func TestOptions(t *testing.T) {
	good := Options{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", SnapshotDir: "x", LogFormat: "text", LogLevel: "info", Stderr: io.Discard}
	for name, change := range map[string]func(*Options){
		"no snapshot": func(o *Options) { o.SnapshotDir = "" },
		"bad secret":  func(o *Options) { o.SnapshotSecret = "name" },
		"bad format":  func(o *Options) { o.LogFormat = "xml" },
		"bad level":   func(o *Options) { o.LogLevel = "loud" },
		"bad lease":   func(o *Options) { o.OwnerLease = -1 },
		"bad sync":    func(o *Options) { o.SyncEvery = -1 },
		"bad timeout": func(o *Options) { o.RedisTimeout = -1 },
		"bad pod":     func(o *Options) { o.PodUID = "a b" },
		"bad port":    func(o *Options) { o.AdminListen = "127.0.0.1:x" },
	} {
		o := good
		change(&o)
		if err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
