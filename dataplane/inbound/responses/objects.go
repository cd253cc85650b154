package responses

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// response is OpenAI's response object, its members as the Open Responses specification requires them.
type response struct {
	ID                 string          `json:"id"`
	Object             string          `json:"object"`
	CreatedAt          int64           `json:"created_at"`
	CompletedAt        *int64          `json:"completed_at"`
	Status             string          `json:"status"`
	Background         bool            `json:"background"`
	Error              *failure        `json:"error"`
	IncompleteDetails  *incomplete     `json:"incomplete_details"`
	Instructions       json.RawMessage `json:"instructions"`
	MaxOutputTokens    json.RawMessage `json:"max_output_tokens"`
	MaxToolCalls       json.RawMessage `json:"max_tool_calls"`
	Model              string          `json:"model"`
	Output             []outputItem    `json:"output"`
	ParallelToolCalls  json.RawMessage `json:"parallel_tool_calls"`
	PreviousResponseID *string         `json:"previous_response_id"`
	PromptCacheKey     json.RawMessage `json:"prompt_cache_key"`
	SafetyIdentifier   json.RawMessage `json:"safety_identifier"`
	Reasoning          json.RawMessage `json:"reasoning"`
	ServiceTier        string          `json:"service_tier"`
	Store              bool            `json:"store"`
	Temperature        json.RawMessage `json:"temperature"`
	PresencePenalty    json.RawMessage `json:"presence_penalty"`
	FrequencyPenalty   json.RawMessage `json:"frequency_penalty"`
	Text               json.RawMessage `json:"text"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
	Tools              json.RawMessage `json:"tools"`
	TopLogprobs        json.RawMessage `json:"top_logprobs"`
	TopP               json.RawMessage `json:"top_p"`
	Truncation         string          `json:"truncation"`
	Usage              *usage          `json:"usage"`
	User               json.RawMessage `json:"user"`
	Metadata           json.RawMessage `json:"metadata"`
}

// failure is why a response failed.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// incomplete is why it ended early: max_output_tokens or content_filter.
type incomplete struct {
	Reason string `json:"reason"`
}

// outputItem is a message, a reasoning item, a call or a search; MarshalJSON writes the members of its type alone.
type outputItem struct {
	Type, ID, Status string
	// Content of a message.
	Content []outputPart
	// Text and Encrypted of a reasoning item.
	Text, Encrypted string
	// CallID, Name and Arguments of a call.
	CallID, Name, Arguments string
	// Sources of a search.
	Sources []chat.Source
	// open says that more of it may come.
	open bool
}

type outputPart struct {
	Type        string       `json:"type"`
	Text        *string      `json:"text,omitempty"`
	Annotations []annotation `json:"annotations,omitzero"`
	Logprobs    []any        `json:"logprobs,omitzero"`
	Refusal     *string      `json:"refusal,omitempty"`
}

type annotation struct {
	Type       string `json:"type"`
	StartIndex int64  `json:"start_index"`
	EndIndex   int64  `json:"end_index"`
	URL        string `json:"url"`
	Title      string `json:"title"`
}

type summary struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type source struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type action struct {
	Type    string   `json:"type"`
	Query   string   `json:"query"`
	Sources []source `json:"sources"`
}

// MarshalJSON writes the item as its type has it.
func (o outputItem) MarshalJSON() ([]byte, error) {
	switch o.Type {
	case "reasoning":
		return encode(struct {
			ID        string    `json:"id"`
			Type      string    `json:"type"`
			Summary   []summary `json:"summary"`
			Encrypted *string   `json:"encrypted_content,omitempty"`
		}{o.ID, o.Type, o.summaries(), optional(o.Encrypted)})
	case "function_call":
		return encode(struct {
			ID        string `json:"id"`
			Type      string `json:"type"`
			Status    string `json:"status"`
			CallID    string `json:"call_id"`
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		}{o.ID, o.Type, o.Status, o.CallID, o.Name, o.Arguments})
	case "custom_tool_call":
		return encode(struct {
			ID     string `json:"id"`
			Type   string `json:"type"`
			Status string `json:"status"`
			CallID string `json:"call_id"`
			Name   string `json:"name"`
			Input  string `json:"input"`
		}{o.ID, o.Type, o.Status, o.CallID, o.Name, o.Arguments})
	case "web_search_call":
		list := make([]source, 0, len(o.Sources))
		for _, s := range o.Sources {
			list = append(list, source{"url", s.URL})
		}
		return encode(struct {
			ID     string `json:"id"`
			Type   string `json:"type"`
			Status string `json:"status"`
			Action action `json:"action"`
		}{o.ID, o.Type, o.Status, action{"search", "", list}})
	}
	content := o.Content
	if content == nil {
		content = []outputPart{}
	}
	return encode(struct {
		ID      string       `json:"id"`
		Type    string       `json:"type"`
		Status  string       `json:"status"`
		Role    string       `json:"role"`
		Content []outputPart `json:"content"`
	}{o.ID, o.Type, o.Status, "assistant", content})
}

func (o outputItem) summaries() []summary {
	if o.Text == "" {
		return []summary{}
	}
	return []summary{{"summary_text", o.Text}}
}

func textPart(text string, notes []annotation) outputPart {
	if notes == nil {
		notes = []annotation{}
	}
	return outputPart{Type: "output_text", Text: &text, Annotations: notes, Logprobs: []any{}}
}

func refusalPart(text string) outputPart { return outputPart{Type: "refusal", Refusal: &text} }

// note writes a citation of the text behind base, which is the offset of its part.
func note(c *chat.Citation, base int64, text string) annotation {
	a := annotation{Type: "url_citation", StartIndex: base + c.Start, EndIndex: base + c.End, URL: c.URL, Title: c.Title}
	if c.Start == 0 && c.End == 0 {
		a.EndIndex = utf16Len(text)
	}
	return a
}

// utf16Len is a text's length in UTF-16 code units, in which the offsets of citations count.
func utf16Len(text string) (n int64) {
	for _, c := range text {
		if n++; c > 0xffff {
			n++
		}
	}
	return n
}

// usage is OpenAI's, with what is cached beside it and the cost.
type usage struct {
	InputTokens        int64           `json:"input_tokens"`
	InputTokensDetails inputDetails    `json:"input_tokens_details"`
	OutputTokens       int64           `json:"output_tokens"`
	OutputDetails      outputDetails   `json:"output_tokens_details"`
	TotalTokens        int64           `json:"total_tokens"`
	Cost               json.RawMessage `json:"cost,omitempty"`
}

type inputDetails struct {
	CachedTokens     int64 `json:"cached_tokens"`
	CacheWriteTokens int64 `json:"cache_write_tokens,omitempty"`
}

type outputDetails struct {
	ReasoningTokens int64 `json:"reasoning_tokens"`
}

func usageOf(t chat.Total) *usage {
	u := t.Usage
	written := u.CacheWrite + u.CacheWrite1h
	in := u.Input + u.CacheRead + written
	out := &usage{
		InputTokens: in, InputTokensDetails: inputDetails{CachedTokens: u.CacheRead, CacheWriteTokens: written},
		OutputTokens: u.Output, OutputDetails: outputDetails{ReasoningTokens: u.Reasoning}, TotalTokens: in + u.Output,
	}
	if t.CostUSD != "" {
		out.Cost = json.RawMessage(t.CostUSD)
	}
	return out
}

// suffix makes ids out of the request's.
func suffix(r *chat.Request) string {
	return strings.ReplaceAll(strings.TrimPrefix(r.ID, "req_"), "-", "")
}

// itemID is unique within the response.
func itemID(kind string, r *chat.Request, n int) string {
	return kind + "_" + suffix(r) + "_" + strconv.Itoa(n)
}

// base is the response with what the request said, or the API's defaults.
func base(r *chat.Request, created int64) response {
	echo := func(name, otherwise string) json.RawMessage {
		if raw := r.Fields.Value(r.Body, name); !jsonscan.IsNull(raw) {
			return raw
		}
		return json.RawMessage(otherwise)
	}
	if created == 0 {
		created = r.Created
	}
	return response{
		ID: "resp_" + suffix(r), Object: "response", CreatedAt: created, Status: "in_progress", Model: r.Model, Output: []outputItem{},
		Instructions: echo("instructions", "null"), MaxOutputTokens: echo("max_output_tokens", "null"), MaxToolCalls: echo("max_tool_calls", "null"),
		ParallelToolCalls: echo("parallel_tool_calls", "true"), PromptCacheKey: echo("prompt_cache_key", "null"),
		SafetyIdentifier: echo("safety_identifier", "null"), Reasoning: filled(echo("reasoning", "{}"), "effort", "null", "summary", "null"),
		ServiceTier: "default", Temperature: echo("temperature", "1"), PresencePenalty: echo("presence_penalty", "0"),
		FrequencyPenalty: echo("frequency_penalty", "0"), Text: filledText(echo("text", "{}")),
		ToolChoice: echo("tool_choice", `"auto"`), Tools: filledTools(echo("tools", "[]")), TopLogprobs: echo("top_logprobs", "0"), TopP: echo("top_p", "1"),
		Truncation: "disabled", User: echo("user", "null"), Metadata: echo("metadata", "{}"),
	}
}

// finish sets the status by why the answer ended.
func (o *response) finish(f chat.Finish, completed int64) {
	o.Status, o.CompletedAt = "completed", &completed
	switch f.Reason {
	case chat.FinishLength:
		o.Status, o.IncompleteDetails, o.CompletedAt = "incomplete", &incomplete{"max_output_tokens"}, nil
	case chat.FinishFilter:
		o.Status, o.IncompleteDetails, o.CompletedAt = "incomplete", &incomplete{"content_filter"}, nil
	}
}
