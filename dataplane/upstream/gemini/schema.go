package gemini

import (
	"bytes"
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// maxSchemaDepth bounds the recursion; what is deeper is passed as it is.
const maxSchemaDepth = 100

// Keywords of JSON Schema whose values are schemas, lists of them or maps of them.
var (
	schemaKeys = map[string]bool{
		"items": true, "additionalProperties": true, "unevaluatedProperties": true, "unevaluatedItems": true, "additionalItems": true,
		"not": true, "if": true, "then": true, "else": true, "contains": true, "propertyNames": true,
	}
	schemaLists = map[string]bool{"anyOf": true, "oneOf": true, "allOf": true, "prefixItems": true, "items": true}
	schemaMaps  = map[string]bool{"properties": true, "patternProperties": true, "$defs": true, "definitions": true, "dependentSchemas": true}
)

// schema rewrites a JSON schema for parametersJsonSchema and responseJsonSchema, which ignore const: it becomes an enum of one.
// All else keeps its text and order. nil: not an object, which says nothing.
func schema(raw json.RawMessage) json.RawMessage {
	if fields, err := jsonscan.Scan(raw); err != nil || len(fields) == 0 {
		return nil
	}
	if !bytes.Contains(raw, []byte(`"const"`)) {
		return raw
	}
	return appendSchema(nil, bytes.TrimSpace(raw), 0)
}

func appendSchema(dst, raw []byte, depth int) []byte {
	if len(raw) == 0 || raw[0] != '{' || depth > maxSchemaDepth {
		return append(dst, raw...)
	}
	dst = append(dst, '{')
	for name, value := range jsonscan.Members(raw) {
		if name == "enum" && jsonscan.Field(raw, "const") != nil {
			continue // const is the narrower of the two, and becomes the enum
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		if name == "const" {
			dst = append(append(append(dst, `"enum":[`...), value...), ']')
			continue
		}
		dst = append(append(dst, jsonscan.Quote(name)...), ':')
		dst = appendKeyword(dst, name, value, depth+1)
	}
	return append(dst, '}')
}

func appendKeyword(dst []byte, name string, value []byte, depth int) []byte {
	switch {
	case schemaLists[name] && value[0] == '[':
		dst = append(dst, '[')
		for item := range jsonscan.Elements(value) {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = appendSchema(dst, item, depth)
		}
		return append(dst, ']')
	case schemaKeys[name]:
		return appendSchema(dst, value, depth)
	case schemaMaps[name] && value[0] == '{':
		dst = append(dst, '{')
		for key, item := range jsonscan.Members(value) {
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(append(dst, jsonscan.Quote(key)...), ':')
			dst = appendSchema(dst, item, depth)
		}
		return append(dst, '}')
	}
	return append(dst, value...)
}
