package anthropic

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

const (
	old     = "claude-sonnet-4-20250514"
	haiku   = "claude-haiku-4-5-20251001"
	middle  = "claude-sonnet-4-6"
	recent  = "claude-opus-5"
	unknown = "claude-saga-9"
)

func ptr[T any](v T) *T { return &v }

// member is one member of a built request, as compact JSON; "": it is not there.
func member(t testing.TB, request map[string]any, name string) string {
	t.Helper()
	v, ok := request[name]
	if !ok {
		return ""
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestParameters changes the shortest prompt and looks at some members of the request.
func TestParameters(t *testing.T) {
	for name, c := range map[string]struct {
		model   string
		change  func(*chat.Prompt)
		want    map[string]string
		dropped []string
	}{
		"nothing":     {recent, func(*chat.Prompt) {}, map[string]string{"max_tokens": "8000", "temperature": "", "thinking": "", "tool_choice": "", "stream": ""}, nil},
		"limit":       {recent, func(p *chat.Prompt) { p.MaxOutputTokens = 5 }, map[string]string{"max_tokens": "5"}, nil},
		"stop":        {recent, func(p *chat.Prompt) { p.Stop = []string{"a", " \n", "", "b "} }, map[string]string{"stop_sequences": `["a","b "]`}, []string{"stop"}},
		"temperature": {haiku, func(p *chat.Prompt) { p.Temperature = "0.30" }, map[string]string{"temperature": "0.30"}, nil},
		"too warm":    {haiku, func(p *chat.Prompt) { p.Temperature = "1.7" }, map[string]string{"temperature": "1"}, nil},
		"not taken":   {recent, func(p *chat.Prompt) { p.Temperature, p.TopP, p.TopK = "0.3", "0.5", ptr(int64(4)) }, map[string]string{"temperature": "", "top_p": "", "top_k": ""}, []string{"temperature", "top_k", "top_p"}},
		"default":     {recent, func(p *chat.Prompt) { p.Temperature, p.TopP = "1.0", "1" }, map[string]string{"temperature": "", "top_p": ""}, nil},
		"both":        {haiku, func(p *chat.Prompt) { p.Temperature, p.TopP, p.TopK = "0.3", "0.5", ptr(int64(4)) }, map[string]string{"temperature": "0.3", "top_p": "", "top_k": "4"}, []string{"top_p"}},
		"both, older": {old, func(p *chat.Prompt) { p.Temperature, p.TopP = "0.3", "0.5" }, map[string]string{"temperature": "0.3", "top_p": "0.5"}, nil},
		"top_p alone": {haiku, func(p *chat.Prompt) { p.TopP = "0.5" }, map[string]string{"top_p": "0.5"}, nil},
		"user":        {recent, func(p *chat.Prompt) { p.User = "u1" }, map[string]string{"metadata": `{"user_id":"u1"}`}, nil},
		"user's mail": {recent, func(p *chat.Prompt) { p.User = "a@b.example" }, map[string]string{"metadata": ""}, []string{"user"}},
		"nothing there": {recent, func(p *chat.Prompt) {
			p.Seed, p.Logprobs, p.TopLogprobs, p.LogitBias, p.Verbosity = ptr(int64(0)), true, 3, json.RawMessage(`{"1":2}`), "low"
			p.PresencePenalty, p.FrequencyPenalty = "0.0", "0.5"
			p.Others = []chat.Parameter{{Name: "store", Value: json.RawMessage("true")}}
			p.Messages[0].Name = "ann"
		}, nil, []string{"frequency_penalty", "logit_bias", "logprobs", "name", "seed", "store", "top_logprobs", "verbosity"}},

		"effort, budget":        {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "high"} }, map[string]string{"thinking": `{"budget_tokens":4096,"type":"enabled"}`, "max_tokens": "8000", "output_config": ""}, nil},
		"effort, minimal":       {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "minimal"} }, map[string]string{"thinking": `{"budget_tokens":1024,"type":"enabled"}`}, nil},
		"budget":                {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Budget: 3000} }, map[string]string{"thinking": `{"budget_tokens":3000,"type":"enabled"}`}, nil},
		"budget too small":      {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Budget: 3} }, map[string]string{"thinking": `{"budget_tokens":1024,"type":"enabled"}`}, nil},
		"limit is raised":       {haiku, func(p *chat.Prompt) { p.Reasoning, p.MaxOutputTokens = &chat.Reasoning{Effort: "low"}, 100 }, map[string]string{"thinking": `{"budget_tokens":1024,"type":"enabled"}`, "max_tokens": "1124"}, nil},
		"limit is raised far":   {haiku, func(p *chat.Prompt) { p.Reasoning, p.MaxOutputTokens = &chat.Reasoning{Effort: "high"}, 500 }, map[string]string{"thinking": `{"budget_tokens":4096,"type":"enabled"}`, "max_tokens": "4596"}, nil},
		"limit of the model":    {haiku, func(p *chat.Prompt) { p.Reasoning, p.MaxOutputTokens = &chat.Reasoning{Effort: "max"}, 6000 }, map[string]string{"thinking": `{"budget_tokens":4000,"type":"enabled"}`, "max_tokens": "8000"}, nil},
		"adaptive on budgets":   {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Adaptive: true} }, map[string]string{"thinking": `{"budget_tokens":2048,"type":"enabled"}`}, nil},
		"summary alone":         {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Summary: "auto"} }, map[string]string{"thinking": ""}, nil},
		"off":                   {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "none"} }, map[string]string{"thinking": `{"type":"disabled"}`}, nil},
		"never":                 {"claude-3-5-haiku-20241022", func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "low"} }, map[string]string{"thinking": ""}, []string{"reasoning_effort"}},
		"never, off":            {"claude-3-5-haiku-20241022", func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Off: true} }, map[string]string{"thinking": ""}, nil},
		"effort, adaptive":      {recent, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "xhigh"} }, map[string]string{"thinking": `{"display":"summarized","type":"adaptive"}`, "output_config": `{"effort":"xhigh"}`}, nil},
		"effort is lowered":     {middle, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "xhigh"} }, map[string]string{"output_config": `{"effort":"high"}`}, nil},
		"effort is raised":      {middle, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "minimal"} }, map[string]string{"output_config": `{"effort":"low"}`}, nil},
		"budget of 4.6":         {middle, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Budget: 3000} }, map[string]string{"thinking": `{"budget_tokens":3000,"type":"enabled"}`, "output_config": ""}, nil},
		"budget kept to itself": {middle, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Budget: 3000, Summary: "omitted"} }, map[string]string{"thinking": `{"budget_tokens":3000,"display":"omitted","type":"enabled"}`}, nil},
		"effort of 4.6":         {middle, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "high"} }, map[string]string{"thinking": `{"display":"summarized","type":"adaptive"}`, "output_config": `{"effort":"high"}`}, nil},
		"budget on adaptive":    {recent, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Budget: 8000} }, map[string]string{"thinking": `{"display":"summarized","type":"adaptive"}`, "output_config": `{"effort":"medium"}`}, nil},
		"large budget":          {recent, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Budget: 80000} }, map[string]string{"output_config": `{"effort":"high"}`}, nil},
		"adaptive":              {recent, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Adaptive: true, Summary: "omitted"} }, map[string]string{"thinking": `{"display":"omitted","type":"adaptive"}`, "output_config": ""}, nil},
		"adaptive, off":         {recent, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Off: true} }, map[string]string{"thinking": `{"type":"disabled"}`}, nil},
		"never off":             {"claude-fable-5", func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Off: true} }, map[string]string{"thinking": `{"display":"summarized","type":"adaptive"}`, "output_config": `{"effort":"low"}`}, nil},
		"unknown model":         {unknown, func(p *chat.Prompt) { p.Reasoning, p.Temperature = &chat.Reasoning{Effort: "max"}, "0" }, map[string]string{"thinking": `{"display":"summarized","type":"adaptive"}`, "output_config": `{"effort":"max"}`, "temperature": ""}, []string{"temperature"}},
		"thinking is not warm":  {haiku, func(p *chat.Prompt) { p.Reasoning, p.Temperature = &chat.Reasoning{Effort: "low"}, "0.2" }, map[string]string{"temperature": ""}, []string{"temperature"}},
		"forced tool": {haiku, func(p *chat.Prompt) {
			p.Reasoning, p.Tools, p.ToolChoice.Mode = &chat.Reasoning{Effort: "low"}, []chat.Tool{{Name: "a"}}, chat.ChooseRequired
		}, map[string]string{"thinking": "", "tool_choice": `{"type":"any"}`}, []string{"reasoning_effort"}},
		"forced tool, 4.6": {middle, func(p *chat.Prompt) {
			p.Reasoning, p.Tools, p.ToolChoice.Mode = &chat.Reasoning{Effort: "low"}, []chat.Tool{{Name: "a"}}, chat.ChooseRequired
		}, map[string]string{"thinking": "", "output_config": ""}, []string{"reasoning_effort"}},
		"forced tool, newer": {recent, func(p *chat.Prompt) {
			p.Reasoning, p.Tools, p.ToolChoice.Mode = &chat.Reasoning{Effort: "low"}, []chat.Tool{{Name: "a"}}, chat.ChooseRequired
		}, map[string]string{"thinking": `{"display":"summarized","type":"adaptive"}`}, nil},

		"search": {recent, func(p *chat.Prompt) {
			p.Search = &chat.Search{MaxUses: 3, AllowedDomains: []string{"a.example"}, ContextSize: "high", Location: json.RawMessage(`{"type":"approximate","city":"Bern"}`)}
		}, map[string]string{"tools": `[{"allowed_domains":["a.example"],"max_uses":3,"name":"web_search","type":"web_search_20250305","user_location":{"city":"Bern","type":"approximate"}}]`, "tool_choice": ""}, []string{"web_search_options.search_context_size"}},
		"search forced": {recent, func(p *chat.Prompt) { p.Search = &chat.Search{Forced: true, BlockedDomains: []string{"b.example"}} },
			map[string]string{"tools": `[{"blocked_domains":["b.example"],"name":"web_search","type":"web_search_20250305"}]`, "tool_choice": `{"name":"web_search","type":"tool"}`}, nil},
		"JSON": {recent, func(p *chat.Prompt) { p.Format = &chat.Format{} }, map[string]string{"system": `[{"text":"` + onlyJSON + `","type":"text"}]`, "output_config": ""}, nil},
		"schema": {recent, func(p *chat.Prompt) {
			p.Format, p.Reasoning = &chat.Format{Schema: json.RawMessage(`{"type":"object"}`)}, &chat.Reasoning{Effort: "low"}
		}, map[string]string{"output_config": `{"effort":"low","format":{"schema":{"additionalProperties":false,"type":"object"},"type":"json_schema"}}`}, nil},
		"schema, older": {old, func(p *chat.Prompt) {
			p.Format = &chat.Format{Description: "D", Schema: json.RawMessage(`{"type":"object"}`)}
		},
			map[string]string{"output_config": "", "tools": `[{"description":"D","input_schema":{"type":"object"},"name":"json"}]`, "tool_choice": `{"disable_parallel_tool_use":true,"name":"json","type":"tool"}`}, nil},
		"schema and tools, older": {old, func(p *chat.Prompt) {
			p.Format, p.Tools = &chat.Format{Schema: json.RawMessage(`{}`)}, []chat.Tool{{Name: "a"}}
		}, map[string]string{"tool_choice": `{"type":"any"}`}, nil},
		"schema and tools and none, older": {old, func(p *chat.Prompt) {
			p.Format, p.Tools, p.ToolChoice.Mode = &chat.Format{Schema: json.RawMessage(`{}`)}, []chat.Tool{{Name: "a"}}, chat.ChooseNone
		}, map[string]string{"tool_choice": `{"disable_parallel_tool_use":true,"name":"json","type":"tool"}`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := hello()
			c.change(p)
			got, dropped := built(t, c.model, p)
			for field, want := range c.want {
				if v := member(t, got, field); v != want {
					t.Errorf("%s is %s, want %s", field, v, want)
				}
			}
			if d := cmp.Diff(c.dropped, dropped); d != "" {
				t.Error("dropped:", d)
			}
		})
	}
}

