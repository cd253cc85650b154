package client

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Good streams, an event a line: what the unary answers of the same names say.
var streams = map[Protocol]string{
	Completions{}: `{"delta":{"role":"assistant","content":""}}
{"delta":{"reasoning_content":"Hm.","reasoning":"Hm."}}
{"delta":{"reasoning_details":[{"type":"reasoning.text","signature":"s"}]}}
{"delta":{"content":"H"}}
{"delta":{"content":"i"}}
{"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"https://a.test"}}]}}
{"delta":{"tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}]}}
{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":1}"}}]}}
{"delta":{},"finish_reason":"tool_calls"}
USAGE
[DONE]`,
	Messages{}: `{"type":"message_start","message":{"id":"c","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":1}}}
{"type":"ping"}
{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}
{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}
{"type":"content_block_stop","index":0}
{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}
{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Hi"}}
{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"url":"https://a.test"}}}
{"type":"content_block_stop","index":1}
{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}}
{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}
{"type":"content_block_stop","index":2}
{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"cost":0.5}}
{"type":"message_stop"}`,
	Responses{}: `{"type":"response.created","sequence_number":0,"response":{"id":"c"}}
{"type":"response.in_progress","sequence_number":1,"response":{"id":"c"}}
{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"rs","type":"reasoning","summary":[]}}
{"type":"response.reasoning_summary_text.delta","sequence_number":3,"output_index":0,"delta":"Hm."}
{"type":"response.output_item.done","sequence_number":4,"output_index":0,"item":{}}
{"type":"response.output_item.added","sequence_number":5,"output_index":1,"item":{"id":"msg","type":"message"}}
{"type":"response.output_text.delta","sequence_number":6,"output_index":1,"delta":"Hi"}
{"type":"response.output_item.done","sequence_number":7,"output_index":1,"item":{}}
{"type":"response.output_item.added","sequence_number":8,"output_index":2,"item":{"id":"fc","type":"function_call"}}
{"type":"response.function_call_arguments.delta","sequence_number":9,"output_index":2,"delta":"{\"a\":1}"}
{"type":"response.output_item.done","sequence_number":10,"output_index":2,"item":{}}
{"type":"response.completed","sequence_number":11,"response":RESPONSE}`,
}

// events are those of a stream.
func events(p Protocol) []Event {
	var out []Event
	for line := range strings.Lines(streams[p]) {
		line = strings.TrimSpace(line)
		e := Event{Data: []byte(strings.Replace(line, "RESPONSE", goodResponse, 1))}
		switch {
		case p != Protocol(Completions{}):
			_, name, _ := strings.Cut(line, `{"type":"`)
			e.Name, _, _ = strings.Cut(name, `"`)
		case line == "USAGE":
			_, usage, _ := strings.Cut(goodCompletion, `"usage":`)
			e.Data = []byte(`{"id":"c","object":"chat.completion.chunk","model":"m","choices":[],"usage":` + usage)
		case line != "[DONE]":
			e.Data = []byte(fmt.Sprintf(`{"id":"c","object":"chat.completion.chunk","model":"m","usage":null,"choices":[{"index":0,%s]}`, strings.TrimPrefix(line, "{")))
		}
		out = append(out, e)
	}
	return out
}

func TestStreams(t *testing.T) {
	for p := range streams {
		got, err := p.Stream(events(p), true)
		if err != nil {
			t.Errorf("%s: %v", p.Name(), err)
			continue
		}
		got.Raw = nil
		if diff := cmp.Diff(said(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Name(), diff)
		}
	}
}

// harmless are events that may be missing or come twice without a client being hurt: what they say is then less, or more.
func harmless(p Protocol, e Event) bool {
	data := string(e.Data)
	if e.Name == "ping" || e.Name == "response.in_progress" {
		return true
	}
	if p == Protocol(Completions{}) {
		return strings.Contains(data, `"delta":{"content"`) || strings.Contains(data, `"delta":{"rea`) || strings.Contains(data, `"delta":{"ann`)
	}
	return e.Name == "content_block_delta" && !strings.Contains(data, "partial_json") || e.Name == "response.reasoning_summary_text.delta"
}

// TestBrokenStreams: an event that is missing, comes twice or too early is found, wherever it is, but for those that cannot be
// told from another answer.
func TestBrokenStreams(t *testing.T) {
	for p := range streams {
		good := events(p)
		for i := range good {
			if harmless(p, good[i]) {
				continue
			}
			broken := map[string][]Event{
				"missing": slices.Delete(slices.Clone(good), i, i+1),
				"twice":   slices.Insert(slices.Clone(good), i, good[i]),
			}
			if i > 0 && !harmless(p, good[i-1]) {
				early := slices.Clone(good)
				early[i], early[i-1] = early[i-1], early[i]
				broken["early"] = early
			}
			for how, list := range broken {
				if how == "missing" && strings.Contains(string(good[i].Data), "partial_json") {
					continue // that is a call without arguments
				}
				var m *Mismatch
				if got, err := p.Stream(list, true); !errors.As(err, &m) && !same(got) {
					t.Errorf("%s: event %d (%s) %s is not found: %v, %+v", p.Name(), i, good[i].Data, how, err, got)
				}
			}
		}
		for i := range good {
			if i > 0 && i < len(good)-1 && p != Protocol(Completions{}) {
				list := slices.Clone(good)
				list[i].Name = "other"
				if _, err := p.Stream(list, true); err == nil {
					t.Errorf("%s: event %d under another name is not found", p.Name(), i)
				}
			}
		}
		if _, err := p.Stream(nil, true); err == nil {
			t.Errorf("%s: an empty stream is taken", p.Name())
		}
	}
}

