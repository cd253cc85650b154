package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// live is a stream that a test feeds.
func live(events chan chat.Event) upstream {
	return func(ctx context.Context, _ chat.Call) (*chat.Response, error) {
		return &chat.Response{Events: script{ctx, events}, Header: http.Header{"X-Upstream": {"a"}}}, nil
	}
}

// plainStream is a stream without usage for the client.
const plainStream = `{"model":"good","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"stream":true}`

func fast(o *Options, _ *snapshot.Snapshot) {
	o.ContentWait, o.Heartbeat = 30*time.Millisecond, 20*time.Millisecond
}

func raws(events ...chat.Event) string {
	var b strings.Builder
	for _, ev := range events {
		b.Write(ev.Raw)
	}
	return b.String()
}

// unasked is helloStream of a client that asks for no usage.
var unasked = strings.Replace(helloStream, `,"stream_options":{"include_usage":true}`, "", 1)

func TestStream(t *testing.T) {
	withCost := `data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":10,"cost":0.04}}` + "\n\n"
	told := fmt.Sprintf(`data: {"id":"","object":"chat.completion.chunk","created":0,"model":"","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":2,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0},"cache_creation_input_tokens":0,"cost":%s}}`+"\n\n",
		(len(helloStream)+3)/4, (len(helloStream)+3)/4+2, pricing.FormatUSD(estimated(helloStream, 8)))
	cases := map[string]struct {
		body    string
		events  []chat.Event
		want    string
		charged int64
	}{
		"with usage":    {helloStream, []chat.Event{role(), content("a"), content("b"), used(20, 10), done()}, raws(role(), content("a"), content("b")) + withCost + raws(done()), 40_000_000},
		"without usage": {unasked, []chat.Event{role(), content("a"), used(20, 10), done()}, raws(role(), content("a"), done()), 40_000_000},
		"last usage counts": {helloStream, []chat.Event{content("a"), used(1, 1), used(20, 10), done()},
			raws(content("a")) + `data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":0.003}}` + "\n\n" + withCost + raws(done()), 40_000_000},
		"no usage: estimated":         {helloStream, []chat.Event{content("12345678"), done()}, raws(content("12345678")) + told + raws(done()), estimated(helloStream, 8)},
		"no usage, no end marker":     {helloStream, []chat.Event{content("12345678")}, raws(content("12345678")) + told, estimated(helloStream, 8)},
		"no usage, and none is asked": {unasked, []chat.Event{content("12345678"), done()}, raws(content("12345678"), done()), estimated(unasked, 8)},
		"no end marker":               {helloStream, []chat.Event{content("a"), used(20, 10)}, raws(content("a")) + withCost, 40_000_000},
		"empty answer":                {helloStream, []chat.Event{role(), used(20, 10), done()}, raws(role()) + strings.Replace(withCost, "0.04", "0", 1) + raws(done()), 0},
		"usage first":                 {helloStream, []chat.Event{role(), used(20, 10), content("a"), done()}, raws(role()) + withCost + raws(content("a"), done()), 40_000_000},
		"nothing at all":              {helloStream, nil, "", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key(goodKey, usd)
			w.serve(streams(c.events...))
			got := w.chat(c.body)
			if got.status != http.StatusOK || got.body != c.want {
				t.Errorf("%d\n%s\nwant\n%s", got.status, got.body, c.want)
			}
			for h, v := range map[string]string{"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"} {
				if got.header.Get(h) != v {
					t.Errorf("%s: %q", h, got.header.Get(h))
				}
			}
			if spent := usd - w.balance(); spent != c.charged {
				t.Errorf("charged %d, want %d", spent, c.charged)
			}
			w.sound()
		})
	}
}

// Each event is with the client before the next one exists.
func TestStreamIsFlushed(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	events := make(chan chat.Event)
	w.serve(live(events))
	go func() { events <- role(); events <- content("a") }()
	resp := w.open(t.Context(), http.MethodPost, "/v1/chat/completions", goodKey, unasked)
	if resp.Header.Get("X-Upstream") != "a" {
		t.Error("the provider's headers are lost")
	}
	r := bufio.NewReader(resp.Body)
	expect := func(want chat.Event) {
		t.Helper()
		b := make([]byte, len(want.Raw))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != string(want.Raw) {
			t.Fatalf("got %q %v, want %q", b, err, want.Raw)
		}
	}
	expect(role())
	expect(content("a"))
	for _, text := range []string{"b", "c"} {
		events <- content(text)
		expect(content(text))
	}
	events <- done()
	close(events)
	expect(done())
}

