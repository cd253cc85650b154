package responses

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func isTrue() *bool { b := true; return &b }

func say(r chat.Role, parts ...chat.Part) chat.Message { return chat.Message{Role: r, Parts: parts} }

func saying(s string) chat.Part { return chat.Part{Kind: chat.PartText, Text: s} }

func calling(id, name, arguments string) chat.Part {
	return chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: id, Name: name, Arguments: arguments}}
}

func result(id string, parts ...chat.Part) chat.Part {
	return chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: id, Name: "f", Parts: parts}}
}

func thinking(t chat.Thought) chat.Part { return chat.Part{Kind: chat.PartThought, Thought: &t} }

func showing(url string) chat.Part {
	return chat.Part{Kind: chat.PartImage, Media: &chat.Media{URL: url, Detail: "low"}}
}

// reasoner is a model that takes low and high, and samples only with none.
var reasoner = Model{
	ID: "m", Reasons: true, Effort: func(want string) string { return map[string]string{"none": "low", "max": "high"}[want] },
	Samples: func(effort string) bool { return effort == "none" },
}

// plain is a model that does not reason.
var plain = Model{ID: "m", Effort: func(string) string { return "" }, Samples: func(string) bool { return true }}

func encoded(t *testing.T, m Model, p *chat.Prompt, strict bool) (map[string]any, []string, error) {
	t.Helper()
	p.Choices = max(p.Choices, 1)
	c := chat.Call{Request: &chat.Request{Protocol: chat.Messages, Stream: true}, Strict: strict}
	body, drops, err := Encode(c, p, m)
	if err != nil {
		return nil, nil, err
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	return got, drops.All(), nil
}

func TestEncode(t *testing.T) {
	hi := []chat.Message{say(chat.User, saying("hi"))}
	tools := []chat.Tool{
		{Name: "f", Description: "d", Schema: json.RawMessage(`{"type":"object","properties":{"z":{},"a":{}}}`), Strict: isTrue()},
		{Name: "g"}, {Name: "h", Custom: true, Grammar: json.RawMessage(`{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}`)},
	}
	for name, c := range map[string]struct {
		model   Model
		prompt  chat.Prompt
		want    string // members beside model, store, stream and input "hi"
		dropped []string
	}{
		"plain":     {model: plain, prompt: chat.Prompt{Messages: hi, Temperature: "0.5", TopP: "0.9", MaxOutputTokens: 100, User: "u"}, want: `{"temperature":0.5,"top_p":0.9,"max_output_tokens":100,"user":"u"}`},
		"too small": {model: plain, prompt: chat.Prompt{Messages: hi, MaxOutputTokens: 1}, want: `{"max_output_tokens":16}`},
		"reasoning": {model: reasoner, prompt: chat.Prompt{Messages: hi, Temperature: "0.5", TopP: "1", Reasoning: &chat.Reasoning{Effort: "max"}},
			want: `{"include":["reasoning.encrypted_content"],"reasoning":{"effort":"high"},"top_p":1}`, dropped: []string{"temperature"}},
		"thinking is read": {model: reasoner, prompt: chat.Prompt{Messages: hi, Reasoning: &chat.Reasoning{Adaptive: true, Summary: "summarized"}},
			want: `{"include":["reasoning.encrypted_content"],"reasoning":{"summary":"auto"}}`},
		"thinking is off":   {model: reasoner, prompt: chat.Prompt{Messages: hi, Reasoning: &chat.Reasoning{Off: true}}, want: `{"include":["reasoning.encrypted_content"],"reasoning":{"effort":"low"}}`},
		"does not reason":   {model: plain, prompt: chat.Prompt{Messages: hi, Reasoning: &chat.Reasoning{Budget: 4096}}, want: `{}`, dropped: []string{"thinking"}},
		"off, and does not": {model: plain, prompt: chat.Prompt{Messages: hi, Reasoning: &chat.Reasoning{Off: true}}, want: `{}`},
		"logprobs":          {model: plain, prompt: chat.Prompt{Messages: hi, Logprobs: true, TopLogprobs: 3}, want: `{"top_logprobs":3,"include":["message.output_text.logprobs"]}`},
		"schema": {model: plain, prompt: chat.Prompt{Messages: hi, Verbosity: "low", Format: &chat.Format{Schema: json.RawMessage(`{"type":"object"}`), Strict: isTrue()}},
			want: `{"text":{"verbosity":"low","format":{"type":"json_schema","name":"response","schema":{"type":"object"},"strict":true}}}`},
		"JSON": {model: plain, prompt: chat.Prompt{Messages: hi, Format: &chat.Format{}}, want: `{"text":{"format":{"type":"json_object"}}}`},
		"tools": {model: plain, prompt: chat.Prompt{Messages: hi, Tools: tools, ParallelTools: new(bool), ToolChoice: chat.ToolChoice{Mode: chat.ChooseTool, Name: "h"}},
			want: `{"parallel_tool_calls":false,"tool_choice":{"type":"custom","name":"h"},"tools":[
				{"type":"function","name":"f","description":"d","parameters":{"type":"object","properties":{"z":{},"a":{}}},"strict":true},
				{"type":"function","name":"g","parameters":{"type":"object","properties":{}},"strict":false},
				{"type":"custom","name":"h","format":{"type":"grammar","syntax":"lark","definition":"x"}}]}`},
		"allowed tools": {model: plain, prompt: chat.Prompt{Messages: hi, Tools: tools[1:2], ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired, Allowed: []string{"g"}}},
			want: `{"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]},"tools":[{"type":"function","name":"g","parameters":{"type":"object","properties":{}},"strict":false}]}`},
		"a choice of no tools": {model: plain, prompt: chat.Prompt{Messages: hi, ToolChoice: chat.ToolChoice{Mode: chat.ChooseNone}}, want: `{}`},
		"search": {model: plain, prompt: chat.Prompt{Messages: hi, Search: &chat.Search{Forced: true, MaxUses: 2, ContextSize: "high", AllowedDomains: []string{"a.com"}, BlockedDomains: []string{"b.com"}, Location: json.RawMessage(`{"type":"approximate","city":"x"}`)}},
			want: `{"max_tool_calls":2,"tool_choice":{"type":"web_search"},"tools":[{"type":"web_search","search_context_size":"high","user_location":{"type":"approximate","city":"x"},"filters":{"allowed_domains":["a.com"]}}]}`, dropped: []string{"tools.web_search.blocked_domains"}},
		"what it has not": {model: plain, prompt: chat.Prompt{Messages: hi, Stop: []string{"x"}, TopK: new(int64), Others: []chat.Parameter{{Name: "service_tier", Value: json.RawMessage(`"auto"`)}, {Name: "x", Value: json.RawMessage(`1`)}}},
			want: `{}`, dropped: []string{"stop_sequences", "top_k", "service_tier", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, dropped, err := encoded(t, c.model, &c.prompt, false)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"model": "m", "store": false, "stream": true, "input": []any{map[string]any{"role": "user", "content": "hi"}}}
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.dropped, dropped); d != "" && len(dropped)+len(c.dropped) > 0 {
				t.Error(d)
			}
			_, _, err = encoded(t, c.model, &c.prompt, true)
			var e *chat.Error
			if refused := errors.As(err, &e); refused != (len(c.dropped) > 0) || refused && (e.Code != "unsupported_parameter" || e.Param != c.dropped[0] || e.Status != 400) {
				t.Errorf("strict: %v", err)
			}
		})
	}
}

