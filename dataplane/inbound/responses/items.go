package responses

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// item is one element of the input, whichever its type.
type item struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Input     string          `json:"input"`
	Output    json.RawMessage `json:"output"`
	ID        string          `json:"id"`
	Summary   []part          `json:"summary"`
	Encrypted string          `json:"encrypted_content"`
}

// part is one element of a content.
type part struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Refusal  string `json:"refusal"`
	ImageURL string `json:"image_url"`
	Detail   string `json:"detail"`
	FileID   string `json:"file_id"`
	FileURL  string `json:"file_url"`
	FileData string `json:"file_data"`
	Filename string `json:"filename"`
}

func (d *decoder) input() error {
	raw := d.get("input")
	if text, ok := jsonscan.String(raw); ok {
		d.say(chat.User, chat.Part{Kind: chat.PartText, Text: text})
		return nil
	}
	for element := range jsonscan.Elements(raw) {
		var it item
		if err := json.Unmarshal(element, &it); err != nil {
			return wrongType("input", "items as the API has them")
		}
		if err := d.item(it); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) item(it item) error {
	switch it.Type {
	case "", "message":
		return d.message(it)
	case "function_call", "custom_tool_call":
		return d.call(it)
	case "function_call_output", "custom_tool_call_output":
		return d.result(it)
	case "reasoning":
		d.thought(it)
	case "web_search_call", "search_results":
		// What a search found is told again by the answer behind it; another provider's search cannot be replayed.
	case "item_reference":
		// The AI SDK sends thoughts so unless it is told not to store: such a thought is lost, the conversation goes on.
		if !strings.HasPrefix(it.ID, thoughtPrefix) {
			return refuse("input", "unsupported_parameter", "Unsupported parameter: 'input' with an item_reference: %s.", stateless)
		}
	default:
		return refuse("input", "unsupported_value", "Unsupported value: 'input' with an item of the type '%s': the model of this request has no such item.", clip(it.Type))
	}
	return nil
}

func (d *decoder) message(it item) error {
	role := chat.Role(it.Role)
	switch it.Role {
	case "developer", "system":
		role = chat.System
	case "user", "assistant":
	default:
		return refuse("input", "invalid_value", "Invalid value: '%s'. Supported values are: 'assistant', 'system', 'developer', and 'user'.", clip(it.Role))
	}
	parts, err := content("input", it.Content)
	if err != nil {
		return err
	}
	if role == chat.Assistant {
		for i := range parts {
			parts[i].Signature, d.signature = d.signature, ""
		}
	}
	d.say(role, parts...)
	return nil
}

// content is a text or an array of parts.
func content(param string, raw json.RawMessage) ([]chat.Part, error) {
	if jsonscan.IsNull(raw) {
		return nil, nil
	}
	if text, ok := jsonscan.String(raw); ok {
		return []chat.Part{{Kind: chat.PartText, Text: text}}, nil
	}
	var list []part
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, wrongType(param, "a content of text or of parts")
	}
	var out []chat.Part
	for _, p := range list {
		one, err := p.decode(param)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func (p part) decode(param string) (chat.Part, error) {
	switch p.Type {
	case "input_text", "output_text", "text":
		return chat.Part{Kind: chat.PartText, Text: p.Text}, nil
	case "refusal":
		return chat.Part{Kind: chat.PartRefusal, Text: p.Refusal}, nil
	case "input_image":
		m, err := media(param, p.ImageURL)
		if err != nil || p.FileID != "" {
			return chat.Part{}, orFile(param, err)
		}
		m.Detail = p.Detail
		return chat.Part{Kind: chat.PartImage, Media: m}, nil
	case "input_file":
		url := p.FileURL
		if url == "" {
			url = p.FileData
		}
		m, err := media(param, url)
		if err != nil || p.FileID != "" {
			return chat.Part{}, orFile(param, err)
		}
		m.Name = p.Filename
		return chat.Part{Kind: chat.PartDocument, Media: m}, nil
	}
	return chat.Part{}, refuse(param, "invalid_value", "Invalid value: '%s'. Supported values are: 'input_text', 'input_image', 'input_file', 'output_text', and 'refusal'.", clip(p.Type))
}

func orFile(param string, err error) error {
	if err != nil {
		return err
	}
	return refuse(param, "unsupported_parameter", "Unsupported parameter: '%s' with a file_id: %s.", param, stateless)
}

// media reads an http(s) or a data URL.
func media(param, url string) (*chat.Media, error) {
	if strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") {
		return &chat.Media{URL: url}, nil
	}
	head, data, found := strings.Cut(strings.TrimPrefix(url, "data:"), ",")
	kind, base64 := strings.CutSuffix(head, ";base64")
	if !found || !base64 || !strings.HasPrefix(url, "data:") || !strings.Contains(kind, "/") || data == "" {
		return nil, refuse(param, "invalid_value", "Invalid '%s': expected an http(s) URL, or a data URL as in 'data:image/png;base64,...'.", param)
	}
	kind, _, _ = strings.Cut(kind, ";")
	return &chat.Media{Type: kind, Base64: data}, nil
}

func (d *decoder) call(it item) error {
	if it.CallID == "" || it.Name == "" {
		return refuse("input", "missing_required_parameter", "Missing required parameter: 'input[].call_id' or 'input[].name' of a call.")
	}
	c := &chat.ToolCall{ID: it.CallID, Name: it.Name, Arguments: it.Arguments, Signature: d.signature, Custom: it.Type == "custom_tool_call"}
	d.signature = ""
	switch {
	case c.Custom:
		c.Arguments = it.Input
	case strings.TrimSpace(c.Arguments) == "":
		c.Arguments = "{}"
	case !json.Valid([]byte(c.Arguments)) || strings.TrimSpace(c.Arguments)[0] != '{':
		return refuse("input", "invalid_value", "Invalid 'input': the arguments of call '%s' are no JSON object.", clip(it.CallID))
	}
	d.names[c.ID] = c.Name
	d.say(chat.Assistant, chat.Part{Kind: chat.PartCall, Call: c})
	return nil
}

func (d *decoder) result(it item) error {
	name, found := d.names[it.CallID]
	if !found {
		return refuse("input", "invalid_value", "Invalid 'input': No tool call found for function call output with call_id '%s'.", clip(it.CallID))
	}
	parts, err := content("input", it.Output)
	if err != nil {
		return err
	}
	d.say(chat.User, chat.Part{Kind: chat.PartResult, Result: &chat.Result{ID: it.CallID, Name: name, Parts: parts}})
	return nil
}

// thought is a reasoning item: OpenAI's own, or what carry.go made.
func (d *decoder) thought(it item) {
	if c, ours := carriedIn(it.Encrypted); ours {
		if c.Call != "" {
			d.signature = c.Call
			return
		}
		d.say(chat.Assistant, chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{
			Text: c.Text, Signature: c.Signature, Encrypted: c.Encrypted, Format: c.Format,
		}})
		return
	}
	var text strings.Builder
	for _, p := range it.Summary {
		text.WriteString(p.Text)
	}
	t := &chat.Thought{Text: text.String(), Encrypted: it.Encrypted, ID: it.ID}
	if t.Encrypted != "" {
		t.Format = chat.FormatOpenAI
	}
	if t.Text != "" || t.Encrypted != "" {
		d.say(chat.Assistant, chat.Part{Kind: chat.PartThought, Thought: t})
	}
}
