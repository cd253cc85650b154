package anthropic

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// segment is what one assistant said and all that came before the next one did: the results of its tools, which must follow
// at once and in one message, what the user said, and what the system said meanwhile.
type segment struct {
	assistant []chat.Part
	others    []chat.Message
}

// messages writes the conversation: system messages at its beginning are the request's system, the rest are turns.
func (b *builder) messages() error {
	rest := b.prompt.Messages
	for len(rest) > 0 && rest[0].Role == chat.System {
		blocks, err := b.blocks(rest[0].Parts)
		if err != nil {
			return err
		}
		b.out.System = append(b.out.System, blocks...)
		rest = rest[1:]
	}
	ids := callIDs{used: map[string]bool{}}
	for _, s := range segments(rest) {
		if err := b.segment(s, &ids); err != nil {
			return err
		}
	}
	for _, m := range b.prompt.Messages {
		if m.Name != "" {
			b.lack("name")
			break
		}
	}
	if len(b.out.Messages) == 0 {
		// A system message alone: the conversation has to begin with something, and it is all there is.
		b.say("user", b.out.System)
		b.out.System = nil
	}
	return b.ending()
}

// segments splits the conversation at its assistant messages; those that follow each other are one.
func segments(messages []chat.Message) []segment {
	var out []segment
	current := segment{}
	for _, m := range messages {
		if m.Role != chat.Assistant {
			current.others = append(current.others, m)
			continue
		}
		if len(current.others) > 0 {
			out = append(out, current)
			current = segment{}
		}
		current.assistant = append(current.assistant, m.Parts...)
	}
	return append(out, current)
}

func (b *builder) segment(s segment, ids *callIDs) error {
	names, err := ids.name(s.assistant)
	if err != nil {
		return err
	}
	said, err := b.assistant(s.assistant, names)
	if err != nil {
		return err
	}
	results, err := b.results(s, names)
	if err != nil {
		return err
	}
	user, system := results, []block(nil)
	for _, m := range s.others {
		blocks, err := b.blocks(m.Parts)
		if err != nil {
			return err
		}
		if m.Role == chat.System && b.facts.midSystem {
			system = append(system, blocks...)
		} else {
			user = append(user, blocks...)
		}
	}
	b.say("assistant", said)
	if len(user) == 0 { // a system message must follow a user's
		user, system = system, nil
	}
	b.say("user", user)
	b.say("system", system)
	return nil
}

// say adds to the conversation. Where an assistant between two users had nothing to say, a system message stands last and the
// user's words go before it: another place is refused.
func (b *builder) say(role string, blocks []block) {
	if len(blocks) == 0 {
		return
	}
	turns := b.out.Messages
	last := len(turns) - 1
	if role == "user" && last > 0 && turns[last].Role == "system" {
		last--
	}
	if last >= 0 && turns[last].Role == role {
		turns[last].Content = append(turns[last].Content, blocks...)
		return
	}
	b.out.Messages = append(turns, turn{Role: role, Content: blocks})
}

// ending judges a conversation that ends with the assistant: the answer shall go on from there. Newer models refuse that, the
// others refuse white space at its end.
func (b *builder) ending() error {
	turns := b.out.Messages
	if len(turns) == 0 || turns[len(turns)-1].Role != "assistant" {
		return nil
	}
	if !b.facts.prefill {
		return invalid("messages", "This model does not support assistant message prefill. The conversation must end with a user message.")
	}
	content := turns[len(turns)-1].Content
	last := &content[len(content)-1]
	if last.Type == "text" {
		last.Text = strings.TrimRight(last.Text, " \t\r\n")
	}
	return nil
}

// blocks writes the parts of a system or a user message. Results are written before.
func (b *builder) blocks(parts []chat.Part) ([]block, error) {
	var out []block
	for i := range parts {
		p := &parts[i]
		switch p.Kind {
		case chat.PartText, chat.PartRefusal:
			if one, ok := textBlock(p); ok {
				out = append(out, one)
			}
		case chat.PartImage, chat.PartDocument:
			one, err := mediaBlock(p)
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// textBlock writes a text; empty ones, and those of white space alone, are refused by the API and left out.
func textBlock(p *chat.Part) (block, bool) {
	if strings.TrimSpace(p.Text) == "" {
		return block{}, false
	}
	return block{Type: "text", Text: p.Text, Cache: cacheOf(p.Cache)}, true
}

// assistant writes what the assistant said. Reasoning goes back unmodified where it is Claude's own, and before the rest of its
// message.
func (b *builder) assistant(parts []chat.Part, names map[string]string) ([]block, error) {
	var out []block
	for i := range parts {
		p := &parts[i]
		if p.Signature != "" || p.Call != nil && p.Call.Signature != "" { // Gemini's
			b.leave("reasoning_details")
		}
		switch p.Kind {
		case chat.PartText, chat.PartRefusal:
			if one, ok := textBlock(p); ok {
				out = append(out, one)
			}
		case chat.PartThought:
			if one, ok := b.thought(p.Thought); ok {
				out = append(out, one)
			}
		case chat.PartCall:
			input, err := callInput(p.Call)
			if err != nil {
				return nil, err
			}
			out = append(out, block{Type: "tool_use", ID: names[p.Call.ID], Name: p.Call.Name, Input: input, Cache: cacheOf(p.Cache)})
		}
	}
	if len(out) > 0 && !out[0].thought() {
		slices.SortStableFunc(out, func(x, y block) int { return rank(x) - rank(y) })
	}
	return out, nil
}

func rank(b block) int {
	if b.thought() {
		return 0
	}
	return 1
}

// thought writes reasoning that Claude signed. Without a signature the API does not take it, and another's it cannot read.
func (b *builder) thought(t *chat.Thought) (block, bool) {
	opaque := t.Signature != "" || t.Encrypted != ""
	if opaque && t.Format != chat.FormatAnthropic {
		b.leave("reasoning_details")
		return block{}, false
	}
	switch {
	case t.Encrypted != "":
		return block{Type: "redacted_thinking", Data: t.Encrypted}, true
	case t.Signature != "":
		return block{Type: "thinking", Thinking: &t.Text, Signature: t.Signature}, true
	}
	return block{}, false
}

// callInput is the object that a tool was called with.
func callInput(c *chat.ToolCall) (json.RawMessage, error) {
	if c.Custom {
		return append(append([]byte(`{"input":`), jsonscan.Quote(c.Arguments)...), '}'), nil
	}
	if strings.TrimSpace(c.Arguments) == "" {
		return json.RawMessage("{}"), nil
	}
	if _, err := jsonscan.Scan([]byte(c.Arguments)); err != nil {
		return nil, invalid("messages", fmt.Sprintf("The arguments of the tool call '%s' are not a JSON object: %v.", clip(c.ID), err))
	}
	return json.RawMessage(c.Arguments), nil
}

// clip shortens a client's word for a message.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "..."
	}
	return s
}
