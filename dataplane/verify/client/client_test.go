package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// question asks for everything at once.
func question() Ask {
	reply := Answer{Raw: json.RawMessage(`["turn"]`), Calls: []Call{{ID: "c1", Name: "f", Arguments: "{}"}, {ID: "c2", Name: "f", Arguments: "{}"}}}
	return Ask{
		Model: "m", System: "Be brief.", Turns: []Turn{{Text: "Look", Image: []byte("png")}, {Reply: &reply, Results: []string{"one"}}, {Text: "And?"}},
		Tools:  []Tool{{Name: "f", Description: "F.", Schema: json.RawMessage(`{"type":"object"}`)}, {Name: "g"}},
		Choice: "f", Schema: json.RawMessage(`{"type":"object","properties":{}}`), Think: true, Search: true, Cache: true, Stream: true, Usage: true, Limit: 99,
	}
}

// TestBodies: what is asked, in each protocol's words.
func TestBodies(t *testing.T) {
	for _, test := range []struct {
		p    Protocol
		want string
	}{
		{Completions{}, `{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":99,"reasoning_effort":"medium","web_search_options":{},"cache":true,
			"messages":[{"role":"system","content":"Be brief."},
				{"role":"user","content":[{"type":"text","text":"Look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,cG5n"}}]},
				["turn"],{"role":"tool","tool_call_id":"c1","content":"one"},{"role":"tool","tool_call_id":"c2","content":"unknown"},
				{"role":"user","content":"And?"}],
			"tools":[{"type":"function","function":{"name":"f","description":"F.","parameters":{"type":"object"}}},{"type":"function","function":{"name":"g","description":""}}],
			"tool_choice":{"type":"function","function":{"name":"f"}},
			"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object","properties":{}}}}}`},
		{Messages{}, `{"model":"m","stream":true,"max_tokens":99,"thinking":{"type":"enabled","budget_tokens":1024},
			"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
			"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"cG5n"}},{"type":"text","text":"Look"}]},
				{"role":"assistant","content":["turn"]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"one"},{"type":"tool_result","tool_use_id":"c2","content":"unknown"}]},
				{"role":"user","content":[{"type":"text","text":"And?"}]}],
			"tools":[{"name":"f","description":"F.","input_schema":{"type":"object"}},{"name":"g","description":"","input_schema":{"type":"object","properties":{}}},
				{"type":"web_search_20250305","name":"web_search","max_uses":2}],
			"tool_choice":{"type":"tool","name":"f"},"output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{}}}}}`},
		{Responses{}, `{"model":"m","stream":true,"store":false,"max_output_tokens":99,"instructions":"Be brief.",
			"reasoning":{"effort":"medium","summary":"auto"},"include":["reasoning.encrypted_content"],
			"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Look"},{"type":"input_image","image_url":"data:image/png;base64,cG5n"}]},
				"turn",{"type":"function_call_output","call_id":"c1","output":"one"},{"type":"function_call_output","call_id":"c2","output":"unknown"},
				{"type":"message","role":"user","content":[{"type":"input_text","text":"And?"}]}],
			"tools":[{"type":"function","name":"f","description":"F.","parameters":{"type":"object"},"strict":false},
				{"type":"function","name":"g","description":"","parameters":{"type":"object","properties":{}},"strict":false},{"type":"web_search"}],
			"tool_choice":{"type":"function","name":"f"},
			"text":{"format":{"type":"json_schema","name":"answer","strict":true,"schema":{"type":"object","properties":{}}}}}`},
	} {
		var got, want any
		if err := errors.Join(json.Unmarshal(test.p.Body(question()), &got), json.Unmarshal([]byte(test.want), &want)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.p.Name(), diff)
		}
	}
}

// TestOptions: the words that question does not use.
func TestOptions(t *testing.T) {
	a := Ask{Model: "m", Turns: []Turn{{Text: "x"}}, Tools: []Tool{{Name: "f"}}, Choice: Required, JSON: true, Think: true, Adaptive: true}
	for p, wants := range map[Protocol][]string{
		Completions{}: {`"tool_choice":"required"`, `"response_format":{"type":"json_object"}`, `"content":"x"`},
		Messages{}:    {`"tool_choice":{"type":"any"}`, `"thinking":{"display":"summarized","type":"adaptive"}`},
		Responses{}:   {`"tool_choice":"required"`, `"format":{"type":"json_object"}`},
	} {
		for _, want := range wants {
			if got := string(p.Body(a)); !strings.Contains(got, want) || strings.Contains(got, "stream") {
				t.Errorf("%s without %s: %s", p.Name(), want, got)
			}
		}
	}
	if got := string(EmbeddingsBody("m", "base64", "a", "b")); got != `{"encoding_format":"base64","input":["a","b"],"model":"m"}` {
		t.Error(got)
	}
}

