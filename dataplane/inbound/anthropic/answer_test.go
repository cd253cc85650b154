package anthropic

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

func one(finish chat.FinishReason, parts ...chat.Part) *chat.Answer {
	return &chat.Answer{ID: "chatcmpl-1", Choices: []chat.Choice{{Parts: parts, Finish: chat.Finish{Reason: finish}}}}
}

func textPart(s string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s} }

func thoughtPart(t chat.Thought) chat.Part { return chat.Part{Kind: chat.PartThought, Thought: &t} }

func callPart(c chat.ToolCall) chat.Part { return chat.Part{Kind: chat.PartCall, Call: &c} }

const (
	head = `{"id":"msg_1","type":"message","role":"assistant","model":"m","content":`
	free = `"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":0,"service_tier":"standard"}}`
	end  = `,"stop_reason":"end_turn","stop_sequence":null,` + free
	tool = `,"stop_reason":"tool_use","stop_sequence":null,` + free
)

// answers are whole answers, byte for byte.
var answers = map[string]struct {
	in    *chat.Answer
	total chat.Total
	want  string
}{
	"nothing": {&chat.Answer{}, chat.Total{}, head + `[]` + end},
	"text":    {one(chat.FinishStop, textPart("<a> & \"b\"\u2028")), chat.Total{}, head + `[{"type":"text","text":"<a> & \"b\"\u2028"}]` + end},
	"usage": {
		one(chat.FinishStop, textPart("x")),
		chat.Total{Usage: pricing.Usage{Input: 1, CacheRead: 2, CacheWrite: 3, CacheWrite1h: 4, Output: 5, Reasoning: 6, Searches: 7}, CostUSD: "0.00001"},
		head + `[{"type":"text","text":"x"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"cache_creation_input_tokens":7,"cache_read_input_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":3,"ephemeral_1h_input_tokens":4},"output_tokens":5,"output_tokens_details":{"thinking_tokens":6},"server_tool_use":{"web_search_requests":7},"service_tier":"standard","cost":0.00001}}`,
	},
	"its own id": {&chat.Answer{ID: "msg_01abc"}, chat.Total{}, `{"id":"msg_01abc","type":"message","role":"assistant","model":"m","content":[]` + end},
	"a thought":  {one(chat.FinishStop, thoughtPart(chat.Thought{Text: "hm"}), textPart("x")), chat.Total{}, head + `[{"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"x"}]` + end},
	"signed":     {one(chat.FinishStop, thoughtPart(chat.Thought{Text: "hm", Signature: "sig", Format: chat.FormatAnthropic})), chat.Total{}, head + `[{"type":"thinking","thinking":"hm","signature":"sig"}]` + end},
	"redacted":   {one(chat.FinishStop, thoughtPart(chat.Thought{Encrypted: "e", Format: chat.FormatAnthropic})), chat.Total{}, head + `[{"type":"redacted_thinking","data":"e"}]` + end},
	"of OpenAI":  {one(chat.FinishStop, thoughtPart(chat.Thought{Text: "hm", Encrypted: "gA==", ID: "rs_1:x", Format: chat.FormatOpenAI})), chat.Total{}, head + `[{"type":"thinking","thinking":"hm","signature":"openai-responses-v1:encrypted:rs_1%3Ax:gA=="}]` + end},
	"of Gemini":  {one(chat.FinishTools, callPart(chat.ToolCall{ID: "c", Name: "f", Arguments: `{"a":1}`, Signature: "s+/="})), chat.Total{}, head + `[{"type":"thinking","thinking":"","signature":"google-gemini-v1:call::s+/="},{"type":"tool_use","id":"c","name":"f","input":{"a":1}}]` + tool},
	"text's own": {one(chat.FinishStop, chat.Part{Kind: chat.PartText, Text: "x", Signature: "s"}), chat.Total{}, head + `[{"type":"thinking","thinking":"","signature":"google-gemini-v1:text::s"},{"type":"text","text":"x"}]` + end},
	"no text":    {one(chat.FinishStop, chat.Part{Kind: chat.PartText, Signature: "s"}), chat.Total{}, head + `[{"type":"thinking","thinking":"","signature":"google-gemini-v1:signature::s"}]` + end},
	"calls": {
		one(chat.FinishStop, textPart("x"), callPart(chat.ToolCall{ID: "functions.f:0", Name: "f"}), callPart(chat.ToolCall{Name: "g", Arguments: `{"big":12345678901234567890,"b":"<&>"}`}), callPart(chat.ToolCall{ID: "i", Name: "h", Arguments: `{"a":`})), chat.Total{},
		head + `[{"type":"text","text":"x"},{"type":"tool_use","id":"functions_f_0","name":"f","input":{}},{"type":"tool_use","id":"toolu_1_1","name":"g","input":{"big":12345678901234567890,"b":"<&>"}},{"type":"tool_use","id":"i","name":"h","input":{"invalid_arguments":"{\"a\":"}}]` + tool,
	},
	"texts": {one(chat.FinishStop, textPart("x"), textPart("y"), thoughtPart(chat.Thought{Text: "t"}), textPart("z")), chat.Total{}, head + `[{"type":"text","text":"xy"},{"type":"thinking","thinking":"t","signature":""},{"type":"text","text":"z"}]` + end},
	"kept apart": {
		one(chat.FinishStop, textPart("w"), chat.Part{Kind: chat.PartText, Text: "x", Citations: []chat.Citation{{URL: "u"}}}, textPart("y")), chat.Total{},
		head + `[{"type":"text","text":"w"},{"type":"text","text":"x","citations":[{"type":"web_search_result_location","cited_text":"","url":"u","title":null,"encrypted_index":""}]},{"type":"text","text":"y"}]` + end,
	},
	"cited": {
		one(chat.FinishStop, chat.Part{Kind: chat.PartText, Text: "x", Citations: []chat.Citation{{URL: "https://a", Title: "A", Quote: "q", Start: 1, End: 2}, {URL: "https://b"}, {Title: "no page"}}}), chat.Total{},
		head + `[{"type":"text","text":"x","citations":[{"type":"web_search_result_location","cited_text":"q","url":"https://a","title":"A","encrypted_index":""},{"type":"web_search_result_location","cited_text":"","url":"https://b","title":null,"encrypted_index":""}]}]` + end,
	},
	"found": {
		&chat.Answer{Sources: []chat.Source{{URL: "https://a", Title: "A", Date: "2026-01-02"}, {URL: "https://b"}}, Choices: []chat.Choice{{Parts: []chat.Part{textPart("x")}, Finish: chat.Finish{Reason: chat.FinishStop}}}}, chat.Total{},
		head + `[{"type":"server_tool_use","id":"srvtoolu_layers_1_0","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_layers_1_0","content":[{"type":"web_search_result","title":"A","url":"https://a","encrypted_content":"","page_age":"2026-01-02"},{"type":"web_search_result","title":"","url":"https://b","encrypted_content":"","page_age":null}]},{"type":"text","text":"x"}]` + end,
	},
	"refused, with a call": {
		one(chat.FinishStop, chat.Part{Kind: chat.PartRefusal, Text: "no"}, callPart(chat.ToolCall{ID: "c", Name: "f"})), chat.Total{},
		head + `[{"type":"text","text":"no"},{"type":"tool_use","id":"c","name":"f","input":{}}]` + tool,
	},
	"refused": {
		&chat.Answer{Choices: []chat.Choice{{Parts: []chat.Part{{Kind: chat.PartRefusal, Text: "no"}}, Finish: chat.Finish{Reason: chat.FinishStop}}}}, chat.Total{},
		head + `[{"type":"text","text":"no"}],"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":null,"explanation":null},` + free,
	},
}

