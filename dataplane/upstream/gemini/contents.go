package gemini

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// skipSignature stands for a thoughtSignature that was lost, or that never was because another provider's model made the
// call: documented by Google for conversations that move between models.
const skipSignature = "skip_thought_signature_validator"

const (
	roleUser  = "user"
	roleModel = "model"
)

// turns puts parts together to contents: what one role says in a row is one content, but results of tools stand alone,
// because all results of parallel calls must come in one content right behind them.
type turns struct {
	contents []content
	// behind holds images of results until the row of results ends.
	behind []part
}

func (t *turns) add(role string, p part) {
	result := p.FunctionResponse != nil
	if !result {
		t.flush()
	}
	if n := len(t.contents); n > 0 && t.contents[n-1].Role == role && hasResults(t.contents[n-1]) == result {
		t.contents[n-1].Parts = append(t.contents[n-1].Parts, p)
		return
	}
	t.contents = append(t.contents, content{Role: role, Parts: []part{p}})
}

// flush adds the images that wait for the end of a row of results.
func (t *turns) flush() {
	waiting := t.behind
	t.behind = nil
	for _, p := range waiting {
		t.add(roleUser, p)
	}
}

func hasResults(c content) bool { return c.Parts[0].FunctionResponse != nil }

// contents says the conversation.
func (b *builder) contents() error {
	var t turns
	var system []part
	for _, m := range b.prompt.Messages {
		if m.Name != "" {
			b.drops.rule("messages.name")
		}
		if err := b.message(&t, &system, m); err != nil {
			return err
		}
	}
	t.flush()
	if len(t.contents) == 0 || b.facts.noInstruction {
		// Instructions alone are no conversation for Gemini, and Gemma has none.
		t.contents = prepend(t.contents, system)
		system = nil
	}
	if len(t.contents) == 0 {
		return invalid("messages", "There is no message with content.", nil)
	}
	if len(system) > 0 {
		b.out.SystemInstruction = &content{Parts: system}
	}
	order(t.contents)
	if b.facts.signed {
		sign(t.contents)
	}
	b.out.Contents = t.contents
	return nil
}

func prepend(contents []content, system []part) []content {
	if len(system) == 0 {
		return contents
	}
	if len(contents) > 0 && contents[0].Role == roleUser {
		contents[0].Parts = append(system, contents[0].Parts...)
		return contents
	}
	return append([]content{{Role: roleUser, Parts: system}}, contents...)
}

func (b *builder) message(t *turns, system *[]part, m chat.Message) error {
	switch m.Role {
	case chat.System:
		for _, p := range m.Parts {
			switch {
			case p.Text == "":
			case len(t.contents) == 0:
				*system = append(*system, text(p.Text))
			default:
				// In the middle of a conversation it stays where it is: only users and models speak there.
				t.add(roleUser, text(p.Text))
			}
		}
		return nil
	case chat.Assistant:
		return b.assistant(t, m.Parts)
	}
	return b.user(t, m.Parts)
}

func text(s string) part { return part{Text: &s} }

// user adds what a user says: results first, as they must follow the calls.
func (b *builder) user(t *turns, parts []chat.Part) error {
	for _, p := range parts {
		if p.Kind == chat.PartResult && p.Result != nil {
			if err := b.result(t, p.Result); err != nil {
				return err
			}
		}
	}
	for _, p := range parts {
		switch p.Kind {
		case chat.PartImage, chat.PartDocument:
			if p.Media != nil {
				t.add(roleUser, mediaPart(p.Kind, p.Media))
			}
		case chat.PartText, chat.PartRefusal:
			if p.Text != "" {
				t.add(roleUser, text(p.Text))
			}
		}
	}
	return nil
}

// assistant adds what the model said.
func (b *builder) assistant(t *turns, parts []chat.Part) error {
	var out []part
	for _, p := range parts {
		switch p.Kind {
		case chat.PartText, chat.PartRefusal:
			if p.Text != "" || p.Signature != "" {
				one := text(p.Text)
				one.ThoughtSignature = p.Signature
				out = append(out, one)
			}
		case chat.PartThought:
			if p.Thought != nil {
				out = b.thought(out, p.Thought)
			}
		case chat.PartCall:
			if p.Call != nil {
				call, err := b.functionCall(p.Call)
				if err != nil {
					return err
				}
				out = append(out, call)
			}
		case chat.PartImage, chat.PartDocument:
			if p.Media != nil {
				out = append(out, mediaPart(p.Kind, p.Media))
			}
		}
	}
	for _, p := range place(out) {
		t.add(roleModel, p)
	}
	return nil
}

// thought adds reasoning, if it is Gemini's or nobody's: what another model signed is noise to this one.
func (b *builder) thought(out []part, th *chat.Thought) []part {
	signature := th.Signature + th.Encrypted // at most one is set
	if th.Format != chat.FormatGemini && (signature != "" || th.Format != "") {
		b.drops.rule(paramThoughts)
		return out
	}
	if th.Text == "" && signature == "" {
		return out
	}
	// A signature without text is that of another part, which place looks for.
	return append(out, part{Text: &th.Text, Thought: th.Text != "", ThoughtSignature: signature, callID: th.ID})
}

// functionCall says a call of a tool.
func (b *builder) functionCall(c *chat.ToolCall) (part, error) {
	args := json.RawMessage(strings.TrimSpace(c.Arguments))
	switch {
	case c.Custom:
		input, err := encode(map[string]string{customInput: c.Arguments})
		if err != nil {
			return part{}, invalid("messages", "The input of a tool call cannot be written as JSON.", err)
		}
		args = input
	case len(args) == 0:
		args = json.RawMessage("{}")
	case args[0] != '{' || !json.Valid(args):
		return part{}, invalid("messages", "The arguments of a tool call are not a JSON object.", nil)
	}
	return part{FunctionCall: &functionCall{ID: b.sentID(c.ID), Name: c.Name, Args: args}, ThoughtSignature: c.Signature, callID: c.ID}, nil
}

// sentID is the id as the model may see it: none that was made up here, and none where models give none.
func (b *builder) sentID(id string) string {
	if !b.facts.signed || madeUp(id) {
		return ""
	}
	return id
}