func TestStreamFailures(t *testing.T) {
	fail := func(fallback bool) chat.Event {
		return chat.Event{Err: &chat.Error{Status: 503, Type: "overloaded_error", Code: "overloaded_upstream", Message: "busy", Fallback: fallback}}
	}
	closed := func(context.Context, chat.Call) (*chat.Response, error) {
		cause := fmt.Errorf("asking: %w", io.EOF)
		return nil, &chat.Error{Status: 502, Type: "api_error", Code: "upstream_unreachable", Message: "gone", Fallback: true, Cause: cause}
	}
	cases := map[string]struct {
		first, second upstream
		status        int
		want          string // the end of the body
		charged       int64
	}{
		"refused":                    {fails(429, false), nil, 429, "", 0},
		"before content":             {streams(role(), fail(false)), nil, 503, "", 0},
		"before content, falls back": {streams(role(), fail(true)), streams(role(), content("b"), used(1, 0), done()), 200, "[DONE]\n\n", 1_000_000},
		"refused, falls back":        {fails(500, true), streams(content("b"), used(1, 0), done()), 200, "[DONE]\n\n", 1_000_000},
		"closed, unanswered":         {closed, fails(502, false), 502, "", 0},
		"closed, falls back":         {closed, streams(content("b"), used(1, 0), done()), 200, "[DONE]\n\n", 1_000_000},
		"after content":              {streams(content("1234"), fail(true)), streams(content("never")), 200, `"type":"overloaded_error"}}` + "\n\n", estimated(plainStream, 4)},
		"after usage":                {streams(content("1234"), used(3, 1), fail(true)), nil, 200, `"type":"overloaded_error"}}` + "\n\n", 5_000_000},
		"panics":                     {func(context.Context, chat.Call) (*chat.Response, error) { panic("boom") }, nil, 500, "", 0},
		"unary all the same":         {answers(1, 1), nil, 500, "", 0},
		"after the end marker":       {streams(content("a"), used(1, 0), done(), fail(false)), nil, 200, "[DONE]\n\n", 1_000_000},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key(goodKey, usd)
			w.serve(c.first)
			w.serveModel("second", c.second)
			got := w.chat(plainStream)
			if got.status != c.status || !strings.HasSuffix(got.body, c.want) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if c.status != 200 {
				got.failure(t)
			}
			if strings.Contains(got.body, "never") || strings.Count(got.body, "assistant") > 1 {
				t.Errorf("two backends in one answer: %s", got.body)
			}
			if strings.Contains(got.body, `"error"`) && strings.Contains(got.body, "[DONE]") {
				t.Errorf("an error and [DONE]: %s", got.body)
			}
			if spent := usd - w.balance(); spent != c.charged {
				t.Errorf("charged %d, want %d", spent, c.charged)
			}
			w.sound()
		})
	}
}

// Without content the headers wait only so long; then comments keep the connection alive, and another backend may still
// take over.
func TestHeartbeats(t *testing.T) {
	w := newWorld(t, fast)
	w.key(goodKey, usd)
	events := make(chan chat.Event)
	w.serve(live(events))
	w.serveModel("second", streams(role(), content("b"), used(1, 0), done()))
	resp := w.open(t.Context(), http.MethodPost, "/v1/chat/completions", goodKey, helloStream)
	r := bufio.NewReader(resp.Body)
	for range 3 {
		for _, want := range []string{": heartbeat\n", "\n"} {
			if line, err := r.ReadString('\n'); err != nil || line != want {
				t.Fatalf("%q %v, want %q", line, err, want)
			}
		}
	}
	events <- role()
	events <- chat.Event{Err: &chat.Error{Status: 503, Message: "busy", Fallback: true}}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(string(rest), heartbeat, "")
	if !strings.HasPrefix(got, raws(role(), content("b"))) || strings.Count(got, "assistant") != 1 {
		t.Errorf("body %s", got)
	}
	w.sound()
}

