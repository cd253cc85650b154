package responses

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// assistant writes an earlier answer: its reasoning, its messages and its calls, each an item, in their order.
func (b *inputs) assistant(m *chat.Message) {
	t := turn{inputs: b}
	for i := range m.Parts {
		t.part(&m.Parts[i])
	}
	t.say()
	if t.thought != nil {
		// Reasoning without the item that it led to is refused with 400.
		b.drops.Rule(ParamThoughts)
	}
}

// turn is one earlier answer while it is written.
type turn struct {
	*inputs
	content []contentPart
	// thought waits for the item that it led to; summary is a text of reasoning that waits for what is encrypted of it.
	thought *reasoningItem
	summary *chat.Thought
}

func (t *turn) part(p *chat.Part) {
	switch p.Kind {
	case chat.PartText:
		if p.Signature != "" { // Gemini's
			t.drops.Rule(ParamThoughts)
		}
		if p.Text != "" {
			t.content = append(t.content, contentPart{Type: "output_text", Text: p.Text})
		}
	case chat.PartRefusal:
		t.content = append(t.content, contentPart{Type: "refusal", Refusal: p.Text})
	case chat.PartThought:
		t.say()
		t.think(p.Thought)
	case chat.PartCall:
		t.say()
		t.flush()
		t.items = append(t.items, t.call(p.Call))
	}
}

// think notes reasoning that its maker's models take back: what OpenAI encrypted, with its summary. A summary may come in a
// part of its own before, with the same id.
func (t *turn) think(thought *chat.Thought) {
	mine := t.options.Thoughts && thought.Format == chat.FormatOpenAI
	switch {
	case mine && thought.Encrypted != "":
		if t.thought != nil {
			t.items = append(t.items, t.thought) // one led to another
		}
		r := &reasoningItem{Type: "reasoning", ID: thought.ID, Summary: []contentPart{}, Encrypted: thought.Encrypted}
		text := thought.Text
		if text == "" && t.summary != nil && t.summary.ID == thought.ID {
			text = t.summary.Text
		}
		if text != "" {
			r.Summary = append(r.Summary, contentPart{Type: "summary_text", Text: text})
		}
		t.thought, t.summary = r, nil
	case mine:
		t.summary = thought
	case thought.Encrypted != "" || thought.Signature != "":
		t.drops.Rule(ParamThoughts)
	}
}

// flush writes the reasoning that led to the item that follows.
func (t *turn) flush() {
	if t.thought != nil {
		t.items = append(t.items, *t.thought)
		t.thought = nil
	}
}

// say writes the text so far.
func (t *turn) say() {
	if len(t.content) == 0 {
		return
	}
	t.flush()
	content := shortest(t.content, "output_text")
	if t.options.Agent {
		content = words(t.content)
	}
	t.items = append(t.items, t.messageItem(chat.Assistant, content))
	t.content = nil
}

// words are an answer's texts as one, as it was when it was answered.
func words(parts []contentPart) string {
	var all strings.Builder
	for _, p := range parts {
		all.WriteString(p.Text)
		all.WriteString(p.Refusal)
	}
	return all.String()
}

func (t *turn) call(c *chat.ToolCall) callItem {
	out := callItem{Type: "function_call", CallID: c.ID, Name: c.Name}
	if t.options.Signatures {
		out.Signature = c.Signature
	} else if c.Signature != "" {
		t.drops.Rule(ParamThoughts)
	}
	arguments := c.Arguments
	if c.Custom {
		t.custom[c.ID] = true
		out.Type, out.Input = "custom_tool_call", &arguments
		return out
	}
	if arguments == "" {
		arguments = "{}"
	}
	out.Arguments = &arguments
	return out
}
