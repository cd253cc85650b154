package demo

import (
	"encoding/json"
	"strings"
)

// schema is the part of a JSON schema that the demo model can follow.
type schema struct {
	Type       any                        `json:"type"`
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Items      json.RawMessage            `json:"items"`
	MinItems   int                        `json:"minItems"`
	MinLength  int                        `json:"minLength"`
	Enum       []json.RawMessage          `json:"enum"`
	Const      json.RawMessage            `json:"const"`
	Default    json.RawMessage            `json:"default"`
	Minimum    json.Number                `json:"minimum"`
	AnyOf      []json.RawMessage          `json:"anyOf"`
	OneOf      []json.RawMessage          `json:"oneOf"`
	Ref        string                     `json:"$ref"`
	Defs       map[string]json.RawMessage `json:"$defs"`
}

// Bounds on what a schema can make the model write: schemas may refer to themselves.
const (
	maxDepth  = 16
	maxItems  = 8
	maxLength = 256
	maxValues = 1000
	maxSchema = 64 << 10
)

// sampler writes the smallest value that it finds for a schema.
type sampler struct {
	defs map[string]json.RawMessage
	// left is how many more values may be written.
	left int
}

// sample is an object, as JSON, made from a JSON schema's required properties.
func sample(raw json.RawMessage) string {
	s := parse(raw)
	sampler := &sampler{defs: s.Defs, left: maxValues}
	value := sampler.value(raw, 0)
	if _, ok := value.(map[string]any); !ok {
		value = map[string]any{}
	}
	out, err := json.Marshal(value)
	if err != nil {
		return "{}"
	}
	return string(out)
}

// parse reads a schema leniently: what it does not understand, or what is too long to be read again and again, is a schema
// without constraints.
func parse(raw json.RawMessage) schema {
	var s schema
	if len(raw) > maxSchema || json.Unmarshal(raw, &s) != nil {
		return schema{}
	}
	return s
}

func (d *sampler) value(raw json.RawMessage, depth int) any {
	if d.left--; depth > maxDepth || d.left < 0 {
		return nil
	}
	s := parse(raw)
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return d.value(d.defs[name], depth+1)
	}
	switch {
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Default != nil:
		return s.Default
	case len(s.AnyOf) > 0:
		return d.value(s.AnyOf[0], depth+1)
	case len(s.OneOf) > 0:
		return d.value(s.OneOf[0], depth+1)
	}
	return d.typed(s, depth)
}

func (d *sampler) typed(s schema, depth int) any {
	switch s.kind() {
	case "object":
		object := map[string]any{}
		for _, name := range s.Required {
			object[name] = d.value(s.Properties[name], depth+1)
		}
		return object
	case "array":
		array := []any{}
		for range min(s.MinItems, maxItems) {
			array = append(array, d.value(s.Items, depth+1))
		}
		return array
	case "integer", "number":
		if s.Minimum != "" {
			return s.Minimum
		}
		return 1
	case "boolean":
		return true
	case "null":
		return nil
	}
	return "demo" + strings.Repeat("o", max(0, min(s.MinLength, maxLength)-len("demo")))
}

// kind is the schema's type, or the first of its types, or what its members show.
func (s schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		if len(t) > 0 {
			first, _ := t[0].(string)
			return first
		}
	}
	if s.Properties != nil || s.Required != nil {
		return "object"
	}
	return ""
}