func TestErrorAfterHeartbeat(t *testing.T) {
	w := newWorld(t, fast)
	w.key(goodKey, usd)
	events := make(chan chat.Event)
	w.serve(live(events))
	resp := w.open(t.Context(), http.MethodPost, "/v1/chat/completions", goodKey, helloStream)
	events <- chat.Event{Err: &chat.Error{Status: 500, Type: "api_error", Message: "sorry"}}
	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(rest); resp.StatusCode != http.StatusOK || !strings.Contains(got, `"message":"sorry"`) || strings.Contains(got, "[DONE]") {
		t.Errorf("%d %s", resp.StatusCode, got)
	}
	if w.balance() != usd {
		t.Errorf("balance %d", w.balance())
	}
	w.sound()
}

// A client that leaves mid-stream is billed once, for what the provider reports in the end.
func TestDisconnect(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	events := make(chan chat.Event)
	w.serve(live(events))
	ctx, leave := context.WithCancel(t.Context())
	go func() { events <- content("a") }()
	resp := w.open(ctx, http.MethodPost, "/v1/chat/completions", goodKey, helloStream)
	leave()
	_ = resp.Body.Close()
	for _, ev := range []chat.Event{content("b"), content("c"), used(20, 10), done()} {
		events <- ev // the upstream is read to its end
	}
	close(events)
	eventually(t, "charge", func() bool { return w.balance() == usd-40_000_000 })
	eventually(t, "log", func() bool { return strings.Contains(w.log.String(), "clientLeft=true") })
	w.sound()
}

// Without room for one more call without client, the call is cut and what was streamed is billed.
func TestDisconnectWithoutRoom(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *snapshot.Snapshot) { o.MaxDrained = 1 })
	w.key(goodKey, usd)
	if !w.server.drained.TryAcquire(1) {
		t.Fatal("no room at all")
	}
	events := make(chan chat.Event)
	w.serve(live(events))
	ctx, leave := context.WithCancel(t.Context())
	go func() { events <- content("12345678") }()
	resp := w.open(ctx, http.MethodPost, "/v1/chat/completions", goodKey, helloStream)
	leave()
	_ = resp.Body.Close()
	eventually(t, "charge", func() bool { return w.balance() == usd-estimated(helloStream, 8) })
	w.sound()
}

// A unary client that leaves has been answered as far as we can: it is billed.
func TestUnaryDisconnect(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	entered, goOn := make(chan struct{}), make(chan struct{})
	w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		close(entered)
		<-goOn
		if ctx.Err() != nil {
			t.Error("the call was ended with its client")
		}
		return answers(20, 10)(ctx, c)
	})
	conn, err := net.Dial("tcp", w.api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	request := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + goodKey + "\r\nContent-Length: " + strconv.Itoa(len(hello)) + "\r\n\r\n" + hello
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	<-entered
	_ = conn.Close()
	close(goOn)
	eventually(t, "charge", func() bool { return w.balance() == usd-40_000_000 })
	w.sound()
}

// A client that does not read is given up after the write timeout, and billed.
func TestStalledClient(t *testing.T) {
	w := newWorld(t, func(o *Options, _ *snapshot.Snapshot) { o.WriteTimeout = 50 * time.Millisecond })
	w.key(goodKey, usd)
	big := make([]chat.Event, 0, 200)
	for range 200 {
		big = append(big, content(strings.Repeat("x", 100_000)))
	}
	w.serve(streams(append(big, used(20, 10), done())...))
	w.open(t.Context(), http.MethodPost, "/v1/chat/completions", goodKey, helloStream) // never read
	eventually(t, "charge", func() bool { return w.balance() == usd-40_000_000 })
	eventually(t, "log", func() bool { return strings.Contains(w.log.String(), "client_gone") })
}

func TestTotalTime(t *testing.T) {
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) {
		for i := range s.Models {
			s.Models[i].Times.TotalSeconds = 1
		}
	})
	w.key(goodKey, usd)
	w.serve(live(make(chan chat.Event)))
	got := w.chat(helloStream)
	if got.status != http.StatusGatewayTimeout {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.sound()
}
