package anthropic

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

// reader puts a stream together as Anthropic's SDKs do (MessageStream.#accumulateMessage), and holds it to the protocol:
// every event named as its type, indices without gaps, one open block at a time, nothing behind message_stop.
type reader struct {
	message map[string]any
	open    map[string]any
	partial strings.Builder
	ended   bool
	events  int
	// lenient takes arguments that are no JSON.
	lenient bool
}

func readStream(t *testing.T, stream []byte) map[string]any {
	t.Helper()
	var r reader
	for _, raw := range strings.SplitAfter(string(stream), "\n\n") {
		if raw == "" {
			continue
		}
		if err := r.event(raw); err != nil {
			t.Fatalf("%v: event %d %q of\n%s", err, r.events, raw, stream)
		}
		r.events++
	}
	if !r.ended {
		t.Fatalf("no message_stop in\n%s", stream)
	}
	return r.message
}

func (r *reader) event(raw string) error {
	lines := strings.Split(strings.TrimSuffix(raw, "\n\n"), "\n")
	if len(lines) != 2 {
		return fmt.Errorf("%d lines", len(lines))
	}
	name, ok := strings.CutPrefix(lines[0], "event: ")
	data, found := strings.CutPrefix(lines[1], "data: ")
	var v map[string]any
	if err := json.Unmarshal([]byte(data), &v); err != nil || !ok || !found || v["type"] != name {
		return fmt.Errorf("no event of its name: %v", err)
	}
	if r.ended || (r.message == nil) != (name == "message_start") {
		return fmt.Errorf("out of order")
	}
	switch name {
	case "message_start":
		r.message = v["message"].(map[string]any)
		if len(r.message["content"].([]any)) != 0 || r.message["stop_reason"] != nil {
			return fmt.Errorf("a message that has begun already")
		}
	case "message_delta":
		return r.messageDelta(v)
	case "message_stop":
		r.ended = true
	default:
		return r.block(name, v)
	}
	return nil
}

func (r *reader) messageDelta(v map[string]any) error {
	if r.open != nil || r.message["stop_reason"] != nil {
		return fmt.Errorf("in the middle")
	}
	for name, value := range v["delta"].(map[string]any) {
		r.message[name] = value
	}
	r.message["usage"] = v["usage"]
	return nil
}

func (r *reader) block(name string, v map[string]any) error {
	content := r.message["content"].([]any)
	index := int(v["index"].(float64))
	switch name {
	case "content_block_start":
		if r.open != nil || index != len(content) || r.message["stop_reason"] != nil {
			return fmt.Errorf("a block at %d of %d", index, len(content))
		}
		r.open = v["content_block"].(map[string]any)
		r.message["content"] = append(content, r.open)
		r.partial.Reset()
		return nil
	case "content_block_stop":
		if r.open == nil || index != len(content)-1 {
			return fmt.Errorf("the end of a block that is not open")
		}
		return r.stop()
	case "content_block_delta":
		if r.open == nil || index != len(content)-1 {
			return fmt.Errorf("more of a block that is not open")
		}
		return r.delta(v["delta"].(map[string]any))
	}
	return fmt.Errorf("unknown event")
}

func (r *reader) stop() error {
	open := r.open
	r.open = nil
	if r.partial.Len() == 0 {
		return nil
	}
	var input map[string]any
	if err := json.Unmarshal([]byte(r.partial.String()), &input); err != nil && !r.lenient {
		return fmt.Errorf("reading the input %q: %w", r.partial.String(), err)
	}
	open["input"] = input
	return nil
}

// deltas are the members that they add to, by the type of the block.
var deltas = map[string]string{"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking", "input_json_delta": "tool_use", "citations_delta": "text"}

func (r *reader) delta(d map[string]any) error {
	kind := d["type"].(string)
	if deltas[kind] != r.open["type"] && (kind != "input_json_delta" || r.open["type"] != "server_tool_use") {
		return fmt.Errorf("%s in a block of type %s", kind, r.open["type"])
	}
	switch kind {
	case "text_delta":
		r.open["text"] = r.open["text"].(string) + d["text"].(string)
	case "thinking_delta":
		r.open["thinking"] = r.open["thinking"].(string) + d["thinking"].(string)
	case "signature_delta":
		r.open["signature"] = d["signature"]
	case "input_json_delta":
		r.partial.WriteString(d["partial_json"].(string))
	case "citations_delta":
		list, _ := r.open["citations"].([]any)
		r.open["citations"] = append(list, d["citation"])
	}
	return nil
}

// streamed writes pieces and reads them again.
func streamed(t *testing.T, pieces []chat.Piece, total chat.Total) map[string]any {
	t.Helper()
	return readStream(t, written(pieces, total))
}

func written(pieces []chat.Piece, total chat.Total) []byte {
	w := Messages{}.Stream(&chat.Request{ID: "req_1", Model: "m"})
	var out []byte
	for i := range pieces {
		p := pieces[i]
		out = w.Write(out, &p)
	}
	return w.End(out, total)
}

func decoded(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}
