package anthropic

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file looks at what is in messages, system and tools without building it. It reads names without regard to case and
// every duplicate: what one upstream ignores another reads, and a part overlooked would be a part not paid for.

func (p *parser) messages(raw []byte) error {
	if raw == nil {
		return missing("messages")
	}
	if raw[0] != '[' {
		return wrongType("messages", "a valid array", raw)
	}
	empty := true
	for message := range jsonscan.Elements(raw) {
		empty = false
		if message[0] != '{' {
			return wrongType("messages", "an array of objects", message)
		}
		if err := p.inside("messages", message); err != nil {
			return err
		}
	}
	if empty {
		return refuse("messages", "empty_array", "messages: at least one message is required.")
	}
	return nil
}

// system is a string or an array of blocks.
func (p *parser) system(raw []byte) error {
	if jsonscan.IsNull(raw) || raw[0] == '"' {
		return nil
	}
	if raw[0] != '[' {
		return wrongType("system", "a valid string or array", raw)
	}
	return p.blocks("system", raw)
}

// blocks looks at an array of blocks, or at a single one.
func (p *parser) blocks(param string, raw []byte) error {
	if raw[0] == '{' {
		return p.block(param, raw)
	}
	for b := range jsonscan.Elements(raw) {
		if b[0] != '{' {
			continue
		}
		if err := p.block(param, b); err != nil {
			return err
		}
	}
	return nil
}

// textual are the blocks whose tokens their bytes bound. Others make the input opaque.
var textual = map[string]bool{
	"text": true, "thinking": true, "redacted_thinking": true, "tool_use": true, "tool_result": true, "search_result": true,
	"server_tool_use": true, "tool_reference": true, "tool_addition": true, "tool_removal": true, "content": true,
	"tool_definition": true, "document": true,
}

// block looks at one block, or at the source of one.
func (p *parser) block(param string, raw []byte) error {
	typed := false
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "type") {
			continue
		}
		kind, _ := jsonscan.String(value)
		switch kind {
		case "image":
			p.need(needVision)
		case "container_upload", "mcp_tool_listing", "mcp_toolset_reference", "mcp_tool_reference":
			return unsupported(param, "'%s' with a block '%s': %s", param, kind, hosted)
		}
		typed = true
		if kind == "image" { // its source says more
			p.request.Opaque = true
		} else if !textual[kind] {
			p.request.Obscure()
		}
	}
	if !typed {
		p.request.Obscure()
	}
	return p.inside(param, raw)
}

// maxDepth bounds how deep blocks are looked at, and with it how often a byte is: the API's own go down to the source of an
// image in a document in the result of a tool.
const maxDepth = 8

// inside looks at the members of a message or a block that may have blocks, sources, tools or cache marks in them.
func (p *parser) inside(param string, raw []byte) error {
	if p.depth++; p.depth > maxDepth {
		return refuse(param, "invalid_value", "%s: blocks are nested too deeply.", param)
	}
	defer func() { p.depth-- }()
	for name, value := range jsonscan.Members(raw) {
		var err error
		switch strings.ToLower(name) {
		case "cache_control":
			err = p.cacheMark(param, value)
		case "content", "tool", "tool_changes":
			err = p.blocks(param, value)
		case "source":
			err = p.source(param, value)
		case "definition":
			if value[0] == '{' {
				err = p.tool(value)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// source is where an image or a document comes from. Only plain text in the body itself is bounded by its bytes; other
// documents are seen as pages.
func (p *parser) source(param string, raw []byte) error {
	if raw[0] != '{' {
		return nil // the address of a search result
	}
	attached := false
	for name, value := range jsonscan.Members(raw) {
		if kind, _ := jsonscan.String(value); strings.EqualFold(name, "type") && kind != "text" && kind != "content" {
			p.need(needVision)
			attached = true
		}
	}
	if attached {
		p.request.Attach(raw)
	}
	return p.inside(param, raw)
}

func (p *parser) cacheControl(raw []byte) error { return p.cacheMark("cache_control", raw) }

// cacheMark reads {type, ttl}. A cache that is kept for an hour has a price of its own; other times have none.
func (p *parser) cacheMark(param string, raw []byte) error {
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "ttl") || jsonscan.IsNull(value) {
			continue
		}
		switch ttl, _ := jsonscan.String(value); ttl {
		case "5m":
		case "1h":
			p.request.LongCache = true
		default:
			return refuse(param, "unsupported_value", "Unsupported value: 'cache_control.ttl' does not support anything but \"5m\" and \"1h\" in '%s'.", param)
		}
	}
	return nil
}
