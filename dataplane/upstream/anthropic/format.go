package anthropic

import (
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
// without. Key order and numbers stay.
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
	dst = append(dst, '{')
	object := false
	n := 0
	for name, value := range jsonscan.Members(schema) {
		object = object || name == "properties" || name == "type" && isObject(value)
		if name == "additionalProperties" {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, jsonscan.Quote(name)...), ':')
		dst = appendMember(dst, name, value, depth)
	}
	if more := jsonscan.Field(schema, "additionalProperties"); object || more != nil {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `"additionalProperties":`...)
		if object {
			more = []byte("false")
		}
		dst = append(dst, more...)
	}
	return append(dst, '}')
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
		dst = append(dst, '{')
		first := true
		for name, one := range jsonscan.Members(value) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(append(dst, jsonscan.Quote(name)...), ':')
			dst = appendClosed(dst, one, depth-1)
		}
		return append(dst, '}')
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
