package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schemaTag begins the line of a value's comment that says what its default does not: `@schema {"enum": ["A", "B"]}`.
const schemaTag = "@schema "

// schema is a JSON schema as far as values need it; maps are written in the order of their keys, so that equal values give
// equal bytes.
type schema map[string]any

// schemaOf makes the schema of a values file: types from the defaults, descriptions from the comments, and nothing but
// the values that are in the file.
func schemaOf(values []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(values, &doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("values are one mapping")
	}
	s, err := object(doc.Content[0])
	if err != nil {
		return nil, err
	}
	s["$schema"] = "https://json-schema.org/draft-07/schema#"
	// Helm hands every chart the values of its parents under this name.
	s["properties"].(map[string]any)["global"] = schema{"type": "object", "description": "values of a parent chart; not used"}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// object is the schema of a mapping. An empty one may hold anything: its keys are the user's.
func object(n *yaml.Node) (schema, error) {
	if len(n.Content) == 0 {
		return schema{"type": "object"}, nil
	}
	properties := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		p, err := property(n.Content[i], n.Content[i+1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Content[i].Value, err)
		}
		properties[n.Content[i].Value] = p
	}
	return schema{"type": "object", "additionalProperties": false, "properties": properties}, nil
}

// property is the schema of one value with its comment.
func property(key, value *yaml.Node) (schema, error) {
	s, err := typeOf(value)
	if err != nil {
		return nil, err
	}
	var text []string
	for line := range strings.Lines(key.HeadComment) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		more, tagged := strings.CutPrefix(line, schemaTag)
		if !tagged {
			text = append(text, line)
			continue
		}
		if err := json.Unmarshal([]byte(more), &s); err != nil {
			return nil, fmt.Errorf("reading %q: %w", line, err)
		}
	}
	if len(text) == 0 {
		return nil, errors.New("a value has a comment")
	}
	s["description"] = strings.Join(text, " ")
	return s, nil
}

// typeOf is the schema of a default without its comment.
func typeOf(n *yaml.Node) (schema, error) {
	switch {
	case n.Kind == yaml.MappingNode:
		return object(n)
	case n.Kind == yaml.SequenceNode:
		return schema{"type": "array"}, nil
	case n.Tag == "!!str":
		return schema{"type": "string"}, nil
	case n.Tag == "!!bool":
		return schema{"type": "boolean"}, nil
	case n.Tag == "!!int":
		return schema{"type": "integer"}, nil
	}
	return nil, fmt.Errorf("line %d: no type for %s", n.Line, n.Tag)
}
