package wire

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

func (p planned) sayMessages(a Asked, body object) {
	var messages []any
	if a.System != "" {
		body["system"] = a.System
	}
	for _, turn := range a.named() {
		var content []any
		for _, one := range turn.Parts {
			switch one.Kind {
			case "text":
				content = append(content, object{"type": "text", "text": one.Text})
			case "image":
				source := object{"type": "base64", "media_type": one.Type, "data": one.Text}
				if strings.Contains(one.Text, "://") {
					source = object{"type": "url", "url": one.Text}
				}
				kind := "image"
				if one.Type == "application/pdf" {
					kind = "document"
				}
				content = append(content, object{"type": kind, "source": source})
			case "call":
				if one.Opaque != "" {
					content = append(content, object{"type": "thinking", "thinking": "", "signature": chat.FormatGemini + ":call::" + one.Opaque})
				}
				content = append(content, object{"type": "tool_use", "id": one.ID, "name": one.Name, "input": json.RawMessage(one.Text)})
			case "result":
				content = append(content, object{"type": "tool_result", "tool_use_id": one.ID, "content": one.Text})
			}
		}
		role := "user"
		if !turn.User {
			role = "assistant"
		}
		messages = append(messages, object{"role": role, "content": content})
	}
	body["messages"] = messages
	for _, t := range a.Tools {
		tool := object{"name": t.Name, "description": t.Description, "input_schema": json.RawMessage(`{"type":"object","properties":{}}`)}
		if t.Schema != "" {
			tool["input_schema"] = json.RawMessage(t.Schema)
		}
		tools, _ := body["tools"].([]any)
		body["tools"] = append(tools, tool)
	}
	switch a.Choice {
	case "":
	case "required":
		body["tool_choice"] = object{"type": "any"}
	case "auto", "none":
		body["tool_choice"] = object{"type": a.Choice}
	default:
		body["tool_choice"] = object{"type": "tool", "name": a.Choice}
	}
	body["max_tokens"] = json.Number("4096")
	if a.Max != "" {
		body["max_tokens"] = a.Max
	}
	if a.Stop != nil {
		body["stop_sequences"] = a.Stop
	}
	if a.Schema != "" {
		body["output_config"] = object{"format": object{"type": "json_schema", "schema": json.RawMessage(a.Schema)}}
	}
	kind, rest, _ := strings.Cut(a.Thinking, " ")
	switch kind {
	case "budget":
		body["thinking"] = object{"type": "enabled", "budget_tokens": json.Number(rest)}
		if rest == "0" {
			body["thinking"] = object{"type": "disabled"}
		}
	case "level":
		body["thinking"] = object{"type": "adaptive"}
		body["output_config"] = object{"effort": rest}
	}
}

func (p planned) sayResponses(a Asked, body object) {
	var input []any
	if a.System != "" {
		body["instructions"] = a.System
	}
	for _, turn := range a.named() {
		role, kind := "user", "input_text"
		if !turn.User {
			role, kind = "assistant", "output_text"
		}
		var content []any
		flush := func() {
			if content != nil {
				input = append(input, object{"type": "message", "role": role, "content": content})
			}
			content = nil
		}
		for _, one := range turn.Parts {
			switch one.Kind {
			case "text":
				content = append(content, object{"type": kind, "text": one.Text})
			case "image":
				content = append(content, object{"type": "input_image", "image_url": one.url()})
			case "document":
				file := object{"type": "input_file", "file_data": one.url()}
				if strings.Contains(one.Text, "://") {
					file = object{"type": "input_file", "file_url": one.Text}
				}
				content = append(content, file)
			case "thought":
				flush()
				c, _ := json.Marshal(object{"f": chat.FormatAnthropic, "t": one.Text, "s": one.Opaque})
				if one.Text == "" {
					c, _ = json.Marshal(object{"f": chat.FormatAnthropic, "e": one.Opaque})
				}
				input = append(input, reasoningItem(c))
			case "call":
				flush()
				if one.Opaque != "" {
					c, _ := json.Marshal(object{"c": one.Opaque})
					input = append(input, reasoningItem(c))
				}
				input = append(input, object{"type": "function_call", "call_id": one.ID, "name": one.Name, "arguments": one.Text})
			case "result":
				flush()
				input = append(input, object{"type": "function_call_output", "call_id": one.ID, "output": one.Text})
			}
		}
		flush()
	}
	body["input"] = input
	for _, t := range a.Tools {
		tool := object{"type": "function", "name": t.Name, "description": t.Description}
		if t.Schema != "" {
			tool["parameters"] = json.RawMessage(t.Schema)
		}
		tools, _ := body["tools"].([]any)
		body["tools"] = append(tools, tool)
	}
	switch a.Choice {
	case "":
	case "auto", "none", "required":
		body["tool_choice"] = a.Choice
	default:
		body["tool_choice"] = object{"type": "function", "name": a.Choice}
	}
	if a.Max != "" {
		body["max_output_tokens"] = a.Max
	}
	if a.Schema != "" {
		body["text"] = object{"format": object{"type": "json_schema", "name": "answer", "schema": json.RawMessage(a.Schema)}}
	}
}

// reasoningItem carries what is not OpenAI's.
func reasoningItem(carried []byte) object {
	return object{"type": "reasoning", "summary": []any{}, "encrypted_content": "layers1:" + base64.RawURLEncoding.EncodeToString(carried)}
}
