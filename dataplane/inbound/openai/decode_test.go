package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// translate reads a body as the gateway does for an upstream of another protocol.
func translate(t *testing.T, body string) *chat.Prompt {
	t.Helper()
	r, bad := Parse("req_1", []byte(body))
	if bad != nil {
		t.Fatal(bad)
	}
	p, err := r.Translate()
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Translate()
	if err != nil || again != p {
		t.Error("the prompt is read twice")
	}
	return p
}

func messagesOf(messages string) string { return `{"model":"m","messages":[` + messages + `]}` }

func text(s string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s} }

func image(m chat.Media) chat.Part    { return chat.Part{Kind: chat.PartImage, Media: &m} }
func document(m chat.Media) chat.Part { return chat.Part{Kind: chat.PartDocument, Media: &m} }

func thought(t chat.Thought) chat.Part { return chat.Part{Kind: chat.PartThought, Thought: &t} }

func called(id, name, arguments string) chat.Part {
	return chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: id, Name: name, Arguments: arguments}}
}

func resultOf(id, name string, parts ...chat.Part) chat.Part {
	return chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: id, Name: name, Parts: parts}}
}

func user(parts ...chat.Part) chat.Message { return chat.Message{Role: chat.User, Parts: parts} }
func said(parts ...chat.Part) chat.Message { return chat.Message{Role: chat.Assistant, Parts: parts} }

// pixel is a GIF, whatever a client calls it.
const pixel = "R0lGODlhAQABAAAAACw="

