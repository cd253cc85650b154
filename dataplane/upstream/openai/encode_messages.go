package openai

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/upstream/responses"
)

// Messages of a translated request.
type (
	messageObject struct {
		Role             string        `json:"role"`
		Content          any           `json:"content"` // a string, []partObject or null
		Name             string        `json:"name,omitempty"`
		Refusal          string        `json:"refusal,omitempty"`
		ToolCallID       string        `json:"tool_call_id,omitempty"`
		ReasoningContent string        `json:"reasoning_content,omitempty"`
		Details          []detailValue `json:"reasoning_details,omitempty"`
		ToolCalls        []callObject  `json:"tool_calls,omitempty"`
	}
	partObject struct {
		Type  string       `json:"type"`
		Text  string       `json:"text,omitempty"`
		Image *imageObject `json:"image_url,omitempty"`
		File  *fileObject  `json:"file,omitempty"`
		Cache *cacheObject `json:"cache_control,omitempty"`
	}
	imageObject struct {
		URL    string `json:"url"`
		Detail string `json:"detail,omitempty"`
	}
	fileObject struct {
		Filename string `json:"filename,omitempty"`
		FileData string `json:"file_data,omitempty"`
		// Vercel's.
		Data      string `json:"data,omitempty"`
		MediaType string `json:"media_type,omitempty"`
	}
	cacheObject struct {
		Type string `json:"type"`
		TTL  string `json:"ttl,omitempty"`
	}
	callObject struct {
		ID       string          `json:"id"`
		Type     string          `json:"type"`
		Function *functionCall   `json:"function,omitempty"`
		Custom   *customCall     `json:"custom,omitempty"`
		Extra    json.RawMessage `json:"extra_content,omitempty"`
	}
	functionCall struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	customCall struct {
		Name  string `json:"name"`
		Input string `json:"input"`
	}
)

