package wire

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// messagesUsage is Anthropic's usage. A stream tells it twice: what is there overwrites.
type messagesUsage struct {
	Input    *int64 `json:"input_tokens"`
	Read     *int64 `json:"cache_read_input_tokens"`
	Created  *int64 `json:"cache_creation_input_tokens"`
	Creation *struct {
		Hour int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	Output  *int64 `json:"output_tokens"`
	Details *struct {
		Thinking int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
	Server *struct {
		Searches int64 `json:"web_search_requests"`
	} `json:"server_tool_use"`
}

func (u *messagesUsage) usage() *Usage {
	if u.Input == nil || u.Output == nil {
		return nil
	}
	n := func(p *int64) int64 {
		if p == nil {
			return 0
		}
		return *p
	}
	out := &Usage{Input: *u.Input, Read: n(u.Read), Write: n(u.Created), Output: *u.Output}
	if u.Creation != nil {
		out.WriteHour = u.Creation.Hour
		out.Write -= out.WriteHour
	}
	if u.Details != nil {
		out.Reasoning = u.Details.Thinking
	}
	if u.Server != nil {
		out.Searches = u.Server.Searches
	}
	return out
}

type messagesBlock struct {
	Type, Text, Thinking, Signature, Data, ID, Name string
	Input, Content                                  json.RawMessage
	Citations                                       []messagesCitation
	partial                                         string
}

type messagesCitation struct {
	URL, Source, Title string
	Document           string `json:"document_title"`
}

type messagesStop struct {
	Reason  *string `json:"stop_reason"`
	Details *struct{ Explanation string }
}

type messagesError struct {
	Type, Message string
	Details       json.RawMessage
}

func (e messagesError) failure(status int) *Failure {
	f := &Failure{Status: status, Type: e.Type, Message: e.Message}
	var d struct {
		Code string `json:"error_code"`
	}
	_ = json.Unmarshal(e.Details, &d) // details of another shape have no code
	f.Code = d.Code
	return f
}

// Messages reads an answer of Anthropic's Messages, whoever wrote it: what it says, and where it breaks the protocol.
func Messages(status int, stream bool, body []byte) (View, []string) {
	r := messagesReader{}
	switch {
	case status != 200:
		var e struct{ Error messagesError }
		r.check(json.Unmarshal(body, &e) == nil && e.Error.Type != "" && e.Error.Message != "", "an error without type or message: %.100s", body)
		r.view.Failure = e.Error.failure(status)
	case stream:
		r.stream(body)
	default:
		var m struct {
			Content []messagesBlock
			Details *struct{ Explanation string } `json:"stop_details"`
			Reason  *string                       `json:"stop_reason"`
			Usage   messagesUsage
		}
		r.check(json.Unmarshal(body, &m) == nil, "a message that does not decode: %.100s", body)
		r.blocks, r.usage, r.stop = m.Content, m.Usage, messagesStop{m.Reason, m.Details}
		r.finish()
	}
	return r.view.settle(), r.problems
}

type messagesReader struct {
	view     View
	problems []string
	blocks   []messagesBlock
	usage    messagesUsage
	stop     messagesStop
	// started, open and stopped are where a stream is.
	started, open, stopped, delta bool
}

func (r *messagesReader) check(ok bool, format string, values ...any) {
	if !ok {
		r.problems = append(r.problems, fmt.Sprintf(format, values...))
	}
}

type messagesEvent struct {
	Type    string
	Index   int
	Message *struct{ Usage *messagesUsage }
	Block   messagesBlock `json:"content_block"`
	Delta   struct {
		Type, Text, Thinking, Signature string
		Partial                         string `json:"partial_json"`
		Citation                        *messagesCitation
		messagesStop
	}
	Usage json.RawMessage
	Error messagesError
}

func (r *messagesReader) stream(body []byte) {
	for _, raw := range events(body) {
		var e messagesEvent
		if err := json.Unmarshal([]byte(raw.data), &e); err != nil {
			r.check(false, "an event that does not decode: %v", err)
			continue
		}
		r.check(raw.name == e.Type, "event %q has the type %q", raw.name, e.Type)
		r.check(!r.stopped, "%s behind message_stop", e.Type)
		r.check(r.started || e.Type == "message_start" || e.Type == "ping" || e.Type == "error", "%s before message_start", e.Type)
		r.event(&e)
	}
	if r.view.Failure == nil {
		r.check(r.delta && r.stopped && !r.open, "no end: message_delta %v, message_stop %v, open block %v", r.delta, r.stopped, r.open)
	}
	r.finish()
}

// deltas are the kinds of deltas that a block takes.
var deltas = map[string][]string{
	"text": {"text_delta", "citations_delta"}, "thinking": {"thinking_delta", "signature_delta"},
	"tool_use": {"input_json_delta"}, "server_tool_use": {"input_json_delta"},
}

func (r *messagesReader) event(e *messagesEvent) {
	switch e.Type {
	case "message_start":
		r.check(!r.started, "a second message_start")
		r.started = true
		if e.Message == nil || e.Message.Usage == nil || e.Message.Usage.Input == nil {
			r.check(false, "message_start without usage.input_tokens")
			return
		}
		r.usage = *e.Message.Usage
	case "content_block_start":
		r.check(!r.open && e.Index == len(r.blocks), "block %d opens as number %d, another open: %v", e.Index, len(r.blocks), r.open)
		r.open = true
		r.blocks = append(r.blocks, e.Block)
	case "content_block_delta":
		if !r.open || e.Index != len(r.blocks)-1 {
			r.check(false, "a delta for block %d of %d, one open: %v", e.Index, len(r.blocks), r.open)
			return
		}
		b := &r.blocks[e.Index]
		r.check(slices.Contains(deltas[b.Type], e.Delta.Type), "a %s in a block of %s", e.Delta.Type, b.Type)
		b.Text += e.Delta.Text
		b.Thinking += e.Delta.Thinking
		b.Signature += e.Delta.Signature
		b.partial += e.Delta.Partial
		if e.Delta.Citation != nil {
			b.Citations = append(b.Citations, *e.Delta.Citation)
		}
	case "content_block_stop":
		r.check(r.open && e.Index == len(r.blocks)-1, "block %d stops, %d are there, one open: %v", e.Index, len(r.blocks), r.open)
		r.open = false
	case "message_delta":
		r.check(!r.open, "message_delta while a block is open")
		r.delta, r.stop = true, e.Delta.messagesStop
		var told messagesUsage
		r.check(json.Unmarshal(e.Usage, &told) == nil && told.Output != nil, "message_delta without usage.output_tokens: %s", e.Usage)
		_ = json.Unmarshal(e.Usage, &r.usage) // what is there overwrites
	case "message_stop":
		r.stopped = true
	case "error":
		r.view.Failure = e.Error.failure(200)
	}
}

func (r *messagesReader) finish() {
	c := r.view.choice(0)
	called := false
	for _, b := range r.blocks {
		switch b.Type {
		case "text":
			c.Text += b.Text
			for _, one := range b.Citations {
				where := one.URL + one.Source
				if where == "" {
					where = one.Document
				}
				c.Cited = append(c.Cited, Cited{where, b.Text})
			}
		case "thinking":
			c.Reasoning += b.Thinking
			c.Opaque = append(c.Opaque, unwrapped(b.Signature))
		case "redacted_thinking":
			c.Opaque = append(c.Opaque, b.Data)
		case "tool_use":
			called = true
			arguments := string(b.Input)
			if b.partial != "" {
				arguments = b.partial
			}
			var object map[string]any
			r.check(json.Unmarshal([]byte(arguments), &object) == nil || b.partial != "" && r.view.Failure != nil, "input of %s is no object: %.100s", b.Name, arguments)
			c.Calls = append(c.Calls, Call{b.ID, b.Name, arguments})
		case "web_search_tool_result":
			var results []struct{ URL string }
			_ = json.Unmarshal(b.Content, &results) // an error is no list
			for _, one := range results {
				r.view.Sources = append(r.view.Sources, one.URL)
			}
		}
	}
	r.view.Usage = r.usage.usage()
	if r.stop.Reason == nil {
		r.check(r.view.Failure != nil, "no stop_reason")
		return
	}
	c.Finish = map[string]string{
		"end_turn": FinishStop, "stop_sequence": FinishStop, "pause_turn": FinishStop, "max_tokens": FinishLength,
		"model_context_window_exceeded": FinishLength, "tool_use": FinishTools, "refusal": FinishFilter,
	}[*r.stop.Reason]
	r.check(c.Finish != "", "stop_reason %q", *r.stop.Reason)
	r.check(c.Finish == FinishLength || c.Finish == FinishFilter || called == (c.Finish == FinishTools), "stop_reason %q, a tool called: %v", *r.stop.Reason, called)
	if r.stop.Details != nil && c.Finish == FinishFilter {
		c.Refusal = r.stop.Details.Explanation
	}
}

// unwrapped is what a client of Messages carries in the signature of a thought that is not Anthropic's:
// FORMAT:KIND:ID:VALUE.
func unwrapped(signature string) string {
	if f := strings.SplitN(signature, ":", 4); len(f) == 4 {
		return f[3]
	}
	return signature
}