func TestDecodeMessages(t *testing.T) {
	hi := user(text("hi"))
	for name, c := range map[string]struct {
		in   string
		want []chat.Message
	}{
		"string":                 {`{"role":"user","content":"hi","name":"ann"}`, []chat.Message{{Role: chat.User, Parts: []chat.Part{text("hi")}, Name: "ann"}}},
		"texts stay as they are": {`{"role":"user","content":" <&>\u00e9\n "}`, []chat.Message{user(text(" <&>é\n "))}},
		"system anywhere": {`{"role":"system","content":"a"},{"role":"user","content":"hi"},{"role":"developer","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]}`,
			[]chat.Message{{Role: chat.System, Parts: []chat.Part{text("a")}}, hi, {Role: chat.System, Parts: []chat.Part{text("b"), text("c")}}}},
		"empty texts":          {`{"role":"system","content":""},{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"hi"}]},{"role":"assistant","content":null}`, []chat.Message{hi}},
		"one part, no array":   {`{"role":"user","content":{"type":"text","text":"hi"}}`, []chat.Message{hi}},
		"a string among parts": {`{"role":"user","content":["hi"]}`, []chat.Message{hi}},
		"breakpoints": {`{"role":"system","cache_control":{"type":"ephemeral"},"content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"text","text":"b"}]},{"role":"user","content":"hi","cache_control":{"ttl":"1h"}}`,
			[]chat.Message{{Role: chat.System, Parts: []chat.Part{{Kind: chat.PartText, Text: "a", Cache: "1h"}, {Kind: chat.PartText, Text: "b", Cache: "5m"}}}, user(chat.Part{Kind: chat.PartText, Text: "hi", Cache: "1h"})}},
		"image by URL": {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.test/a.png","detail":"low"}}]}`, []chat.Message{user(image(chat.Media{URL: "https://x.test/a.png", Detail: "low"}))}},
		"image, no object": {`{"role":"user","content":[{"type":"image_url","image_url":"http://x.test/a"},{"type":"input_image","image_url":"https://x.test/b","detail":"high"}]}`,
			[]chat.Message{user(image(chat.Media{URL: "http://x.test/a"}), image(chat.Media{URL: "https://x.test/b", Detail: "high"}))}},
		"image data":                  {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAAN"}}]}`, []chat.Message{user(image(chat.Media{Type: "image/png", Base64: "iVBORw0KGgoAAAAN"}))}},
		"image of another type":       {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"DATA:image/png;charset=x;BASE64,` + pixel + `"}}]}`, []chat.Message{user(image(chat.Media{Type: "image/gif", Base64: pixel}))}},
		"image of no known type":      {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/jpg;base64,AAAA"}}]}`, []chat.Message{user(image(chat.Media{Type: "image/jpeg", Base64: "AAAA"}))}},
		"base64 in lines, no padding": {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlh\r\nAQABAAAAACw"}}]}`, []chat.Message{user(image(chat.Media{Type: "image/gif", Base64: pixel}))}},
		"webp":                        {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:;base64,UklGRvoMAABXRUJQVlA4IA=="}}]}`, []chat.Message{user(image(chat.Media{Type: "image/webp", Base64: "UklGRvoMAABXRUJQVlA4IA=="}))}},
		"pdf":                         {`{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0xLjQ=","filename":"a.pdf"}}]}`, []chat.Message{user(document(chat.Media{Type: "application/pdf", Base64: "JVBERi0xLjQ=", Name: "a.pdf"}))}},
		"bare pdf":                    {`{"role":"user","content":[{"type":"file","file":{"file_data":"JVBERi0xLjQ="}}]}`, []chat.Message{user(document(chat.Media{Type: "application/pdf", Base64: "JVBERi0xLjQ="}))}},
		"pdf by URL": {`{"role":"user","content":[{"type":"file","file":{"file_data":"https://x.test/a.pdf"}},{"type":"input_file","file_url":"https://x.test/b.pdf","filename":"b"}]}`,
			[]chat.Message{user(document(chat.Media{URL: "https://x.test/a.pdf"}), document(chat.Media{URL: "https://x.test/b.pdf", Name: "b"}))}},
		"pdf as an image": {`{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:application/pdf;base64,JVBERi0xLjQ="}}]}`, []chat.Message{user(document(chat.Media{Type: "application/pdf", Base64: "JVBERi0xLjQ="}))}},
		"image as a file": {`{"role":"user","content":[{"type":"file","file":{"file_data":"data:image/gif;base64,` + pixel + `"}}]}`, []chat.Message{user(image(chat.Media{Type: "image/gif", Base64: pixel}))}},
		"text files": {`{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/markdown;base64,aMOp"}},{"type":"file","file":{"file_data":"aMOp","filename":"A.TXT"}},{"type":"file","file":{"file_data":"data:,a%20b"}}]}`,
			[]chat.Message{user(document(chat.Media{Type: "text/markdown", Text: "hé"}), document(chat.Media{Type: "text/plain", Text: "hé", Name: "A.TXT"}), document(chat.Media{Type: "text/plain", Text: "a b"}))}},
		"sources": {`{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + pixel + `"}},{"type":"document","title":"t","source":{"type":"text","media_type":"text/plain","data":"words"}},{"type":"document","source":{"type":"url","url":"https://x.test/d"}}]}`,
			[]chat.Message{user(image(chat.Media{Type: "image/gif", Base64: pixel}), document(chat.Media{Type: "text/plain", Text: "words", Name: "t"}), document(chat.Media{URL: "https://x.test/d"}))}},
		"answers": {`{"role":"user","content":"hi"},{"role":"assistant","content":"a","refusal":null},{"role":"assistant","content":null,"refusal":"no"},{"role":"assistant","content":[{"type":"text","text":"b"},{"type":"refusal","refusal":"c"}]}`,
			[]chat.Message{hi, said(text("a")), said(chat.Part{Kind: chat.PartRefusal, Text: "no"}), said(text("b"), chat.Part{Kind: chat.PartRefusal, Text: "c"})}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, translate(t, messagesOf(c.in)).Messages); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDecodeCalls(t *testing.T) {
	call := func(id, more string) string {
		return `{"id":"` + id + `","type":"function","function":{"name":"f","arguments":` + more + `}}`
	}
	assistant := func(calls string) string { return `{"role":"assistant","content":null,"tool_calls":[` + calls + `]}` }
	result := func(id string) string { return `{"role":"tool","tool_call_id":"` + id + `","content":"r` + id + `"}` }
	signed := called("c", "f", "{}")
	signed.Call.Signature = "sig"
	for name, c := range map[string]struct {
		in   string
		want []chat.Message
	}{
		"arguments": {assistant(call("a", `"{\"x\": 1.0}"`)+","+call("b", `""`)+","+call("c", `" "`)+","+call("d", `"null"`)+","+call("e", `{"y":2}`)+","+call("f", `null`)) + strings.Join([]string{"", result("a"), result("b"), result("c"), result("d"), result("e"), result("f")}, ","),
			[]chat.Message{said(called("a", "f", `{"x": 1.0}`), called("b", "f", "{}"), called("c", "f", "{}"), called("d", "f", "{}"), called("e", "f", `{"y":2}`), called("f", "f", "{}")),
				user(resultOf("a", "f", text("ra")), resultOf("b", "f", text("rb")), resultOf("c", "f", text("rc")), resultOf("d", "f", text("rd")), resultOf("e", "f", text("re")), resultOf("f", "f", text("rf")))}},
		"results in the order of the calls": {assistant(call("a", `"{}"`)+","+call("b", `"{}"`)) + "," + result("b") + "," + result("a") + `,{"role":"user","content":"x"}`,
			[]chat.Message{said(called("a", "f", "{}"), called("b", "f", "{}")), user(resultOf("a", "f", text("ra")), resultOf("b", "f", text("rb"))), user(text("x"))}},
		"results with images, empty, cached": {assistant(call("a", `"{}"`)+","+call("b", `"{}"`)) + `,{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"see"},{"type":"image_url","image_url":{"url":"https://x.test/i"}}]},{"role":"tool","tool_call_id":"b","content":"","cache_control":{"type":"ephemeral"}}`,
			[]chat.Message{said(called("a", "f", "{}"), called("b", "f", "{}")), user(resultOf("a", "f", text("see"), image(chat.Media{URL: "https://x.test/i"})), chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: "b", Name: "f"}, Cache: "5m"})}},
		"an id used again": {assistant(call("a", `"{}"`)) + "," + result("a") + "," + assistant(call("a", `"{}"`)) + "," + result("a"),
			[]chat.Message{said(called("a", "f", "{}")), user(resultOf("a", "f", text("ra"))), said(called("a_2", "f", "{}")), user(resultOf("a_2", "f", text("ra")))}},
		"text beside": {`{"role":"assistant","content":"well","tool_calls":[` + call("a", `"{}"`) + `]},` + result("a"), []chat.Message{said(text("well"), called("a", "f", "{}")), user(resultOf("a", "f", text("ra")))}},
		"custom": {`{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{"name":"g","input":"free {"}}]},` + result("a"),
			[]chat.Message{said(chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "a", Name: "g", Arguments: "free {", Custom: true}}), user(resultOf("a", "g", text("ra")))}},
		"functions": {`{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"1"},{"role":"assistant","function_call":{"name":"g","arguments":""}},{"role":"function","name":"g","content":"2"}`,
			[]chat.Message{said(called("call_function_1", "f", "{}")), user(resultOf("call_function_1", "f", text("1"))), said(called("call_function_2", "g", "{}")), user(resultOf("call_function_2", "g", text("2")))}},
		"Google's signature":  {`{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"sig"}}}]},` + result("c"), []chat.Message{said(signed), user(resultOf("c", "f", text("rc")))}},
		"LiteLLM's signature": {`{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"},"provider_specific_fields":{"thought_signature":"sig"}}]},` + result("c"), []chat.Message{said(signed), user(resultOf("c", "f", text("rc")))}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, translate(t, messagesOf(c.in)).Messages); d != "" {
				t.Error(d)
			}
		})
	}
}

