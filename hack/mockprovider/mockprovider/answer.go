package mockprovider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// thought is what the mock thinks.
const thought = "Let me see what the prompt asks for."

// text is the answer in words.
func (e *exchange) text() string {
	switch {
	case e.script.empty:
		return ""
	case e.script.text != "":
		return e.script.text
	case e.script.thoughts:
		return fmt.Sprintf("%d thoughts", e.in.Thoughts)
	case e.in.Schema != nil:
		return string(encode(instance(e.in.Schema)))
	case e.in.JSON:
		return string(encode(object{"answer": e.in.Prompt}))
	}
	return "You said: " + e.in.Prompt
}

// calls are the tools to call.
func (e *exchange) calls() []tool {
	n := e.script.tools
	if e.in.Force == forceNone {
		return nil
	}
	if e.script.tool || e.in.Force != "" && n == 0 {
		n = max(n, 1)
	}
	from := e.in.Tools
	if meant := e.meant(); n == 0 && meant != nil {
		n, from = 1, []tool{*meant}
	}
	for _, t := range e.in.Tools {
		if t.Name == e.in.Force {
			from = []tool{t}
		}
	}
	if len(from) == 0 {
		from = []tool{{Name: "lookup"}}
	}
	var out []tool
	for i := range n {
		out = append(out, from[i%len(from)])
	}
	return out
}

// minWord is the length of a word that means something, in bytes.
const minWord = 5

// meant is the tool that a prompt without a script asks for: one with a word of its name in it, as get_weather has of "What's
// the weather like?". Results ask for nothing.
func (e *exchange) meant() *tool {
	if strings.Contains(e.in.Prompt, "mock:") || e.in.Results || e.in.Force == forceNone {
		return nil
	}
	prompt := strings.ToLower(e.in.Prompt)
	for i, t := range e.in.Tools {
		for word := range strings.SplitSeq(strings.ToLower(t.Name), "_") {
			if len(word) >= minWord && strings.Contains(prompt, word) {
				return &e.in.Tools[i]
			}
		}
	}
	return nil
}

// parts are the answer's, in order; who wants them signed signs them.
func (e *exchange) parts() []part {
	var out []part
	if e.in.Think && (e.script.think || e.script.redacted) {
		p := part{kind: kindThought, text: thought}
		if e.script.redacted {
			p.text = ""
		}
		out = append(out, p)
	}
	calls := e.calls()
	for i, t := range calls {
		out = append(out, part{kind: kindCall, tool: t, id: fmt.Sprintf("%d_%d", e.n, i), arguments: t.arguments()})
	}
	if text := e.text(); len(calls) == 0 && text != "" {
		out = append(out, part{kind: kindText, text: text})
	}
	return out
}

// arguments are what the tool's schema allows, or free text.
func (t tool) arguments() string {
	if t.Custom {
		return "mock"
	}
	if len(t.Schema) == 0 || bytes.Equal(t.Schema, []byte("null")) {
		return `{"query":"mock"}`
	}
	return string(encode(instance(t.Schema)))
}

// usage is what the answer costs: as scripted, else a token for each four bytes.
func (e *exchange) usage() Usage {
	if e.script.usage != nil {
		return *e.script.usage
	}
	u := Usage{Prompt: tokens(len(e.in.Prompt)) + 3}
	for _, p := range e.parts() {
		n := tokens(len(p.text) + len(p.arguments))
		if p.kind == kindCall {
			n = tokens(len(p.tool.Name) + len(p.arguments))
		}
		if p.kind == kindThought {
			n = max(n, 5)
			u.Reasoning += n
		}
		u.Completion += int64(max(1, e.in.N)) * n
	}
	return u
}

func tokens(size int) int64 { return int64((size + 3) / 4) }

// schema is the part of JSON Schema that the mock follows.
type schema struct {
	Type       json.RawMessage            `json:"type"`
	Properties map[string]json.RawMessage `json:"properties"`
	Items      json.RawMessage            `json:"items"`
	Enum       []any                      `json:"enum"`
	Const      any                        `json:"const"`
	AnyOf      []json.RawMessage          `json:"anyOf"`
	Ref        string                     `json:"$ref"`
	Defs       map[string]json.RawMessage `json:"$defs"`
	Minimum    *float64                   `json:"minimum"`
}

// maxDepth bounds schemas that refer to themselves.
const maxDepth = 16

// instance is a value that a schema allows, with all properties.
func instance(raw json.RawMessage) any {
	var root schema
	_ = json.Unmarshal(raw, &root)
	return root.value(raw, 0)
}

func (root schema) value(raw json.RawMessage, depth int) any {
	var s schema
	if json.Unmarshal(raw, &s) != nil || depth > maxDepth {
		return nil
	}
	if s.Ref != "" {
		return root.value(root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")], depth+1)
	}
	switch {
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	case len(s.AnyOf) > 0:
		return root.value(s.AnyOf[0], depth+1)
	}
	switch s.kind() {
	case "string":
		return "mock"
	case "integer", "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case "boolean":
		return true
	case "array":
		return []any{root.value(s.Items, depth+1)}
	case "null":
		return nil
	}
	out := object{}
	for name, p := range s.Properties {
		out[name] = root.value(p, depth+1)
	}
	return out
}

// kind is the type, or the first of several.
func (root schema) kind() string {
	var one string
	var many []string
	if json.Unmarshal(root.Type, &one) != nil && json.Unmarshal(root.Type, &many) == nil && len(many) > 0 {
		one = many[0]
	}
	// Gemini's own schemas write their types in capitals.
	return strings.ToLower(one)
}