// The text of schemas goes out as it came in: key order and numbers count in a prompt's cache.
func TestSchemasKeepTheirText(t *testing.T) {
	const schema = `{"type":"object","properties":{"z":{"maximum":1e400,"description":"<&>"},"a":{}}}`
	p := &chat.Prompt{Choices: 1, Tools: []chat.Tool{{Name: "f", Schema: json.RawMessage(schema)}}}
	body, _, err := Encode(chat.Call{Request: &chat.Request{}}, p, plain)
	if err != nil || !strings.Contains(string(body), schema) {
		t.Errorf("%s, %v", body, err)
	}
}

func TestSeveralAnswersAreRefused(t *testing.T) {
	_, _, err := encoded(t, plain, &chat.Prompt{Choices: 2}, false)
	var e *chat.Error
	if !errors.As(err, &e) || e.Param != "n" {
		t.Errorf("got %v", err)
	}
}

func TestInput(t *testing.T) {
	mine := chat.Thought{Text: "sum", Encrypted: "e", ID: "rs", Format: chat.FormatOpenAI}
	for name, c := range map[string]struct {
		messages     []chat.Message
		options      InputOptions
		instructions string
		want         string
		dropped      []string
	}{
		"instructions": {messages: []chat.Message{say(chat.System, saying("s")), say(chat.User, saying("u"))}, instructions: "s", want: `[{"role":"user","content":"u"}]`},
		"the system's blocks": {messages: []chat.Message{say(chat.System, saying("s"), saying("t")), say(chat.User, saying("u")), say(chat.System, saying("v"))},
			want: `[{"role":"system","content":[{"type":"input_text","text":"s"},{"type":"input_text","text":"t"}]},{"role":"user","content":"u"},{"role":"system","content":"v"}]`},
		"media": {messages: []chat.Message{say(chat.User, saying("u"), showing("https://x"),
			chat.Part{Kind: chat.PartImage, Media: &chat.Media{Type: "image/png", Base64: "AA"}},
			chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "application/pdf", Base64: "AA"}},
			chat.Part{Kind: chat.PartDocument, Media: &chat.Media{URL: "https://d"}},
			chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Text: "doc"}})},
			options: InputOptions{Documents: true},
			want: `[{"role":"user","content":[{"type":"input_text","text":"u"},{"type":"input_image","image_url":"https://x","detail":"low"},{"type":"input_image","image_url":"data:image/png;base64,AA"},
				{"type":"input_file","filename":"document.pdf","file_data":"data:application/pdf;base64,AA"},{"type":"input_file","file_url":"https://d"},{"type":"input_text","text":"doc"}]}]`},
		"a tool loop": {messages: []chat.Message{
			say(chat.User, saying("u")), say(chat.Assistant, thinking(mine), saying("a"), calling("c", "f", `{"x":1}`), calling("d", "g", "")),
			say(chat.User, result("c", saying("1")), result("d", saying("2"), showing("https://x")), saying("more"))},
			options: InputOptions{Thoughts: true},
			want: `[{"role":"user","content":"u"},{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"sum"}],"encrypted_content":"e"},{"role":"assistant","content":"a"},
				{"type":"function_call","call_id":"c","name":"f","arguments":"{\"x\":1}"},{"type":"function_call","call_id":"d","name":"g","arguments":"{}"},
				{"type":"function_call_output","call_id":"c","output":"1"},{"type":"function_call_output","call_id":"d","output":[{"type":"input_text","text":"2"},{"type":"input_image","image_url":"https://x","detail":"low"}]},
				{"role":"user","content":"more"}]`},
		"a tool loop, texts and names": {messages: []chat.Message{
			say(chat.Assistant, chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c", Name: "f", Signature: "s"}}, calling("d", "g", "{}")),
			say(chat.User, result("c", saying("1"), saying("2"), showing("https://x")), result("d"))},
			options: InputOptions{Agent: true, Signatures: true},
			want: `[{"type":"function_call","call_id":"c","name":"f","arguments":"{}","thought_signature":"s"},{"type":"function_call","call_id":"d","name":"g","arguments":"{}"},
				{"type":"function_call_output","call_id":"c","name":"f","output":"1\n2"},{"type":"function_call_output","call_id":"d","name":"f","output":""},
				{"type":"message","role":"user","content":[{"type":"input_image","image_url":"https://x","detail":"low"}]}]`},
		"answers, texts alone": {messages: []chat.Message{say(chat.Assistant, saying("a"), saying("b"), chat.Part{Kind: chat.PartRefusal, Text: "c"})},
			options: InputOptions{Agent: true}, want: `[{"type":"message","role":"assistant","content":"abc"}]`},
		"a summary of its own": {messages: []chat.Message{say(chat.Assistant, thinking(chat.Thought{Text: "sum", ID: "rs", Format: chat.FormatOpenAI}), thinking(chat.Thought{Encrypted: "e", ID: "rs", Format: chat.FormatOpenAI}), calling("c", "f", "{}"))},
			options: InputOptions{Thoughts: true},
			want:    `[{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"sum"}],"encrypted_content":"e"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]`},
		"another's thoughts": {messages: []chat.Message{say(chat.Assistant, thinking(chat.Thought{Text: "t", Signature: "s", Format: chat.FormatAnthropic}), saying("a"))},
			options: InputOptions{Thoughts: true}, want: `[{"role":"assistant","content":"a"}]`, dropped: []string{"reasoning_details"}},
		"a title": {messages: []chat.Message{say(chat.User, chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "application/pdf", Base64: "AA", Name: "Report v1.2"}}, chat.Part{Kind: chat.PartDocument, Media: &chat.Media{Type: "text/csv", Base64: "AA", Name: "a.csv"}})},
			options: InputOptions{Documents: true},
			want:    `[{"role":"user","content":[{"type":"input_file","filename":"Report v1.2.pdf","file_data":"data:application/pdf;base64,AA"},{"type":"input_file","filename":"a.csv","file_data":"data:text/csv;base64,AA"}]}]`},
		"what Gemini signed": {messages: []chat.Message{say(chat.Assistant, chat.Part{Kind: chat.PartText, Text: "a", Signature: "s"}, chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c", Name: "f", Signature: "s"}})},
			options: InputOptions{Agent: true}, dropped: []string{"reasoning_details"},
			want: `[{"type":"message","role":"assistant","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]`},
		"mine, and no place for them": {messages: []chat.Message{say(chat.Assistant, thinking(mine), saying("a"))}, want: `[{"role":"assistant","content":"a"}]`, dropped: []string{"reasoning_details"}},
		"a thought that led nowhere":  {messages: []chat.Message{say(chat.Assistant, saying("a"), thinking(mine))}, options: InputOptions{Thoughts: true}, want: `[{"role":"assistant","content":"a"}]`, dropped: []string{"reasoning_details"}},
		"custom tools": {messages: []chat.Message{say(chat.Assistant, chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c", Name: "h", Arguments: "free", Custom: true}}), say(chat.User, result("c", saying("r")))},
			want: `[{"type":"custom_tool_call","call_id":"c","name":"h","input":"free"},{"type":"custom_tool_call_output","call_id":"c","output":"r"}]`},
		"a refusal":  {messages: []chat.Message{say(chat.Assistant, chat.Part{Kind: chat.PartRefusal, Text: "no"})}, want: `[{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]`},
		"empty text": {messages: []chat.Message{say(chat.User, saying("")), say(chat.Assistant, saying("")), say(chat.User, saying("u"))}, want: `[{"role":"user","content":"u"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Drops{}
			instructions, items, err := Input(&chat.Prompt{Messages: c.messages}, c.options, d)
			if err != nil {
				t.Fatal(err)
			}
			body, err := JSON(items)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(body, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" || instructions != c.instructions {
				t.Errorf("instructions %q: %s", instructions, d)
			}
			if !slices.Equal(d.All(), c.dropped) {
				t.Errorf("dropped %v", d.All())
			}
		})
	}
}

func TestDocumentsWhereThereAreNone(t *testing.T) {
	doc := chat.Part{Kind: chat.PartDocument, Media: &chat.Media{URL: "https://d"}}
	for _, m := range []chat.Message{say(chat.User, doc), say(chat.User, result("c", doc))} {
		_, _, err := Input(&chat.Prompt{Messages: []chat.Message{m}}, InputOptions{}, &Drops{})
		var e *chat.Error
		if !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("got %v", err)
		}
	}
}
