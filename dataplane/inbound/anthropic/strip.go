package anthropic

import (
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file takes out of a body what Anthropic's API would refuse and what comes from the gateway itself, in an earlier,
// translated answer: thoughts of other makers, which it cannot verify, results and citations of others' searches, whose
// encrypted halves are empty. The conversation goes on without them when it moves to Anthropic's models. Every other byte
// stays, and a body without any of these is not touched.

// strip is what is left of a body, its members, and the names of what was taken out.
type strip struct {
	body    []byte
	fields  jsonscan.Object
	dropped []string
}

// stripped returns the body for an upstream that speaks the protocol; changed is false where it is the client's own.
func stripped(body []byte, fields jsonscan.Object) (s strip, changed bool) {
	m, ok := fields.Get("messages")
	if !ok {
		return strip{}, false
	}
	messages, changed := filter(body[m.ValueStart:m.ValueEnd], s.message)
	if !changed {
		return strip{}, false
	}
	s.body = jsonscan.Splice(body, m.Replace(messages))
	var err error
	if s.fields, err = jsonscan.Scan(s.body); err != nil {
		return strip{}, false
	}
	return s, true
}

// drop notes the name of what is taken out, once.
func (s *strip) drop(name string) []byte {
	if !slices.Contains(s.dropped, name) {
		s.dropped = append(s.dropped, name)
	}
	return nil
}

// filter rewrites an array: edit returns an element as it shall be, itself for one that stays, nil to leave it out.
func filter(array []byte, edit func(raw []byte) []byte) (out []byte, changed bool) {
	for e := range jsonscan.Elements(array) {
		if changed = !same(e, edit(e)); changed {
			break
		}
	}
	if !changed {
		return array, false
	}
	out = append(make([]byte, 0, len(array)), '[')
	for e := range jsonscan.Elements(array) {
		kept := edit(e)
		if kept != nil && len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, kept...)
	}
	return append(out, ']'), true
}

// same says that two texts are one.
func same(a, b []byte) bool { return len(a) == len(b) && &a[0] == &b[0] }

// message looks at an assistant's message, the only kind that has these; one of which nothing is left goes.
func (s *strip) message(raw []byte) []byte {
	if role, _ := jsonscan.String(jsonscan.Field(raw, "role")); role != "assistant" {
		return raw
	}
	out := edited(raw, "content", s.block)
	if !same(raw, out) && !hasElements(jsonscan.Field(out, "content")) {
		return nil
	}
	return out
}

// edited filters the array that a member of an object is.
func edited(raw []byte, member string, edit func([]byte) []byte) []byte {
	value, changed := filter(jsonscan.Field(raw, member), edit)
	if !changed {
		return raw
	}
	return replaced(raw, member, value)
}

// replaced gives a member another value.
func replaced(raw []byte, member string, value []byte) []byte {
	fields, err := jsonscan.Scan(raw)
	if err != nil {
		return raw
	}
	m, ok := fields.Get(member)
	if !ok {
		return raw
	}
	return jsonscan.Splice(raw, m.Replace(value))
}

func hasElements(raw []byte) bool {
	for range jsonscan.Elements(raw) {
		return true
	}
	return false
}

func (s *strip) block(raw []byte) []byte {
	word := func(name string) string {
		text, _ := jsonscan.String(jsonscan.Field(raw, name))
		return text
	}
	switch word("type") {
	case "thinking":
		if foreign(word("signature")) {
			return s.drop("messages.thinking")
		}
	case "server_tool_use":
		if strings.HasPrefix(word("id"), searchID) {
			return nil
		}
	case "web_search_tool_result":
		if strings.HasPrefix(word("tool_use_id"), searchID) {
			return s.drop("messages.web_search_tool_result")
		}
	case "text":
		return s.citations(raw)
	}
	return raw
}

// citations leaves out those that have no encrypted_index, and with the last of them the list.
func (s *strip) citations(raw []byte) []byte {
	out := edited(raw, "citations", func(c []byte) []byte {
		if index, ok := jsonscan.String(jsonscan.Field(c, "encrypted_index")); ok && index == "" {
			return s.drop("messages.citations")
		}
		return c
	})
	if same(raw, out) || hasElements(jsonscan.Field(out, "citations")) {
		return out
	}
	return replaced(out, "citations", []byte("null"))
}
