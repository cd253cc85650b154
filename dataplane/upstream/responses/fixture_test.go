package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API, Capability string
	Stream                        bool
	Status                        int
	Files                         struct {
		Body    string `json:"response_body"`
		Request string `json:"request_body"`
	}
	body, request []byte
}

// recorded are OpenAI's recordings of Responses.
func recorded(t *testing.T) []recording {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout; the other tests cover the rules:", err)
	}
	var all, out []recording
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.API != "responses" || r.Provider != "openai" {
			continue
		}
		if r.body, err = os.ReadFile(filepath.Join(recordings, r.Files.Body)); err != nil {
			t.Fatal(err)
		}
		if r.Files.Request != "" {
			if r.request, err = os.ReadFile(filepath.Join(recordings, r.Files.Request)); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, r)
	}
	if len(out) < 30 {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

// view is what a client can see of an answer, however it came.
type view struct {
	ID, Text, Refusal, Reasoning string
	Encrypted                    []string
	Calls                        []viewCall
	Citations                    []viewCitation
	Sources                      []string
	Finish                       chat.FinishReason
	Usage                        *pricing.Usage
	Logprobs                     int
}

type viewCall struct{ ID, Name, Arguments string }

type viewCitation struct {
	URL        string
	Start, End int64
}

func viewAnswer(a *chat.Answer, u *pricing.Usage) view {
	v := view{ID: a.ID, Usage: u, Finish: a.Choices[0].Reason, Logprobs: countTokens(a.Choices[0].Logprobs)}
	for _, s := range a.Sources {
		v.Sources = append(v.Sources, s.URL)
	}
	for _, p := range a.Choices[0].Parts {
		switch p.Kind {
		case chat.PartText:
			v.Text += p.Text
			for _, c := range p.Citations {
				v.Citations = append(v.Citations, viewCitation{c.URL, c.Start, c.End})
			}
		case chat.PartRefusal:
			v.Refusal += p.Text
		case chat.PartThought:
			v.Reasoning += p.Thought.Text
			if p.Thought.Encrypted != "" {
				v.Encrypted = append(v.Encrypted, p.Thought.Encrypted)
			}
		case chat.PartCall:
			v.Calls = append(v.Calls, viewCall{p.Call.ID, p.Call.Name, p.Call.Arguments})
		}
	}
	return v
}

func countTokens(raw json.RawMessage) int {
	var v struct{ Content []any }
	if json.Unmarshal(raw, &v) != nil {
		return 0
	}
	return len(v.Content)
}

// viewStream sees a stream to its end, and how it was told.
func viewStream(t testing.TB, s chat.Stream) (view, error) {
	t.Helper()
	var v view
	first := true
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err != nil {
			return v, err
		}
		if e.Err != nil {
			return v, e.Err
		}
		if e.Usage != nil {
			v.Usage = e.Usage
		}
		for i := range e.Pieces {
			if first != (e.Pieces[i].Kind == chat.PieceStart) {
				t.Fatalf("%s is the first: %v", e.Pieces[i].Kind, first)
			}
			first = false
			v.piece(t, &e.Pieces[i])
		}
	}
}

func (v *view) piece(t testing.TB, p *chat.Piece) {
	t.Helper()
	switch p.Kind {
	case chat.PieceStart:
		v.ID = p.ID
	case chat.PieceText:
		v.Text += p.Text
	case chat.PieceRefusal:
		v.Refusal += p.Text
	case chat.PieceReasoning:
		v.Reasoning += p.Text
	case chat.PieceSigned:
		v.Encrypted = append(v.Encrypted, p.Thought.Encrypted)
	case chat.PieceCall:
		if p.Index != len(v.Calls) {
			t.Fatalf("call %d comes after %d calls", p.Index, len(v.Calls))
		}
		v.Calls = append(v.Calls, viewCall{p.Call.ID, p.Call.Name, p.Call.Arguments})
	case chat.PieceArguments:
		if p.Text == "" {
			t.Fatal("arguments that say nothing")
		}
		v.Calls[p.Index].Arguments += p.Text
	case chat.PieceCitation:
		v.Citations = append(v.Citations, viewCitation{p.Citation.URL, p.Citation.Start, p.Citation.End})
	case chat.PieceSource:
		v.Sources = append(v.Sources, p.Source.URL)
	case chat.PieceLogprobs:
		v.Logprobs += countTokens(p.Raw)
	case chat.PieceFinish:
		if v.Finish != "" {
			t.Fatal("it ends twice")
		}
		v.Finish = p.Finish.Reason
	case chat.PieceUsage:
		v.Usage = p.Usage
	}
}

// replay reads a body as a translated stream, without HTTP.
func replay(t testing.TB, d Dialect, body io.Reader) (view, error) {
	t.Helper()
	s := d.Stream(transport.Replay(io.NopCloser(body), true), false)
	defer func() { _ = s.Close() }()
	return viewStream(t, s)
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

// splits are ways to cut a body: a byte at a time, and a small one in two at every offset.
func splits(body []byte) map[string]io.Reader {
	out := map[string]io.Reader{"a byte at a time": iotest.OneByteReader(bytes.NewReader(body))}
	if len(body) > 4000 {
		return out
	}
	for i := range body {
		out["cut before "+string(body[i:])] = &cut{first: body[:i], rest: body[i:]}
	}
	return out
}

// eventsOf writes a stream of events, each a JSON object with its type.
func eventsOf(datas ...string) string {
	var b strings.Builder
	for _, d := range datas {
		b.WriteString("event: " + text([]byte(d), "type") + "\ndata: " + d + "\n\n")
	}
	return b.String()
}
