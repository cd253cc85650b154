package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// asked is a request as the server hands it over.
func asked(t *testing.T, more string) *chat.Request {
	t.Helper()
	r, bad := Completions{}.Parse("req_7", nil, []byte(body(more)))
	if bad != nil {
		t.Fatal(bad)
	}
	r.Created = 1700000000
	return r
}

// same compares two JSON texts as such.
func same(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if d := cmp.Diff(w, g); d != "" {
		t.Error(d)
	}
}

func stopped(parts ...chat.Part) chat.Choice {
	return chat.Choice{Parts: parts, Finish: chat.Finish{Reason: chat.FinishStop}}
}

// The bytes of an answer: OpenAI's members in OpenAI's order, text as it is.
func TestAnswerBytes(t *testing.T) {
	got, err := Completions{}.Answer(asked(t, ""), &chat.Answer{ID: "msg_1", Created: 5, Choices: []chat.Choice{stopped(text("a <b> & é "))}},
		chat.Total{Usage: pricing.Usage{Input: 10, Output: 2}, CostUSD: "0.0000123"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"chatcmpl-7","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a <b> & é ","refusal":null},"logprobs":null,"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0},"cache_creation_input_tokens":0,"cost":0.0000123}}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

func TestAnswerMessages(t *testing.T) {
	signed := called("c2", "g", "{}")
	signed.Call.Signature = "gs"
	th := chat.Thought{Text: "hm", Signature: "sig", Format: chat.FormatAnthropic}
	openAI := chat.Thought{Text: "sum", Encrypted: "enc", Format: chat.FormatOpenAI, ID: "rs_1"}
	for name, c := range map[string]struct {
		more   string
		choice chat.Choice
		want   string // the choice
	}{
		"nothing":    {"", stopped(), `{"index":0,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":"stop"}`},
		"texts join": {"", stopped(text("a"), text(" b")), `{"index":0,"message":{"role":"assistant","content":"a b","refusal":null},"logprobs":null,"finish_reason":"stop"}`},
		"tools": {"", chat.Choice{Index: 1, Parts: []chat.Part{called("c1", "f", `{"a": 1}`), called("", "f", ""), {Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c3", Name: "x", Arguments: "", Custom: true}}}, Finish: chat.Finish{Reason: chat.FinishTools, Native: "tool_use"}},
			`{"index":1,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},{"id":"call_7_1_1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c3","type":"custom","custom":{"name":"x","input":""}}]},"logprobs":null,"finish_reason":"tool_calls","native_finish_reason":"tool_use"}`},
		"thoughts": {"", stopped(thought(th), thought(openAI), thought(chat.Thought{Encrypted: "r", Format: chat.FormatAnthropic}), chat.Part{Kind: chat.PartText, Text: "a", Signature: "ts"}),
			`{"index":0,"message":{"role":"assistant","content":"a","refusal":null,"reasoning_content":"hmsum","reasoning":"hmsum","reasoning_details":[
			{"type":"reasoning.text","text":"hm","signature":"sig","format":"anthropic-claude-v1","index":0},
			{"type":"reasoning.summary","summary":"sum","id":"rs_1","format":"openai-responses-v1","index":1},{"type":"reasoning.encrypted","data":"enc","id":"rs_1","format":"openai-responses-v1","index":1},
			{"type":"reasoning.encrypted","data":"r","format":"anthropic-claude-v1","index":2},
			{"type":"reasoning.encrypted","data":"ts","id":"content","format":"google-gemini-v1","index":3}]},"logprobs":null,"finish_reason":"stop"}`},
		"signed calls": {"", chat.Choice{Parts: []chat.Part{thought(th), called("c1", "f", "{}"), signed}, Finish: chat.Finish{Reason: chat.FinishStop}},
			`{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"sig","format":"anthropic-claude-v1","index":0}],
			"tool_calls":[{"id":"` + carry("c1", []chat.Thought{th}, "") + `","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"` + carry("c2", nil, "gs") + `","type":"function","function":{"name":"g","arguments":"{}"},"extra_content":{"google":{"thought_signature":"gs"}}}]},"logprobs":null,"finish_reason":"tool_calls"}`},
		"functions": {`"functions":[{"name":"f"}]`, chat.Choice{Parts: []chat.Part{called("c1", "f", "{}"), called("c2", "f", "{}")}, Finish: chat.Finish{Reason: chat.FinishTools}},
			`{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"function_call":{"name":"f","arguments":"{}"}},"logprobs":null,"finish_reason":"function_call"}`},
		"length":    {"", chat.Choice{Parts: []chat.Part{text("a")}, Finish: chat.Finish{Reason: chat.FinishLength}}, `{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"length"}`},
		"cut call":  {"", chat.Choice{Parts: []chat.Part{called("c1", "f", `{"a`)}, Finish: chat.Finish{Reason: chat.FinishLength}}, `{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a"}}]},"logprobs":null,"finish_reason":"length"}`},
		"sequence":  {"", chat.Choice{Parts: []chat.Part{text("a")}, Finish: chat.Finish{Reason: chat.FinishSequence, Sequence: "x"}}, `{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"stop"}`},
		"pause":     {"", chat.Choice{Parts: []chat.Part{text("a")}, Finish: chat.Finish{Reason: chat.FinishPause, Native: "pause_turn"}}, `{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"stop","native_finish_reason":"pause_turn"}`},
		"filter":    {"", chat.Choice{Finish: chat.Finish{Reason: chat.FinishFilter, Native: "SAFETY"}}, `{"index":0,"message":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":"content_filter","native_finish_reason":"SAFETY"}`},
		"refusal":   {"", chat.Choice{Finish: chat.Finish{Reason: chat.FinishRefusal, Explanation: "no"}}, `{"index":0,"message":{"role":"assistant","content":null,"refusal":"no"},"logprobs":null,"finish_reason":"content_filter"}`},
		"own words": {"", chat.Choice{Parts: []chat.Part{{Kind: chat.PartRefusal, Text: "I "}, {Kind: chat.PartRefusal, Text: "won't"}}, Finish: chat.Finish{Reason: chat.FinishStop, Explanation: "x"}}, `{"index":0,"message":{"role":"assistant","content":null,"refusal":"I won't"},"logprobs":null,"finish_reason":"stop"}`},
		"logprobs":  {"", chat.Choice{Parts: []chat.Part{text("a")}, Finish: chat.Finish{Reason: chat.FinishStop}, Logprobs: json.RawMessage(`{"content":[{"token":"a","logprob":-0.10}]}`)}, `{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":{"content":[{"token":"a","logprob":-0.10}]},"finish_reason":"stop"}`},
		"citations": {"", stopped(text("a😀"), chat.Part{Kind: chat.PartText, Text: "bcd", Citations: []chat.Citation{{URL: "https://x.test", Title: "X"}, {URL: "https://y.test", Start: 1, End: 2}, {Quote: "of a document without a name"}}}),
			`{"index":0,"message":{"role":"assistant","content":"a😀bcd","refusal":null,"annotations":[{"type":"url_citation","url_citation":{"url":"https://x.test","title":"X","start_index":3,"end_index":6}},{"type":"url_citation","url_citation":{"url":"https://y.test","title":"","start_index":4,"end_index":5}}]},"logprobs":null,"finish_reason":"stop"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Completions{}.Answer(asked(t, c.more), &chat.Answer{Choices: []chat.Choice{c.choice}}, chat.Total{})
			if err != nil {
				t.Fatal(err)
			}
			var o struct {
				Created int64
				Choices []json.RawMessage
			}
			if err := json.Unmarshal(got, &o); err != nil || o.Created != 1700000000 || len(o.Choices) != 1 {
				t.Fatalf("%v %s", err, got)
			}
			same(t, o.Choices[0], c.want)
		})
	}
}

func TestAnswerUsageAndSources(t *testing.T) {
	a := &chat.Answer{Choices: []chat.Choice{}, Sources: []chat.Source{{URL: "https://x.test", Title: "X", Snippet: "s", Date: "2026-01-02"}, {URL: "https://y.test"}}}
	got, err := Completions{}.Answer(asked(t, ""), a, chat.Total{Usage: pricing.Usage{Input: 1, CacheRead: 20, CacheWrite: 300, CacheWrite1h: 4000, Output: 7, Reasoning: 5, Searches: 2}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, `{"id":"chatcmpl-7","object":"chat.completion","created":1700000000,"model":"m","choices":[],
		"usage":{"prompt_tokens":4321,"completion_tokens":7,"total_tokens":4328,"prompt_tokens_details":{"cached_tokens":20},"completion_tokens_details":{"reasoning_tokens":5},
		"cache_creation_input_tokens":4300,"cache_creation":{"ephemeral_5m_input_tokens":300,"ephemeral_1h_input_tokens":4000},"server_tool_use":{"web_search_requests":2}},
		"citations":["https://x.test","https://y.test"],"search_results":[{"title":"X","url":"https://x.test","date":"2026-01-02","snippet":"s"},{"title":"","url":"https://y.test"}]}`)
}

// Without an id of the gateway's the provider's is told; one that cannot be written is an error, not half an answer.
func TestAnswerEdges(t *testing.T) {
	for upstream, want := range map[string]string{"msg_1": `"id":"chatcmpl-msg_1"`, "chatcmpl-9": `"id":"chatcmpl-9"`} {
		got, err := Completions{}.Answer(&chat.Request{}, &chat.Answer{ID: upstream}, chat.Total{})
		if err != nil || !strings.Contains(string(got), want) || !strings.Contains(string(got), `"choices":[]`) {
			t.Errorf("%s %v", got, err)
		}
	}
	if got, err := (Completions{}).Answer(&chat.Request{}, &chat.Answer{Choices: []chat.Choice{{Logprobs: json.RawMessage("{")}}}, chat.Total{}); err == nil {
		t.Errorf("%s", got)
	}
}

func TestDialect(t *testing.T) {
	var d chat.Dialect = Completions{}
	if d.Protocol() != chat.Completions || asked(t, "").Protocol != chat.Completions {
		t.Error(d.Protocol())
	}
	if e := string(d.ErrorEvent(&chat.Error{Type: "t", Message: "m"})); !strings.HasPrefix(e, `data: {"error":`) {
		t.Error(e)
	}
	if out, ok := d.WithCost([]byte(`{"usage":{}}`), "1"); !ok || string(out) != `{"usage":{"cost":1}}` {
		t.Errorf("%s", out)
	}
}
