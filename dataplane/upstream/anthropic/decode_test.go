package anthropic

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// unaryOf reads a message of these blocks.
func unaryOf(t testing.TB, r reading, reason string, blocks ...string) *chat.Answer {
	t.Helper()
	body := `{"content":[` + strings.Join(blocks, ",") + `],` + reason + `}`
	a := transport.Replay(noClose(body), false)
	out := &chat.Response{}
	if err := unary(a, r, out); err != nil {
		t.Fatal(err)
	}
	return out.Answer
}

// streamOf reads the same message as a stream, its strings cut after every rune.
func streamOf(t testing.TB, r reading, reason string, blocks ...string) *chat.Answer {
	t.Helper()
	list := []string{`{"type":"message_start","message":{}}`}
	for i, b := range blocks {
		list = append(list, blockEvents(t, i, []byte(b))...)
	}
	list = append(list, `{"type":"message_delta","delta":{`+reason+`}}`, stopEvent)
	got, err := decoded(strings.NewReader(events(list...)), r)
	if err != nil {
		t.Fatal(err)
	}
	return answerOf(got)
}

func blockEvents(t testing.TB, index int, b []byte) []string {
	t.Helper()
	if _, err := jsonscan.Scan(b); err != nil {
		t.Fatal(err)
	}
	var deltas []string
	delta := func(kind, name string, value []byte) {
		deltas = append(deltas, fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":%s}}`, index, kind, name, value))
	}
	cut := func(kind, name, s string) {
		for _, r := range s {
			delta(kind, name, jsonscan.Quote(string(r)))
		}
	}
	var start []string
	for name, value := range jsonscan.Members(b) {
		s, _ := jsonscan.String(value)
		switch name {
		case "text":
			cut("text_delta", "text", s)
			value = []byte(`""`)
		case "thinking":
			cut("thinking_delta", "thinking", s)
			value = []byte(`""`)
		case "signature":
			cut("signature_delta", "signature", s)
			value = []byte(`""`)
		case "input":
			if string(value) != "{}" {
				cut("input_json_delta", "partial_json", string(value))
			} else {
				delta("input_json_delta", "partial_json", []byte(`""`))
			}
			value = []byte("{}")
		case "citations":
			var first []string
			for c := range jsonscan.Elements(value) {
				first = append(first, fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":{"type":"citations_delta","citation":%s}}`, index, c))
			}
			deltas = append(first, deltas...)
			value = []byte("[]")
		}
		start = append(start, string(jsonscan.Quote(name))+":"+string(value))
	}
	out := append([]string{fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{%s}}`, index, strings.Join(start, ","))}, deltas...)
	return append(out, fmt.Sprintf(`{"type":"content_block_stop","index":%d}`, index))
}

func parts(p ...chat.Part) []chat.Part { return p }

func TestAnswers(t *testing.T) {
	const text, tool = `{"type":"text","text":"hé😀"}`, `{"type":"tool_use","id":"t1","name":"now","input":{}}`
	cite := func(url string) string {
		return `{"type":"web_search_result_location","url":"` + url + `","title":"T","cited_text":"q","encrypted_index":"e"}`
	}
	cited := func(url string, from, to int64) chat.Citation {
		return chat.Citation{URL: url, Title: "T", Quote: "q", Start: from, End: to, Native: []byte(cite(url))}
	}
	call := func(id, name, arguments string) chat.Part {
		return chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: id, Name: name, Arguments: arguments}}
	}
	for name, c := range map[string]struct {
		reading reading
		reason  string
		blocks  []string
		parts   []chat.Part
		sources []chat.Source
		finish  chat.Finish
	}{
		"empty":          {reading{}, `"stop_reason":"end_turn"`, nil, nil, nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"text":           {reading{}, `"stop_reason":"end_turn"`, []string{text}, parts(words("hé😀")), nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"no reason":      {reading{}, `"stop_reason":null`, []string{text}, parts(words("hé😀")), nil, chat.Finish{Reason: chat.FinishStop}},
		"new reason":     {reading{}, `"stop_reason":"compaction"`, []string{text}, parts(words("hé😀")), nil, chat.Finish{Reason: chat.FinishStop, Native: "compaction"}},
		"sequence":       {reading{}, `"stop_reason":"stop_sequence","stop_sequence":"x"`, nil, nil, nil, chat.Finish{Reason: chat.FinishSequence, Sequence: "x", Native: "stop_sequence"}},
		"length":         {reading{}, `"stop_reason":"max_tokens"`, nil, nil, nil, chat.Finish{Reason: chat.FinishLength, Native: "max_tokens"}},
		"context":        {reading{}, `"stop_reason":"model_context_window_exceeded"`, nil, nil, nil, chat.Finish{Reason: chat.FinishLength, Native: "model_context_window_exceeded"}},
		"pause":          {reading{}, `"stop_reason":"pause_turn"`, nil, nil, nil, chat.Finish{Reason: chat.FinishPause, Native: "pause_turn"}},
		"refusal":        {reading{}, `"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"because"}`, nil, nil, nil, chat.Finish{Reason: chat.FinishRefusal, Native: "refusal", Explanation: "because"}},
		"tool":           {reading{}, `"stop_reason":"tool_use"`, []string{text, tool}, parts(words("hé😀"), call("t1", "now", "{}")), nil, chat.Finish{Reason: chat.FinishTools, Native: "tool_use"}},
		"tool, end_turn": {reading{}, `"stop_reason":"end_turn"`, []string{tool}, parts(call("t1", "now", "{}")), nil, chat.Finish{Reason: chat.FinishTools, Native: "end_turn"}},
		"tools": {reading{}, `"stop_reason":"tool_use"`, []string{`{"type":"tool_use","id":"t1","name":"a","input":{"x":1.50,"y":"<é>"}}`, `{"type":"tool_use","id":"t2","name":"b","input":{"z":12345678901234567890}}`},
			parts(call("t1", "a", `{"x":1.50,"y":"<é>"}`), call("t2", "b", `{"z":12345678901234567890}`)), nil, chat.Finish{Reason: chat.FinishTools, Native: "tool_use"}},
		"thinking": {reading{}, `"stop_reason":"end_turn"`, []string{`{"type":"thinking","thinking":"hm","signature":"s=="}`, `{"type":"redacted_thinking","data":"d"}`, `{"type":"thinking","thinking":"","signature":"u"}`, text},
			parts(thinks1("hm", "s==", chat.FormatAnthropic), chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Encrypted: "d", Format: chat.FormatAnthropic}}, thinks1("", "u", chat.FormatAnthropic), words("hé😀")), nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"unknown blocks": {reading{}, `"stop_reason":"end_turn"`, []string{`{"type":"compaction","content":"x"}`, text, `{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}}`, text}, parts(words("hé😀hé😀")), nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"search": {reading{}, `"stop_reason":"end_turn"`, []string{text, `{"type":"web_search_tool_result","content":[{"type":"web_search_result","url":"https://a.example","title":"A","page_age":"May 1"},{"type":"x"}]}`,
			`{"type":"text","text":"b","citations":[` + cite("u1") + `,` + cite("u2") + `]}`, text, `{"type":"text","text":"c","citations":[` + cite("u3") + `]}`},
			parts(chat.Part{Kind: chat.PartText, Text: "hé😀bhé😀c", Citations: []chat.Citation{cited("u1", 4, 5), cited("u2", 4, 5), cited("u3", 9, 10)}}),
			[]chat.Source{{URL: "https://a.example", Title: "A", Date: "May 1"}}, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"search failed": {reading{}, `"stop_reason":"end_turn"`, []string{`{"type":"web_search_tool_result","content":{"type":"web_search_tool_result_error","error_code":"max_uses_exceeded"}}`, text}, parts(words("hé😀")), nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"document": {reading{}, `"stop_reason":"end_turn"`, []string{`{"type":"text","text":"b","citations":[{"type":"page_location","document_title":"D","cited_text":"q"}]}`},
			parts(chat.Part{Kind: chat.PartText, Text: "b", Citations: []chat.Citation{{Title: "D", Quote: "q", End: 1, Native: []byte(`{"type":"page_location","document_title":"D","cited_text":"q"}`)}}}), nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"search result": {reading{}, `"stop_reason":"end_turn"`, []string{`{"type":"text","text":"b","citations":[{"type":"search_result_location","source":"https://s.example","title":"S"}]}`},
			parts(chat.Part{Kind: chat.PartText, Text: "b", Citations: []chat.Citation{{URL: "https://s.example", Title: "S", End: 1, Native: []byte(`{"type":"search_result_location","source":"https://s.example","title":"S"}`)}}}), nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
		"JSON tool":           {reading{jsonTool: true}, `"stop_reason":"tool_use"`, []string{`{"type":"tool_use","id":"t","name":"json","input":{"a":1}}`}, parts(words(`{"a":1}`)), nil, chat.Finish{Reason: chat.FinishStop, Native: "tool_use"}},
		"JSON tool and other": {reading{jsonTool: true}, `"stop_reason":"tool_use"`, []string{tool}, parts(call("t1", "now", "{}")), nil, chat.Finish{Reason: chat.FinishTools, Native: "tool_use"}},
		"JSON tool, cut":      {reading{jsonTool: true}, `"stop_reason":"max_tokens"`, []string{`{"type":"tool_use","id":"t","name":"json","input":{}}`}, parts(words("{}")), nil, chat.Finish{Reason: chat.FinishLength, Native: "max_tokens"}},
		"tool named json":     {reading{}, `"stop_reason":"tool_use"`, []string{`{"type":"tool_use","id":"t","name":"json","input":{"a":1}}`}, parts(call("t", "json", `{"a":1}`)), nil, chat.Finish{Reason: chat.FinishTools, Native: "tool_use"}},
		"free text":           {reading{custom: map[string]bool{"sh": true}}, `"stop_reason":"tool_use"`, []string{`{"type":"tool_use","id":"t","name":"sh","input":{"input":"ls \"a\"\n"}}`}, parts(chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "t", Name: "sh", Arguments: "ls \"a\"\n", Custom: true}}), nil, chat.Finish{Reason: chat.FinishTools, Native: "tool_use"}},
		"free text, odd":      {reading{custom: map[string]bool{"sh": true}}, `"stop_reason":"tool_use"`, []string{`{"type":"tool_use","id":"t","name":"sh","input":{"x":1}}`}, parts(chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "t", Name: "sh", Arguments: `{"x":1}`, Custom: true}}), nil, chat.Finish{Reason: chat.FinishTools, Native: "tool_use"}},
		"fences":              {reading{fences: true}, `"stop_reason":"end_turn"`, []string{"{\"type\":\"text\",\"text\":\"```json\\n{\\\"a\\\":1}\\n```\\n\"}"}, parts(words(`{"a":1}`)), nil, chat.Finish{Reason: chat.FinishStop, Native: "end_turn"}},
	} {
		t.Run(name, func(t *testing.T) {
			want := &chat.Answer{Choices: []chat.Choice{{Parts: c.parts, Finish: c.finish}}, Sources: c.sources}
			if d := cmp.Diff(want, unaryOf(t, c.reading, c.reason, c.blocks...)); d != "" {
				t.Error("unary:", d)
			}
			if d := cmp.Diff(want, streamOf(t, c.reading, c.reason, c.blocks...)); d != "" {
				t.Error("stream:", d)
			}
		})
	}
}

func TestFence(t *testing.T) {
	for in, want := range map[string]string{
		"{}": "{}", "": "", " {} ": " {} ", "```json\n{}\n```": "{}", "```\n{\"a\":\"```\"}\n```\n\n": "{\"a\":\"```\"}", "\n```JSON\n{}```": "{}",
		"```json {} ```": "{}", "`x`": "`x`", "``": "``", "```json\n{}": "{}", "{\"a\":\"```json\"}": "{\"a\":\"```json\"}", "```json": "", "{}\n```": "{}\n```",
	} {
		for size := 1; size <= len(in)+1; size++ {
			f := fence{on: true}
			got := ""
			for at := 0; at < len(in); at += size {
				got += f.feed(in[at:min(at+size, len(in))])
			}
			if got += f.end(); got != want {
				t.Errorf("%q in steps of %d: got %q", in, size, got)
			}
		}
	}
	off := fence{}
	if got := off.feed("```json\n") + off.end(); got != "```json\n" {
		t.Errorf("got %q where no JSON is asked for", got)
	}
}
