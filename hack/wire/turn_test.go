package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// loop asks, runs the tools, and looks at what the provider gets of its own answer.
func (p planned) loop(t *testing.T, w *world, plain bool) {
	first := w.ask(t, p.protocol, p.turn(t))
	if first.status != http.StatusOK {
		t.Fatalf("%d %s", first.status, first.body)
	}
	second := w.ask(t, p.protocol, p.turn(t, p.answered(t, first, plain)...))
	if second.status != http.StatusOK {
		t.Fatalf("the second turn: %d %s", second.status, second.body)
	}
	sent := w.provider.last(p.name)
	want := p.keeps(t)
	if d := cmp.Diff(want, p.returned(t, sent.body)); d != "" {
		t.Errorf("(-answered +returned)\n%s\n%.3000s", d, sent.body)
	}
}

// turn is a request with the turns so far, that lets the model think and call its tools.
func (p planned) turn(t *testing.T, turns ...any) []byte {
	t.Helper()
	schema := object{"type": "object", "properties": object{}}
	var tools []any
	seen := map[string]bool{}
	for _, c := range p.view().Choices[0].Calls {
		if seen[c.Name] {
			continue
		}
		seen[c.Name] = true
		switch p.protocol {
		case chat.Completions:
			tools = append(tools, object{"type": "function", "function": object{"name": c.Name, "parameters": schema}})
		case chat.Messages:
			tools = append(tools, object{"name": c.Name, "input_schema": schema})
		default:
			tools = append(tools, object{"type": "function", "name": c.Name, "parameters": schema})
		}
	}
	all := append([]any{object{"role": "user", "content": "hi"}}, turns...)
	body := object{"model": p.name, "tools": tools, "stream": p.Stream}
	switch p.protocol {
	case chat.Completions:
		body["messages"], body["max_completion_tokens"], body["reasoning_effort"] = all, 16000, "high"
		if p.API == "responses" {
			body["web_search_options"] = object{} // OpenAI has it in Responses alone
		}
	case chat.Messages:
		body["messages"], body["max_tokens"] = all, 16000
		body["thinking"] = object{"type": "enabled", "budget_tokens": 4000}
	default:
		body["input"], body["max_output_tokens"], body["reasoning"] = all, 16000, object{"effort": "high"}
		body["include"], body["store"] = []string{"reasoning.encrypted_content"}, false
	}
	out, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// answered are the turns that follow an answer: itself, and the results of its tools.
func (p planned) answered(t *testing.T, r reply, plain bool) []any {
	t.Helper()
	switch p.protocol {
	case chat.Completions:
		return p.answeredChat(t, r, plain)
	case chat.Messages:
		return p.answeredMessages(t, r)
	}
	var final struct{ Output []object }
	body := r.body
	if p.Stream {
		all := events(r.body)
		var e struct{ Response json.RawMessage }
		decode(t, []byte(all[len(all)-1].data), &e)
		body = e.Response
	}
	decode(t, body, &final)
	var out []any
	for _, it := range final.Output {
		out = append(out, it)
	}
	for _, it := range final.Output {
		if it["type"] == "function_call" {
			out = append(out, object{"type": "function_call_output", "call_id": it["call_id"], "output": "done"})
		}
	}
	return out
}

func decode(t *testing.T, data []byte, to any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		t.Fatalf("%v in %.300s", err, data)
	}
}

func (p planned) answeredChat(t *testing.T, r reply, plain bool) []any {
	t.Helper()
	message := p.heardMessage(t, r.body)
	calls, _ := message["tool_calls"].([]any)
	if plain {
		var bare []any
		for _, c := range calls {
			c := c.(object)
			bare = append(bare, object{"id": c["id"], "type": c["type"], "function": c["function"]})
		}
		message = object{"role": "assistant", "content": message["content"], "tool_calls": bare}
	}
	out := []any{message}
	for _, c := range calls {
		out = append(out, object{"role": "tool", "tool_call_id": c.(object)["id"], "content": "done"})
	}
	return out
}