// Good unary answers: a thought, a text with a citation, and a call.
const (
	goodCompletion = `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"Hi",
		"reasoning_content":"Hm.","reasoning":"Hm.","reasoning_details":[{"type":"reasoning.text","text":"Hm.","signature":"s"}],
		"annotations":[{"type":"url_citation","url_citation":{"url":"https://a.test"}}],
		"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}}],
		"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2},"cost":0.5}}`
	goodMessage = `{"id":"c","type":"message","role":"assistant","model":"m","stop_reason":"tool_use","content":[{"type":"thinking","thinking":"Hm.","signature":"s"},
		{"type":"text","text":"Hi","citations":[{"type":"web_search_result_location","url":"https://a.test"}]},{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}],
		"usage":{"input_tokens":6,"cache_read_input_tokens":4,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"cost":0.5}}`
	goodResponse = `{"id":"c","object":"response","status":"completed","model":"m","output":[{"id":"rs","type":"reasoning","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"s"},
		{"id":"msg","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[{"type":"url_citation","url":"https://a.test"}]}]},
		{"id":"fc","type":"function_call","call_id":"t1","name":"f","arguments":"{\"a\":1}"}],
		"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15,"cost":0.5}}`
)

// said is what each of them says.
func said() *Answer {
	return &Answer{
		ID: "c", Model: "m", Text: "Hi", Reasoning: "Hm.", Calls: []Call{{"t1", "f", `{"a":1}`}}, Citations: []string{"https://a.test"}, Finish: Tools, Signed: true,
		Usage: &Usage{Input: 10, CacheRead: 4, Output: 5, Reasoning: 2, Cost: "0.5"},
	}
}

var unaries = map[Protocol]string{Completions{}: goodCompletion, Messages{}: goodMessage, Responses{}: goodResponse}

