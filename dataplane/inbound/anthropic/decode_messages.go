package anthropic

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// system becomes the first message.
func (d *decoder) system(raw []byte) error {
	parts, err := d.content("system", chat.System, raw)
	if err == nil && len(parts) > 0 {
		d.prompt.Messages = append(d.prompt.Messages, chat.Message{Role: chat.System, Parts: parts})
	}
	return err
}

func (d *decoder) messages(raw []byte) error {
	i, last := 0, false
	for m := range jsonscan.Elements(raw) {
		if last {
			return invalid(under("messages", i-1), "all messages must have non-empty content except for the optional final assistant message")
		}
		var err error
		if last, err = d.message(under("messages", i), m); err != nil {
			return err
		}
		i++
	}
	if len(d.prompt.Messages) == 0 {
		return invalid("messages", "at least one message with content is required")
	}
	return nil
}

// roles by their names. A system message may stand in mid-conversation.
var roles = map[string]chat.Role{"user": chat.User, "assistant": chat.Assistant, "system": chat.System}

// message reads one turn; last says that nothing may follow it: it was empty.
func (d *decoder) message(place string, raw []byte) (last bool, err error) {
	m, err := members(place, raw)
	if err != nil {
		return false, err
	}
	name, err := text(place+".role", m["role"])
	if err != nil {
		return false, err
	}
	role, ok := roles[name]
	if !ok {
		return false, invalid(place+".role", "'%s' is not one of user, assistant, system", clip(name))
	}
	parts, err := d.content(place+".content", role, m["content"])
	if err != nil {
		return false, err
	}
	if role == chat.System {
		if err := d.effort(place+".output_config.effort", jsonscan.Field(m["output_config"], "effort")); err != nil {
			return false, err
		}
	}
	if len(parts) > 0 {
		d.prompt.Messages = append(d.prompt.Messages, chat.Message{Role: role, Parts: parts})
		return false, nil
	}
	switch role {
	case chat.User:
		return false, invalid(place+".content", "user messages must have non-empty content")
	case chat.Assistant:
		// It may have had nothing that others understand.
		return !hasElements(m["content"]), nil
	}
	return false, nil // it may change nothing but the tools
}

// content reads a string or an array of blocks. Empty texts are left out: most upstreams refuse them.
func (d *decoder) content(place string, role chat.Role, raw []byte) ([]chat.Part, error) {
	if s, ok := jsonscan.String(raw); ok {
		if s == "" {
			return nil, nil
		}
		return []chat.Part{{Kind: chat.PartText, Text: s}}, nil
	}
	if jsonscan.IsNull(raw) && role == chat.System {
		return nil, nil
	}
	if len(raw) == 0 || raw[0] != '[' {
		return nil, invalid(place, "Input should be a valid string or array")
	}
	t := turn{decoder: d, role: role}
	return t.read(place, raw)
}
