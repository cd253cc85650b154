package openai

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// fields of one message, raw; of members given twice the last one.
type messageFields struct {
	role, content, name, refusal           []byte
	toolCalls, functionCall, toolCallID    []byte
	details, blocks, reasoning, reasoning2 []byte
	cache                                  []byte
}

func fieldsOf(raw []byte) messageFields {
	var f messageFields
	places := map[string]*[]byte{
		"role": &f.role, "content": &f.content, "name": &f.name, "refusal": &f.refusal,
		"tool_calls": &f.toolCalls, "function_call": &f.functionCall, "tool_call_id": &f.toolCallID,
		"reasoning_details": &f.details, "thinking_blocks": &f.blocks, "reasoning_content": &f.reasoning, "reasoning": &f.reasoning2,
		"cache_control": &f.cache,
	}
	for name, v := range jsonscan.Members(raw) {
		if place := places[name]; place != nil && !jsonscan.IsNull(v) {
			*place = v
		}
	}
	return f
}

// messages reads the conversation.
func (d *decoder) messages(raw []byte) error {
	i := 0
	for m := range jsonscan.Elements(raw) {
		if err := d.message(at("messages", i), m); err != nil {
			return err
		}
		i++
	}
	if err := d.turns.settled(); err != nil {
		return err
	}
	d.prompt.Messages = d.turns.messages
	if len(d.prompt.Messages) == 0 {
		return refuse("messages", "invalid_value", "Invalid 'messages': no message has any content.")
	}
	return nil
}

func (d *decoder) message(param string, raw []byte) error {
	f := fieldsOf(raw)
	role, ok := jsonscan.String(f.role)
	if !ok {
		return refuse(param+".role", "missing_required_parameter", "Missing required parameter: '%s.role'.", param)
	}
	if role != "tool" && role != "function" {
		if err := d.turns.settled(); err != nil {
			return err
		}
	}
	switch role {
	case "system", "developer":
		return d.plain(param, chat.System, f)
	case "user":
		return d.plain(param, chat.User, f)
	case "assistant":
		return d.assistant(param, f)
	case "tool":
		return d.tool(param, f)
	case "function":
		return d.functionResult(param, f)
	}
	return refuse(param+".role", "invalid_value", "Invalid value: '%s'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.", clip(role))
}

// plain reads a system message, which has text alone, or a user's.
func (d *decoder) plain(param string, role chat.Role, f messageFields) error {
	if f.content == nil {
		return refuse(param+".content", "invalid_type", "Invalid value for '%s.content': expected a string or an array, but got null.", param)
	}
	parts, err := content(param+".content", role, f.content)
	if err != nil {
		return err
	}
	mark(parts, f.cache)
	name, _ := jsonscan.String(f.name)
	d.turns.add(chat.Message{Role: role, Parts: parts, Name: name})
	return nil
}

// mark puts the breakpoint of a whole message behind its last part.
func mark(parts []chat.Part, cache []byte) {
	if ttl := breakpoint(cache); ttl != "" && len(parts) > 0 {
		parts[len(parts)-1].Cache = ttl
	}
}

// assistant reads an earlier answer: its thoughts, what it said, its calls.
func (d *decoder) assistant(param string, f messageFields) error {
	said, err := d.said(param, f)
	if err != nil {
		return err
	}
	calls, err := d.calls(param, f)
	if err != nil {
		return err
	}
	th := thoughts{calls: calls, said: said}
	if err := th.read(param, f); err != nil {
		return err
	}
	parts := th.parts()
	mark(parts, f.cache)
	name, _ := jsonscan.String(f.name)
	d.turns.add(chat.Message{Role: chat.Assistant, Parts: parts, Name: name})
	d.turns.await(calls)
	return nil
}

// said is the text of an earlier answer, and its refusal.
func (d *decoder) said(param string, f messageFields) ([]chat.Part, error) {
	var parts []chat.Part
	var err error
	if f.content != nil {
		if parts, err = content(param+".content", chat.Assistant, f.content); err != nil {
			return nil, err
		}
	}
	if f.refusal == nil {
		return parts, nil
	}
	refusal, ok := jsonscan.String(f.refusal)
	if !ok {
		return nil, wrongType(param+".refusal", "a string", f.refusal)
	}
	if refusal != "" {
		parts = append(parts, chat.Part{Kind: chat.PartRefusal, Text: refusal})
	}
	return parts, nil
}
