package openai

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func say(r chat.Role, parts ...chat.Part) chat.Message { return chat.Message{Role: r, Parts: parts} }

func saying(s string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s} }

func marked(s, ttl string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s, Cache: ttl} }

func calling(c chat.ToolCall) chat.Part { return chat.Part{Kind: chat.PartCall, Call: &c} }

func result(id string, parts ...chat.Part) chat.Part {
	return chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: id, Parts: parts}}
}

func thinking(t chat.Thought) chat.Part { return chat.Part{Kind: chat.PartThought, Thought: &t} }

func showing(url string) chat.Part {
	return chat.Part{Kind: chat.PartImage, Media: &chat.Media{URL: url}}
}

// translating is a call of a client of Messages.
func translating(kind snapshot.ProviderType, model string, stream bool) chat.Call {
	return chat.Call{
		Request: &chat.Request{Protocol: chat.Messages, Stream: stream}, Model: model, Provider: &snapshot.Provider{Type: kind},
	}
}

func decoded(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err, body)
	}
	return m
}

const (
	openaiType = snapshot.OpenAI
	compatible = snapshot.OpenAICompatible
	vercel     = snapshot.VercelAIGateway
	morph      = snapshot.Morph
)

func TestEncodeParameters(t *testing.T) {
	yes := true
	hi := []chat.Message{say(chat.User, saying("hi"))}
	tools := []chat.Tool{{Name: "f", Description: "d", Schema: json.RawMessage(`{"type":"object"}`), Strict: &yes}, {Name: "g", Cache: "1h"}}
	const (
		f = `{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}`
		g = `{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}}`
	)
	think := func(r chat.Reasoning) chat.Prompt { return chat.Prompt{Reasoning: &r} }
	everything := chat.Prompt{
		Choices: 2, MaxOutputTokens: 9, Stop: []string{"x"}, Temperature: "0.2", TopP: "0.9", PresencePenalty: "1", FrequencyPenalty: "0.50", Seed: new(int64),
		Logprobs: true, TopLogprobs: 2, LogitBias: json.RawMessage(`{"1":2}`), User: "u", TopK: new(int64), Verbosity: "low",
		Others: []chat.Parameter{{Name: "metadata", Value: json.RawMessage(`{}`)}},
	}
	const common = `"n":2,"stop":["x"],"temperature":0.2,"top_p":0.9,"presence_penalty":1,"frequency_penalty":0.50,"seed":0,"logprobs":true,"top_logprobs":2,"logit_bias":{"1":2},"user":"u"`
	for name, c := range map[string]struct {
		kind    snapshot.ProviderType
		model   string
		prompt  chat.Prompt
		want    string // members beside model and messages
		dropped []string
	}{
		"everything":         {compatible, "m", everything, `{"max_tokens":9,` + common + `}`, []string{"verbosity", "top_k", "metadata"}},
		"everything, OpenAI": {openaiType, "gpt-4o", everything, `{"max_completion_tokens":9,` + common + `}`, []string{"verbosity", "top_k", "metadata"}},
		"everything, reasons": {openaiType, "gpt-5-search-api", everything, `{"max_completion_tokens":9,"n":2,"seed":0,"user":"u","verbosity":"low"}`,
			[]string{"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "logit_bias", "stop_sequences", "top_k", "metadata"}},
		"the default temperature": {openaiType, "o3", chat.Prompt{Temperature: "1", TopP: "1.0"}, `{"temperature":1,"top_p":1.0}`, nil},
		"JSON":                    {compatible, "m", chat.Prompt{Format: &chat.Format{}}, `{"response_format":{"type":"json_object"}}`, nil},
		"schema":                  {compatible, "m", chat.Prompt{Format: &chat.Format{Name: "n", Schema: json.RawMessage(`{"a":1}`), Strict: &yes}}, `{"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"a":1},"strict":true}}}`, nil},
		"tools":                   {compatible, "m", chat.Prompt{Tools: tools, ParallelTools: new(bool), ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "f"}}, `{"tools":[` + f + `,` + g + `],"parallel_tool_calls":false,"tool_choice":{"type":"function","function":{"name":"f"}}}`, nil},
		"a choice of no tools":    {compatible, "m", chat.Prompt{ParallelTools: &yes, ToolChoice: chat.ToolChoice{Mode: chat.ChooseAuto}}, `{}`, nil},
		"allowed tools":           {compatible, "m", chat.Prompt{Tools: tools, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired, Allowed: []string{"g"}}}, `{"tools":[` + g + `],"tool_choice":"required"}`, nil},
		"allowed tools, OpenAI":   {openaiType, "gpt-4o", chat.Prompt{Tools: tools[:1], ToolChoice: chat.ToolChoice{Mode: chat.ChooseAuto, Allowed: []string{"f"}}}, `{"tools":[` + f + `],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}}`, nil},
		"custom tools": {openaiType, "gpt-4o", chat.Prompt{Tools: []chat.Tool{{Name: "h", Custom: true, Grammar: json.RawMessage(`{"type":"grammar","syntax":"lark","definition":"x"}`)}}, ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "h"}},
			`{"tools":[{"type":"custom","custom":{"name":"h","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}}}],"tool_choice":{"type":"custom","custom":{"name":"h"}}}`, nil},
		"marked tools":        {vercel, "anthropic/claude-opus-5", chat.Prompt{Tools: tools[1:], Cache: "5m"}, `{"providerOptions":{"gateway":{"caching":"auto"}},"tools":[{"type":"function","cache_control":{"type":"ephemeral","ttl":"1h"},"function":{"name":"g","parameters":{"type":"object","properties":{}}}}]}`, nil},
		"effort":              {compatible, "m", think(chat.Reasoning{Effort: "xhigh"}), `{"reasoning_effort":"high"}`, nil},
		"budget":              {compatible, "m", think(chat.Reasoning{Budget: 3000}), `{"reasoning_effort":"medium"}`, nil},
		"adaptive":            {compatible, "m", think(chat.Reasoning{Adaptive: true}), `{}`, nil},
		"off":                 {compatible, "m", think(chat.Reasoning{Off: true}), `{}`, []string{"thinking"}},
		"off, DeepSeek":       {compatible, "deepseek-v4-flash", think(chat.Reasoning{Off: true}), `{"thinking":{"type":"disabled"}}`, nil},
		"effort, Morph":       {morph, "morph-glm53-744b", think(chat.Reasoning{Effort: "low"}), `{"reasoning":{"effort":"low"}}`, nil},
		"effort, Vercel":      {vercel, "openai/gpt-5", think(chat.Reasoning{Effort: "low", Budget: 7}), `{"reasoning":{"enabled":true,"effort":"low"}}`, nil},
		"budget, Vercel":      {vercel, "anthropic/x", think(chat.Reasoning{Budget: 7}), `{"reasoning":{"enabled":true,"max_tokens":7}}`, nil},
		"off, Vercel":         {vercel, "google/x", think(chat.Reasoning{Off: true, Effort: "none"}), `{"reasoning":{"enabled":false}}`, nil},
		"effort without need": {openaiType, "gpt-4o", think(chat.Reasoning{Effort: "low"}), `{}`, []string{"thinking"}},
		"off without need":    {openaiType, "gpt-4o", think(chat.Reasoning{Off: true}), `{}`, nil},
		"search":              {compatible, "m", chat.Prompt{Search: &chat.Search{ContextSize: "low", Location: json.RawMessage(`{"type":"approximate","city":"x"}`)}}, `{"web_search_options":{"search_context_size":"low","user_location":{"type":"approximate","approximate":{"city":"x"}}}}`, nil},
		"search, in detail":   {openaiType, "gpt-4o-search-preview", chat.Prompt{Search: &chat.Search{AllowedDomains: []string{"a"}, BlockedDomains: []string{"b"}}}, `{"web_search_options":{}}`, []string{"tools.web_search.allowed_domains", "tools.web_search.blocked_domains"}},
		"search, Vercel":      {vercel, "google/x", chat.Prompt{Search: &chat.Search{}}, `{}`, []string{"tools.web_search"}},
		"search, by itself":   {vercel, "perplexity/sonar", chat.Prompt{Search: &chat.Search{}}, `{}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.prompt
			p.Messages = hi
			cc := translating(c.kind, c.model, true)
			body, drops, err := encode(cc, &p)
			if err != nil {
				t.Fatal(err)
			}
			want := decoded(t, c.want)
			want["model"], want["stream"], want["stream_options"] = c.model, true, map[string]any{"include_usage": true}
			want["messages"] = []any{map[string]any{"role": "user", "content": "hi"}}
			if d := cmp.Diff(want, decoded(t, string(body))); d != "" {
				t.Error(d)
			}
			if !slices.Equal(c.dropped, drops.All()) {
				t.Errorf("dropped %q", drops.All())
			}
			cc.Strict = true
			_, _, err = encode(cc, &p)
			var e *chat.Error
			if refused := errors.As(err, &e); refused != (len(c.dropped) > 0) || refused && (e.Param != c.dropped[0] || e.Code != "unsupported_parameter") {
				t.Errorf("strict: %v", err)
			}
		})
	}
}

func TestEncodeMessages(t *testing.T) {
	claude := chat.Thought{Text: "t", Signature: "s", Format: chat.FormatAnthropic}
	gpt := chat.Thought{Text: "t", Encrypted: "e", Format: chat.FormatOpenAI, ID: "rs"}
	f := chat.ToolCall{ID: "c", Name: "f", Arguments: `{"a":1}`}
	signedCall := chat.ToolCall{ID: "c", Name: "f", Signature: "g"}
	const call = `"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]`
	for name, c := range map[string]struct {
		kind     snapshot.ProviderType
		model    string
		messages []chat.Message
		want     string
		dropped  []string
	}{
		"blocks are joined": {compatible, "m", []chat.Message{say(chat.System, saying("a"), saying("b")), say(chat.User, saying("c"), saying(""), saying("d")), say(chat.Assistant, saying("e"), saying("f"))},
			`[{"role":"system","content":"a\n\nb"},{"role":"user","content":"c\nd"},{"role":"assistant","content":"ef"}]`, nil},
		"blocks, OpenAI": {openaiType, "gpt-4o", []chat.Message{say(chat.System, saying("a"), saying("b"))}, `[{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`, nil},
		"media": {compatible, "m", []chat.Message{say(chat.User, saying("a"), chat.Part{Kind: chat.PartImage, Media: &chat.Media{Type: "image/png", Base64: "AA", Detail: "low"}}, chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "application/pdf", Base64: "BB", Name: "x.pdf"}}, chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Text: "doc"}})},
			`[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA","detail":"low"}},{"type":"file","file":{"filename":"x.pdf","file_data":"data:application/pdf;base64,BB"}},{"type":"text","text":"doc"}]}]`, nil},
		"media, Vercel": {vercel, "google/x", []chat.Message{say(chat.User, chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "application/pdf", Base64: "BB"}}, chat.Part{Kind: chat.PartDocument, Media: &chat.Media{URL: "https://d"}})},
			`[{"role":"user","content":[{"type":"file","file":{"data":"BB","media_type":"application/pdf"}},{"type":"file","file":{"data":"https://d"}}]}]`, nil},
		"a tool loop": {compatible, "m", []chat.Message{
			say(chat.Assistant, saying("x"), calling(f), calling(chat.ToolCall{ID: "d", Name: "g"})),
			say(chat.User, result("c", saying("1"), showing("https://i"), saying("2")), saying("more"), result("d"))},
			`[{"role":"assistant","content":"x","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"d","type":"function","function":{"name":"g","arguments":"{}"}}]},
			{"role":"tool","tool_call_id":"c","content":"1\n2"},{"role":"tool","tool_call_id":"d","content":""},
			{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://i"}},{"type":"text","text":"more"}]}]`, nil},
		"calls alone":           {compatible, "m", []chat.Message{say(chat.Assistant, calling(f))}, `[{"role":"assistant","content":null,` + call + `}]`, nil},
		"custom calls":          {openaiType, "gpt-4o", []chat.Message{say(chat.Assistant, calling(chat.ToolCall{ID: "c", Name: "h", Arguments: "free", Custom: true}))}, `[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"custom","custom":{"name":"h","input":"free"}}]}]`, nil},
		"thoughts go nowhere":   {compatible, "m", []chat.Message{say(chat.Assistant, thinking(claude), saying("x"), calling(f))}, `[{"role":"assistant","content":"x",` + call + `}]`, []string{"messages.thinking"}},
		"thoughts with a loop":  {compatible, "deepseek-v4", []chat.Message{say(chat.Assistant, thinking(chat.Thought{Text: "t"}), calling(f)), say(chat.Assistant, thinking(chat.Thought{Text: "t"}), saying("x"))}, `[{"role":"assistant","content":null,"reasoning_content":"t",` + call + `},{"role":"assistant","content":"x"}]`, nil},
		"thoughts, Vercel":      {vercel, "anthropic/x", []chat.Message{say(chat.Assistant, thinking(claude), thinking(chat.Thought{Encrypted: "e", Format: chat.FormatAnthropic}), saying("x"))}, `[{"role":"assistant","content":"x","reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s","format":"anthropic-claude-v1","index":0},{"type":"reasoning.encrypted","data":"e","format":"anthropic-claude-v1","index":1}]}]`, nil},
		"thoughts, OpenAI's":    {vercel, "openai/gpt-5", []chat.Message{say(chat.Assistant, thinking(gpt), saying("x"))}, `[{"role":"assistant","content":"x","reasoning_details":[{"type":"reasoning.summary","summary":"t","id":"rs","format":"openai-responses-v1","index":0},{"type":"reasoning.encrypted","data":"e","id":"rs","format":"openai-responses-v1","index":0}]}]`, nil},
		"thoughts of another":   {vercel, "openai/gpt-5", []chat.Message{say(chat.Assistant, thinking(claude), saying("x"))}, `[{"role":"assistant","content":"x"}]`, []string{"messages.thinking"}},
		"signed calls":          {vercel, "google/gemini-3", []chat.Message{say(chat.Assistant, calling(signedCall))}, `[{"role":"assistant","content":null,"reasoning_details":[{"type":"reasoning.encrypted","data":"g","id":"c","format":"google-gemini-v1","index":0}],"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}]`, nil},
		"signed calls, Google":  {compatible, "gemini-3-flash-preview", []chat.Message{say(chat.Assistant, calling(signedCall))}, `[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"g"}}}]}]`, nil},
		"signed calls, nowhere": {compatible, "m", []chat.Message{say(chat.Assistant, calling(signedCall))}, `[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}]`, []string{"messages.thinking"}},
		"signed text":           {vercel, "google/gemini-3", []chat.Message{say(chat.Assistant, chat.Part{Kind: chat.PartText, Text: "x", Signature: "g"})}, `[{"role":"assistant","content":"x","reasoning_details":[{"type":"reasoning.encrypted","data":"g","format":"google-gemini-v1","index":0}]}]`, nil},
		"signed text, nowhere":  {compatible, "m", []chat.Message{say(chat.Assistant, chat.Part{Kind: chat.PartText, Text: "x", Signature: "g"})}, `[{"role":"assistant","content":"x"}]`, []string{"messages.thinking"}},
		"cache marks":           {vercel, "anthropic/x", []chat.Message{say(chat.System, marked("a", "1h")), say(chat.User, marked("b", "5m"))}, `[{"role":"system","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"user","content":[{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}]`, nil},
		"cache marks, nowhere":  {compatible, "m", []chat.Message{say(chat.System, marked("a", "1h"))}, `[{"role":"system","content":"a"}]`, nil},
		"a refusal":             {openaiType, "gpt-4o", []chat.Message{say(chat.Assistant, chat.Part{Kind: chat.PartRefusal, Text: "no"})}, `[{"role":"assistant","content":null,"refusal":"no"}]`, nil},
		"a refusal, others":     {compatible, "m", []chat.Message{say(chat.Assistant, chat.Part{Kind: chat.PartRefusal, Text: "no"})}, `[{"role":"assistant","content":"no"}]`, nil},
		"names":                 {compatible, "m", []chat.Message{{Role: chat.User, Name: "ann", Parts: []chat.Part{saying("a")}}}, `[{"role":"user","name":"ann","content":"a"}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			body, drops, err := encode(translating(c.kind, c.model, false), &chat.Prompt{Messages: c.messages})
			if err != nil {
				t.Fatal(err)
			}
			want := decoded(t, `{"messages":`+c.want+`}`)
			want["model"] = c.model
			if d := cmp.Diff(want, decoded(t, string(body))); d != "" {
				t.Error(d)
			}
			if !slices.Equal(c.dropped, drops.All()) {
				t.Errorf("dropped %q", drops.All())
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	doc := chat.Part{Kind: chat.PartDocument, Media: &chat.Media{URL: "https://d"}}
	for name, p := range map[string]*chat.Prompt{
		"documents by URL":    {Messages: []chat.Message{say(chat.User, doc)}},
		"documents of a tool": {Messages: []chat.Message{say(chat.User, result("c", doc))}},
		"custom tools":        {Tools: []chat.Tool{{Name: "h", Custom: true}}},
	} {
		_, _, err := encode(translating(compatible, "m", false), p)
		var e *chat.Error
		if !errors.As(err, &e) || e.Status != 400 || e.Param == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