func TestAnswer(t *testing.T) {
	for name, c := range answers {
		t.Run(name, func(t *testing.T) {
			got, err := Messages{}.Answer(&chat.Request{ID: "req_1", Model: "m"}, c.in, c.total)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

// Why an answer ended, with and without a call, unary and streamed.
func TestStopReason(t *testing.T) {
	for _, c := range []struct {
		finish         chat.Finish
		called         bool
		want, sequence string
	}{
		{chat.Finish{Reason: chat.FinishStop}, false, "end_turn", ""},
		{chat.Finish{Reason: chat.FinishStop}, true, "tool_use", ""},
		{chat.Finish{Reason: chat.FinishTools}, true, "tool_use", ""},
		{chat.Finish{Reason: chat.FinishTools}, false, "end_turn", ""},
		{chat.Finish{Reason: chat.FinishSequence, Sequence: "."}, false, "stop_sequence", "."},
		{chat.Finish{Reason: chat.FinishSequence}, false, "stop_sequence", ""},
		{chat.Finish{Reason: chat.FinishSequence, Sequence: "."}, true, "tool_use", ""},
		{chat.Finish{Reason: chat.FinishLength}, false, "max_tokens", ""},
		{chat.Finish{Reason: chat.FinishLength}, true, "max_tokens", ""},
		{chat.Finish{Reason: chat.FinishFilter}, false, "refusal", ""},
		{chat.Finish{Reason: chat.FinishRefusal, Explanation: "why"}, true, "refusal", ""},
		{chat.Finish{Reason: chat.FinishPause}, false, "pause_turn", ""},
		{chat.Finish{}, false, "end_turn", ""},
		{chat.Finish{}, true, "tool_use", ""},
	} {
		a := &chat.Answer{Choices: []chat.Choice{{Finish: c.finish}}}
		pieces := []chat.Piece{{Kind: chat.PieceFinish, Finish: &c.finish}}
		if c.called {
			call := &chat.ToolCall{ID: "i", Name: "f", Arguments: "{}"}
			a.Choices[0].Parts = []chat.Part{{Kind: chat.PartCall, Call: call}}
			pieces = append([]chat.Piece{{Kind: chat.PieceCall, Call: call}}, pieces...)
		}
		body, err := Messages{}.Answer(&chat.Request{}, a, chat.Total{})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []map[string]any{decoded(t, body), streamed(t, pieces, chat.Total{})} {
			sequence, _ := got["stop_sequence"].(string)
			if got["stop_reason"] != c.want || sequence != c.sequence {
				t.Errorf("%+v, called %v: %v %v", c.finish, c.called, got["stop_reason"], got["stop_sequence"])
			}
			details, _ := got["stop_details"].(map[string]any)
			if (details != nil) != (c.want == "refusal") || c.finish.Explanation != "" && details["explanation"] != c.finish.Explanation {
				t.Errorf("%+v: details %v", c.finish, details)
			}
		}
	}
}

// Whatever a model writes as arguments, the input is an object.
func TestInput(t *testing.T) {
	for in, want := range map[string]string{
		"": `{}`, " \n": `{}`, `{"a":1}`: `{"a":1}`, ` {"a" : 1.50} `: ` {"a" : 1.50} `,
		`{"a":1`: `{"invalid_arguments":"{\"a\":1"}`, `null`: `{"invalid_arguments":"null"}`, `[1]`: `{"invalid_arguments":"[1]"}`,
		`"{}"`: `{"invalid_arguments":"\"{}\""}`, `{"a":1}}`: `{"invalid_arguments":"{\"a\":1}}"}`, `x<y`: `{"invalid_arguments":"x<y"}`,
	} {
		got := string(inputOf(in))
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("%q gives %s", in, got)
		}
	}
}
