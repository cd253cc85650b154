package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// scripted are the events that a byte of a script stands for: bytes alone seldom make two events that belong together.
var scripted = []string{
	created,
	`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"\ud83d\ude00"}`,
	`{"type":"response.output_text.delta","output_index":1,"content_index":1,"delta":"b","logprobs":[{"token":"b"}]}`,
	`{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"ab"}`,
	`{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation":{"type":"url_citation","url":"u","start_index":0,"end_index":1}}`,
	`{"type":"response.output_text.annotation.added","output_index":1,"content_index":0,"annotation":{"type":"url_citation","url":"v","start_index":-1,"end_index":1}}`,
	`{"type":"response.content_part.done","output_index":0,"content_index":0,"part":{"type":"output_text","text":"ab","annotations":[{"type":"url_citation","url":"u"},{"type":"url_citation","url":"v","start_index":1,"end_index":2}]}}`,
	`{"type":"response.refusal.delta","output_index":2,"content_index":0,"delta":"n"}`,
	`{"type":"response.refusal.done","output_index":2,"content_index":0,"refusal":"no"}`,
	`{"type":"response.output_item.added","output_index":3,"item":{"type":"function_call","call_id":"c","name":"f","arguments":""}}`,
	`{"type":"response.output_item.added","output_index":4,"item":{"type":"custom_tool_call","call_id":"d","name":"g","input":""}}`,
	`{"type":"response.function_call_arguments.delta","output_index":3,"delta":"{}"}`,
	`{"type":"response.custom_tool_call_input.delta","output_index":4,"delta":"x"}`,
	`{"type":"response.function_call_arguments.done","output_index":3,"arguments":"{}"}`,
	`{"type":"response.output_item.done","output_index":3,"item":{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}}`,
	`{"type":"response.reasoning_summary_text.delta","output_index":5,"summary_index":0,"delta":"s"}`,
	`{"type":"response.reasoning_summary_text.done","output_index":5,"summary_index":1,"text":"t"}`,
	`{"type":"response.output_item.done","output_index":5,"item":{"type":"reasoning","id":"rs","summary":[{"text":"s"},{"text":"t"}],"encrypted_content":"e"}}`,
	`{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"},"output":[]}}`,
	`{"type":"error","code":"rate_limit_exceeded","message":"slow"}`,
	completed,
}

// written is the stream of a script.
func written(script []byte) []byte {
	var out []string
	for _, b := range script {
		out = append(out, scripted[int(b)%len(scripted)])
	}
	return []byte(eventsOf(out...))
}

// FuzzStream: whatever an upstream streams, however it is cut, gives the same pieces, of which the deltas say all that they
// have, and no panic.
func FuzzStream(f *testing.F) {
	f.Add([]byte(eventsOf(created, `{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"a"}`, completed)), []byte(nil))
	f.Add([]byte(eventsOf(created, `{"type":"response.output_item.added","output_index":-1,"item":{"type":"function_call","call_id":"c","name":"f"}}`, `{"type":"response.function_call_arguments.delta","output_index":-1,"delta":"{}"}`, completed)), []byte(nil))
	f.Add([]byte(eventsOf(`{"type":"response.completed","response":{"output":[{"type":"reasoning","content":[{"text":"x"}]},{"type":"message","content":[{"type":"refusal","refusal":"no"},{"type":"output_text","text":"a","annotations":[{"type":"url_citation"}]}]}]}}`)), []byte(nil))
	f.Add([]byte(eventsOf(`{"type":"error","message":"x"}`)), []byte(nil))
	f.Add([]byte(nil), []byte{0, 5, 1, 4, 3, 6, 2, 7, 9, 11, 13, 15, 16, 17, 2, 20})
	f.Fuzz(func(t *testing.T, body, script []byte) {
		made := len(body) == 0
		body = append(body[:len(body):len(body)], written(script)...)
		whole, err := replay(t, Dialect{}, bytes.NewReader(body))
		halves, err2 := replay(t, Dialect{}, &cut{first: body[:len(body)/2], rest: body[len(body)/2:]})
		if (err == nil) != (err2 == nil) {
			t.Fatal(err, err2)
		}
		if d := cmp.Diff(whole, halves); d != "" {
			t.Fatal(d)
		}
		var e *chat.Error
		if err != nil && (!errors.As(err, &e) || e.Status < 400 || e.Message == "") {
			t.Fatal(err)
		}
		if err == nil && whole.Finish == "" {
			t.Fatalf("no finish: %+v", whole)
		}
		for _, c := range whole.Citations {
			if c.Start < 0 || c.End < c.Start {
				t.Fatalf("%+v", c)
			}
		}
		if made && err == nil {
			checkDeltas(t, script, whole)
		}
	})
}

