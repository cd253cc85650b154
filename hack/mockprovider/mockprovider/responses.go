package mockprovider

import (
	"encoding/json"
	"net/http"
	"strings"
)

// thoughtPrefix begins the ids of the mock's thoughts, which have one underscore as OpenAI's have.
const thoughtPrefix = "rs_respmock"

// obfuscation hides a delta's length; libraries skip it.
const obfuscation = "mockmock"

// responsesDialect is OpenAI's Responses.
type responsesDialect struct{}

func (responsesDialect) ids() string { return "resp_mock_%06d" }

func (responsesDialect) failure(h http.Header, id string, f failure) any {
	return chatDialect{}.failure(h, id, f)
}

// broken is the error event and the failed answer behind it.
func (d responsesDialect) broken(e *exchange, f failure) string {
	inner := openaiError(f)["error"].(object)
	whole := d.object(e, "failed", []any{})
	whole["error"] = object{"code": inner["code"], "message": inner["message"]}
	events := &numbered{next: 1000}
	events.add("error", object{"error": inner}, false)
	events.add("response.failed", object{"response": whole}, false)
	return events.all[0].text + events.all[1].text
}

func (responsesDialect) usage(u Usage) object {
	return object{
		"input_tokens": u.Prompt, "input_tokens_details": object{"cached_tokens": u.Cached, "cache_write_tokens": u.Written + u.Written1h},
		"output_tokens": u.Completion, "output_tokens_details": object{"reasoning_tokens": u.Reasoning}, "total_tokens": u.Prompt + u.Completion,
	}
}

// object is the whole answer in one of its states; what the request set comes back.
func (responsesDialect) object(e *exchange, status string, output []any) object {
	e.w.Header().Set("X-Request-Id", "mock-"+e.served.ID)
	out := object{
		"id": e.served.ID, "object": "response", "created_at": created, "completed_at": nil, "status": status, "model": e.in.Model, "output": output,
		"background": false, "error": nil, "incomplete_details": nil, "instructions": nil, "max_output_tokens": nil, "max_tool_calls": nil,
		"parallel_tool_calls": true, "previous_response_id": nil, "prompt_cache_key": nil, "prompt_cache_retention": "in_memory",
		"reasoning":         object{"effort": "medium", "summary": nil},
		"safety_identifier": nil, "service_tier": "default", "store": true, "temperature": 1.0,
		"frequency_penalty": 0.0, "presence_penalty": 0.0,
		"text":        object{"format": object{"type": "text"}, "verbosity": "medium"},
		"tool_choice": "auto", "tools": []any{}, "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "usage": nil, "user": nil, "metadata": object{},
	}
	var asked map[string]json.RawMessage
	_ = json.Unmarshal(e.served.Body, &asked)
	for name, v := range asked {
		if _, has := out[name]; has && name != "model" {
			out[name] = v
		}
	}
	out["tools"] = toolsOf(asked["tools"])
	return out
}

// toolsOf are the tools of a request as the answer repeats them: functions with all their members.
func toolsOf(raw json.RawMessage) []object {
	out := []object{}
	if json.Unmarshal(raw, &out) != nil || out == nil {
		return []object{}
	}
	for _, t := range out {
		for name, v := range map[string]any{"description": nil, "parameters": nil, "strict": true} {
			if _, has := t[name]; !has && t["type"] == "function" {
				t[name] = v
			}
		}
	}
	return out
}

// final is the answer with its end.
func (d responsesDialect) final(e *exchange) object {
	status := "completed"
	if e.script.finish != "" {
		status = "incomplete"
	}
	var output []any
	for _, p := range e.parts() {
		output = append(output, d.item(e, p, status))
	}
	if output == nil {
		output = []any{}
	}
	out := d.object(e, status, output)
	switch e.script.finish {
	case "length":
		out["incomplete_details"] = object{"reason": "max_output_tokens"}
	case "filter":
		out["incomplete_details"] = object{"reason": "content_filter"}
	default:
		out["completed_at"] = created
	}
	if !e.script.noUsage {
		out["usage"] = d.usage(e.usage())
	}
	return out
}

