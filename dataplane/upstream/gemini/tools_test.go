package gemini

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestSchema(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, ``}, {`true`, ``}, {`{}`, ``}, {`null`, ``}, {`{"type"`, ``},
		{`{"type":"object","properties":{}}`, `{"type":"object","properties":{}}`},
		// What needs no change keeps its bytes.
		{`{ "z":1.50, "a":{"$ref":"#/$defs/x"} }`, `{ "z":1.50, "a":{"$ref":"#/$defs/x"} }`},
		{`{"const":"<a>"}`, `{"enum":["<a>"]}`},
		{`{"enum":[1,2],"const":1,"title":"t"}`, `{"enum":[1],"title":"t"}`},
		{`{"b":{"const":1},"properties":{"const":{"const":{"const":1}},"enum":{"type":"string"}},"default":{"const":2}}`,
			`{"b":{"const":1},"properties":{"const":{"enum":[{"const":1}]},"enum":{"type":"string"}},"default":{"const":2}}`},
		{`{"anyOf":[{"const":null},{"items":{"const":2}},{"items":[{"const":3},true]}],"additionalProperties":{"const":4},"$defs":{"x":{"not":{"const":5}}}}`,
			`{"anyOf":[{"enum":[null]},{"items":{"enum":[2]}},{"items":[{"enum":[3]},true]}],"additionalProperties":{"enum":[4]},"$defs":{"x":{"not":{"enum":[5]}}}}`},
		{`{"properties":[{"const":1}],"anyOf":{"const":1},"x":"const"}`, `{"properties":[{"const":1}],"anyOf":{"const":1},"x":"const"}`},
	} {
		if got := string(schema(json.RawMessage(c.in))); got != c.want {
			t.Errorf("schema(%s):\ngot  %s\nwant %s", c.in, got, c.want)
		}
	}
	deep := strings.Repeat(`{"items":`, 300) + `{"const":1}` + strings.Repeat("}", 300)
	if got := schema(json.RawMessage(deep)); !json.Valid(got) {
		t.Error("a deep schema is broken")
	}
}

func yes() *bool { b := true; return &b }

