package responses

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Items of the input. Members that are empty are left out, but for those that the protocol wants.
type (
	messageItem struct {
		Type    string `json:"type,omitempty"`
		Role    string `json:"role"`
		Content any    `json:"content"` // a string or []contentPart
	}
	contentPart struct {
		Type     string `json:"type"`
		Text     string `json:"text,omitempty"`
		Refusal  string `json:"refusal,omitempty"`
		ImageURL string `json:"image_url,omitempty"`
		Detail   string `json:"detail,omitempty"`
		Filename string `json:"filename,omitempty"`
		FileData string `json:"file_data,omitempty"`
		FileURL  string `json:"file_url,omitempty"`
	}
	callItem struct {
		Type      string  `json:"type"`
		CallID    string  `json:"call_id"`
		Name      string  `json:"name"`
		Arguments *string `json:"arguments,omitempty"`
		Input     *string `json:"input,omitempty"`
		Signature string  `json:"thought_signature,omitempty"`
	}
	outputItem struct {
		Type   string `json:"type"`
		CallID string `json:"call_id"`
		Name   string `json:"name,omitempty"`
		Output any    `json:"output"` // a string or []contentPart
	}
	reasoningItem struct {
		Type      string        `json:"type"`
		ID        string        `json:"id,omitempty"`
		Summary   []contentPart `json:"summary"`
		Encrypted string        `json:"encrypted_content"`
	}
)

// InputOptions say how a provider wants the conversation.
type InputOptions struct {
	// Thoughts says that the models take back reasoning that they encrypted.
	Thoughts bool
	// Agent is for Perplexity's agent. It gives the results of tools their tools' names; it takes texts alone as results and
	// earlier answers, and wants every item's type.
	Agent bool
	// Signatures says that calls keep Gemini's signatures, which are for its models alone.
	Signatures bool
	// Documents says that files are taken.
	Documents bool
}

// Input turns the conversation into instructions and items. Instructions are the system's words where they are one text that
// stands first; otherwise they are items, whose borders the upstream then knows too.
func Input(p *chat.Prompt, o InputOptions, d *Drops) (instructions string, items []any, err error) {
	b := inputs{options: o, drops: d, custom: map[string]bool{}}
	messages := p.Messages
	if text, ok := onlyText(messages); ok {
		instructions, messages = text, messages[1:]
	}
	for i := range messages {
		if err := b.message(&messages[i]); err != nil {
			return "", nil, err
		}
	}
	return instructions, b.items, nil
}

// onlyText is the first message's text, where it is the system's, has nothing else, and is the only one of the system that
// stands first.
func onlyText(messages []chat.Message) (string, bool) {
	if len(messages) < 2 || messages[0].Role != chat.System || messages[1].Role == chat.System {
		return "", false
	}
	parts := messages[0].Parts
	if len(parts) != 1 || parts[0].Kind != chat.PartText {
		return "", false
	}
	return parts[0].Text, true
}

// inputs collects the items.
type inputs struct {
	options InputOptions
	drops   *Drops
	items   []any
	// custom are the ids of calls of custom tools, whose results are items of their own type.
	custom map[string]bool
}

func (b *inputs) message(m *chat.Message) error {
	if m.Role == chat.Assistant {
		b.assistant(m)
		return nil
	}
	// said are the parts of a message; shown are what tools showed and their results cannot hold, which the user shows
	// behind the last of them.
	var said, shown []contentPart
	flush := func() {
		if len(said) > 0 {
			b.items = append(b.items, b.messageItem(m.Role, shortest(said, "input_text")))
		}
		said = nil
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.Kind == chat.PartResult {
			flush()
			rest, err := b.result(p.Result)
			if err != nil {
				return err
			}
			shown = append(shown, rest...)
			continue
		}
		part, err := b.part(p)
		if err != nil {
			return err
		}
		said, shown = append(said, shown...), nil
		if part != nil {
			said = append(said, *part)
		}
	}
	said = append(said, shown...)
	flush()
	return nil
}

func (b *inputs) messageItem(r chat.Role, content any) messageItem {
	out := messageItem{Role: string(r), Content: content}
	if b.options.Agent {
		out.Type = "message"
	}
	return out
}

// shortest is the content as a string where it is one text, as most clients write it.
func shortest(parts []contentPart, kind string) any {
	if len(parts) == 1 && parts[0].Type == kind {
		return parts[0].Text
	}
	return parts
}

// part is what a user or a tool says; nil: nothing.
func (b *inputs) part(p *chat.Part) (*contentPart, error) {
	switch p.Kind {
	case chat.PartText:
		if p.Text == "" {
			return nil, nil
		}
		return &contentPart{Type: "input_text", Text: p.Text}, nil
	case chat.PartImage:
		return &contentPart{Type: "input_image", ImageURL: DataURL(p.Media), Detail: p.Media.Detail}, nil
	case chat.PartDocument:
		return b.document(p.Media)
	}
	return nil, nil
}

// DataURL is a medium as one URL.
func DataURL(m *chat.Media) string {
	if m.URL != "" {
		return m.URL
	}
	return "data:" + m.Type + ";base64," + m.Base64
}

// document is a file; one that is plain text is text, which every model reads.
func (b *inputs) document(m *chat.Media) (*contentPart, error) {
	switch {
	case m.URL == "" && m.Base64 == "":
		return &contentPart{Type: "input_text", Text: m.Text}, nil
	case !b.options.Documents:
		return nil, Invalid("unsupported_value", "messages", "The model's provider takes no documents.")
	case m.URL != "":
		return &contentPart{Type: "input_file", FileURL: m.URL}, nil
	}
	return &contentPart{Type: "input_file", Filename: FileName(m), FileData: DataURL(m)}, nil
}

// FileName is the name of a file, which OpenAI wants with the data, and of a PDF with its ending: Anthropic's clients give
// titles.
func FileName(m *chat.Media) string {
	name := m.Name
	if name == "" {
		name = "document"
	}
	if (m.Name == "" || m.Type == "application/pdf") && !strings.HasSuffix(strings.ToLower(name), ".pdf") {
		name += ".pdf"
	}
	return name
}

// result writes what a tool answered, and gives back what the item cannot hold.
func (b *inputs) result(r *chat.Result) (rest []contentPart, err error) {
	out := outputItem{Type: "function_call_output", CallID: r.ID}
	if b.custom[r.ID] {
		out.Type = "custom_tool_call_output"
	}
	parts := []contentPart{}
	for i := range r.Parts {
		part, err := b.part(&r.Parts[i])
		if err != nil {
			return nil, err
		}
		if part != nil {
			parts = append(parts, *part)
		}
	}
	if b.options.Agent {
		out.Name = r.Name
		parts, rest = onlyTexts(parts)
	}
	out.Output = shortest(parts, "input_text")
	if len(parts) == 0 {
		out.Output = ""
	}
	b.items = append(b.items, out)
	return rest, nil
}

// onlyTexts are the texts as one, and the other parts.
func onlyTexts(parts []contentPart) (one, rest []contentPart) {
	var all []string
	for _, p := range parts {
		if p.Type == "input_text" {
			all = append(all, p.Text)
			continue
		}
		rest = append(rest, p)
	}
	if len(all) > 0 {
		one = []contentPart{{Type: "input_text", Text: strings.Join(all, "\n")}}
	}
	return one, rest
}