// checkDeltas holds an answer against the deltas of its script: each of a text is said, and so are those of calls that began.
func checkDeltas(t *testing.T, script []byte, got view) {
	t.Helper()
	said, began := map[string]int{}, map[string]bool{}
	for _, b := range script {
		event := []byte(scripted[int(b)%len(scripted)])
		switch kind := text(event, "type"); kind {
		case "response.output_item.added", "response.output_item.done":
			began[text(jsonscan.Field(event, "item"), "type")] = true
		case "response.function_call_arguments.delta":
			if began["function_call"] {
				said["{}"]++
			}
		case "response.custom_tool_call_input.delta":
			if began["custom_tool_call"] {
				said["x"]++
			}
		case "response.output_text.delta", "response.refusal.delta", "response.reasoning_summary_text.delta":
			said[text(event, "delta")]++
		case "response.completed", "response.incomplete":
			checkSaid(t, said, got)
			return
		}
	}
}

func checkSaid(t *testing.T, said map[string]int, got view) {
	t.Helper()
	all := got.Text + got.Refusal + got.Reasoning
	for _, c := range got.Calls {
		all += c.Arguments
	}
	for what, times := range said {
		if n := bytes.Count([]byte(all), []byte(what)); n < times {
			t.Fatalf("%q is told %d times and said %d times: %+v", what, times, n, got)
		}
	}
}

// FuzzAnswer: any JSON object is a response, if an empty one; streamed in one event it is the same.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"id":"r","output":[{"type":"message","content":[{"type":"output_text","text":"a","logprobs":[{}]}]},{"type":"function_call","name":"f"},{"type":"reasoning","summary":[{"text":"t"}]}],"status":"completed","usage":{"input_tokens":1,"output_tokens":2}}`))
	f.Add([]byte(`{"output":[{"type":"message","content":[{"type":"refusal","refusal":"no"},{"type":"output_text","text":"b"}]},{"type":"web_search_call"}],"usage":{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":3},"output_tokens_details":{"reasoning_tokens":2},"tool_calls_details":{"search_web":{"invocation":2}}}}`))
	f.Add([]byte(`{"output":[{"type":"custom_tool_call","call_id":"c","name":"f","input":"x"},{"type":"reasoning","encrypted_content":"e"}],"incomplete_details":{"reason":"content_filter"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := jsonscan.Scan(body); err != nil {
			return
		}
		a := Dialect{}.Answer(bytes.TrimSpace(body))
		if len(a.Choices) != 1 || a.Choices[0].Reason == "" {
			t.Fatalf("%+v", a)
		}
		u := Usage(body)
		if u != nil && (u.Input < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || u.Reasoning > u.Output || u.Searches < 0) {
			t.Fatalf("%+v", u)
		}
		var line bytes.Buffer
		if json.Compact(&line, body) != nil {
			t.Fatal("not JSON")
		}
		streamed, err := replay(t, Dialect{}, bytes.NewReader([]byte(eventsOf(`{"type":"response.completed","response":`+line.String()+`}`))))
		if err != nil {
			return // one level deeper it is too deep
		}
		whole := viewAnswer(a, u)
		checkWhole(t, body, whole)
		whole.Logprobs, streamed.Logprobs = 0, 0
		whole.Citations, streamed.Citations = nil, nil // into all the text, and into its part
		if d := cmp.Diff(whole, streamed, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// checkWhole holds an answer against its response, read without the package.
func checkWhole(t *testing.T, body []byte, got view) {
	t.Helper()
	var v map[string]any
	if json.Unmarshal(body, &v) != nil {
		return // a number that is too large for the test
	}
	want := view{}
	items, _ := v["output"].([]any)
	for _, i := range items {
		it, _ := i.(map[string]any)
		switch it["type"] {
		case "function_call", "custom_tool_call":
			want.Calls = append(want.Calls, viewCall{})
		case "reasoning":
			if e, _ := it["encrypted_content"].(string); e != "" {
				want.Encrypted = append(want.Encrypted, e)
			}
		case "message":
			parts, _ := it["content"].([]any)
			for _, p := range parts {
				if part, _ := p.(map[string]any); part["type"] == "output_text" {
					s, _ := part["text"].(string)
					want.Text += s
				}
			}
		}
	}
	if want.Text != got.Text || len(want.Calls) != len(got.Calls) || !slices.Equal(want.Encrypted, got.Encrypted) {
		t.Fatalf("of %s is said %+v", body, got)
	}
}

// FuzzUsage: no count is below zero, and those of the input are together what was reported.
func FuzzUsage(f *testing.F) {
	f.Add(int64(10), int64(5), int64(4), int64(3), int64(2))
	f.Fuzz(func(t *testing.T, input, output, read, write, reasoning int64) {
		u := Usage(fmt.Appendf(nil, `{"usage":{"input_tokens":%d,"output_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},"output_tokens_details":{"reasoning_tokens":%d}}}`, input, output, read, write, reasoning))
		if u == nil {
			if input >= 0 && input <= maxTokens && output >= 0 && output <= maxTokens {
				t.Fatal("not read")
			}
			return
		}
		if u.Input < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || u.Output < output || u.Reasoning < 0 || u.Reasoning > u.Output || u.Input+u.CacheRead+u.CacheWrite != input {
			t.Fatalf("%+v of %d, %d, %d, %d, %d", u, input, output, read, write, reasoning)
		}
	})
}
