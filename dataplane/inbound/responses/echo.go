package responses

import (
	"bytes"
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Answers repeat what the request said, with all members that the API has: clients that go by the specification's types
// (Open Responses' acceptance tests among them) refuse a tool without "strict", if only null.

// filled gives an object those of some members that it lacks; anything else stays as it is.
func filled(raw json.RawMessage, members ...string) json.RawMessage {
	raw = bytes.TrimSpace(raw)
	if len(raw) < 2 || raw[0] != '{' {
		return raw
	}
	out := bytes.TrimSpace(raw[:len(raw)-1])
	for i := 0; i+1 < len(members); i += 2 {
		if len(jsonscan.Field(raw, members[i])) > 0 {
			continue
		}
		// A copy, as the text belongs to the request.
		out = out[:len(out):len(out)]
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, `"`+members[i]+`":`+members[i+1]...)
	}
	return append(out[:len(out):len(out)], '}')
}

// filledTools are the tools of a request with all members that functions have.
func filledTools(raw json.RawMessage) json.RawMessage {
	var all [][]byte
	for tool := range jsonscan.Elements(raw) {
		if kind, _ := jsonscan.String(jsonscan.Field(tool, "type")); kind == "function" {
			tool = filled(tool, "description", "null", "parameters", "null", "strict", "null")
		}
		all = append(all, tool)
	}
	return append(append([]byte{'['}, bytes.Join(all, []byte{','})...), ']')
}

// filledText is the text member of a request with its format, and with all members that a schema's format has.
func filledText(raw json.RawMessage) json.RawMessage {
	format := jsonscan.Field(raw, "format")
	if kind, _ := jsonscan.String(jsonscan.Field(format, "type")); kind == "json_schema" {
		whole := filled(format, "description", "null", "strict", "false")
		return bytes.Replace(raw, format, whole, 1)
	}
	return filled(raw, "format", `{"type":"text"}`)
}