// item is a part as an item of the output.
func (responsesDialect) item(e *exchange, p part, status string) object {
	switch p.kind {
	case kindThought:
		out := object{"id": thoughtPrefix + strings.TrimPrefix(e.served.ID, "resp_mock_"), "type": "reasoning", "content": []any{}, "summary": summary(e, p)}
		if e.in.Encrypted {
			out["encrypted_content"] = sign("reasoning", "")
		}
		return out
	case kindCall:
		if p.tool.Custom {
			return object{"id": "ctc_mock_" + p.id, "type": "custom_tool_call", "status": status, "input": p.arguments, "call_id": callID(p), "name": p.tool.Name}
		}
		return object{"id": "fc_mock_" + p.id, "type": "function_call", "status": status, "arguments": p.arguments, "call_id": callID(p), "name": p.tool.Name}
	}
	return object{"id": "msg_" + e.served.ID, "type": "message", "status": status, "role": "assistant", "content": []any{outputText(p.text)}}
}

func outputText(text string) object {
	return object{"type": "output_text", "annotations": []any{}, "logprobs": []any{}, "text": text}
}

func summary(e *exchange, p part) []any {
	if p.text == "" || !e.in.ThinkText {
		return []any{}
	}
	return []any{object{"type": "summary_text", "text": p.text}}
}

func (d responsesDialect) unary(e *exchange) any { return d.final(e) }

// numbered are events with their sequence numbers.
type numbered struct {
	all  []event
	next int
}

func (n *numbered) add(kind string, v object, content bool) {
	v["type"], v["sequence_number"] = kind, n.next
	n.next++
	n.all = append(n.all, event{text: "event: " + kind + "\ndata: " + string(encode(v)) + "\n\n", content: content})
}

func (d responsesDialect) events(e *exchange) []event {
	n := &numbered{}
	n.add("response.created", object{"response": d.object(e, "in_progress", []any{})}, false)
	n.add("response.in_progress", object{"response": d.object(e, "in_progress", []any{})}, false)
	for i, p := range e.parts() {
		started := d.item(e, p, "in_progress")
		switch p.kind {
		case kindThought:
			started["summary"] = []any{}
			n.add("response.output_item.added", object{"output_index": i, "item": started}, false)
			d.summaryEvents(e, n, i, p)
		case kindText:
			started["content"] = []any{}
			n.add("response.output_item.added", object{"output_index": i, "item": started}, false)
			d.textEvents(e, n, i, p)
		case kindCall:
			event, member := "response.function_call_arguments", "arguments"
			if p.tool.Custom {
				event, member = "response.custom_tool_call_input", "input"
			}
			started[member] = ""
			n.add("response.output_item.added", object{"output_index": i, "item": started}, false)
			id := started["id"]
			for _, piece := range pieces(p.arguments, 2) {
				n.add(event+".delta", object{"item_id": id, "output_index": i, "delta": piece, "obfuscation": obfuscation}, true)
			}
			n.add(event+".done", object{"item_id": id, "output_index": i, member: p.arguments}, false)
		}
		n.add("response.output_item.done", object{"output_index": i, "item": d.item(e, p, "completed")}, false)
	}
	last := d.final(e)
	n.add("response."+last["status"].(string), object{"response": last}, false)
	return n.all
}

func (d responsesDialect) textEvents(e *exchange, n *numbered, i int, p part) {
	at := func(more object) object {
		more["item_id"], more["output_index"], more["content_index"] = "msg_"+e.served.ID, i, 0
		return more
	}
	n.add("response.content_part.added", at(object{"part": outputText("")}), false)
	for _, piece := range pieces(p.text, e.script.chunks) {
		n.add("response.output_text.delta", at(object{"delta": piece, "logprobs": []any{}, "obfuscation": obfuscation}), true)
	}
	n.add("response.output_text.done", at(object{"text": p.text, "logprobs": []any{}}), false)
	n.add("response.content_part.done", at(object{"part": outputText(p.text)}), false)
}

func (d responsesDialect) summaryEvents(e *exchange, n *numbered, i int, p part) {
	if len(summary(e, p)) == 0 {
		return
	}
	at := func(more object) object {
		more["item_id"], more["output_index"], more["summary_index"] = d.item(e, p, "")["id"], i, 0
		return more
	}
	n.add("response.reasoning_summary_part.added", at(object{"part": object{"type": "summary_text", "text": ""}}), false)
	for _, piece := range pieces(p.text, e.script.chunks) {
		n.add("response.reasoning_summary_text.delta", at(object{"delta": piece, "obfuscation": obfuscation}), true)
	}
	n.add("response.reasoning_summary_text.done", at(object{"text": p.text}), false)
	n.add("response.reasoning_summary_part.done", at(object{"part": object{"type": "summary_text", "text": p.text}}), false)
}