// accumulated is the message that a stream of chunks makes, as SDKs do it: texts are joined, members of a list by their
// index.
func accumulated(t *testing.T, body []byte) object {
	t.Helper()
	out := object{}
	for _, e := range events(body) {
		if e.data == "[DONE]" {
			continue
		}
		var o struct{ Choices []struct{ Delta object } }
		decode(t, []byte(e.data), &o)
		for _, c := range o.Choices {
			merge(out, c.Delta)
		}
	}
	return out
}

func merge(to, from object) {
	for name, value := range from {
		switch value := value.(type) {
		case string:
			if old, ok := to[name].(string); ok && name != "id" && name != "type" && name != "role" && name != "format" {
				value = old + value
			}
			to[name] = value
		case object:
			old, ok := to[name].(object)
			if !ok {
				old = object{}
				to[name] = old
			}
			merge(old, value)
		case []any:
			list, _ := to[name].([]any)
			for _, one := range value {
				list = mergeItem(list, one)
			}
			to[name] = list
		default:
			to[name] = value
		}
	}
}

func mergeItem(list []any, one any) []any {
	item, ok := one.(object)
	if !ok {
		return append(list, one)
	}
	for _, old := range list {
		if old := old.(object); item["index"] != nil && fmt.Sprint(old["index"]) == fmt.Sprint(item["index"]) && (item["type"] == nil || item["type"] == old["type"]) {
			merge(old, item)
			return list
		}
	}
	fresh := object{}
	merge(fresh, item)
	return append(list, fresh)
}

func (p planned) answeredMessages(t *testing.T, r reply) []any {
	t.Helper()
	var content []any
	if p.Stream {
		reader := messagesReader{}
		reader.stream(r.body)
		for _, b := range reader.blocks {
			block := object{"type": b.Type}
			switch b.Type {
			case "text":
				block["text"] = b.Text
			case "thinking":
				block["thinking"], block["signature"] = b.Thinking, b.Signature
			case "redacted_thinking":
				block["data"] = b.Data
			case "tool_use":
				block["id"], block["name"], block["input"] = b.ID, b.Name, json.RawMessage(canonical(b.partial))
			}
			content = append(content, block)
		}
	} else {
		var m struct{ Content []any }
		decode(t, r.body, &m)
		content = m.Content
	}
	var results []any
	for _, b := range content {
		if b := b.(object); b["type"] == "tool_use" {
			results = append(results, object{"type": "tool_result", "tool_use_id": b["id"], "content": "done"})
		}
	}
	return []any{object{"role": "assistant", "content": content}, object{"role": "user", "content": results}}
}

// returned is what the provider got back of its answer.
func (p planned) returned(t *testing.T, body []byte) []kept {
	t.Helper()
	switch p.kind {
	case snapshot.Anthropic:
		var m struct {
			Messages []struct {
				Role    string
				Content json.RawMessage
			}
		}
		decode(t, body, &m)
		var out []kept
		for _, one := range m.Messages {
			var blocks []messagesBlock
			if one.Role == "assistant" {
				decode(t, one.Content, &blocks)
			}
			out = append(out, keptOfMessages(blocks)...)
		}
		return out
	case snapshot.Gemini:
		var m struct {
			Contents []struct {
				Role  string
				Parts []geminiPart
			}
		}
		decode(t, body, &m)
		var out []kept
		for _, one := range m.Contents {
			if one.Role == "model" {
				out = append(out, keptOfGemini(one.Parts)...)
			}
		}
		return out
	}
	if p.kind == snapshot.VercelAIGateway {
		var m struct {
			Messages []completionsMessage
		}
		decode(t, body, &m)
		for _, one := range m.Messages {
			if one.Role == "assistant" {
				return keptOfCompletions(one)
			}
		}
		return nil
	}
	var m struct{ Input []json.RawMessage }
	if !strings.Contains(string(body), `"input"`) {
		t.Fatalf("not asked in Responses: %.300s", body)
	}
	decode(t, body, &m)
	return keptOfResponses(m.Input)
}
