package openai

import (
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

func TestDecodeQuirks(t *testing.T) {
	for name, c := range map[string]struct {
		chunks []string
		want   view
	}{
		"no index, an id each": {[]string{
			`{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"{"}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"}"}}]},"finish_reason":"tool_calls"}]}`,
		}, view{Calls: []viewCall{{"a", "f", "{}"}, {"b", "g", "{}"}}, Finish: chat.FinishTools}},
		"all of them 0": {[]string{
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"stop"}]}`,
		}, view{Calls: []viewCall{{"a", "f", "{}"}, {"b", "g", "{}"}}, Finish: chat.FinishTools}},
		"side by side, gaps": {[]string{
			`{"choices":[{"delta":{"tool_calls":[{"index":2,"id":"a","function":{"name":"f","arguments":""}},{"index":5,"id":"b","function":{"name":"g"}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":5,"function":{"arguments":"2"}},{"index":2,"function":{"arguments":"1"}}]}}]}`,
			`{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`,
		}, view{Calls: []viewCall{{"a", "f", "1"}, {"b", "g", "2"}}, Finish: chat.FinishTools}},
		"the id repeated, the name late": {[]string{
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{"}}]}}]}`,
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}]},"finish_reason":"tool_calls"}]}`,
		}, view{Calls: []viewCall{{"a", "f", "{}"}}, Finish: chat.FinishTools}},
		"a call without a name": {[]string{
			`{"choices":[{"delta":{"content":"x","tool_calls":[{"index":0,"id":"a","function":{"arguments":"{"}}]},"finish_reason":"stop"}]}`,
		}, view{Text: "x", Finish: chat.FinishStop}},
		"an object for arguments": {[]string{
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"tool_calls"}]}`,
		}, view{Calls: []viewCall{{"a", "f", `{"a":1}`}}, Finish: chat.FinishTools}},
		"the older function": {[]string{
			`{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{"}}}]}`, `{"choices":[{"delta":{"function_call":{"arguments":"}"}},"finish_reason":"function_call"}]}`,
		}, view{Calls: []viewCall{{"", "f", "{}"}}, Finish: chat.FinishTools}},
		"custom": {[]string{
			`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"h","input":"x"}}]}}]}`, `{"choices":[{"delta":{"tool_calls":[{"index":0,"custom":{"input":"y"}}]},"finish_reason":"tool_calls"}]}`,
		}, view{Calls: []viewCall{{"a", "h", "xy"}}, Finish: chat.FinishTools}},
		"reasoning once": {[]string{
			`{"choices":[{"delta":{"reasoning_content":"a","reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a"}]}}]}`,
			`{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic-claude-v1"}]}}]}`,
			`{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"e"}]}}]}`,
			`{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}`,
		}, view{Reasoning: "a", Signatures: []string{"s", "e"}, Text: "b", Finish: chat.FinishStop}},
		"reasoning in parts": {[]string{
			`{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]}}]}`, `{"choices":[{"delta":{"content":[{"type":"text","text":"b"}]},"finish_reason":"stop"}]}`,
		}, view{Reasoning: "a", Text: "b", Finish: chat.FinishStop}},
		"ended twice":           {[]string{`{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`, `{"choices":[{"delta":{"content":""},"finish_reason":"stop"}]}`}, view{Text: "a", Finish: chat.FinishStop}},
		"never ended":           {[]string{`{"choices":[{"delta":{"content":"a"}}]}`}, view{Text: "a", Finish: chat.FinishStop}},
		"filtered":              {[]string{`{"choices":[{"delta":{},"finish_reason":"content_filter"}]}`}, view{Finish: chat.FinishFilter}},
		"unheard of":            {[]string{`{"choices":[{"delta":{"content":"a"},"finish_reason":"insufficient_system_resource"}]}`}, view{Text: "a", Finish: chat.FinishStop}},
		"a refusal":             {[]string{`{"choices":[{"delta":{"refusal":"n"}}]}`, `{"choices":[{"delta":{"refusal":"o"},"finish_reason":"stop"}]}`}, view{Refusal: "no", Finish: chat.FinishRefusal}},
		"null here, null there": {[]string{`{"choices":[{"index":0,"delta":{"content":null,"refusal":null,"tool_calls":null,"function_call":null,"reasoning":null,"reasoning_details":null,"annotations":null},"logprobs":null,"finish_reason":null}]}`, `{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`}, view{Text: "a", Finish: chat.FinishStop}},
	} {
		t.Run(name, func(t *testing.T) {
			body := ""
			for _, chunk := range c.chunks {
				body += "data: " + chunk + "\n\n"
			}
			body += "data: [DONE]\n\n"
			for name, r := range splits([]byte(body)) {
				got, err := viewStream(t, reading{translate: true}.stream(transport.Replay(io.NopCloser(r), true)))
				if d := cmp.Diff(&c.want, got.Choices[0], cmpopts.EquateEmpty()); d != "" || err != nil {
					t.Fatal(name, d, err)
				}
			}
		})
	}
}

// A citation's offsets are into the content; after a call they are into the text behind it.
func TestCitationsOfRuns(t *testing.T) {
	d := newChunks()
	cited := func(chunk string) *chat.Citation {
		for _, p := range d.read([]byte(chunk), nil) {
			if p.Kind == chat.PieceCitation {
				return p.Citation
			}
		}
		return nil
	}
	const annotation = `"annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t","start_index":%d,"end_index":%d}}]`
	at := func(from, to int) string {
		return `{"choices":[{"delta":{` + fmt.Sprintf(annotation, from, to) + `}}]}`
	}
	if c := cited(`{"choices":[{"delta":{"content":"😀ab"}}]}`); c != nil {
		t.Error(c)
	}
	if c := cited(at(2, 3)); c.Start != 2 || c.End != 3 || c.URL != "u" || c.Title != "t" || len(c.Native) == 0 {
		t.Errorf("%+v", c)
	}
	cited(`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f"}}]}}]}`)
	cited(`{"choices":[{"delta":{"content":"cd"}}]}`)
	if c := cited(at(5, 6)); c.Start != 1 || c.End != 2 {
		t.Errorf("%+v", c)
	}
	if c := cited(at(0, 2)); c.Start != 0 || c.End != 0 {
		t.Errorf("%+v", c)
	}
}
