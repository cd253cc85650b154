package anthropic

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// The recorded requests are Anthropic's own: read to a prompt here, by another way than the package writes them, they must
// come out again.

type wireRequest struct {
	Model         string
	MaxTokens     int64 `json:"max_tokens"`
	System        json.RawMessage
	Messages      []wireTurn
	Tools         []wireTool
	ToolChoice    *wireChoice   `json:"tool_choice"`
	Thinking      *wireThinking `json:"thinking"`
	OutputConfig  *wireOutput   `json:"output_config"`
	StopSequences []string      `json:"stop_sequences"`
	Temperature   json.Number
	TopP          json.Number `json:"top_p"`
	TopK          *int64      `json:"top_k"`
	Stream        bool
}

type wireTurn struct {
	Role    chat.Role
	Content json.RawMessage
}

type wireChoice struct {
	Type, Name      string
	DisableParallel bool `json:"disable_parallel_tool_use"`
}

type wireThinking struct {
	Type, Display string
	Budget        int64 `json:"budget_tokens"`
}

type wireOutput struct {
	Effort string
	Format *struct{ Schema json.RawMessage }
}

type wireTool struct {
	Type, Name, Description string
	Schema                  json.RawMessage `json:"input_schema"`
	Strict                  *bool
	Cache                   *wireCache `json:"cache_control"`
}

type wireCache struct{ TTL string }

type wireBlock struct {
	Type, Text, Thinking, Signature, Data, ID, Name, Title string
	Input                                                  json.RawMessage
	ToolUseID                                              string `json:"tool_use_id"`
	Content                                                json.RawMessage
	IsError                                                bool `json:"is_error"`
	Source                                                 json.RawMessage
	Cache                                                  *wireCache `json:"cache_control"`
}

func (c *wireCache) word() string {
	if c == nil {
		return ""
	}
	if c.TTL == "" {
		return "5m"
	}
	return c.TTL
}

// promptOf reads a recorded request; why is not empty where a prompt cannot say it.
func promptOf(t *testing.T, w wireRequest) (p *chat.Prompt, why string) {
	p = &chat.Prompt{Choices: 1, MaxOutputTokens: w.MaxTokens, Stop: w.StopSequences, Temperature: w.Temperature, TopP: w.TopP, TopK: w.TopK}
	add := func(role chat.Role, content json.RawMessage) {
		parts, no := partsOf(t, content)
		if no != "" {
			why = no
		}
		p.Messages = append(p.Messages, chat.Message{Role: role, Parts: parts})
	}
	if len(w.System) > 0 {
		add(chat.System, w.System)
	}
	for _, m := range w.Messages {
		add(m.Role, m.Content)
	}
	for _, tool := range w.Tools {
		switch {
		case tool.Type == searchType:
			p.Search = &chat.Search{}
		case tool.Type != "":
			why = "a tool of type " + tool.Type
		default:
			p.Tools = append(p.Tools, chat.Tool{Name: tool.Name, Description: tool.Description, Schema: tool.Schema, Strict: tool.Strict, Cache: tool.Cache.word()})
		}
	}
	if c := w.ToolChoice; c != nil {
		p.ToolChoice = chat.ToolChoice{Mode: map[string]chat.ChoiceMode{"auto": chat.ChooseAuto, "none": chat.ChooseNone, "any": chat.ChooseRequired, "tool": chat.ChooseTool}[c.Type], Name: c.Name}
		several := !c.DisableParallel
		p.ParallelTools = &several
	}
	if th := w.Thinking; th != nil {
		p.Reasoning = &chat.Reasoning{Off: th.Type == "disabled", Adaptive: th.Type == "adaptive", Budget: th.Budget, Summary: th.Display}
	}
	if o := w.OutputConfig; o != nil {
		if o.Effort != "" {
			p.Reasoning = &chat.Reasoning{Effort: o.Effort}
			why = "an effort without thinking"
		}
		if o.Format != nil {
			p.Format = &chat.Format{Schema: o.Format.Schema}
		}
	}
	return p, why
}

