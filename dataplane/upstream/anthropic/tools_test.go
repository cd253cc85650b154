package anthropic

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestTools(t *testing.T) {
	two := []chat.Tool{{Name: "a", Description: "A", Schema: json.RawMessage(`{"type":"object","properties":{}}`)}, {Name: "b"}}
	const a, b = `{"description":"A","input_schema":{"properties":{},"type":"object"},"name":"a"}`, `{"input_schema":{"properties":{},"type":"object"},"name":"b"}`
	for name, c := range map[string]struct {
		model         string
		tools         []chat.Tool
		choice        chat.ToolChoice
		parallel      *bool
		want, choose  string
		dropped       []string
		customs, json bool
	}{
		"none given":         {recent, nil, chat.ToolChoice{Mode: chat.ChooseAuto}, ptr(false), "", "", nil, false, false},
		"not said":           {recent, two, chat.ToolChoice{}, nil, "[" + a + "," + b + "]", "", nil, false, false},
		"auto":               {recent, two, chat.ToolChoice{Mode: chat.ChooseAuto}, ptr(true), "[" + a + "," + b + "]", `{"type":"auto"}`, nil, false, false},
		"none":               {recent, two, chat.ToolChoice{Mode: chat.ChooseNone}, ptr(false), "[" + a + "," + b + "]", `{"type":"none"}`, nil, false, false},
		"required":           {recent, two, chat.ToolChoice{Mode: chat.ChooseRequired}, ptr(false), "[" + a + "," + b + "]", `{"disable_parallel_tool_use":true,"type":"any"}`, nil, false, false},
		"one":                {recent, two, chat.ToolChoice{Mode: chat.ChooseTool, Name: "b"}, nil, "[" + a + "," + b + "]", `{"name":"b","type":"tool"}`, nil, false, false},
		"one at a time":      {recent, two, chat.ToolChoice{}, ptr(false), "[" + a + "," + b + "]", `{"disable_parallel_tool_use":true,"type":"auto"}`, nil, false, false},
		"some":               {recent, two, chat.ToolChoice{Mode: chat.ChooseRequired, Allowed: []string{"b", "x"}}, nil, "[" + b + "]", `{"type":"any"}`, nil, false, false},
		"none of them":       {recent, two, chat.ToolChoice{Mode: chat.ChooseAuto, Allowed: []string{}}, nil, "", "", nil, false, false},
		"strict":             {recent, []chat.Tool{{Name: "b", Strict: ptr(true)}}, chat.ToolChoice{}, nil, `[{"input_schema":{"properties":{},"type":"object"},"name":"b","strict":true}]`, "", nil, false, false},
		"not strict":         {recent, []chat.Tool{{Name: "b", Strict: ptr(false)}}, chat.ToolChoice{}, nil, "[" + b + "]", "", nil, false, false},
		"strict, older":      {old, []chat.Tool{{Name: "b", Strict: ptr(true)}}, chat.ToolChoice{}, nil, "[" + b + "]", "", []string{"strict"}, false, false},
		"free text":          {recent, []chat.Tool{{Name: "b", Custom: true}}, chat.ToolChoice{}, nil, `[{"input_schema":{"additionalProperties":false,"properties":{"input":{"type":"string"}},"required":["input"],"type":"object"},"name":"b"}]`, "", nil, true, false},
		"free text, grammar": {recent, []chat.Tool{{Name: "b", Custom: true, Grammar: json.RawMessage(`{"type":"grammar"}`)}}, chat.ToolChoice{}, nil, `[{"input_schema":{"additionalProperties":false,"properties":{"input":{"type":"string"}},"required":["input"],"type":"object"},"name":"b"}]`, "", []string{"tools.format"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := hello()
			p.Tools, p.ToolChoice, p.ParallelTools = c.tools, c.choice, c.parallel
			got, dropped := built(t, c.model, p)
			if v := member(t, got, "tools"); v != c.want {
				t.Errorf("tools %s", v)
			}
			if v := member(t, got, "tool_choice"); v != c.choose {
				t.Errorf("tool_choice %s", v)
			}
			if d := cmp.Diff(c.dropped, dropped); d != "" {
				t.Error(d)
			}
			call := translated(t, "", p, false)
			_, r, _, err := build(call, p)
			if err != nil || r.custom["b"] != c.customs || r.jsonTool != c.json {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

func TestObjectSchema(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  `{"type":"object","properties":{}}`,
		"{}":                                `{"type":"object","properties":{}}`,
		"true":                              `{"type":"object","properties":{}}`,
		` {"type":"object","z":1,"a":2} `:   `{"type":"object","z":1,"a":2}`,
		`{"properties":{"a":{}}}`:           `{"type":"object","properties":{"a":{}}}`,
		`{"$ref":"#/$defs/x","$defs":{}}`:   `{"type":"object","$ref":"#/$defs/x","$defs":{}}`,
		`{"a":1,"type":["object","null"]}`:  `{"a":1,"type":"object"}`,
		`{"type":"string"}`:                 `{"type":"string"}`,
		`{"type":["string","null"],"b":[]}`: `{"type":["string","null"],"b":[]}`,
	} {
		if got := string(objectSchema(json.RawMessage(in))); got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}

func TestClosed(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                            `{}`,
		`{"z":1,"type":"object","a":2}`: `{"z":1,"type":"object","a":2,"additionalProperties":false}`,
		`{"type":"object","additionalProperties":true,"x":0}`:                   `{"type":"object","x":0,"additionalProperties":false}`,
		`{"type":["object","null"],"additionalProperties":{"type":"string"}}`:   `{"type":["object","null"],"additionalProperties":false}`,
		`{"properties":{"a":{"properties":{}},"b":true}}`:                       `{"properties":{"a":{"properties":{},"additionalProperties":false},"b":true},"additionalProperties":false}`,
		`{"type":"array","items":{"type":"object"}}`:                            `{"type":"array","items":{"type":"object","additionalProperties":false}}`,
		`{"items":[{"type":"object"},true]}`:                                    `{"items":[{"type":"object","additionalProperties":false},true]}`,
		`{"anyOf":[{"type":"object"},{"type":"null"}]}`:                         `{"anyOf":[{"type":"object","additionalProperties":false},{"type":"null"}]}`,
		`{"oneOf":[{"type":"object"}]}`:                                         `{"anyOf":[{"type":"object","additionalProperties":false}]}`,
		`{"$defs":{"n":{"type":"object"}},"$ref":"#/$defs/n"}`:                  `{"$defs":{"n":{"type":"object","additionalProperties":false}},"$ref":"#/$defs/n"}`,
		`{"enum":[{"type":"object"}],"const":{"type":"object"}}`:                `{"enum":[{"type":"object"}],"const":{"type":"object"}}`,
		`{"properties":{"type":{"type":"string"},"minimum":{"type":"number"}}}`: `{"properties":{"type":{"type":"string"},"minimum":{"type":"number"}},"additionalProperties":false}`,
		`{"type":"integer","minimum":0,"maximum":1e2}`:                          `{"type":"integer","description":"(minimum: 0, maximum: 1e2)"}`,
		`{"description":"age","type":"integer","exclusiveMinimum":-1}`:          `{"description":"age (exclusiveMinimum: -1)","type":"integer"}`,
		`{"type":"array","minItems":1,"uniqueItems":false}`:                     `{"type":"array","minItems":1,"uniqueItems":false}`,
		`{"type":"array","minItems":2,"uniqueItems":true}`:                      `{"type":"array","description":"(minItems: 2, uniqueItems: true)"}`,
		`{"additionalProperties":{"type":"object"}}`:                            `{"additionalProperties":{"type":"object"}}`,
		`{"items":3,"anyOf":{},"properties":[]}`:                                `{"items":3,"anyOf":{},"properties":[],"additionalProperties":false}`,
	} {
		got, err := closed([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s:\n got %s %v\nwant %s", in, got, err, want)
		}
	}
	deep := strings.Repeat(`{"items":`, 500) + `{"type":"object"}` + strings.Repeat("}", 500)
	if got, err := closed([]byte(deep)); err != nil || string(got) != deep {
		t.Errorf("a deep schema was rewritten: %v", err)
	}
}

func TestCache(t *testing.T) {
	marked := func(s, ttl string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s, Cache: ttl} }
	for name, c := range map[string]struct {
		prompt chat.Prompt
		want   string
	}{
		"none":           {chat.Prompt{Messages: []chat.Message{says(chat.User, "a")}}, ""},
		"parts":          {chat.Prompt{Messages: []chat.Message{{Role: chat.System, Parts: []chat.Part{marked("s", "1h")}}, gives(marked("a", "5m"), words("b"))}}, "s:1h a:5m"},
		"tools":          {chat.Prompt{Tools: []chat.Tool{{Name: "t", Cache: "5m"}}, Messages: []chat.Message{says(chat.User, "a")}}, "t:5m"},
		"shorthand":      {chat.Prompt{Cache: "5m", Tools: []chat.Tool{{Name: "t"}, {Name: "u"}}, Messages: []chat.Message{says(chat.System, "s", "r"), says(chat.User, "a"), says(chat.Assistant, "b"), says(chat.User, "c", "d")}}, "u:5m r:5m d:5m"},
		"shorthand, 1h":  {chat.Prompt{Cache: "1h", Messages: []chat.Message{says(chat.User, "a")}}, "a:1h"},
		"both":           {chat.Prompt{Cache: "5m", Messages: []chat.Message{says(chat.System, "s"), gives(marked("a", "1h"), words("b"))}}, "s:1h a:1h b:5m"},
		"five":           {chat.Prompt{Messages: []chat.Message{gives(marked("a", "5m"), marked("b", "5m"), marked("c", "5m"), marked("d", "5m"), marked("e", "5m"))}}, "b:5m c:5m d:5m e:5m"},
		"ours go first":  {chat.Prompt{Cache: "5m", Messages: []chat.Message{says(chat.System, "s"), gives(marked("a", "5m"), marked("b", "5m"), marked("c", "5m"), marked("d", "5m"), words("e"))}}, "a:5m b:5m c:5m d:5m"},
		"results inside": {chat.Prompt{Messages: []chat.Message{says(chat.User, "a"), does(calls("c", "")), gives(chat.Part{Kind: chat.PartResult, Cache: "5m", Result: &chat.Result{ID: "c", Parts: []chat.Part{marked("r", "5m")}}})}}, "r:5m c:5m"},
		"call":           {chat.Prompt{Messages: []chat.Message{says(chat.User, "a"), does(chat.Part{Kind: chat.PartCall, Cache: "5m", Call: &chat.ToolCall{ID: "c", Name: "f"}}), gives(result("c", "r"))}}, "c:5m"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &builder{call: translated(t, "", &c.prompt, false), prompt: &c.prompt, facts: factsOf(recent), reading: reading{custom: map[string]bool{}}}
			for _, step := range []func() error{b.tools, b.messages, b.cache} {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			note := func(name string, c *cacheControl) {
				if c != nil {
					got = append(got, name+":"+map[bool]string{true: "1h", false: "5m"}[c.TTL == "1h"])
				}
			}
			for _, tool := range b.out.Tools {
				note(tool.Name, tool.Cache)
			}
			for _, s := range b.out.System {
				note(s.Text, s.Cache)
			}
			for _, m := range b.out.Messages {
				for _, one := range m.Content {
					for _, inner := range one.Content {
						note(inner.Text, inner.Cache)
					}
					note(one.Text+one.ID+one.ToolUseID, one.Cache)
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func TestMedia(t *testing.T) {
	png := base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n0123456789"))
	jpeg := base64.StdEncoding.EncodeToString([]byte("\xff\xd8\xff\xe0 and more of it"))
	pdf := base64.StdEncoding.EncodeToString([]byte("%PDF-1.7 and more of it"))
	text := base64.StdEncoding.EncodeToString([]byte("plain <text>"))
	for name, c := range map[string]struct {
		part chat.Part
		want string
	}{
		"png":              {chat.Part{Kind: chat.PartImage, Media: &chat.Media{Type: "image/png", Base64: png}}, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + png + `"}}`},
		"wrong type":       {chat.Part{Kind: chat.PartImage, Media: &chat.Media{Type: "image/png", Base64: jpeg}}, `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"` + jpeg + `"}}`},
		"no type":          {chat.Part{Kind: chat.PartImage, Media: &chat.Media{Base64: jpeg}}, `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"` + jpeg + `"}}`},
		"as declared":      {chat.Part{Kind: chat.PartImage, Media: &chat.Media{Type: "IMAGE/JPG", Base64: "AAAA"}}, `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}}`},
		"not base64":       {chat.Part{Kind: chat.PartImage, Media: &chat.Media{Type: "image/png", Base64: "****"}}, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"****"}}`},
		"image by URL":     {chat.Part{Kind: chat.PartImage, Cache: "5m", Media: &chat.Media{URL: "https://a.example/x", Detail: "low"}}, `{"type":"image","source":{"type":"url","url":"https://a.example/x"},"cache_control":{"type":"ephemeral"}}`},
		"pdf":              {chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "application/pdf", Base64: pdf, Name: "a.pdf"}}, `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"},"title":"a.pdf"}`},
		"pdf as image":     {chat.Part{Kind: chat.PartImage, Media: &chat.Media{Base64: pdf}}, `{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`},
		"image as file":    {chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Base64: png, Name: "a.png"}}, `{"type":"image","source":{"type":"base64","media_type":"image/png","data":"` + png + `"}}`},
		"pdf by URL":       {chat.Part{Kind: chat.PartDocument, Media: &chat.Media{URL: "https://a.example/x.pdf"}}, `{"type":"document","source":{"type":"url","url":"https://a.example/x.pdf"}}`},
		"text":             {chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Text: "T", Name: "t"}}, `{"type":"document","source":{"type":"text","media_type":"text/plain","data":"T"},"title":"t"}`},
		"text as bytes":    {chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "text/markdown; charset=utf-8", Base64: text}}, `{"type":"document","source":{"type":"text","media_type":"text/plain","data":"plain <text>"}}`},
		"something unread": {chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "application/zip", Base64: "UEsDBA=="}}, `{"type":"document","source":{"type":"base64","media_type":"application/zip","data":"UEsDBA=="}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mediaBlock(&c.part)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := (&body{Messages: []turn{{Content: []block{got}}}}).encode()
			if !strings.Contains(string(raw), `"content":[`+c.want+`]`) {
				t.Errorf("got %s", raw)
			}
		})
	}
}

func TestModels(t *testing.T) {
	same := map[string]string{
		"claude-sonnet-4-20250514": "claude-sonnet-4", "claude-sonnet-4-0": "claude-sonnet-4", "claude-opus-4-1-20250805": "claude-opus-4-1",
		"claude-3-5-sonnet-20241022": "claude-3-5", "claude-3-haiku-20240307": "claude-3", "claude-3-7-sonnet-latest": "claude-3-7-sonnet",
		"anthropic/claude-opus-4.5": "claude-opus-4-5", "Claude-Haiku-4-5@20251001": "claude-haiku-4-5", "claude-opus-5-5-fast": "claude-opus-5-5",
		"claude-opus-5-20260724": "claude-opus-5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0": "claude-sonnet-4-5", "claude-sonnet-4-6": "claude-sonnet-4-6",
	}
	for id, known := range same {
		if d := cmp.Diff(models[known], factsOf(id), cmp.AllowUnexported(facts{})); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
	for _, id := range []string{"claude-opus-4-9", "claude-opus-6", "claude-haiku-5", "claude-opus-5-6", "something", "", "claude-opus-50", "claude-fable-5-3"} {
		if d := cmp.Diff(newest, factsOf(id), cmp.AllowUnexported(facts{})); d != "" {
			t.Errorf("%s: %s", id, d)
		}
	}
	for id, f := range models {
		if f.maxOutput == 0 || (f.reasons >= adaptive) != (len(f.efforts) > 0) {
			t.Errorf("%s: %+v", id, f)
		}
	}
}