func TestAnswers(t *testing.T) {
	for p, body := range unaries {
		got, err := p.Answer([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", p.Name(), err)
			continue
		}
		if len(got.Raw) == 0 {
			t.Errorf("%s: nothing to send back", p.Name())
		}
		got.Raw = nil
		if diff := cmp.Diff(said(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Name(), diff)
		}
	}
}

// TestBadAnswers: each change of a good answer is found.
func TestBadAnswers(t *testing.T) {
	for p, changes := range map[Protocol][]string{
		Completions{}: {
			`"object":"chat.completion"|"object":"chat.completion.chunk"`, `"id":"c"|"id":""`, `"created":1,|`, `"finish_reason":"tool_calls"|"finish_reason":null`,
			`"finish_reason":"tool_calls"|"finish_reason":"stop"`, `"role":"assistant"|"role":"user"`, `"type":"function"|"type":"x"`, `"id":"t1"|"id":""`, `"name":"f"|"name":""`,
			`"arguments":"{\"a\":1}"|"arguments":"{\"a\":1"`, `"arguments":"{\"a\":1}"|"arguments":""`, `"arguments":"{\"a\":1}"|"arguments":"null"`, `"arguments":"{\"a\":1}"|"x":""`,
			`"total_tokens":15|"total_tokens":14`, `"prompt_tokens":10,|`, `"usage"|"use"`, `"choices":[|"choices":[],"x":[`, `{"id"|["id"`,
		},
		Messages{}: {
			`"type":"message"|"type":"x"`, `"role":"assistant"|"role":"user"`, `"id":"c"|"id":""`, `"stop_reason":"tool_use"|"stop_reason":null`, `"stop_reason":"tool_use"|"stop_reason":"end_turn"`,
			`"input_tokens":6,|`, `"output_tokens":5,|`, `"input":{"a":1}|"input":"a"`, `"id":"t1"|"id":""`, `"name":"f"|"name":""`, `{"type":"text"|7,{"type":"text"`,
		},
		Responses{}: {
			`"object":"response"|"object":"x"`, `"id":"c"|"id":""`, `"status":"completed"|"status":"failed"`, `"status":"completed"|"status":"incomplete"`, `"role":"assistant"|"role":"user"`, `"id":"msg"|"id":""`,
			`"call_id":"t1"|"call_id":""`, `"arguments":"{\"a\":1}"|"arguments":""`, `"input_tokens":10,|`, `"total_tokens":15,|`, `"output":[|"output":[7,`,
		},
	} {
		for _, change := range changes {
			old, with, _ := strings.Cut(change, "|")
			body := strings.Replace(unaries[p], old, with, 1)
			if body == unaries[p] {
				t.Fatalf("%s: %s changes nothing", p.Name(), change)
			}
			var m *Mismatch
			if _, err := p.Answer([]byte(body)); !errors.As(err, &m) || m.Want == "" || m.Got == "" {
				t.Errorf("%s: %s is not found: %v", p.Name(), change, err)
			}
		}
	}
}

// TestFinishes: each protocol's words.
func TestFinishes(t *testing.T) {
	for _, test := range []struct {
		p        Protocol
		old, new string
		want     Finish
	}{
		{Completions{}, `"finish_reason":"tool_calls"`, `"finish_reason":"length"`, Length},
		{Messages{}, `"stop_reason":"tool_use"`, `"stop_reason":"max_tokens"`, Length},
		{Responses{}, `"status":"completed"`, `"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}`, Length},
	} {
		got, err := test.p.Answer([]byte(strings.Replace(unaries[test.p], test.old, test.new, 1)))
		if err != nil || got.Finish != test.want {
			t.Errorf("%s: %+v, %v", test.p.Name(), got, err)
		}
	}
	if got := finish(stops, "pause_turn"); got != Pause {
		t.Error(got)
	}
	if got := finish(finishes, "made_up"); got != "made_up" {
		t.Error(got)
	}
}

func TestFailures(t *testing.T) {
	for body, want := range map[string]Failure{
		`{"error":{"message":"No.","type":"t","param":null,"code":null}}`: {Type: "t", Message: "No."},
		`{"error":{"message":"No.","type":"t","param":"p","code":"c"}}`:   {"t", "c", "p", "No."},
		`{"error":{"message":"No.","type":"t","param":"p"}}`:              {},
		`{"error":{"message":"","type":"t","param":"p","code":"c"}}`:      {},
		`{"error":{"message":"No.","type":"t","param":"p","code":7}}`:     {},
		`{"error":"No."}`: {},
		`<html>`:          {},
	} {
		for _, p := range []Protocol{Completions{}, Responses{}} {
			got, err := p.Failure([]byte(body))
			if got != want || (err != nil) != (want == Failure{}) {
				t.Errorf("%s: %+v, %v", body, got, err)
			}
		}
	}
	for body, want := range map[string]Failure{
		`{"type":"error","error":{"type":"t","message":"No."},"request_id":"r"}`: {Type: "t", Message: "No."},
		`{"error":{"type":"t","message":"No."}}`:                                 {},
		`{"type":"error","error":{"type":"t"}}`:                                  {},
		``:                                                                       {},
	} {
		if got, err := (Messages{}).Failure([]byte(body)); got != want || (err != nil) != (want == Failure{}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestEmbeddings(t *testing.T) {
	const good = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1]},{"object":"embedding","index":1,"embedding":"AAAA"}],"usage":{"prompt_tokens":2,"cost":0.1}}`
	vectors, usage, err := Embeddings([]byte(good), 2)
	if err != nil || string(vectors[0]) != "[1]" || string(vectors[1]) != `"AAAA"` || *usage != (Usage{Input: 2, Cost: "0.1"}) {
		t.Errorf("%s, %+v, %v", vectors, usage, err)
	}
	for _, change := range []string{`"object":"list"|"object":"x"`, `"index":1|"index":0`, `"embedding":[1]|"embedding":[]`, `"prompt_tokens":2,|`, `{"object"|7{`, `"index":0,|`} {
		old, with, _ := strings.Cut(change, "|")
		if _, _, err := Embeddings([]byte(strings.Replace(good, old, with, 1)), 2); err == nil {
			t.Errorf("%s is not found", change)
		}
	}
	if _, _, err := Embeddings([]byte(good), 3); err == nil {
		t.Error("a missing vector is not found")
	}
}

func TestMismatch(t *testing.T) {
	err := mismatch("x", "%s", strings.Repeat("a", 1000))
	if len(err.Got) > maxQuote+3 || err.Error() != fmt.Sprintf("expected x, got %s", err.Got) {
		t.Errorf("%d bytes", len(err.Got))
	}
}
