package responses

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// eventsOf are the data of a stream's events.
func eventsOf(t *testing.T, raw []byte) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(string(raw)) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !ok {
			continue
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		out = append(out, e)
	}
	return out
}

// A stream that is ended before its time closes what is open and tells the whole response once more, numbered on.
func TestStopOfAPassingStream(t *testing.T) {
	f := Responses{}.Follow(&chat.Request{})
	for _, data := range []string{
		`{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","model":"m","output":[],"usage":null}}`,
		`{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}`,
		`{"type":"response.reasoning_summary_part.added","sequence_number":2,"item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}`,
		`{"type":"response.reasoning_summary_text.delta","sequence_number":3,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"hm"}`,
		`{"type":"response.output_item.added","sequence_number":4,"output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}`,
		`{"type":"response.content_part.added","sequence_number":5,"item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"text":""}}`,
		`{"type":"response.output_text.delta","sequence_number":6,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"done"}`,
		`{"type":"response.content_part.done","sequence_number":7,"item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","annotations":[],"text":"done"}}`,
		`{"type":"response.content_part.added","sequence_number":8,"item_id":"msg_1","output_index":1,"content_index":1,"part":{"type":"refusal","refusal":""}}`,
		`{"type":"response.refusal.delta","sequence_number":9,"item_id":"msg_1","output_index":1,"content_index":1,"delta":"I w"}`,
		`{"type":"response.output_item.added","sequence_number":10,"output_index":2,"item":{"id":"fc_1","type":"function_call","status":"in_progress","call_id":"c1","name":"f","arguments":""}}`,
		`{"type":"response.function_call_arguments.delta","sequence_number":11,"item_id":"fc_1","output_index":2,"delta":"{\"a\""}`,
		`{"type":"response.output_item.added","sequence_number":12,"output_index":3,"item":{"id":"ct_1","type":"custom_tool_call","call_id":"c2","name":"g","input":""}}`,
		`{"type":"response.custom_tool_call_input.delta","sequence_number":13,"item_id":"ct_1","output_index":3,"delta":"x"}`,
		`{"type":"response.output_item.done","sequence_number":14,"output_index":4,"item":{"id":"msg_2","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"all"}]}}`,
	} {
		f.Event([]byte(data))
	}
	events := eventsOf(t, f.Stop(nil, chat.Total{Usage: pricing.Usage{Input: 3, Output: 4}, CostUSD: "0.5"}))
	var kinds []string
	for i, e := range events {
		kinds = append(kinds, e["type"].(string))
		if e["sequence_number"] != float64(15+i) {
			t.Errorf("event %d has number %v", i, e["sequence_number"])
		}
	}
	want := []string{
		"response.reasoning_summary_text.done", "response.reasoning_summary_part.done", "response.output_item.done",
		"response.refusal.done", "response.content_part.done", "response.output_item.done",
		"response.output_item.done", "response.output_item.done", "response.incomplete",
	}
	if d := cmp.Diff(want, kinds); d != "" {
		t.Fatal(d)
	}
	whole := events[len(events)-1]["response"].(map[string]any)
	got, err := json.Marshal(whole["output"])
	if err != nil {
		t.Fatal(err)
	}
	const output = `[{"id":"rs_1","summary":[{"text":"hm","type":"summary_text"}],"type":"reasoning"},` +
		`{"content":[{"annotations":[],"text":"done","type":"output_text"},{"refusal":"I w","type":"refusal"}],"id":"msg_1","role":"assistant","status":"incomplete","type":"message"},` +
		`{"arguments":"{\"a\"","call_id":"c1","id":"fc_1","name":"f","status":"incomplete","type":"function_call"},` +
		`{"call_id":"c2","id":"ct_1","input":"x","name":"g","type":"custom_tool_call"},` +
		`{"content":[{"text":"all","type":"output_text"}],"id":"msg_2","role":"assistant","status":"completed","type":"message"}]`
	if d := cmp.Diff(output, string(got)); d != "" {
		t.Error(d)
	}
	usage := whole["usage"].(map[string]any)
	if whole["status"] != "incomplete" || whole["id"] != "resp_1" || usage["output_tokens"] != 4.0 || usage["cost"] != 0.5 ||
		!cmp.Equal(whole["incomplete_details"], map[string]any{"reason": "max_output_tokens"}) {
		t.Errorf("%v", whole)
	}
}

// Whatever came before, and nothing or nonsense too, the end is an event that can be read.
func TestStopOfNothing(t *testing.T) {
	for _, data := range []string{`{}`, `{"type":"response.output_text.delta"}`, `{"type":"response.created","response":{}}`, `[]`, `{"type":"response.output_item.added","output_index":-1,"item":7}`} {
		f := Responses{}.Follow(&chat.Request{})
		f.Event([]byte(data))
		events := eventsOf(t, f.Stop(nil, chat.Total{}))
		if n := len(events); n == 0 || events[n-1]["type"] != "response.incomplete" {
			t.Errorf("%s: %v", data, events)
		}
	}
}
