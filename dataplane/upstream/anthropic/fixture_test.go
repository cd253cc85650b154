package anthropic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

const (
	plainBody  = `{"model":"public","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`
	streamBody = `{"model":"public","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true}`
)

// hello is the shortest prompt.
func hello() *chat.Prompt {
	return &chat.Prompt{Choices: 1, Messages: []chat.Message{says(chat.User, "hi")}}
}

func says(role chat.Role, texts ...string) chat.Message {
	m := chat.Message{Role: role}
	for _, t := range texts {
		m.Parts = append(m.Parts, chat.Part{Kind: chat.PartText, Text: t})
	}
	return m
}

// passes is a call of a client that speaks Messages.
func passes(t testing.TB, base, body string, stream bool) chat.Call {
	t.Helper()
	fields, err := jsonscan.Scan([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return chat.Call{
		Request: &chat.Request{
			ID: "req_1", Protocol: chat.Messages, Model: "public", Stream: stream, Choices: 1, Body: []byte(body), Fields: fields,
		},
		Model:    "claude-sonnet-5",
		Provider: &snapshot.Provider{Type: snapshot.Anthropic, BaseURL: base, Credential: "secret-credential"},
		Timeouts: snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 5, IdleSeconds: 5, TotalSeconds: 20},
	}
}

// translated is a call of a client of another protocol.
func translated(t testing.TB, base string, p *chat.Prompt, stream bool) chat.Call {
	c := passes(t, base, plainBody, stream)
	c.Request.Protocol = chat.Completions
	c.Request.Translate = func() (*chat.Prompt, error) { return p, nil }
	return c
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
	pieces      []chat.Piece
	usage       *pricing.Usage
	content     int
	outputBytes int64
	id          string
	done        bool
	inStream    *chat.Error
}

var exported = cmp.AllowUnexported(collected{})

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
		c.pieces = append(c.pieces, e.Pieces...)
		c.outputBytes += e.OutputBytes
		c.done = c.done || e.Done
		if e.Usage != nil {
			c.usage = e.Usage
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

// passed and decoded read a body as a stream, without HTTP.
func passed(body io.Reader) (collected, error) {
	s := &stream{answer: transport.Replay(io.NopCloser(body), true)}
	defer func() { _ = s.Close() }()
	return collect(s)
}

func decoded(body io.Reader, r reading) (collected, error) {
	s := &stream{answer: transport.Replay(io.NopCloser(body), true), decoder: newDecoder(r)}
	defer func() { _ = s.Close() }()
	return collect(s)
}

// answerOf makes one answer of a stream's pieces, as a client of it would.
func answerOf(c collected) *chat.Answer {
	out := &chat.Answer{}
	for _, p := range c.pieces {
		if p.Kind == chat.PieceStart {
			out.ID, out.Model = p.ID, p.Model
		}
	}
	gather(out, c.pieces)
	return out
}

func chatError(t testing.TB, err error) *chat.Error {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *chat.Error", err)
	}
	return e
}

// built is the request that a prompt becomes, and what was dropped.
func built(t testing.TB, model string, p *chat.Prompt) (map[string]any, []string) {
	t.Helper()
	c := translated(t, "", p, false)
	c.Model, c.MaxOutputTokens = model, 8000
	raw, _, dropped, err := build(c, p)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, raw), dropped
}

func refused(t testing.TB, model string, p *chat.Prompt) *chat.Error {
	t.Helper()
	c := translated(t, "", p, false)
	c.Model = model
	_, _, _, err := build(c, p)
	return chatError(t, err)
}

// parse reads JSON with its numbers as text.
func parse(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

// do sends a call and fails the test on an error.
func do(t testing.TB, c chat.Call) *chat.Response {
	t.Helper()
	r, err := newUpstream(t).Do(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