// refusals of the decoder name the place.
func TestDecodeRefuses(t *testing.T) {
	call := `{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	content := func(c string) string {
		return messagesOf(`{"role":"user","content":"x"},{"role":"user","content":` + c + `}`)
	}
	for in, param := range map[string]string{
		messagesOf(`{}`): "messages[0].role",
		messagesOf(`{"role":"robot","content":"x"}`): "messages[0].role",
		messagesOf(`{"role":"user"}`):                "messages[0].content",
		messagesOf(`{"role":"user","content":1}`):    "messages[0].content",
		messagesOf(`{"role":"user","content":""}`):   "messages",
		content(`[1]`):                                                                                                          "messages[1].content[0]",
		content(`[{"type":"text"}]`):                                                                                            "messages[1].content[0].text",
		content(`["a",{"type":"text","text":1}]`):                                                                               "messages[1].content[1].text",
		content(`[{"type":"refusal","refusal":"x"}]`):                                                                           "messages[1].content[0].type",
		content(`[{"type":"hologram"}]`):                                                                                        "messages[1].content[0].type",
		content(`[{"type":"image_url"}]`):                                                                                       "messages[1].content[0].image_url",
		content(`[{"type":"image_url","image_url":1}]`):                                                                         "messages[1].content[0].image_url",
		content(`[{"type":"image_url","image_url":{}}]`):                                                                        "messages[1].content[0].image_url.url",
		content(`[{"type":"image_url","image_url":{"url":"ftp://x.test/a"}}]`):                                                  "messages[1].content[0].image_url.url",
		content(`[{"type":"image_url","image_url":{"url":"https://"}}]`):                                                        "messages[1].content[0].image_url.url",
		content(`[{"type":"image_url","image_url":{"url":"data:image/png;base64"}}]`):                                           "messages[1].content[0].image_url.url",
		content(`[{"type":"image_url","image_url":{"url":"data:image/png,abc"}}]`):                                              "messages[1].content[0].image_url.url",
		content(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,a!bc"}}]`):                                      "messages[1].content[0].image_url.url",
		content(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,"}}]`):                                          "messages[1].content[0].image_url.url",
		content(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,abcde"}}]`):                                     "messages[1].content[0].image_url.url",
		content(`[{"type":"file","file":{}}]`):                                                                                  "messages[1].content[0].file.file_data",
		content(`[{"type":"file","file":{"file_data":"data:text/plain;base64,/w=="}}]`):                                         "messages[1].content[0].file.file_data",
		content(`[{"type":"file","file":{"file_data":1}}]`):                                                                     "messages[1].content[0].file.file_data",
		content(`[{"type":"document","source":{"type":"file"}}]`):                                                               "messages[1].content[0].source.type",
		messagesOf(`{"role":"system","content":[{"type":"image_url","image_url":"https://x.test"}]}`):                           "messages[0].content[0].type",
		messagesOf(`{"role":"assistant","refusal":1}`):                                                                          "messages[0].refusal",
		messagesOf(`{"role":"assistant","tool_calls":{}}`):                                                                      "messages[0].tool_calls",
		messagesOf(`{"role":"assistant","tool_calls":[1]}`):                                                                     "messages[0].tool_calls[0]",
		messagesOf(`{"role":"assistant","tool_calls":[{}]}`):                                                                    "messages[0].tool_calls[0].id",
		messagesOf(`{"role":"assistant","tool_calls":[{"id":1}]}`):                                                              "messages[0].tool_calls[0].id",
		messagesOf(`{"role":"assistant","tool_calls":[{"id":"a"}]}`):                                                            "messages[0].tool_calls[0].function.name",
		messagesOf(`{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}`):                    "messages[0].tool_calls[0].function.arguments",
		messagesOf(`{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}`):                  "messages[0].tool_calls[0].function.arguments",
		messagesOf(`{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}},{"id":"a","function":{"name":"f"}}]}`): "messages[0].tool_calls[1].id",
		messagesOf(`{"role":"assistant","function_call":{"name":"f","arguments":"x"}}`):                                         "messages[0].function_call.arguments",
		messagesOf(`{"role":"assistant","function_call":{}}`):                                                                   "messages[0].function_call.name",
		messagesOf(call): "messages",
		messagesOf(call + `,{"role":"user","content":"x"}`):                                                       "messages",
		messagesOf(call + `,{"role":"tool","content":"x"}`):                                                       "messages[1].tool_call_id",
		messagesOf(call + `,{"role":"tool","tool_call_id":"b","content":"x"}`):                                    "messages[1].tool_call_id",
		messagesOf(call + `,{"role":"tool","tool_call_id":"a"},{"role":"tool","tool_call_id":"a"}`):               "messages[2].tool_call_id",
		messagesOf(call + `,{"role":"tool","tool_call_id":"a","content":5}`):                                      "messages[1].content",
		messagesOf(`{"role":"tool","tool_call_id":"a","content":"x"}`):                                            "messages[0].tool_call_id",
		messagesOf(`{"role":"function","name":"f","content":"x"}`):                                                "messages[0].name",
		messagesOf(`{"role":"assistant","content":"x","reasoning_details":{}}`):                                   "messages[0].reasoning_details",
		messagesOf(`{"role":"assistant","content":"x","reasoning_details":[1]}`):                                  "messages[0].reasoning_details[0]",
		messagesOf(`{"role":"assistant","content":"x","thinking_blocks":[{"thinking":1}]}`):                       "messages[0].thinking_blocks[0].Thinking",
		body(`"tools":[{"type":"function"}]`):                                                                     "tools[0].name",
		body(`"tools":[{"type":"function","function":{"name":"f","parameters":1}}]`):                              "tools[0].function.parameters",
		body(`"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"f"}}]`): "tools[1].function.name",
		body(`"functions":[{}]`): "functions[0].name",
		body(`"functions":[{"name":"f"}],"tools":[{"type":"function","function":{"name":"f"}}]`): "functions",
		body(`"tool_choice":"required"`):                                  "tool_choice",
		body(`"tool_choice":"sometimes"`):                                 "tool_choice",
		body(`"tool_choice":{"type":"function","function":{"name":"f"}}`): "tool_choice",
		body(`"tool_choice":{"type":"function","function":{"name":"g"}},"tools":[{"type":"function","function":{"name":"f"}}]`):                                     "tool_choice",
		body(`"tool_choice":{"type":"function"},"tools":[{"type":"function","function":{"name":"f"}}]`):                                                             "tool_choice",
		body(`"tool_choice":{"type":"web_search"}`):                                                                                                                 "tool_choice",
		body(`"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"}]},"tools":[{"type":"function","function":{"name":"f"}}]`): "tool_choice",
		body(`"function_call":{"name":"g"},"functions":[{"name":"f"}]`):                                                                                             "function_call",
		body(`"parallel_tool_calls":"no"`):                                                      "parallel_tool_calls",
		body(`"response_format":{"type":"xml"}`):                                                "response_format.type",
		body(`"response_format":{"type":"json_schema"}`):                                        "response_format.json_schema",
		body(`"response_format":{"type":"json_schema","json_schema":{"schema":1}}`):             "response_format.json_schema.schema",
		body(`"web_search_options":{"search_context_size":"huge"}`):                             "web_search_options.search_context_size",
		body(`"web_search_options":{"user_location":1}`):                                        "web_search_options.user_location",
		body(`"tools":[{"type":"web_search","allowed_domains":["a"],"blocked_domains":["b"]}]`): "tools[0]",
		body(`"reasoning_effort":"heroic"`):                                                     "reasoning_effort",
		body(`"reasoning":{"effort":"heroic"}`):                                                 "reasoning.effort",
		body(`"thinking":{"type":"deep"}`):                                                      "thinking.type",
		body(`"stop":1`):                                                                        "stop",
		body(`"stop":["a",1]`):                                                                  "stop[1]",
		body(`"temperature":"hot"`):                                                             "temperature",
		body(`"temperature":2.1`):                                                               "temperature",
		body(`"temperature":-0.5`):                                                              "temperature",
		body(`"top_p":1.01`):                                                                    "top_p",
		body(`"presence_penalty":-3`):                                                           "presence_penalty",
		body(`"frequency_penalty":3`):                                                           "frequency_penalty",
		body(`"seed":1.5`):                                                                      "seed",
		body(`"top_k":"5"`):                                                                     "top_k",
		body(`"logprobs":5`):                                                                    "logprobs",
		body(`"top_logprobs":5`):                                                                "top_logprobs",
		body(`"logprobs":true,"top_logprobs":21`):                                               "top_logprobs",
		body(`"logit_bias":[]`):                                                                 "logit_bias",
		body(`"user":1`):                                                                        "user",
		body(`"verbosity":"loud"`):                                                              "verbosity",
		body(`"verbosity":1`):                                                                   "verbosity",
	} {
		r, bad := Parse("", []byte(in))
		if bad != nil {
			t.Errorf("%s: %v", in, bad)
			continue
		}
		p, err := r.Translate()
		var e *chat.Error
		if !errors.As(err, &e) || p != nil {
			t.Errorf("%s: taken", in)
			continue
		}
		if e.Param != param || e.Status != 400 || e.Type != "invalid_request_error" || e.Code == "" || e.Message == "" {
			t.Errorf("%s: param %q, %d %s: %s", in, e.Param, e.Status, e.Code, e.Message)
		}
	}
}

