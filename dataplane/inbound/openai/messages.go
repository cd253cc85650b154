package openai

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// messages needs a non-empty array of objects, and notes the parts that are not text. It looks at names without regard to
// case and at every duplicate: what one upstream ignores another reads, and a part overlooked would be a part not paid for.
func (p *parser) messages(raw []byte) error {
	if raw == nil {
		return refuse("messages", "missing_required_parameter", "Missing required parameter: 'messages'.")
	}
	if raw[0] != '[' {
		return wrongType("messages", "an array", raw)
	}
	empty := true
	for message := range jsonscan.Elements(raw) {
		empty = false
		if message[0] != '{' {
			return wrongType("messages", "an array of objects", message)
		}
		p.message(message)
	}
	if empty {
		return refuse("messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	return nil
}

func (p *parser) message(raw []byte) {
	for name, value := range jsonscan.Members(raw) {
		switch {
		case strings.EqualFold(name, "content"):
			for part := range jsonscan.Elements(value) {
				p.part(part)
			}
			if value[0] == '{' {
				p.part(value)
			}
		case strings.EqualFold(name, "audio") && !jsonscan.IsNull(value):
			// An earlier spoken answer, by its id.
			p.request.Opaque = true
		}
	}
}

// part is one element of a message's content. Only the types that are known to be text are bounded by their bytes.
func (p *parser) part(raw []byte) {
	if raw[0] == '"' {
		return
	}
	text := false
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "type") {
			continue
		}
		kind, _ := jsonscan.String(value)
		switch kind {
		case "text", "refusal", "input_text", "output_text", "thinking", "reasoning":
			text = true
			continue
		case "image_url", "input_image", "image":
			p.need(needVision)
		}
		p.request.Opaque = true
	}
	if !text {
		p.request.Opaque = true
	}
}
