package client

import (
	"encoding/json"
	"strings"
)

// Answer implements Protocol.
func (Messages) Answer(body []byte) (*Answer, error) {
	var m message
	if err := decode(body, &m, "a message"); err != nil {
		return nil, err
	}
	switch {
	case m.Type != "message" || m.Role != "assistant":
		return nil, mismatch(`type "message" of the role "assistant"`, "type %q, role %q", m.Type, m.Role)
	case m.ID == "" || m.Model == "":
		return nil, mismatch("id and model", "id %q, model %q", m.ID, m.Model)
	case m.StopReason == nil:
		return nil, mismatch("a stop_reason", "none: %s", body)
	case m.Usage == nil || m.Usage.Input == nil || m.Usage.Output == nil:
		return nil, mismatch("usage with input_tokens and output_tokens", "%s", body)
	}
	a := &Answer{ID: m.ID, Model: m.Model, Finish: finish(stops, *m.StopReason), Usage: m.Usage.usage(), Raw: marshal(m.Content)}
	for _, raw := range m.Content {
		var b block
		if err := decode(raw, &b, "a content block"); err != nil {
			return nil, err
		}
		a.block(&b, string(b.Input))
	}
	return a, a.checkCalls()
}

// block adds a block that is whole.
func (a *Answer) block(b *block, input string) {
	switch b.Type {
	case "text":
		a.Text += b.Text
		for _, c := range b.Citations {
			a.Citations = append(a.Citations, c.URL)
		}
	case "thinking":
		a.Reasoning += b.Thinking
		a.Signed = a.Signed || b.Signature != ""
	case "redacted_thinking":
		a.Signed = a.Signed || b.Data != ""
	case "tool_use":
		a.Calls = append(a.Calls, Call{ID: b.ID, Name: b.Name, Arguments: input})
	}
}

// messageEvent is any event of a stream.
type messageEvent struct {
	Type    string   `json:"type"`
	Index   *int     `json:"index"`
	Message *message `json:"message"`
	Block   *block   `json:"content_block"`
	Delta   struct {
		Type       string   `json:"type"`
		Text       string   `json:"text"`
		Thinking   string   `json:"thinking"`
		Signature  string   `json:"signature"`
		Partial    string   `json:"partial_json"`
		Citation   citation `json:"citation"`
		StopReason *string  `json:"stop_reason"`
	} `json:"delta"`
	Usage *messageUsage   `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// blocks reads a stream of messages.
type blocks struct {
	answer       Answer
	begun, ended bool
	next         int
	open         *block
	input        strings.Builder
	stop         *string
	in           int64
}

// Stream implements Protocol. Usage comes whether it is asked for or not.
func (Messages) Stream(events []Event, _ bool) (*Answer, error) {
	var s blocks
	for i, e := range events {
		var m messageEvent
		if err := decode(e.Data, &m, "an event"); err != nil {
			return nil, err
		}
		if m.Type == "" || e.Name != m.Type {
			return nil, mismatch("an event: line that repeats the event's type", "event %q, type %q", e.Name, m.Type)
		}
		if err := s.take(&m, e.Data); err != nil {
			return nil, err
		}
		if s.ended && i != len(events)-1 {
			return nil, mismatch("message_stop as the last event", "%d events behind it", len(events)-1-i)
		}
	}
	return s.end()
}

func (s *blocks) take(m *messageEvent, data []byte) error {
	switch m.Type {
	case "ping":
		return nil
	case "error":
		return mismatch("an event of the message", "an error: %s", m.Error)
	case "message_start":
		return s.start(m, data)
	}
	if !s.begun {
		return mismatch("message_start first", "%s", data)
	}
	switch m.Type {
	case "content_block_start":
		return s.begin(m, data)
	case "content_block_delta":
		return s.delta(m, data)
	case "content_block_stop":
		return s.close(m, data)
	case "message_delta":
		return s.finish(m, data)
	case "message_stop":
		s.ended = true
	}
	return nil
}

func (s *blocks) start(m *messageEvent, data []byte) error {
	if s.begun || m.Message == nil || m.Message.Role != "assistant" || m.Message.ID == "" || m.Message.Usage == nil || m.Message.Usage.Input == nil {
		return mismatch("one message_start with id, role and usage.input_tokens", "%s", data)
	}
	s.begun, s.in = true, m.Message.Usage.usageIn()
	s.answer.ID, s.answer.Model = m.Message.ID, m.Message.Model
	return nil
}

// usageIn is all input.
func (u *messageUsage) usageIn() int64 { return *u.Input + u.Read + u.Written }

func (s *blocks) begin(m *messageEvent, data []byte) error {
	if s.open != nil || s.stop != nil || m.Block == nil || m.Index == nil || *m.Index != s.next {
		return mismatch("one open block at a time, their indexes counting from 0", "%s", data)
	}
	s.open = m.Block
	s.input.Reset()
	return nil
}

func (s *blocks) delta(m *messageEvent, data []byte) error {
	if s.open == nil || m.Index == nil || *m.Index != s.next {
		return mismatch("a delta of the open block", "%s", data)
	}
	switch m.Delta.Type {
	case "text_delta":
		s.open.Text += m.Delta.Text
	case "thinking_delta":
		s.open.Thinking += m.Delta.Thinking
	case "signature_delta":
		s.open.Signature += m.Delta.Signature
	case "input_json_delta":
		s.input.WriteString(m.Delta.Partial)
	case "citations_delta":
		s.open.Citations = append(s.open.Citations, m.Delta.Citation)
	}
	return nil
}

func (s *blocks) close(m *messageEvent, data []byte) error {
	if s.open == nil || m.Index == nil || *m.Index != s.next {
		return mismatch("the end of the open block", "%s", data)
	}
	input := s.input.String()
	if input == "" {
		// Libraries take the input of the block's start where no delta came.
		input = string(s.open.Input)
	}
	s.answer.block(s.open, input)
	s.open = nil
	s.next++
	return nil
}

func (s *blocks) finish(m *messageEvent, data []byte) error {
	if s.open != nil || m.Usage == nil || m.Usage.Output == nil {
		return mismatch("message_delta behind the blocks, with usage.output_tokens", "%s", data)
	}
	if m.Delta.StopReason != nil {
		s.stop = m.Delta.StopReason
	}
	if m.Usage.Input == nil {
		m.Usage.Input = &s.in
		u := m.Usage.usage()
		u.Input = s.in
		s.answer.Usage = u
		return nil
	}
	s.answer.Usage = m.Usage.usage()
	return nil
}

func (s *blocks) end() (*Answer, error) {
	switch {
	case !s.ended:
		return nil, mismatch("a stream that ends with message_stop", "the end of the stream")
	case s.stop == nil || s.answer.Usage == nil:
		return nil, mismatch("message_delta with stop_reason and usage", "none in the whole stream")
	}
	s.answer.Finish = finish(stops, *s.stop)
	return &s.answer, s.answer.checkCalls()
}
