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
		if err := p.message(message); err != nil {
			return err
		}
	}
	if empty {
		return refuse("messages", "empty_array", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	return nil
}

func (p *parser) message(raw []byte) error {
	for name, value := range jsonscan.Members(raw) {
		switch {
		case strings.EqualFold(name, "content"):
			for part := range jsonscan.Elements(value) {
				if err := p.part(part); err != nil {
					return err
				}
			}
			if value[0] == '{' {
				if err := p.part(value); err != nil {
					return err
				}
			}
		case strings.EqualFold(name, "cache_control"):
			if err := cacheTime("messages", value); err != nil {
				return err
			}
		case strings.EqualFold(name, "audio") && !jsonscan.IsNull(value):
			// An earlier spoken answer, by its id.
			return refuse("messages", "unsupported_parameter", "Unsupported parameter: 'messages' with 'audio': %s.", audio)
		}
	}
	return nil
}

// spoken are the parts whose tokens have prices of their own wherever they are taken.
var spoken = map[string]bool{
	"input_audio": true, "audio": true, "audio_url": true, "input_video": true, "video": true, "video_url": true,
}

// part is one element of a message's content. Only the types that are known to be text are bounded by their bytes.
func (p *parser) part(raw []byte) error {
	if raw[0] == '"' {
		return nil
	}
	text := false
	for name, value := range jsonscan.Members(raw) {
		if strings.EqualFold(name, "cache_control") {
			if err := cacheTime("messages", value); err != nil {
				return err
			}
		}
		if !strings.EqualFold(name, "type") {
			if spoken[strings.ToLower(name)] && !jsonscan.IsNull(value) {
				return unpriced(name)
			}
			continue
		}
		kind, _ := jsonscan.String(value)
		if spoken[kind] {
			return unpriced(kind)
		}
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
	return nil
}

func unpriced(kind string) error {
	return refuse("messages", "unsupported_parameter", "Unsupported parameter: 'messages' with a part '%s': audio and video are not priced by this gateway.", kind)
}
