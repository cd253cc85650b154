package mockprovider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// chatDialect is OpenAI's chat completions, with the reasoning that compatible providers tell in reasoning_content.
type chatDialect struct{}

// chatRequest is what the provider reads of a body.
type chatRequest struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	N        int    `json:"n"`
	Messages []struct {
		Role      string          `json:"role"`
		Content   json.RawMessage `json:"content"`
		ToolCalls []struct {
			ID string `json:"id"`
		} `json:"tool_calls"`
		ToolCallID string `json:"tool_call_id"`
	} `json:"messages"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools []struct {
		Function struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
		} `json:"function"`
	} `json:"tools"`
	ToolChoice     json.RawMessage `json:"tool_choice"`
	ResponseFormat struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

func (chatDialect) ids() string { return "chatcmpl-mock-%06d" }

func (chatDialect) read(r *http.Request, body []byte, in *request) *failure {
	if f := bearer(r, in.Key); f != nil {
		return f
	}
	var q chatRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return refuse("%v", err)
	}
	if f := q.check(); f != nil {
		return f
	}
	in.Model, in.Stream, in.N, in.Usage, in.Think = q.Model, q.Stream, q.N, q.StreamOptions.IncludeUsage, true
	for _, t := range q.Tools {
		in.Tools = append(in.Tools, tool{Name: t.Function.Name, Schema: t.Function.Parameters})
	}
	in.Force = forced(q.ToolChoice)
	in.Schema, in.JSON = q.ResponseFormat.JSONSchema.Schema, q.ResponseFormat.Type == "json_object"
	in.Prompt = q.prompt()
	in.Results = len(q.Messages) > 0 && q.Messages[len(q.Messages)-1].Role == "tool"
	return nil
}

// bearer checks OpenAI's credential.
func bearer(r *http.Request, key string) *failure {
	if key == "" || r.Header.Get("Authorization") == "Bearer "+key {
		return nil
	}
	return &failure{status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key", message: "Incorrect API key provided."}
}

// forced reads the tool choice of both of OpenAI's APIs.
func forced(raw json.RawMessage) string {
	var word string
	if json.Unmarshal(raw, &word) == nil {
		return map[string]string{"required": "*", "none": forceNone}[word]
	}
	var choice struct {
		Name     string `json:"name"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	_ = json.Unmarshal(raw, &choice)
	return choice.Name + choice.Function.Name
}

// check wants the results of all calls right after them.
func (q *chatRequest) check() *failure {
	for i, m := range q.Messages {
		open := map[string]bool{}
		for _, c := range m.ToolCalls {
			open[c.ID] = true
		}
		for _, next := range q.Messages[i+1:] {
			if next.Role != "tool" {
				break
			}
			delete(open, next.ToolCallID)
		}
		for id := range open {
			return &failure{status: http.StatusBadRequest, param: "messages", message: fmt.Sprintf(
				"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", id)}
		}
	}
	return nil
}

// prompt is the text of the last message, or of all results at the end.
func (q *chatRequest) prompt() string {
	var texts []string
	for i := len(q.Messages) - 1; i >= 0; i-- {
		if len(texts) > 0 && q.Messages[i].Role != "tool" {
			break
		}
		texts = append([]string{textOf(q.Messages[i].Content)}, texts...)
		if q.Messages[i].Role != "tool" {
			break
		}
	}
	return strings.Join(texts, " ")
}

func (chatDialect) failure(h http.Header, id string, f failure) any {
	h.Set("X-Request-Id", "mock-"+id)
	if f.retryAfter != "" {
		h.Set("Retry-After", f.retryAfter)
	}
	return openaiError(f)
}

// openaiError is the error of all of OpenAI's APIs.
func openaiError(f failure) object {
	inner := object{"message": f.message, "type": f.kind, "param": nil, "code": nil}
	switch {
	case f.kind != "":
	case f.status == http.StatusTooManyRequests:
		inner["type"] = "rate_limit_error"
	case f.status >= 500:
		inner["type"] = "server_error"
	default:
		inner["type"] = "invalid_request_error"
	}
	if f.code != "" {
		inner["code"] = f.code
	}
	if f.param != "" {
		inner["param"] = f.param
	}
	return object{"error": inner}
}

