package client

import (
	"encoding/json"
	"strings"
)

// responseEvent is any event of a stream.
type responseEvent struct {
	Type     string          `json:"type"`
	Sequence *int64          `json:"sequence_number"`
	Response *response       `json:"response"`
	Index    *int            `json:"output_index"`
	Item     json.RawMessage `json:"item"`
	Delta    string          `json:"delta"`
	Error    json.RawMessage `json:"error"`
}

// sequence reads a stream of a response.
type sequence struct {
	begun bool
	last  int64
	// open and done are output items by their index.
	open, done map[int]bool
	text, args strings.Builder
	answer     *Answer
}

// Stream implements Protocol. Usage comes whether it is asked for or not.
func (Responses) Stream(events []Event, _ bool) (*Answer, error) {
	s := sequence{last: -1, open: map[int]bool{}, done: map[int]bool{}}
	for i, e := range events {
		var m responseEvent
		if err := decode(e.Data, &m, "an event"); err != nil {
			return nil, err
		}
		if m.Type == "" || e.Name != m.Type {
			return nil, mismatch("an event: line that repeats the event's type", "event %q, type %q", e.Name, m.Type)
		}
		if s.answer != nil {
			return nil, mismatch("response.completed as the last event", "%d events behind it", len(events)-i)
		}
		if err := s.take(&m, e.Data); err != nil {
			return nil, err
		}
	}
	if s.answer == nil {
		return nil, mismatch("a stream that ends with response.completed", "the end of the stream after %d events", len(events))
	}
	return s.answer, nil
}

func (s *sequence) take(m *responseEvent, data []byte) error {
	if m.Type == "error" || m.Type == "response.failed" {
		return mismatch("an event of the response", "%s", data)
	}
	if m.Sequence == nil || *m.Sequence <= s.last {
		return mismatch("sequence_number that grows", "%s behind %d", data, s.last)
	}
	s.last = *m.Sequence
	if !s.begun && m.Type != "response.created" {
		return mismatch("response.created first", "%s", data)
	}
	s.begun = true
	switch m.Type {
	case "response.output_item.added", "response.output_item.done":
		return s.item(m, data)
	case "response.output_text.delta":
		s.text.WriteString(m.Delta)
	case "response.function_call_arguments.delta":
		s.args.WriteString(m.Delta)
	case "response.completed", "response.incomplete":
		return s.end(m, data)
	}
	if strings.HasSuffix(m.Type, ".delta") && (m.Index == nil || !s.open[*m.Index]) {
		return mismatch("a delta of an open output item", "%s", data)
	}
	return nil
}

func (s *sequence) item(m *responseEvent, data []byte) error {
	if m.Index == nil {
		return mismatch("an output_index", "%s", data)
	}
	i := *m.Index
	if m.Type == "response.output_item.added" {
		if s.open[i] || s.done[i] || i != len(s.open)+len(s.done) {
			return mismatch("output items whose index counts from 0", "%s", data)
		}
		s.open[i] = true
		return nil
	}
	if !s.open[i] {
		return mismatch("the end of an output item that was added", "%s", data)
	}
	delete(s.open, i)
	s.done[i] = true
	return nil
}

// end reads the response that is told once more, and holds it to the deltas.
func (s *sequence) end(m *responseEvent, data []byte) error {
	if m.Response == nil {
		return mismatch("a response in "+m.Type, "%s", data)
	}
	if m.Response.Status == "completed" && len(s.open) > 0 {
		return mismatch("output items that all end", "%d open", len(s.open))
	}
	a, err := m.Response.answer(data)
	if err != nil {
		return err
	}
	var args string
	for _, c := range a.Calls {
		args += c.Arguments
	}
	switch {
	case a.Text != s.text.String():
		return mismatch("deltas that come to the response's text", "%q and %q", s.text.String(), a.Text)
	case s.args.Len() > 0 && args != s.args.String():
		return mismatch("deltas that come to the calls' arguments", "%q and %q", s.args.String(), args)
	}
	s.answer = a
	return nil
}
