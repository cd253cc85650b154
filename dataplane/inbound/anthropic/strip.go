package anthropic

import (
	"bytes"
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file takes out of a body what the gateway itself has told a client in an earlier, translated answer and what
// Anthropic's API would refuse: thoughts of other makers, which it cannot verify, and results and citations of others'
// searches, whose encrypted halves are empty. The conversation goes on without them when it moves to Anthropic's models.
// Every other byte stays, and a body without any of these is not touched.

// marks are in every body that may have something to take out. (An escape could hide one; then the upstream refuses it.)
var marks = [][]byte{[]byte(`"thinking"`), []byte(`"encrypted_index"`), []byte(searchID)}

// stripped returns the body for an upstream that speaks the protocol, and its members.
func stripped(body []byte, fields jsonscan.Object) ([]byte, jsonscan.Object) {
	m, ok := fields.Get("messages")
	if !ok || !marked(body) {
		return body, fields
	}
	messages, changed := filter(body[m.ValueStart:m.ValueEnd], stripMessage)
	if !changed {
		return body, fields
	}
	out := jsonscan.Splice(body, m.Replace(messages))
	again, err := jsonscan.Scan(out)
	if err != nil {
		return body, fields
	}
	return out, again
}

func marked(body []byte) bool {
	for _, m := range marks {
		if bytes.Contains(body, m) {
			return true
		}
	}
	return false
}

// filter rewrites an array: edit returns an element as it shall be, nil to leave it out.
func filter(array []byte, edit func(raw []byte) []byte) (out []byte, changed bool) {
	out = append(out, '[')
	for e := range jsonscan.Elements(array) {
		kept := edit(e)
		changed = changed || !bytes.Equal(kept, e)
		if kept == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, kept...)
	}
	if !changed {
		return array, false
	}
	return append(out, ']'), true
}

// stripMessage looks at an assistant's message, the only kind that has these; one of which nothing is left goes.
func stripMessage(raw []byte) []byte {
	if role, _ := jsonscan.String(jsonscan.Field(raw, "role")); role != "assistant" {
		return raw
	}
	out, changed := edited(raw, "content", stripBlock)
	if changed && !hasElements(jsonscan.Field(out, "content")) {
		return nil
	}
	return out
}

// edited filters the array that a member of an object is.
func edited(raw []byte, member string, edit func([]byte) []byte) (out []byte, changed bool) {
	fields, err := jsonscan.Scan(raw)
	if err != nil {
		return raw, false
	}
	m, ok := fields.Get(member)
	if !ok {
		return raw, false
	}
	value, changed := filter(raw[m.ValueStart:m.ValueEnd], edit)
	if !changed {
		return raw, false
	}
	return jsonscan.Splice(raw, m.Replace(value)), true
}

func hasElements(raw []byte) bool {
	for range jsonscan.Elements(raw) {
		return true
	}
	return false
}

func stripBlock(raw []byte) []byte {
	switch kind, _ := jsonscan.String(jsonscan.Field(raw, "type")); kind {
	case "thinking":
		if signature, _ := jsonscan.String(jsonscan.Field(raw, "signature")); foreign(signature) {
			return nil
		}
	case "server_tool_use":
		if id, _ := jsonscan.String(jsonscan.Field(raw, "id")); strings.HasPrefix(id, searchID) {
			return nil
		}
	case "web_search_tool_result":
		if id, _ := jsonscan.String(jsonscan.Field(raw, "tool_use_id")); strings.HasPrefix(id, searchID) {
			return nil
		}
	case "text":
		return stripCitations(raw)
	}
	return raw
}

// stripCitations leaves out the citations that have no encrypted_index, and with the last of them the list.
func stripCitations(raw []byte) []byte {
	out, changed := edited(raw, "citations", func(c []byte) []byte {
		if index, ok := jsonscan.String(jsonscan.Field(c, "encrypted_index")); ok && index == "" {
			return nil
		}
		return c
	})
	if !changed || hasElements(jsonscan.Field(out, "citations")) {
		return out
	}
	fields, err := jsonscan.Scan(out)
	if err != nil {
		return out
	}
	m, _ := fields.Get("citations")
	return jsonscan.Splice(out, m.Replace([]byte("null")))
}
