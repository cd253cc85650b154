package openai

import (
	"bytes"
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
			if err := p.cacheTime("messages", value); err != nil {
				return err
			}
		case strings.EqualFold(name, "audio") && !jsonscan.IsNull(value):
			// An earlier spoken answer, by its id.
			return refuse("messages", "unsupported_parameter", "Unsupported parameter: 'messages' with 'audio': %s.", audio)
		case name == "tool_call_id":
			p.uncarry(value)
		case name == "tool_calls":
			for call := range jsonscan.Elements(value) {
				for name, id := range jsonscan.Members(call) {
					if name == "id" {
						p.uncarry(id)
					}
				}
			}
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
	text, attached := false, false
	for name, value := range jsonscan.Members(raw) {
		if strings.EqualFold(name, "cache_control") {
			if err := p.cacheTime("messages", value); err != nil {
				return err
			}
		}
		if err := fileID(name, value); err != nil {
			return err
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
		case "image_url", "input_image", "image", "file", "input_file", "document":
			// There is no capability for documents of their own.
			p.need(needVision)
			attached = true
			continue
		}
		p.request.Obscure()
	}
	switch {
	case attached:
		p.request.Attach(raw)
	case !text:
		p.request.Obscure()
	}
	return nil
}

// fileID refuses files by their id, in a part and in its file: they were kept for somebody else, and nothing here knows how
// large they are.
func fileID(name string, value []byte) error {
	if strings.EqualFold(name, "file_id") && !jsonscan.IsNull(value) {
		return refuse("messages", "unsupported_parameter", "Unsupported parameter: 'messages' with 'file_id': %s.", uploads)
	}
	if !strings.EqualFold(name, "file") && !strings.EqualFold(name, "input_file") && !strings.EqualFold(name, "source") {
		return nil
	}
	for name, value := range jsonscan.Members(value) {
		if strings.EqualFold(name, "file_id") {
			if err := fileID(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// uncarry takes what the gateway put into the id of a call out of the body that goes to upstreams of the protocol; what it
// unpacks to counts as input, because upstreams of others get that.
func (p *parser) uncarry(raw []byte) {
	if bytes.IndexByte(raw, carryMark) < 0 {
		return
	}
	id, _ := jsonscan.String(raw)
	bare, _, size := uncarry(id)
	if size == 0 {
		return
	}
	p.request.InputBytes += int64(size)
	// raw is a slice of the body, and shares its end.
	p.edit(raw, jsonscan.Quote(bare))
	p.carried = true
}

// edit puts something else in the place of a part of the body.
func (p *parser) edit(raw, text []byte) {
	start := cap(p.request.Body) - cap(raw)
	p.edits = append(p.edits, jsonscan.Edit{Start: start, End: start + len(raw), Text: text})
}

func unpriced(kind string) error {
	return refuse("messages", "unsupported_parameter", "Unsupported parameter: 'messages' with a part '%s': audio and video are not priced by this gateway.", kind)
}
