package gemini

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// zeros makes every synthesised id the same length and known.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

const zeroID = idPrefix + "000000000000000000000000"

func newUpstream(t testing.TB) *Upstream {
	client := transport.New(transport.Options{Version: "test", Now: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	t.Cleanup(client.CloseIdle)
	return New(client, Options{Random: zeros{}})
}

func call(base, model string, p *chat.Prompt, stream bool) chat.Call {
	return chat.Call{
		Request: &chat.Request{
			ID: "req_1", Protocol: chat.Completions, Model: "public", Stream: stream, Choices: 1,
			Translate: func() (*chat.Prompt, error) { return p, nil },
		},
		Model:    model,
		Provider: &snapshot.Provider{Type: snapshot.Gemini, BaseURL: base, Credential: "secret-credential"},
		Timeouts: snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 5, IdleSeconds: 5, TotalSeconds: 20},
	}
}

func hello() *chat.Prompt {
	return &chat.Prompt{Choices: 1, Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartText, Text: "Hello"}}}}}
}

// answer serves one fixed answer.
func answer(t testing.TB, status int, contentType, body string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// ask sends a prompt to a server that answers with body.
func ask(t testing.TB, body string) (*chat.Response, error) {
	return newUpstream(t).Do(context.Background(), call(answer(t, 200, "application/json", body), "gemini-3.5-flash", hello(), false))
}

// told is what a stream says, put together.
type told struct {
	id, model       string
	text, reasoning map[int64]string
	signatures      []string
	calls           map[int64][]chat.ToolCall
	citations       []chat.Citation
	sources         []chat.Source
	finish          map[int64]chat.Finish
	logprobs        []string
	usage           *pricing.Usage
	content         int
	bytes           int64
	err             *chat.Error
}

func collect(s chat.Stream) (told, error) {
	out := told{text: map[int64]string{}, reasoning: map[int64]string{}, calls: map[int64][]chat.ToolCall{}, finish: map[int64]chat.Finish{}}
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if e.Content {
			out.content++
		}
		out.bytes += e.OutputBytes
		if e.Usage != nil {
			out.usage = e.Usage
		}
		if e.Err != nil {
			out.err = e.Err
		}
		if len(e.Raw) > 0 {
			return out, errors.New("a translated event has Raw")
		}
		for _, p := range e.Pieces {
			if err := out.add(p); err != nil {
				return out, err
			}
		}
	}
}

func (o *told) add(p chat.Piece) error {
	switch p.Kind {
	case chat.PieceStart:
		o.id, o.model = p.ID, p.Model
	case chat.PieceText:
		o.text[p.Choice] += p.Text
	case chat.PieceReasoning:
		o.reasoning[p.Choice] += p.Text
	case chat.PieceSigned:
		o.signatures = append(o.signatures, p.Thought.Signature)
	case chat.PieceCall:
		if p.Index != len(o.calls[p.Choice]) {
			return errors.New("a call has the wrong index")
		}
		o.calls[p.Choice] = append(o.calls[p.Choice], *p.Call)
	case chat.PieceCitation:
		o.citations = append(o.citations, *p.Citation)
	case chat.PieceSource:
		o.sources = append(o.sources, *p.Source)
	case chat.PieceLogprobs:
		o.logprobs = append(o.logprobs, string(p.Raw))
	case chat.PieceFinish:
		if _, twice := o.finish[p.Choice]; twice {
			return errors.New("a choice finished twice")
		}
		o.finish[p.Choice] = *p.Finish
	case chat.PieceUsage:
	default:
		return errors.New("an unknown piece")
	}
	return nil
}

// streamFrom reads a body as a stream, without HTTP.
func streamFrom(body io.Reader) (told, error) {
	a := transport.Replay(io.NopCloser(body), true)
	s := newStream(a, newDecoder(a, plan{perQuery: true}, &idSource{random: zeros{}}))
	defer func() { _ = s.Close() }()
	return collect(s)
}

func streamText(body string) (told, error) { return streamFrom(bytes.NewReader([]byte(body))) }

func chatError(t testing.TB, err error) *chat.Error {
	t.Helper()
	var e *chat.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *chat.Error", err)
	}
	return e
}

// cut gives out its two parts in two reads or more, never in one.
type cut struct{ first, rest []byte }

func (c *cut) Read(b []byte) (int, error) {
	from := &c.first
	if len(c.first) == 0 {
		from = &c.rest
	}
	n := copy(b, *from)
	*from = (*from)[n:]
	if n == 0 && len(c.rest) == 0 {
		return 0, io.EOF
	}
	return n, nil
}
