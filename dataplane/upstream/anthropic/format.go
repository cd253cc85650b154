package anthropic

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// onlyJSON is said where JSON is asked for without a schema, which the API has no word for.
const onlyJSON = "Answer with one JSON object and nothing else: no text before or after it, and no code fence around it."

// format writes the wish for JSON: structured output where the model has it, a forced tool whose argument is the answer where
// it has not.
func (b *builder) format() error {
	f := b.prompt.Format
	switch {
	case f == nil:
	case len(f.Schema) == 0:
		b.out.System = append(b.out.System, block{Type: "text", Text: onlyJSON})
		b.reading.fences = true
	case b.facts.structured:
		schema, err := closed(f.Schema)
		if err != nil {
			return err
		}
		b.config().Format = &outputFormat{Type: "json_schema", Schema: schema}
	default:
		b.jsonTool()
	}
	return nil
}

func (b *builder) jsonTool() {
	f := b.prompt.Format
	description := f.Description
	if description == "" {
		description = "Answer with a JSON object."
	}
	choice := &toolChoice{Type: "tool", Name: jsonName, DisableParallel: true}
	if len(b.out.Tools) > 0 && (b.out.ToolChoice == nil || b.out.ToolChoice.Type != "none") {
		choice = &toolChoice{Type: "any", DisableParallel: b.out.ToolChoice != nil && b.out.ToolChoice.DisableParallel}
	}
	if b.out.ToolChoice == nil || b.out.ToolChoice.Type != "tool" {
		b.out.ToolChoice = choice
	}
	b.out.Tools = append(b.out.Tools, tool{Name: jsonName, Description: description, InputSchema: objectSchema(f.Schema)})
	b.reading.jsonTool = true
}

// maxSchemaDepth is how deep a schema is rewritten; deeper ones are refused by the API anyway.
const maxSchemaDepth = 64

// closed is a schema in which every object says that it has no further properties: the API refuses structured output
// without. Limits that it refuses are told in the description instead, as the SDKs do, and oneOf, which it does not know, is
// anyOf. Key order and numbers stay.
func closed(schema []byte) ([]byte, error) {
	if _, err := jsonscan.Scan(schema); err != nil {
		return nil, invalid("response_format", "The schema of 'response_format' is not a JSON object.")
	}
	return appendClosed(nil, schema, maxSchemaDepth), nil
}

func appendClosed(dst, schema []byte, depth int) []byte {
	if len(schema) == 0 || schema[0] != '{' || depth == 0 {
		return append(dst, schema...)
	}
	object, limits := traits(schema)
	w := members{dst: append(dst, '{')}
	for name, value := range jsonscan.Members(schema) {
		switch {
		case name == "additionalProperties" && object, isLimit(name, value):
			continue
		case name == "description" && limits != "":
			text, _ := jsonscan.String(value)
			value = jsonscan.Quote(text + " (" + limits + ")")
			limits = ""
		case name == "oneOf":
			name = "anyOf"
		}
		w.name(name)
		w.dst = appendMember(w.dst, name, value, depth)
	}
	if limits != "" {
		w.name("description")
		w.dst = append(w.dst, jsonscan.Quote("("+limits+")")...)
	}
	if object {
		w.name("additionalProperties")
		w.dst = append(w.dst, "false"...)
	}
	return append(w.dst, '}')
}

// traits says whether a schema is of an object, and which of its limits are refused.
func traits(schema []byte) (object bool, limits string) {
	for name, value := range jsonscan.Members(schema) {
		object = object || name == "properties" || name == "type" && isObject(value)
		if isLimit(name, value) {
			limits += ", " + name + ": " + string(value)
		}
	}
	return object, strings.TrimPrefix(limits, ", ")
}

// isLimit knows the keywords that structured output refuses; of minItems it takes 0 and 1. A property may have such a name, so
// its value must be a number, or the true of uniqueItems.
func isLimit(name string, value []byte) bool {
	switch name {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
		"minProperties", "maxProperties":
		return value[0] == '-' || value[0] >= '0' && value[0] <= '9'
	case "minItems":
		return string(value) != "0" && string(value) != "1"
	case "uniqueItems":
		return string(value) == "true"
	}
	return false
}

// members writes an object.
type members struct {
	dst  []byte
	some bool
}

func (m *members) name(name string) {
	if m.some {
		m.dst = append(m.dst, ',')
	}
	m.some = true
	m.dst = append(append(m.dst, jsonscan.Quote(name)...), ':')
}

func isObject(kind []byte) bool {
	for one := range jsonscan.Elements(kind) {
		if string(one) == `"object"` {
			return true
		}
	}
	return string(kind) == `"object"`
}

// appendMember rewrites the schemas that a keyword holds: one, a list of them, or a map. Others (enum, const, examples) hold
// values.
func appendMember(dst []byte, keyword string, value []byte, depth int) []byte {
	switch keyword {
	case "items", "not", "if", "then", "else", "contains":
		if value[0] == '[' {
			return appendList(dst, value, depth)
		}
		return appendClosed(dst, value, depth-1)
	case "anyOf", "oneOf", "allOf", "prefixItems":
		return appendList(dst, value, depth)
	case "properties", "$defs", "definitions", "patternProperties":
		if value[0] != '{' {
			break
		}
		w := members{dst: append(dst, '{')}
		for name, one := range jsonscan.Members(value) {
			w.name(name)
			w.dst = appendClosed(w.dst, one, depth-1)
		}
		return append(w.dst, '}')
	}
	return append(dst, value...)
}

func appendList(dst, value []byte, depth int) []byte {
	if value[0] != '[' {
		return append(dst, value...)
	}
	dst = append(dst, '[')
	first := true
	for one := range jsonscan.Elements(value) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendClosed(dst, one, depth-1)
	}
	return append(dst, ']')
}
