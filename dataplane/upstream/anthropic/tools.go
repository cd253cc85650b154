package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

const (
	// searchType is the version of the search tool that every model takes. Later ones run the search inside code execution,
	// whose results are not the client's to read.
	searchType = "web_search_20250305"
	searchName = "web_search"
	// jsonName is the tool that stands in for structured output; see format.
	jsonName = "json"
)

var (
	noArguments  = json.RawMessage(`{"type":"object","properties":{}}`)
	freeArgument = json.RawMessage(`{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}`)
)

// tools writes the tools and which of them is to be called.
func (b *builder) tools() error {
	p := b.prompt
	for _, t := range p.Tools {
		if p.ToolChoice.Allowed != nil && !slices.Contains(p.ToolChoice.Allowed, t.Name) {
			continue
		}
		b.out.Tools = append(b.out.Tools, b.tool(t))
	}
	if s := p.Search; s != nil {
		b.out.Tools = append(b.out.Tools, tool{
			Type: searchType, Name: searchName, MaxUses: s.MaxUses,
			AllowedDomains: s.AllowedDomains, BlockedDomains: s.BlockedDomains, UserLocation: s.Location,
		})
		if s.ContextSize != "" && s.ContextSize != "medium" {
			b.lack("web_search_options.search_context_size")
		}
	}
	return b.choose()
}

func (b *builder) tool(t chat.Tool) tool {
	out := tool{Name: t.Name, Description: t.Description, InputSchema: objectSchema(t.Schema), Cache: cacheOf(t.Cache)}
	if t.Custom {
		b.reading.custom[t.Name] = true
		out.InputSchema = freeArgument
		if len(t.Grammar) > 0 && kindOf(t.Grammar) == "grammar" {
			b.lack("tools.format")
		}
	}
	if t.Strict != nil && *t.Strict {
		if b.facts.structured {
			out.Strict = true
		} else {
			b.lack("strict")
		}
	}
	return out
}

// kindOf is the type that an object says it has.
func kindOf(raw []byte) string {
	kind, _ := jsonscan.String(jsonscan.Field(raw, "type"))
	return kind
}

// objectSchema is a schema whose root says that it is an object: the API refuses any other. What a root of another type means
// is for the API to say.
func objectSchema(schema json.RawMessage) json.RawMessage {
	schema = bytes.TrimSpace(schema)
	fields, err := jsonscan.Scan(schema)
	if err != nil || len(fields) == 0 {
		return noArguments
	}
	kind, found := fields.Get("type")
	if !found {
		return jsonscan.Splice(schema, fields.Prepend("type", []byte(`"object"`)))
	}
	for one := range jsonscan.Elements(schema[kind.ValueStart:kind.ValueEnd]) {
		if string(one) == `"object"` { // ["object","null"]
			return jsonscan.Splice(schema, kind.Replace(one))
		}
	}
	return schema
}

// choose writes tool_choice, which the API takes only where there are tools.
func (b *builder) choose() error {
	choice := b.prompt.ToolChoice
	if choice.Mode == chat.ChooseTool && !slices.ContainsFunc(b.out.Tools, func(t tool) bool { return t.Name == choice.Name }) {
		return invalid("tool_choice", fmt.Sprintf("The tool '%s' of 'tool_choice' is not among 'tools'.", clip(choice.Name)))
	}
	if len(b.out.Tools) == 0 {
		return nil
	}
	switch choice.Mode {
	case chat.ChooseAuto:
		b.out.ToolChoice = &toolChoice{Type: "auto"}
	case chat.ChooseNone:
		b.out.ToolChoice = &toolChoice{Type: "none"}
	case chat.ChooseRequired:
		b.out.ToolChoice = &toolChoice{Type: "any"}
	case chat.ChooseTool:
		b.out.ToolChoice = &toolChoice{Type: "tool", Name: choice.Name}
	}
	if s := b.prompt.Search; s != nil && s.Forced && !b.out.ToolChoice.forced() {
		b.out.ToolChoice = &toolChoice{Type: "tool", Name: searchName}
	}
	if one := b.prompt.ParallelTools; one != nil && !*one {
		if b.out.ToolChoice == nil {
			b.out.ToolChoice = &toolChoice{Type: "auto"}
		}
		b.out.ToolChoice.DisableParallel = b.out.ToolChoice.Type != "none"
	}
	return nil
}