func partsOf(t *testing.T, content json.RawMessage) (out []chat.Part, why string) {
	if len(content) == 0 {
		return nil, ""
	}
	if content[0] == '"' {
		var s string
		_ = json.Unmarshal(content, &s)
		return []chat.Part{{Kind: chat.PartText, Text: s}}, ""
	}
	var blocks []wireBlock
	if err := json.Unmarshal(content, &blocks); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		part := chat.Part{Cache: b.Cache.word()}
		switch b.Type {
		case "text":
			part.Kind, part.Text = chat.PartText, b.Text
		case "thinking":
			part.Kind, part.Thought = chat.PartThought, &chat.Thought{Text: b.Thinking, Signature: b.Signature, Format: chat.FormatAnthropic}
		case "redacted_thinking":
			part.Kind, part.Thought = chat.PartThought, &chat.Thought{Encrypted: b.Data, Format: chat.FormatAnthropic}
		case "tool_use":
			part.Kind, part.Call = chat.PartCall, &chat.ToolCall{ID: b.ID, Name: b.Name, Arguments: string(b.Input)}
		case "tool_result":
			inner, no := partsOf(t, b.Content)
			if no != "" {
				why = no
			}
			part.Kind, part.Result = chat.PartResult, &chat.Result{ID: b.ToolUseID, Parts: inner, Failed: b.IsError}
		case "image", "document":
			part.Kind = map[string]chat.PartKind{"image": chat.PartImage, "document": chat.PartDocument}[b.Type]
			var from struct {
				Type, URL, Data string
				MediaType       string `json:"media_type"`
			}
			if err := json.Unmarshal(b.Source, &from); err != nil {
				t.Fatal(err)
			}
			part.Media = &chat.Media{URL: from.URL, Type: from.MediaType, Base64: from.Data, Name: b.Title}
			switch from.Type {
			case "text":
				part.Media.Base64, part.Media.Text = "", from.Data
			case "file":
				why = "a file of the provider's"
			}
		default:
			why = "a block of type " + b.Type
		}
		out = append(out, part)
	}
	return out, why
}

// normal takes out of a request what says nothing: defaults, nulls, and the two ways to write a text.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			value = normal(value)
			v[name] = value
			list, isList := value.([]any)
			text, isText := value.(string)
			switch {
			case value == nil, value == false && name != "additionalProperties", isList && len(list) == 0 && (name == "tools" || name == "content"),
				name == "description" && text == "", name == "ttl" && text == "5m", name == "citations":
				delete(v, name)
			case (name == "content" || name == "system") && isText:
				v[name] = []any{map[string]any{"type": "text", "text": text}}
			case name == "thinking" && !isText:
				if d := value.(map[string]any); d["type"] != "adaptive" {
					delete(d, "display")
				}
			}
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	}
	return v
}

func TestRecordedRequests(t *testing.T) {
	compared := 0
	for _, r := range recorded(t) {
		if len(r.request) == 0 || r.API != "messages" {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			var w wireRequest
			if err := json.Unmarshal(r.request, &w); err != nil {
				t.Fatal(err)
			}
			p, why := promptOf(t, w)
			if why != "" {
				t.Skip("a prompt cannot say", why)
			}
			c := translated(t, "", p, w.Stream)
			c.Model = w.Model
			raw, _, dropped, err := build(c, p)
			if err != nil {
				t.Fatal(err)
			}
			want, got := normal(parse(t, r.request)).(map[string]any), normal(parse(t, raw)).(map[string]any)
			expected(r, want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("dropped %v\n%s", dropped, d)
			}
			compared++
		})
	}
	if compared < 50 {
		t.Errorf("only %d requests were compared", compared)
	}
}

// expected are the differences that are meant.
func expected(r recording, want map[string]any) {
	if thinks, ok := want["thinking"].(map[string]any); ok && thinks["type"] == "enabled" {
		delete(want, "temperature") // it is 1 and can be nothing else
	}
	if want["max_tokens"] == json.Number("0") {
		want["max_tokens"] = json.Number("128000")
	}
	if r.Status == 400 && bytes.Contains(r.body, []byte("additionalProperties")) {
		// What the API complains of is what the package puts right.
		format := want["output_config"].(map[string]any)["format"].(map[string]any)
		format["schema"].(map[string]any)["additionalProperties"] = false
	}
}