func TestRefusedPrompts(t *testing.T) {
	call := func(id, arguments string) chat.Message {
		return chat.Message{Role: chat.Assistant, Parts: []chat.Part{{Kind: chat.PartCall, Call: &chat.ToolCall{ID: id, Name: "a", Arguments: arguments}}}}
	}
	for name, c := range map[string]struct {
		model  string
		change func(*chat.Prompt)
		param  string
		code   string
	}{
		"several answers":  {recent, func(p *chat.Prompt) { p.Choices = 2 }, "n", "unsupported_parameter"},
		"temperature":      {haiku, func(p *chat.Prompt) { p.Temperature = "-1" }, "temperature", ""},
		"top_p":            {haiku, func(p *chat.Prompt) { p.TopP = "1.5" }, "top_p", ""},
		"effort":           {haiku, func(p *chat.Prompt) { p.Reasoning = &chat.Reasoning{Effort: "huge"} }, "reasoning_effort", ""},
		"tool not there":   {haiku, func(p *chat.Prompt) { p.ToolChoice = chat.ToolChoice{Mode: chat.ChooseTool, Name: "x"} }, "tool_choice", ""},
		"prefill":          {middle, func(p *chat.Prompt) { p.Messages = append(p.Messages, says(chat.Assistant, "I")) }, "messages", ""},
		"no result":        {haiku, func(p *chat.Prompt) { p.Messages = append(p.Messages, call("c1", "{}"), says(chat.User, "so?")) }, "messages", ""},
		"no result at end": {haiku, func(p *chat.Prompt) { p.Messages = append(p.Messages, call("c1", "{}")) }, "messages", ""},
		"no call":          {haiku, func(p *chat.Prompt) { p.Messages = append(p.Messages, gives(result("c1", "x"))) }, "messages", ""},
		"two results": {haiku, func(p *chat.Prompt) {
			p.Messages = append(p.Messages, call("c1", "{}"), gives(result("c1", "x"), result("c1", "y")))
		}, "messages", ""},
		"two calls": {haiku, func(p *chat.Prompt) {
			p.Messages = append(p.Messages, call("c1", "{}"), call("c1", "{}"), gives(result("c1", "x")))
		}, "messages", ""},
		"broken arguments": {haiku, func(p *chat.Prompt) { p.Messages = append(p.Messages, call("c1", "{"), gives(result("c1", "x"))) }, "messages", ""},
		"array arguments":  {haiku, func(p *chat.Prompt) { p.Messages = append(p.Messages, call("c1", "[1]"), gives(result("c1", "x"))) }, "messages", ""},
		"schema":           {haiku, func(p *chat.Prompt) { p.Format = &chat.Format{Schema: json.RawMessage(`true`)} }, "response_format", ""},
		"file without type": {haiku, func(p *chat.Prompt) {
			p.Messages[0].Parts = []chat.Part{{Kind: chat.PartImage, Media: &chat.Media{Base64: "AAAA"}}}
		}, "messages", ""},
		"text not base64": {haiku, func(p *chat.Prompt) {
			p.Messages[0].Parts = []chat.Part{{Kind: chat.PartDocument, Media: &chat.Media{Type: "text/plain", Base64: "*"}}}
		}, "messages", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := hello()
			c.change(p)
			if e := refused(t, c.model, p); e.Status != 400 || e.Param != c.param || e.Code != c.code || e.Message == "" || e.Type != "invalid_request_error" {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestStrict(t *testing.T) {
	p := hello()
	p.Seed = ptr(int64(1))
	c := translated(t, "", p, false)
	c.Strict = true
	_, _, _, err := build(c, p)
	if e := chatError(t, err); e.Status != 400 || e.Code != "unsupported_parameter" || e.Param != "seed" {
		t.Errorf("got %+v", e)
	}
	// What is left out by rule is no parameter, and refuses nothing.
	p.Seed = nil
	p.Messages = append(p.Messages, chat.Message{Role: chat.Assistant, Parts: []chat.Part{
		{Kind: chat.PartThought, Thought: &chat.Thought{Signature: "x", Format: chat.FormatGemini}}, {Kind: chat.PartText, Text: "yes"},
	}}, says(chat.User, "so?"))
	_, _, dropped, err := build(c, p)
	if d := cmp.Diff([]string{"reasoning_details"}, dropped); d != "" || err != nil {
		t.Error(d, err)
	}
}

// A prompt is shared between attempts.
func TestPromptStays(t *testing.T) {
	make1 := func() *chat.Prompt {
		p := hello()
		p.Messages = append([]chat.Message{says(chat.System, "s")}, p.Messages...)
		p.Tools = []chat.Tool{{Name: "a", Schema: json.RawMessage(`{"b":1,"a":2}`)}}
		p.Cache, p.Stop, p.Format = "1h", []string{"x", " "}, &chat.Format{Schema: json.RawMessage(`{"oneOf":[{"type":"object"}]}`)}
		return p
	}
	p := make1()
	built(t, recent, p)
	built(t, old, p)
	if d := cmp.Diff(make1(), p); d != "" {
		t.Error(d)
	}
}

// Schemas keep the order of their keys, numbers their digits, and text is not escaped for HTML.
func TestBytesStay(t *testing.T) {
	p := hello()
	p.Messages = []chat.Message{says(chat.User, "<a&b>\u2028")}
	p.Tools = []chat.Tool{{Name: "a", Schema: json.RawMessage(`{"type":"object","properties":{"z":{"const":1.50e3},"a":{"const":12345678901234567890}}}`)}}
	c := translated(t, "", p, false)
	raw, _, _, err := build(c, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"<a&b>`, `{"z":{"const":1.50e3},"a":{"const":12345678901234567890}}`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
}