func (e *encoding) messages() error {
	for i := range e.p.Messages {
		m := &e.p.Messages[i]
		var err error
		if m.Role == chat.Assistant {
			e.assistant(m)
		} else {
			err = e.said(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// said writes a message of the system or the user. Results of tools are messages of their own, first and together; what they
// show beside text the user shows behind them, because a tool's message takes text alone.
func (e *encoding) said(m *chat.Message) error {
	var parts, shown []partObject
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Kind != chat.PartResult {
			part, err := e.part(p)
			if err != nil {
				return err
			}
			parts = append(parts, part...)
			continue
		}
		rest, err := e.result(p.Result)
		if err != nil {
			return err
		}
		shown = append(shown, rest...)
	}
	if parts = append(shown, parts...); len(parts) > 0 {
		separator := "\n"
		if m.Role == chat.System {
			separator = "\n\n"
		}
		e.r.Messages = append(e.r.Messages, messageObject{Role: string(m.Role), Content: e.content(parts, separator), Name: m.Name})
	}
	return nil
}

// result writes a tool's message and gives back what it cannot hold.
func (e *encoding) result(r *chat.Result) (rest []partObject, err error) {
	var texts []string
	for i := range r.Parts {
		parts, err := e.part(&r.Parts[i])
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			if p.Type == "text" {
				texts = append(texts, p.Text)
			} else {
				rest = append(rest, p)
			}
		}
	}
	e.r.Messages = append(e.r.Messages, messageObject{Role: "tool", ToolCallID: r.ID, Content: strings.Join(texts, "\n")})
	return rest, nil
}

// part is what somebody says or shows; none: it is nothing.
func (e *encoding) part(p *chat.Part) ([]partObject, error) {
	var out partObject
	switch p.Kind {
	case chat.PartText:
		if p.Text == "" {
			return nil, nil
		}
		out = partObject{Type: "text", Text: p.Text}
	case chat.PartImage:
		out = partObject{Type: "image_url", Image: &imageObject{URL: responses.DataURL(p.Media), Detail: p.Media.Detail}}
	case chat.PartDocument:
		doc, err := e.document(p.Media)
		if err != nil {
			return nil, err
		}
		out = doc
	default:
		return nil, nil
	}
	if p.Cache != "" && e.marks() {
		out.Cache = &cacheObject{Type: "ephemeral"}
		if p.Cache == "1h" {
			out.Cache.TTL = p.Cache
		}
	}
	return []partObject{out}, nil
}

// document is a file. One that is plain text is text, which every model reads.
func (e *encoding) document(m *chat.Media) (partObject, error) {
	switch {
	case m.URL == "" && m.Base64 == "":
		return partObject{Type: "text", Text: m.Text}, nil
	case e.router && m.URL != "":
		return partObject{Type: "file", File: &fileObject{Filename: m.Name, Data: m.URL, MediaType: m.Type}}, nil
	case e.router:
		return partObject{Type: "file", File: &fileObject{Filename: m.Name, Data: m.Base64, MediaType: m.Type}}, nil
	case m.URL != "":
		return partObject{}, responses.Invalid("unsupported_value", "messages", "The model's provider takes no documents by URL.")
	}
	return partObject{Type: "file", File: &fileObject{Filename: responses.FileName(m), FileData: responses.DataURL(m)}}, nil
}

// content is a string where there is only text, and an array where there is more, or several texts and an upstream that takes
// them.
func (e *encoding) content(parts []partObject, separator string) any {
	var texts []string
	for _, p := range parts {
		if p.Type != "text" || p.Cache != nil {
			return parts
		}
		texts = append(texts, p.Text)
	}
	if len(texts) > 1 && e.arrays() {
		return parts
	}
	return strings.Join(texts, separator)
}

// assistant writes an earlier answer: its text is one, as it was when it was answered.
func (e *encoding) assistant(m *chat.Message) {
	out := messageObject{Role: string(chat.Assistant), Name: m.Name}
	var text strings.Builder
	var plain []string
	for i := range m.Parts {
		p := &m.Parts[i]
		switch p.Kind {
		case chat.PartText:
			text.WriteString(p.Text)
			e.sign(p.Signature, "", &out)
		case chat.PartRefusal:
			if e.official {
				out.Refusal += p.Text
			} else {
				text.WriteString(p.Text)
			}
		case chat.PartCall:
			out.ToolCalls = append(out.ToolCalls, e.callObject(p.Call, &out))
		case chat.PartThought:
			e.thought(p.Thought, &out)
			if p.Thought.Text != "" {
				plain = append(plain, p.Thought.Text)
			}
		}
	}
	if text.Len() > 0 || len(out.ToolCalls) == 0 && out.Refusal == "" {
		out.Content = text.String()
	}
	if e.plainThoughts() && len(out.ToolCalls) > 0 {
		out.ReasoningContent = strings.Join(plain, "\n\n")
	}
	e.r.Messages = append(e.r.Messages, out)
}

func (e *encoding) callObject(c *chat.ToolCall, in *messageObject) callObject {
	out := callObject{ID: c.ID, Type: "function", Function: &functionCall{Name: c.Name, Arguments: c.Arguments}}
	if c.Custom {
		return callObject{ID: c.ID, Type: "custom", Custom: &customCall{Name: c.Name, Input: c.Arguments}}
	}
	if c.Arguments == "" {
		out.Function.Arguments = "{}"
	}
	switch {
	case c.Signature == "":
	case e.google():
		out.Extra, _ = responses.JSON(map[string]any{"google": map[string]string{"thought_signature": c.Signature}}) // strings always encode
	default:
		e.sign(c.Signature, c.ID, in)
	}
	return out
}

// sign gives a router's models of Google's back what they signed: a call, or where there is no id a text.
func (e *encoding) sign(signature, id string, in *messageObject) {
	switch {
	case signature == "":
	case e.thoughts() == chat.FormatGemini:
		in.Details = append(in.Details, detailValue{Type: detailEncrypted, Data: signature, ID: id, Format: chat.FormatGemini, Index: len(in.Details)})
	default:
		e.drops.Rule(responses.ParamThoughts)
	}
}

// thought gives a router's models back what they signed. What another's model signed never goes to them.
func (e *encoding) thought(t *chat.Thought, in *messageObject) {
	switch {
	case t.Format != "" && t.Format == e.thoughts():
		in.Details = append(in.Details, detailsOf(t, len(in.Details))...)
	case t.Signature != "", t.Encrypted != "":
		e.drops.Rule(responses.ParamThoughts)
	}
}
