package mockprovider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// anthropicDialect is Anthropic's Messages.
type anthropicDialect struct{}

func (anthropicDialect) ids() string { return "msg_mock_%06d" }

// requestID is what Anthropic calls a request.
func requestID(id string) string { return "req_" + strings.TrimPrefix(id, "msg_") }

// anthropicKinds are the types of errors by status.
var anthropicKinds = map[int]string{
	400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
	413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}

func (anthropicDialect) failure(h http.Header, id string, f failure) any {
	h.Set("Request-Id", requestID(id))
	h.Set("X-Should-Retry", fmt.Sprint(f.status == http.StatusTooManyRequests || f.status >= 500))
	if f.retryAfter != "" {
		h.Set("Retry-After", f.retryAfter)
	}
	kind := f.kind
	if kind == "" {
		kind = anthropicKinds[f.status]
	}
	if kind == "" {
		kind = "api_error"
	}
	return object{"type": "error", "error": object{"type": kind, "message": f.message}, "request_id": requestID(id)}
}

func (d anthropicDialect) broken(e *exchange, f failure) string {
	body := d.failure(http.Header{}, e.served.ID, f).(object)
	body["error"].(object)["details"] = nil
	return "event: error\ndata: " + string(encode(body)) + "\n\n"
}

// finish is the reason of an answer's end.
func (anthropicDialect) finish(e *exchange) string {
	switch {
	case e.script.finish == "length":
		return "max_tokens"
	case e.script.finish == "filter":
		return "refusal"
	case len(e.calls()) > 0:
		return "tool_use"
	}
	return "end_turn"
}

// usage tells the classes apart: input_tokens has none that a cache took part in.
func (anthropicDialect) usage(u Usage) object {
	return object{
		"input_tokens":                u.Prompt - u.Cached - u.Written - u.Written1h,
		"cache_creation_input_tokens": u.Written + u.Written1h, "cache_read_input_tokens": u.Cached,
		"output_tokens": u.Completion, "output_tokens_details": object{"thinking_tokens": u.Reasoning},
	}
}

// whole has also what only a message tells, not its last delta.
func (d anthropicDialect) whole(u Usage) object {
	out := d.usage(u)
	out["cache_creation"] = object{"ephemeral_5m_input_tokens": u.Written, "ephemeral_1h_input_tokens": u.Written1h}
	out["service_tier"], out["inference_geo"] = "standard", "not_available"
	return out
}

// block is a part as Anthropic writes it.
func (anthropicDialect) block(e *exchange, p part) object {
	switch {
	case p.kind == kindThought && p.text == "":
		return object{"type": "redacted_thinking", "data": sign("redacted", "")}
	case p.kind == kindThought:
		text := p.text
		if !e.in.ThinkText {
			text = ""
		}
		return object{"type": "thinking", "thinking": text, "signature": sign("thinking", text)}
	case p.kind == kindCall:
		return object{"type": "tool_use", "id": "toolu_mock_" + p.id, "name": p.tool.Name, "input": json.RawMessage(p.arguments), "caller": object{"type": "direct"}}
	}
	return object{"type": "text", "text": p.text}
}

func (anthropicDialect) message(e *exchange) object {
	e.w.Header().Set("Request-Id", requestID(e.served.ID))
	e.w.Header().Set("Anthropic-Ratelimit-Requests-Limit", "4000")
	e.w.Header().Set("Anthropic-Ratelimit-Requests-Remaining", "3999")
	e.w.Header().Set("Anthropic-Ratelimit-Requests-Reset", "2023-11-14T22:13:20Z")
	return object{
		"id": e.served.ID, "type": "message", "role": "assistant", "model": e.in.Model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil, "stop_details": nil,
	}
}

func (d anthropicDialect) unary(e *exchange) any {
	out := d.message(e)
	content := []any{}
	for _, p := range e.parts() {
		content = append(content, d.block(e, p))
	}
	out["content"], out["stop_reason"] = content, d.finish(e)
	if !e.script.noUsage {
		out["usage"] = d.whole(e.usage())
	}
	return out
}

func (d anthropicDialect) events(e *exchange) []event {
	start := d.message(e)
	u := e.usage()
	u.Completion, u.Reasoning = 1, 0
	start["usage"] = d.whole(u)
	delete(start["usage"].(object), "output_tokens_details")
	out := []event{named("message_start", object{"message": start}, 0)}
	for i, p := range e.parts() {
		out = append(out, d.blockEvents(e, i, p)...)
		if i == 0 {
			out = append(out[:2:2], append([]event{{text: "event: ping\ndata: {\"type\": \"ping\"}\n\n"}}, out[2:]...)...)
		}
	}
	last := object{"delta": object{"stop_reason": d.finish(e), "stop_sequence": nil, "stop_details": nil}}
	if !e.script.noUsage {
		last["usage"] = d.usage(e.usage())
	}
	return append(out, named("message_delta", last, 3), named("message_stop", object{}, 7))
}

// blockEvents are one block's: its start without content, its content, its end.
func (d anthropicDialect) blockEvents(e *exchange, index int, p part) []event {
	block := d.block(e, p)
	var deltas []object
	switch block["type"] {
	case "text":
		for _, piece := range pieces(p.text, e.script.chunks) {
			deltas = append(deltas, object{"type": "text_delta", "text": piece})
		}
		block["text"] = ""
	case "thinking":
		for _, piece := range pieces(block["thinking"].(string), e.script.chunks) {
			deltas = append(deltas, object{"type": "thinking_delta", "thinking": piece})
		}
		deltas = append(deltas, object{"type": "signature_delta", "signature": block["signature"]})
		block["thinking"], block["signature"] = "", ""
	case "tool_use":
		deltas = []object{{"type": "input_json_delta", "partial_json": ""}}
		if p.arguments != "{}" {
			for _, piece := range pieces(p.arguments, 2) {
				deltas = append(deltas, object{"type": "input_json_delta", "partial_json": piece})
			}
		}
		block["input"] = object{}
	}
	out := []event{named("content_block_start", object{"index": index, "content_block": block}, index)}
	for i, delta := range deltas {
		ev := named("content_block_delta", object{"index": index, "delta": delta}, i*5)
		ev.content = true
		out = append(out, ev)
	}
	return append(out, named("content_block_stop", object{"index": index}, index))
}

// named is an event as Anthropic frames it: with its name, and with spaces before the last brace.
func named(name string, v object, padding int) event {
	v["type"] = name
	text := strings.TrimSuffix(string(encode(v)), "}")
	return event{text: "event: " + name + "\ndata: " + text + strings.Repeat(" ", padding%16) + "}\n\n"}
}

func (p *Provider) countTokens(w http.ResponseWriter, r *http.Request) {
	d := anthropicDialect{}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	in := request{Key: p.Key}
	if f := d.readCounted(r, body, &in, true); f != nil {
		writeJSON(w, f.status, d.failure(w.Header(), "msg_mock_count", *f))
		return
	}
	writeJSON(w, http.StatusOK, object{"input_tokens": tokens(len(in.Prompt)) + 3})
}
