package openai

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// view is what a client can see of one choice, however it came.
type view struct {
	Text, Refusal, Reasoning string
	Signatures               []string
	Calls                    []viewCall
	Citations                []string
	Finish                   chat.FinishReason
	Logprobs                 int
}

type viewCall struct{ ID, Name, Arguments string }

// viewed is a whole answer.
type viewed struct {
	Choices map[int64]*view
	Sources []string
	Usage   *pricing.Usage
	ID      string
}

func (v *viewed) choice(i int64) *view {
	if v.Choices == nil {
		v.Choices = map[int64]*view{}
	}
	if v.Choices[i] == nil {
		v.Choices[i] = &view{}
	}
	return v.Choices[i]
}

// viewAnswer sees a translated unary answer.
func viewAnswer(r *chat.Response) viewed {
	v := viewed{Usage: r.Usage, ID: r.Answer.ID}
	for _, s := range r.Answer.Sources {
		v.Sources = append(v.Sources, s.URL)
	}
	for _, c := range r.Answer.Choices {
		w := v.choice(c.Index)
		w.Finish = c.Reason
		w.Logprobs = countTokens(c.Logprobs)
		for _, p := range c.Parts {
			w.part(p)
		}
	}
	return v
}

func (v *view) part(p chat.Part) {
	switch p.Kind {
	case chat.PartText:
		v.Text += p.Text
		for _, c := range p.Citations {
			v.Citations = append(v.Citations, c.URL)
		}
	case chat.PartRefusal:
		v.Refusal += p.Text
	case chat.PartThought:
		v.Reasoning += p.Thought.Text
		v.signed(p.Thought)
	case chat.PartCall:
		v.Calls = append(v.Calls, viewCall{p.Call.ID, p.Call.Name, p.Call.Arguments})
	}
}

func (v *view) signed(t *chat.Thought) {
	if s := t.Signature + t.Encrypted; s != "" {
		v.Signatures = append(v.Signatures, s)
	}
}

// viewStream sees a translated stream to its end, and how it was told: the first piece is the start, calls count from 0.
func viewStream(t testing.TB, s chat.Stream) (viewed, error) {
	t.Helper()
	var v viewed
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
		if len(e.Raw) > 0 || len(e.Data) > 0 {
			t.Fatalf("a translated event has bytes: %s", e.Raw)
		}
		if e.Usage != nil {
			v.Usage = e.Usage
		}
		content, size := false, int64(0)
		for i := range e.Pieces {
			p := &e.Pieces[i]
			if first != (p.Kind == chat.PieceStart) {
				t.Fatalf("%s is the first: %v", p.Kind, first)
			}
			first = false
			content = content || p.Content()
			size += p.OutputBytes()
			v.piece(t, p)
		}
		if content && !e.Content || size > e.OutputBytes {
			t.Fatalf("content %v of %d bytes is told as %v of %d", content, size, e.Content, e.OutputBytes)
		}
	}
}

func (v *viewed) piece(t testing.TB, p *chat.Piece) {
	t.Helper()
	w := v.choice(p.Choice)
	switch p.Kind {
	case chat.PieceStart:
		v.ID = p.ID
	case chat.PieceText:
		w.Text += p.Text
	case chat.PieceRefusal:
		w.Refusal += p.Text
	case chat.PieceReasoning:
		w.Reasoning += p.Text
	case chat.PieceSigned:
		w.signed(p.Thought)
	case chat.PieceCall:
		if p.Index != len(w.Calls) {
			t.Fatalf("call %d comes after %d calls", p.Index, len(w.Calls))
		}
		w.Calls = append(w.Calls, viewCall{p.Call.ID, p.Call.Name, p.Call.Arguments})
	case chat.PieceArguments:
		if p.Text == "" {
			t.Fatal("arguments that say nothing")
		}
		w.Calls[p.Index].Arguments += p.Text
	case chat.PieceCitation:
		w.Citations = append(w.Citations, p.Citation.URL)
	case chat.PieceSource:
		v.Sources = append(v.Sources, p.Source.URL)
	case chat.PieceLogprobs:
		w.Logprobs += countTokens(p.Raw)
	case chat.PieceFinish:
		if w.Finish != "" {
			t.Fatal("a choice ends twice")
		}
		w.Finish = p.Finish.Reason
	case chat.PieceUsage:
		if p.Usage == nil {
			t.Fatal("usage that is none")
		}
	}
}

func countTokens(raw json.RawMessage) int {
	var v struct{ Content []any }
	if json.Unmarshal(raw, &v) != nil {
		return 0
	}
	return len(v.Content)
}
