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
	// signed are those that have signed thoughts, of which a client is told.
	signed = []string{"reasoning_details", "thinking_blocks", "extra_content"}
)

// nested takes the extras out of messages and tools for OpenAI's API, and for every upstream what the gateway's ids carry and
// what another maker's model has signed. Nothing is copied where there are none.
func (r *rewriting) nested() {
	own := ownThoughts(flavourOf(r.call))
	message, part, call := shape{change: own.message}, shape{}, shape{change: own.call}
	if official(r.call) {
		message.strip, part.strip, call.strip = messageExtras, partExtras, callExtras
		function := shape{strip: partExtras}
		r.each("tools", shape{strip: partExtras, inner: map[string]shape{"function": function}}, partExtras)
	}
	message.inner = map[string]shape{"content": part, "tool_calls": call}
	r.each("messages", message, slices.Concat(message.strip, part.strip, call.strip, signed))
}

// shape says what is changed in a value: in the object that it is, or in each object of the array that it is.
type shape struct {
	// strip are members that are left out, change gives others another value (nil: the same; empty: none, they are left out
	// too), and inner has the shapes of those that are objects or arrays themselves.
	strip  []string
	change func(name string, value []byte) []byte
	inner  map[string]shape
}

// each changes the objects in a member of the request that is an array, where it mentions one of the names, or an id of ours.
func (r *rewriting) each(name string, as shape, names []string) {
	m, ok := r.fields.Get(name)
	if !ok {
		return
	}
	raw := r.body[m.ValueStart:m.ValueEnd]
	if !mentions(raw, names) && (as.change == nil || bytes.IndexByte(raw, carryMark) < 0) {
		return
	}
	s := stripping{}
	out := s.value(raw, as)
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
func mentions(raw []byte, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return bytes.Contains(raw, []byte(`"`+n+`"`)) })
}

// stripping rewrites values without some members.
type stripping struct {
	changed bool
	names   []string
}

func (s *stripping) value(raw []byte, as shape) []byte {
	if len(raw) == 0 {
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

// gone notes a member that is left out, or a part of it.
func (s *stripping) gone(name string, value []byte) {
	s.changed = true
	if present(value) && !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
}

func (s *stripping) object(raw []byte, as shape) []byte {
	out := []byte{'{'}
	for name, value := range jsonscan.Members(raw) {
		if slices.Contains(as.strip, name) {
			s.gone(name, value)
			continue
		}
		if inner, ok := as.inner[name]; ok {
			value = s.value(value, inner)
		}
		if as.change != nil {
			other := as.change(name, value)
			if other != nil && slices.Contains(signed, name) {
				s.gone(name, value)
			}
			if other != nil {
				s.changed, value = true, other
			}
			if len(value) == 0 {
				continue
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, jsonscan.Quote(name)...), ':'), value...)
	}
	return append(out, '}')
}