func (chatDialect) usage(u Usage) object {
	details := object{"cached_tokens": u.Cached, "audio_tokens": 0}
	if u.Written > 0 {
		details["cache_write_tokens"] = u.Written
	}
	return object{
		"prompt_tokens": u.Prompt, "completion_tokens": u.Completion, "total_tokens": u.Prompt + u.Completion,
		"prompt_tokens_details": details,
		"completion_tokens_details": object{
			"reasoning_tokens": u.Reasoning, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
		},
	}
}

func (chatDialect) object(e *exchange, kind string) object {
	e.w.Header().Set("X-Request-Id", "mock-"+e.served.ID)
	return object{"id": e.served.ID, "object": kind, "created": created, "model": e.in.Model, "system_fingerprint": "fp_mock", "choices": []any{}}
}

// finish is the reason of an answer's end.
func (chatDialect) finish(e *exchange) string {
	switch {
	case e.script.finish == "length":
		return "length"
	case e.script.finish == "filter":
		return "content_filter"
	case len(e.calls()) > 0:
		return "tool_calls"
	}
	return "stop"
}

func callID(p part) string { return "call_mock_" + p.id }

func (d chatDialect) unary(e *exchange) any {
	message := object{"role": "assistant", "content": e.text(), "refusal": nil}
	var calls []any
	for _, p := range e.parts() {
		switch p.kind {
		case kindThought:
			message["reasoning_content"] = p.text
		case kindCall:
			calls = append(calls, object{"id": callID(p), "type": "function", "function": object{"name": p.tool.Name, "arguments": p.arguments}})
		}
	}
	if calls != nil {
		message["content"], message["tool_calls"] = nil, calls
	}
	choices := []any{}
	for i := range max(1, e.in.N) {
		choices = append(choices, object{"index": i, "message": message, "logprobs": nil, "finish_reason": d.finish(e)})
	}
	out := d.object(e, "chat.completion")
	out["choices"] = choices
	if !e.script.noUsage {
		out["usage"] = d.usage(e.usage())
	}
	return out
}

func (d chatDialect) events(e *exchange) []event {
	var out []event
	for i := range max(1, e.in.N) {
		out = append(out, d.chunk(e, i, object{"role": "assistant", "content": "", "refusal": nil}, nil))
		for _, delta := range d.deltas(e) {
			chunk := d.chunk(e, i, delta, nil)
			chunk.content = true
			out = append(out, chunk)
		}
		out = append(out, d.chunk(e, i, object{}, d.finish(e)))
	}
	if e.in.Usage && !e.script.noUsage {
		last := d.object(e, "chat.completion.chunk")
		last["usage"] = d.usage(e.usage())
		out = append(out, data(last))
	}
	return append(out, event{text: "data: [DONE]\n\n"})
}

// deltas are the content of one choice.
func (chatDialect) deltas(e *exchange) (out []object) {
	call := 0
	for _, p := range e.parts() {
		switch p.kind {
		case kindThought:
			out = append(out, object{"reasoning_content": p.text})
		case kindText:
			for _, piece := range pieces(p.text, e.script.chunks) {
				out = append(out, object{"content": piece})
			}
		case kindCall:
			out = append(out, object{"tool_calls": []any{object{
				"index": call, "id": callID(p), "type": "function", "function": object{"name": p.tool.Name, "arguments": ""}}}})
			for _, piece := range pieces(p.arguments, 2) {
				out = append(out, object{"tool_calls": []any{object{"index": call, "function": object{"arguments": piece}}}})
			}
			call++
		}
	}
	return out
}

func (d chatDialect) chunk(e *exchange, index int, delta object, finish any) event {
	out := d.object(e, "chat.completion.chunk")
	out["choices"] = []any{object{"index": index, "delta": delta, "logprobs": nil, "finish_reason": finish}}
	return data(out)
}

// data is an event without a name.
func data(v any) event { return event{text: "data: " + string(encode(v)) + "\n\n"} }

func (chatDialect) broken(_ *exchange, f failure) string { return data(openaiError(f)).text }