func TestDecodeParameters(t *testing.T) {
	yes, no, five, minus := true, false, int64(5), int64(-1)
	f := func(more string) string {
		return `"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]` + more
	}
	two := []chat.Tool{{Name: "f"}, {Name: "g"}}
	for more, want := range map[string]chat.Prompt{
		``:                     {},
		`"stop":"x"`:           {Stop: []string{"x"}},
		`"stop":["x","","\n"]`: {Stop: []string{"x", "\n"}},
		`"temperature":1.00,"top_p":1e-1,"presence_penalty":-0.5,"frequency_penalty":2`: {Temperature: "1.00", TopP: "1e-1", PresencePenalty: "-0.5", FrequencyPenalty: "2"},
		`"seed":-1,"top_k":5,"n":3`:                                    {Seed: &minus, TopK: &five, Choices: 3},
		`"logprobs":true,"top_logprobs":2,"logit_bias":{"50256":-100}`: {Logprobs: true, TopLogprobs: 2, LogitBias: json.RawMessage(`{"50256":-100}`)},
		`"logit_bias":{}`:                                              {},
		`"user":"u","safety_identifier":"s"`:                           {User: "u"},
		`"safety_identifier":"s"`:                                      {User: "s"},
		`"verbosity":"low"`:                                            {Verbosity: "low"},
		`"max_tokens":7,"max_completion_tokens":6`:                     {MaxOutputTokens: 6},
		`"max_tokens":7`:                                               {MaxOutputTokens: 7},
		`"max_output_tokens":8`:                                        {MaxOutputTokens: 8},
		`"cache":true`:                                                 {Cache: "5m"},
		`"cache":"1h"`:                                                 {Cache: "1h"},
		`"cache":false`:                                                {},
		`"cache_control":{"type":"ephemeral","ttl":"1h"}`:              {Cache: "1h"},
		`"cache_control":{"type":"ephemeral"}`:                         {Cache: "5m"},
		`"store":false,"service_tier":"auto","modalities":["text"]`:    {},
		`"store":true,"prompt_cache_key":"k","x":{"b":1.0},"metadata":null,"x":2`: {Others: []chat.Parameter{{Name: "store", Value: json.RawMessage("true")}, {Name: "prompt_cache_key", Value: json.RawMessage(`"k"`)}, {Name: "x", Value: json.RawMessage("2")}}},

		`"reasoning_effort":"high"`:                                                       {Reasoning: &chat.Reasoning{Effort: "high"}},
		`"reasoning_effort":"none"`:                                                       {Reasoning: &chat.Reasoning{Effort: "none", Off: true}},
		`"reasoning":{"enabled":true,"max_tokens":2000,"summary":"auto"}`:                 {Reasoning: &chat.Reasoning{Budget: 2000, Summary: "auto"}},
		`"reasoning":{"effort":"low","exclude":true},"reasoning_effort":"high"`:           {Reasoning: &chat.Reasoning{Effort: "low", Summary: "omitted"}},
		`"reasoning":{"enabled":false,"effort":"low"}`:                                    {Reasoning: &chat.Reasoning{Off: true}},
		`"thinking":{"type":"enabled","budget_tokens":3000},"reasoning":{"max_tokens":1}`: {Reasoning: &chat.Reasoning{Budget: 3000}},
		`"thinking":{"type":"adaptive","display":"summarized"},"reasoning_effort":"max"`:  {Reasoning: &chat.Reasoning{Adaptive: true, Summary: "summarized", Effort: "max"}},
		`"thinking":{"type":"disabled"}`:                                                  {Reasoning: &chat.Reasoning{Off: true}},
		`"thinking_budget":0`:                                                             {Reasoning: &chat.Reasoning{Off: true}},
		`"thinking_budget":99`:                                                            {Reasoning: &chat.Reasoning{Budget: 99}},

		`"response_format":{"type":"text"}`:        {},
		`"response_format":{"type":"json_object"}`: {Format: &chat.Format{}},
		`"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":true,"schema":{"z":1.0,"a":{"b":[]}}}}`: {Format: &chat.Format{Name: "n", Description: "d", Strict: &yes, Schema: json.RawMessage(`{"z":1.0,"a":{"b":[]}}`)}},

		f(``):                      {Tools: two},
		f(`,"tool_choice":"auto"`): {Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseAuto}},
		f(`,"tool_choice":"none","parallel_tool_calls":false`):                                                                                 {Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseNone}, ParallelTools: &no},
		f(`,"tool_choice":"required","parallel_tool_calls":true`):                                                                              {Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired}, ParallelTools: &yes},
		f(`,"tool_choice":{"type":"function","function":{"name":"g"}}`):                                                                        {Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "g"}},
		f(`,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}}]}}`): {Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired, Allowed: []string{"g"}}},
		`"tool_choice":"auto"`: {},
		`"tool_choice":"none"`: {},
		`"functions":[{"name":"f","description":"d","parameters":{"type":"object"}}],"function_call":{"name":"f"}`:                                         {Tools: []chat.Tool{{Name: "f", Description: "d", Schema: json.RawMessage(`{"type":"object"}`)}}, ParallelTools: &no, ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "f"}},
		`"tools":[{"type":"function","function":{"name":"f","description":"d","strict":false,"parameters":{"b":1.0,"a":2}},"cache_control":{"ttl":"1h"}}]`: {Tools: []chat.Tool{{Name: "f", Description: "d", Strict: &no, Schema: json.RawMessage(`{"b":1.0,"a":2}`), Cache: "1h"}}},
		`"tools":[{"name":"f","input_schema":{}},{"type":"function","function":{"name":"g","parameters":null,"cache_control":{}}}]`:                        {Tools: []chat.Tool{{Name: "f", Schema: json.RawMessage(`{}`)}, {Name: "g", Cache: "5m"}}},
		`"tools":[{"type":"custom","custom":{"name":"c","description":"d","format":{"type":"text"}}},{"type":"custom","custom":{"name":"e"}}]`:             {Tools: []chat.Tool{{Name: "c", Description: "d", Custom: true, Grammar: json.RawMessage(`{"type":"text"}`)}, {Name: "e", Custom: true}}},

		`"web_search_options":{}`: {Search: &chat.Search{MaxUses: DefaultSearches, Assumed: true}},
		`"web_search_options":{"search_context_size":"low","max_uses":99,"user_location":{"type":"approximate","approximate":{"country":"NL","city":"Utrecht"}}}`: {Search: &chat.Search{MaxUses: DefaultSearches, Assumed: true, ContextSize: "low", Location: json.RawMessage(`{"type":"approximate","city":"Utrecht","country":"NL"}`)}},
		`"tools":[{"type":"web_search","max_uses":2,"allowed_domains":["a.test"],"user_location":{"type":"approximate","timezone":"Europe/Paris"}}]`:              {Search: &chat.Search{MaxUses: 2, AllowedDomains: []string{"a.test"}, Location: json.RawMessage(`{"type":"approximate","timezone":"Europe/Paris"}`)}},
		`"tools":[{"type":"web_search","filters":{"blocked_domains":["a.test"]}}],"tool_choice":{"type":"web_search"}`:                                            {Search: &chat.Search{MaxUses: DefaultSearches, Assumed: true, BlockedDomains: []string{"a.test"}, Forced: true}},
		`"tools":[{"type":"web_search"}],"tool_choice":"required"`:                                                                                                {Search: &chat.Search{MaxUses: DefaultSearches, Assumed: true, Forced: true}},
		`"tools":[{"type":"web_search"}],"tool_choice":"none"`:                                                                                                    {},
		`"web_search_options":{},"tool_choice":"none"`:                                                                                                            {Search: &chat.Search{MaxUses: DefaultSearches, Assumed: true}},
	} {
		want.Messages = []chat.Message{user(text("hi"))}
		want.Choices = max(1, want.Choices)
		if d := cmp.Diff(&want, translate(t, body(more))); d != "" {
			t.Errorf("%s: %s", more, d)
		}
	}
}