// same says that an answer is the good one all the same: then nothing was broken.
func same(a *Answer) bool {
	if a == nil {
		return false
	}
	b := *a
	b.Raw = nil
	return cmp.Equal(said(), &b)
}

// TestBadEvents: each change of a good stream is found.
func TestBadEvents(t *testing.T) {
	for p, changes := range map[Protocol][]string{
		Completions{}: {
			`"role":"assistant"|"role":"user"`, `chat.completion.chunk|chat.completion`, `"id":"c"|"id":""`, `"id":"t1"|"id":""`, `"type":"function"|"type":"x"`, `"index":0,"id"|"index":1,"id"`,
			`"index":0,"id"|"id"`, `"name":"f"|"name":""`, `"finish_reason":"tool_calls"|"finish_reason":"stop"`, `"total_tokens":15|"total_tokens":1`, `"choices":[{"index":0|"choices":[{"index":1`,
			`"choices":[{"index":0,|"error":{"message":"no"},"choices":[{"index":0,`, `{"id"|7{"id"`,
		},
		Messages{}: {
			`"role":"assistant"|"role":"user"`, `"input_tokens":6|"in":6`, `"index":0,"content|"index":1,"content`, `"partial_json":"{|"partial_json":"`, `"stop_reason":"tool_use"|"stop_reason":"end_turn"`,
			`"usage":{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":5|"usage":{"x":5`, `"type":"ping"|"type":"error","error":{}`, `"id":"t1"|"id":""`,
		},
		Responses{}: {
			`"sequence_number":4|"sequence_number":3`, `"sequence_number":6,|`, `"output_index":0,"item"|"output_index":5,"item"`, `"delta":"Hi"|"delta":"Ho"`, `"delta":"{\"a\":1}"|"delta":"{}"`,
			`"output_index":0,"delta"|"output_index":1,"delta"`, `"type":"response.in_progress"|"type":"response.failed"`,
		},
	} {
		for _, change := range changes {
			old, with, _ := strings.Cut(change, "|")
			list, changed := events(p), false
			for i := range list {
				if text := string(list[i].Data); !changed && strings.Contains(text, old) {
					changed = true
					list[i].Data = []byte(strings.Replace(text, old, with, 1))
					if i > 0 && list[i].Name != "" && strings.HasPrefix(old, `"type"`) {
						_, name, _ := strings.Cut(with, `"type":"`)
						list[i].Name, _, _ = strings.Cut(name, `"`)
					}
				}
			}
			var m *Mismatch
			if _, err := p.Stream(list, true); !changed || !errors.As(err, &m) {
				t.Errorf("%s: %s is not found (changed: %v): %v", p.Name(), change, changed, err)
			}
		}
	}
}

// TestUsageWhenAsked: chat completions tell usage where it was asked for, and only there.
func TestUsageWhenAsked(t *testing.T) {
	all := events(Completions{})
	if _, err := (Completions{}).Stream(all, false); err == nil {
		t.Error("usage that nobody asked for is taken")
	}
	without := slices.DeleteFunc(all, func(e Event) bool { return strings.Contains(string(e.Data), "prompt_tokens") })
	if _, err := (Completions{}).Stream(without, true); err == nil {
		t.Error("usage is missing, and nobody minds")
	}
	if a, err := (Completions{}).Stream(without, false); err != nil || a.Usage != nil {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestNoArguments: a call without arguments is an object in all protocols' streams.
func TestNoArguments(t *testing.T) {
	list := slices.DeleteFunc(events(Messages{}), func(e Event) bool { return strings.Contains(string(e.Data), "partial_json") })
	if a, err := (Messages{}).Stream(list, true); err != nil || a.Calls[0].Arguments != "{}" {
		t.Errorf("%+v, %v", a, err)
	}
}

// FuzzRead: nothing that comes makes a reader panic, and what it refuses is a Mismatch.
func FuzzRead(f *testing.F) {
	for p, body := range unaries {
		f.Add([]byte(body))
		var all []string
		for _, e := range events(p) {
			all = append(all, e.Name+"|"+string(e.Data))
		}
		f.Add([]byte(strings.Join(all, "\n")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var list []Event
		for line := range strings.Lines(string(data)) {
			name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
			list = append(list, Event{Name: name, Data: []byte(text)})
		}
		for _, p := range All() {
			_, unary := p.Answer(data)
			_, stream := p.Stream(list, len(data)%2 == 0)
			_, failure := p.Failure(data)
			for _, err := range []error{unary, stream, failure} {
				var m *Mismatch
				if err != nil && !errors.As(err, &m) {
					t.Errorf("%v", err)
				}
			}
		}
		if _, _, err := Embeddings(data, 2); err == nil && len(data) == 0 {
			t.Error("nothing is taken for vectors")
		}
	})
}
