package openai

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

const (
	plainBody  = `{"model":"public","messages":[{"role":"user","content":"hi"}]}`
	streamBody = `{"model":"public","messages":[{"role":"user","content":"hi"}],"stream":true}`
)

func request(t testing.TB, body string, stream bool) *chat.Request {
	t.Helper()
	fields, err := jsonscan.Scan([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &chat.Request{ID: "req_1", Model: "public", Stream: stream, Choices: 1, Body: []byte(body), Fields: fields}
}

func call(t testing.TB, base, body string, stream bool) chat.Call {
	return chat.Call{
		Request: request(t, body, stream), Model: "theirs",
		Provider: &snapshot.Provider{Type: snapshot.OpenAICompatible, BaseURL: base, Credential: "secret-credential"},
		Timeouts: snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 5, IdleSeconds: 5, TotalSeconds: 20},
	}
}

func newUpstream(t testing.TB) *Upstream {
	client := transport.New(transport.Options{Version: "test", Now: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	t.Cleanup(client.CloseIdle)
	return New(client)
}

func serve(t testing.TB, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// answer serves one fixed answer.
func answer(t testing.TB, status int, contentType, body string, headers ...string) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// collected is a stream read to its end.
type collected struct {
	raw         string
	usage       *pricing.Usage
	usageOnly   int
	content     int
	outputBytes int64
	id          string
	done        bool
	inStream    *chat.Error
}

func collect(s chat.Stream) (collected, error) {
	var c collected
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		c.raw += string(e.Raw)
		c.outputBytes += e.OutputBytes
		c.done = c.done || e.Done
		if e.Usage != nil {
			c.usage = e.Usage
		}
		if e.UsageOnly {
			c.usageOnly++
		}
		if e.Content {
			c.content++
		}
		if e.UpstreamID != "" {
			c.id = e.UpstreamID
		}
		if e.Err != nil {
			c.inStream = e.Err
		}
	}
}

// streamFrom reads a body as a stream of chat completions, without HTTP.
func streamFrom(t testing.TB, body io.Reader) (collected, error) {
	return replay(t, body, reading{}.stream)
}

// replay reads a body as a stream, without HTTP.
func replay(t testing.TB, body io.Reader, open func(*transport.Answer) chat.Stream) (collected, error) {
	t.Helper()
	s := open(transport.Replay(io.NopCloser(body), true))
	defer func() { _ = s.Close() }()
	return collect(s)
}

func chatError(t testing.TB, err error) *chat.Error {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *chat.Error", err)
	}
	return e
}

// rewritten is the body that goes to the upstream.
func rewritten(t testing.TB, c chat.Call) string {
	t.Helper()
	pieces, _, err := rewrite(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.Join(pieces, nil))
}
