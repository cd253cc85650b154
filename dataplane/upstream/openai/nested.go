package openai

import (
	"bytes"
	"slices"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// What other providers' answers and requests have in messages and tools, and OpenAI's API refuses: clients send whole
// messages back, wherever they came from. Reasoning that another's model signed never goes to OpenAI's.
var (
	messageExtras = []string{
		"reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "provider_metadata", "cache_control", "citations", "search_results",
	}
	partExtras = []string{"cache_control"}
	callExtras = []string{"extra_content", "provider_metadata", "thought_signature"}
	// signed are those that a client is told of.
	signed = []string{"reasoning_details", "thinking_blocks"}
)

// nested takes the extras out of messages and tools. Nothing is copied where there are none.
func (r *rewriting) nested() {
	r.each("messages", messageExtras, func(name string) shape {
		switch name {
		case "content":
			return shape{strip: partExtras}
		case "tool_calls":
			return shape{strip: callExtras}
		}
		return shape{}
	})
	r.each("tools", partExtras, func(name string) shape {
		if name == "function" {
			return shape{strip: partExtras}
		}
		return shape{}
	})
}

// shape says what is taken out of a value: out of the object that it is, or out of each object in the array that it is.
type shape struct {
	strip []string
	inner func(name string) shape
}

// each takes extras out of the objects in a member of the request that is an array.
func (r *rewriting) each(name string, strip []string, inner func(string) shape) {
	m, ok := r.fields.Get(name)
	if !ok || !r.mentions(r.body[m.ValueStart:m.ValueEnd], slices.Concat(strip, partExtras, callExtras)) {
		return
	}
	s := stripping{}
	out := s.value(r.body[m.ValueStart:m.ValueEnd], shape{strip: strip, inner: inner})
	if !s.changed {
		return
	}
	r.edits = append(r.edits, m.Replace(out))
	for _, n := range signed {
		if slices.Contains(s.names, n) {
			r.noted = append(r.noted, n)
		}
	}
}

// mentions says that one of the names is in a text, be it as a name.
func (r *rewriting) mentions(raw []byte, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return bytes.Contains(raw, []byte(`"`+n+`"`)) })
}

// stripping rewrites values without some members.
type stripping struct {
	changed bool
	names   []string
}

func (s *stripping) value(raw []byte, as shape) []byte {
	if len(raw) == 0 || as.strip == nil && as.inner == nil {
		return raw
	}
	switch raw[0] {
	case '{':
		return s.object(raw, as)
	case '[':
		out := []byte{'['}
		for element := range jsonscan.Elements(raw) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			if element[0] == '{' {
				element = s.object(element, as)
			}
			out = append(out, element...)
		}
		return append(out, ']')
	}
	return raw
}

func (s *stripping) object(raw []byte, as shape) []byte {
	out := []byte{'{'}
	for name, value := range jsonscan.Members(raw) {
		if slices.Contains(as.strip, name) {
			s.changed = true
			if !jsonscan.IsNull(value) && !slices.Contains(s.names, name) {
				s.names = append(s.names, name)
			}
			continue
		}
		if as.inner != nil {
			value = s.value(value, as.inner(name))
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, jsonscan.Quote(name)...), ':'), value...)
	}
	return append(out, '}')
}