func TestTools(t *testing.T) {
	one := []chat.Tool{{Name: "f", Description: "d", Schema: json.RawMessage(`{"type":"object","properties":{"z":{},"a":{}}}`)}}
	two := []chat.Tool{{Name: "f"}, {Name: "g", Strict: yes()}}
	format := &chat.Format{Schema: json.RawMessage(`{"type":"object"}`)}
	const declared = `[{"functionDeclarations":[{"name":"f"},{"name":"g"}]}]`
	const withJSON = `[{"functionDeclarations":[{"name":"f"},{"name":"g"},{"name":"json","description":"Answer with this function: its arguments are the whole answer.","parametersJsonSchema":{"type":"object"}}]}]`
	for name, c := range map[string]struct {
		model         string
		p             chat.Prompt
		tools, config string
		dropped       []string
	}{
		"none":        {third35, chat.Prompt{ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired}}, `null`, `null`, nil},
		"one":         {third35, chat.Prompt{Tools: one}, `[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"z":{},"a":{}}}}]}]`, `null`, nil},
		"auto":        {third35, chat.Prompt{Tools: one[:1:1], ToolChoice: chat.ToolChoice{Mode: chat.ChooseAuto}}, `[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object","properties":{"z":{},"a":{}}}}]}]`, `{"functionCallingConfig":{"mode":"AUTO"}}`, nil},
		"strict":      {third35, chat.Prompt{Tools: two}, declared, `{"functionCallingConfig":{"mode":"VALIDATED"}}`, nil},
		"forbidden":   {third35, chat.Prompt{Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseNone}}, declared, `{"functionCallingConfig":{"mode":"NONE"}}`, nil},
		"required":    {third35, chat.Prompt{Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired}}, declared, `{"functionCallingConfig":{"mode":"ANY"}}`, nil},
		"this one":    {third35, chat.Prompt{Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "g"}}, declared, `{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}`, nil},
		"one of some": {third35, chat.Prompt{Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired, Allowed: []string{"f"}}}, declared, `{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}}`, nil},
		"if at all one of some": {third35, chat.Prompt{Tools: two, ToolChoice: chat.ToolChoice{Mode: chat.ChooseAuto, Allowed: []string{"f"}}}, declared,
			`{"functionCallingConfig":{"mode":"VALIDATED","allowedFunctionNames":["f"]}}`, nil},
		"search": {second25, chat.Prompt{Search: &chat.Search{}}, `[{"googleSearch":{}}]`, `null`, nil},
		"search with wishes": {third35, chat.Prompt{Search: &chat.Search{MaxUses: 3, AllowedDomains: []string{"a.b"}}}, `[{"googleSearch":{}}]`, `null`,
			[]string{"web_search_options.allowed_domains", "web_search_options.max_uses"}},
		"search, bounded by the gateway": {third35, chat.Prompt{Search: &chat.Search{MaxUses: 10, Assumed: true}}, `[{"googleSearch":{}}]`, `null`, nil},
		"search beside functions": {third35, chat.Prompt{Search: &chat.Search{}, Tools: []chat.Tool{{Name: "f"}}}, `[{"googleSearch":{}},{"functionDeclarations":[{"name":"f"}]}]`,
			`{"includeServerSideToolInvocations":true}`, nil},
		"search or functions":     {second25, chat.Prompt{Search: &chat.Search{}, Tools: []chat.Tool{{Name: "f"}}}, `[{"functionDeclarations":[{"name":"f"}]}]`, `null`, []string{"web_search_options"}},
		"search or JSON":          {second25, chat.Prompt{Search: &chat.Search{}, Format: format}, `null`, `null`, []string{"web_search_options"}},
		"search and JSON":         {third35, chat.Prompt{Search: &chat.Search{}, Format: format}, `[{"googleSearch":{}}]`, `null`, nil},
		"no search at all":        {"gemma-3-4b-it", chat.Prompt{Search: &chat.Search{}}, `null`, `null`, []string{"web_search_options"}},
		"JSON beside functions":   {third35, chat.Prompt{Tools: two, Format: format}, declared, `{"functionCallingConfig":{"mode":"VALIDATED"}}`, nil},
		"JSON by a function":      {second25, chat.Prompt{Tools: two, Format: format}, withJSON, `{"functionCallingConfig":{"mode":"ANY"}}`, nil},
		"JSON and no function":    {second25, chat.Prompt{Tools: two, Format: format, ToolChoice: chat.ToolChoice{Mode: chat.ChooseNone}}, withJSON, `{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["json"]}}`, nil},
		"JSON or one of some":     {second25, chat.Prompt{Tools: two, Format: format, ToolChoice: chat.ToolChoice{Allowed: []string{"f"}}}, withJSON, `{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f","json"]}}`, nil},
		"JSON after a forced one": {second25, chat.Prompt{Tools: two, Format: format, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired}}, declared, `{"functionCallingConfig":{"mode":"ANY"}}`, nil},
		"text for a tool": {third35, chat.Prompt{Tools: []chat.Tool{{Name: "sh", Description: "d", Custom: true, Grammar: json.RawMessage(`{"type":"grammar","syntax":"lark","definition":"start: X"}`)}}},
			`[{"functionDeclarations":[{"name":"sh","description":"d\n\nThe input follows this grammar:\nstart: X","parametersJsonSchema":{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}}]}]`,
			`null`, []string{"tools.custom.format"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.p.Messages, c.p.Choices = hello().Messages, 1
			o, b := requestOf(t, c.model, &c.p)
			if d := cmp.Diff([]any{jsonValue(t, c.tools), jsonValue(t, c.config)}, []any{o["tools"], o["toolConfig"]}); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.dropped, b.dropped, nilIsEmpty); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNamelessTool(t *testing.T) {
	p := hello()
	p.Tools = []chat.Tool{{}}
	_, err := build(call("", third35, p, false), p)
	if e := chatError(t, err); e.Status != 400 || e.Param != "tools" {
		t.Errorf("got %+v", e)
	}
}

// The arguments of the function that stands for the format are the answer.
func TestAnswerByFunction(t *testing.T) {
	p := hello()
	p.Tools, p.Format = []chat.Tool{{Name: "json"}}, &chat.Format{}
	const body = `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"json_1","args":{ "a": [1] }}}]},"finishReason":"STOP"}]}`
	base := answer(t, 200, "application/json", body)
	resp, err := newUpstream(t).Do(context.Background(), call(base, second25, p, false))
	if err != nil {
		t.Fatal(err)
	}
	want := []chat.Choice{{Parts: []chat.Part{{Kind: chat.PartText, Text: `{"a":[1]}`}}, Finish: chat.Finish{Reason: chat.FinishStop, Native: "STOP"}}}
	if d := cmp.Diff(want, resp.Answer.Choices); d != "" {
		t.Error(d)
	}
}

// A tool that takes free text gets free text.
func TestCustomCall(t *testing.T) {
	p := hello()
	p.Tools = []chat.Tool{{Name: "sh", Custom: true}}
	for args, want := range map[string]string{`{"input":"ls <a>"}`: "ls <a>", `{"other":1}`: `{"other":1}`} {
		base := answer(t, 200, "application/json", `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"sh","args":`+args+`,"id":"x"}}]},"finishReason":"STOP"}]}`)
		resp, err := newUpstream(t).Do(context.Background(), call(base, third35, p, false))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&chat.ToolCall{ID: "x", Name: "sh", Arguments: want, Custom: true}, resp.Answer.Choices[0].Parts[0].Call); d != "" {
			t.Error(d)
		}
	}
}
