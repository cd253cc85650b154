package client

import (
	"strings"
)

// Answer implements Protocol.
func (Completions) Answer(body []byte) (*Answer, error) {
	var c completion
	if err := decode(body, &c, "a chat completion"); err != nil {
		return nil, err
	}
	switch {
	case c.Object != "chat.completion":
		return nil, mismatch(`object "chat.completion"`, "%q", c.Object)
	case c.ID == "" || c.Model == "" || c.Created == "":
		return nil, mismatch("id, model and created", "id %q, model %q, created %q", c.ID, c.Model, c.Created)
	case len(c.Choices) != 1:
		return nil, mismatch("one choice", "%d: %s", len(c.Choices), body)
	case c.Choices[0].FinishReason == nil:
		return nil, mismatch("a finish_reason", "none: %s", body)
	}
	choice := c.Choices[0]
	var message completionDelta
	if err := decode(choice.Message, &message, "a message"); err != nil {
		return nil, err
	}
	if message.Role != "assistant" {
		return nil, mismatch("a message of the assistant", "role %q", message.Role)
	}
	a := &Answer{ID: c.ID, Model: c.Model, Raw: choice.Message, Finish: finish(finishes, *choice.FinishReason)}
	a.take(&message)
	for _, call := range message.ToolCalls {
		if call.Function.Arguments == nil || call.Type != "function" {
			return nil, mismatch("tool calls with type function and arguments", "%s", choice.Message)
		}
		a.Calls = append(a.Calls, Call{ID: call.ID, Name: call.Function.Name, Arguments: *call.Function.Arguments})
		a.Signed = a.Signed || call.Extra.Google.Signature != ""
	}
	var err error
	if a.Usage, err = c.Usage.usage(); err != nil {
		return nil, err
	}
	if a.Usage == nil {
		return nil, mismatch("usage", "none")
	}
	return a, a.checkCalls()
}

// take adds what a message or a delta says, its calls left out.
func (a *Answer) take(d *completionDelta) {
	if d.Content != nil {
		a.Text += *d.Content
	}
	// Both may be there and say the same.
	if d.ReasoningContent != "" {
		a.Reasoning += d.ReasoningContent
	} else {
		a.Reasoning += d.Reasoning
	}
	for _, r := range d.ReasoningDetails {
		a.Signed = a.Signed || r.Signature != "" || r.Data != ""
	}
	for _, n := range d.Annotations {
		if n.Type == "url_citation" {
			a.Citations = append(a.Citations, n.URL.URL)
		}
	}
}

// chunks reads a stream of chat completions.
type chunks struct {
	answer              Answer
	begun, ended, usage bool
	calls               []*completionCall
	arguments           []strings.Builder
}

// Stream implements Protocol.
func (Completions) Stream(events []Event, usage bool) (*Answer, error) {
	var s chunks
	for i, e := range events {
		if string(e.Data) == "[DONE]" {
			if i != len(events)-1 {
				return nil, mismatch("[DONE] as the last event", "%d events behind it", len(events)-1-i)
			}
			return s.end(usage)
		}
		if err := s.next(e.Data); err != nil {
			return nil, err
		}
	}
	return nil, mismatch("a stream that ends with data: [DONE]", "the end of the stream after %d events", len(events))
}

func (s *chunks) next(data []byte) error {
	var c completion
	if err := decode(data, &c, "a chunk"); err != nil {
		return err
	}
	if len(c.Error) > 0 && string(c.Error) != "null" {
		return mismatch("a chunk", "an error: %s", c.Error)
	}
	if c.Object != "chat.completion.chunk" {
		return mismatch(`object "chat.completion.chunk"`, "%q", c.Object)
	}
	if c.ID == "" || s.answer.ID != "" && c.ID != s.answer.ID {
		return mismatch("the same id in every chunk", "%q and %q", s.answer.ID, c.ID)
	}
	s.answer.ID, s.answer.Model = c.ID, c.Model
	for i := range c.Choices {
		if err := s.choice(&c.Choices[i], data); err != nil {
			return err
		}
	}
	return s.count(c.Usage)
}

func (s *chunks) count(u *completionUsage) error {
	got, err := u.usage()
	if err != nil || got == nil {
		return err
	}
	if s.usage {
		return mismatch("usage in one chunk", "in two")
	}
	if !s.ended {
		return mismatch("usage at the end", "before any finish_reason")
	}
	s.usage, s.answer.Usage = true, got
	return nil
}

func (s *chunks) choice(c *completionChoice, data []byte) error {
	if c.Index == nil || *c.Index != 0 || c.Delta == nil {
		return mismatch("a choice with index 0 and a delta", "%s", data)
	}
	if !s.begun && c.Delta.Role != "assistant" {
		return mismatch("the role in the first chunk", "%s", data)
	}
	s.begun = true
	said := c.Delta.Content != nil && *c.Delta.Content != "" || len(c.Delta.ToolCalls) > 0
	if s.ended && (said || c.FinishReason != nil) {
		return mismatch("nothing behind the finish_reason", "%s", data)
	}
	s.answer.take(c.Delta)
	for i := range c.Delta.ToolCalls {
		if err := s.call(&c.Delta.ToolCalls[i], data); err != nil {
			return err
		}
	}
	if c.FinishReason != nil {
		s.ended, s.answer.Finish = true, finish(finishes, *c.FinishReason)
	}
	return nil
}

// call takes a delta of a call: the first of each has id and name, and the indexes count from 0.
func (s *chunks) call(c *completionCall, data []byte) error {
	if c.Index == nil || *c.Index < 0 || *c.Index > int64(len(s.calls)) {
		return mismatch("tool calls whose index counts from 0", "%s", data)
	}
	if *c.Index == int64(len(s.calls)) {
		if c.ID == "" || c.Function.Name == "" || c.Type != "function" {
			return mismatch("id, type and name in the first delta of a tool call", "%s", data)
		}
		s.calls = append(s.calls, c)
		s.arguments = append(s.arguments, strings.Builder{})
	}
	if c.Function.Arguments != nil {
		s.arguments[*c.Index].WriteString(*c.Function.Arguments)
	}
	s.answer.Signed = s.answer.Signed || c.Extra.Google.Signature != ""
	return nil
}

func (s *chunks) end(usage bool) (*Answer, error) {
	a := &s.answer
	switch {
	case !s.ended:
		return nil, mismatch("a finish_reason", "none in the whole stream")
	case usage && !s.usage:
		return nil, mismatch("usage, which was asked for", "none in the whole stream")
	case !usage && s.usage:
		return nil, mismatch("no usage, which was not asked for", "%s", marshal(a.Usage))
	}
	for i, c := range s.calls {
		a.Calls = append(a.Calls, Call{ID: c.ID, Name: c.Function.Name, Arguments: s.arguments[i].String()})
	}
	return a, a.checkCalls()
}
