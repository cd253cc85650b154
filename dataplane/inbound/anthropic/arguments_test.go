package anthropic

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// fed gives the texts one after the other; told is what could be told at once.
func fed(texts ...string) (told string, a *arguments) {
	a = &arguments{}
	for _, text := range texts {
		told += a.add(text)
	}
	return told, a
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		in         string
		told, rest string
		whole      bool
	}{
		{"", "", "{}", false},
		{" \n", "", "{}", false},
		{"{}", "{}", "", true},
		{"\t {\"a\":1} ", `{"a":1}`, "", true},
		{`{"a":"}"`, `{"a":"}"`, "", false},
		{`{"a":"\"}"}`, `{"a":"\"}"}`, "", true},
		{`{"a":"\\"}`, `{"a":"\\"}`, "", true},
		{`{"a":[{"b":{}}]}`, `{"a":[{"b":{}}]}`, "", true},
		{`{}{}`, `{}`, "", true},
		{`{} x`, `{}`, "", true},
		{`[1]`, "", `{"invalid_arguments":"[1]"}`, false},
		{`null`, "", `{"invalid_arguments":"null"}`, false},
		{`x {"a":1}`, "", `{"invalid_arguments":"x {\"a\":1}"}`, false},
	} {
		told, a := fed(c.in)
		if told != c.told || a.rest() != c.rest || a.whole() != c.whole {
			t.Errorf("%q: told %q, rest %q, whole %v", c.in, told, a.rest(), a.whole())
		}
		for i := range c.in {
			if told, a := fed(c.in[:i], c.in[i:]); told != c.told || a.rest() != c.rest || a.whole() != c.whole {
				t.Errorf("%q at %d: told %q, rest %q, whole %v", c.in, i, told, a.rest(), a.whole())
			}
		}
		if told, a := fed(strings.Split(c.in, "")...); told != c.told || a.rest() != c.rest || a.whole() != c.whole {
			t.Errorf("%q byte by byte: told %q, rest %q, whole %v", c.in, told, a.rest(), a.whole())
		}
	}
}

// However the arguments come, what is told is an object if they are one, and is known to be whole at its end and no sooner.
func FuzzArguments(f *testing.F) {
	f.Add(`{"a":"\\\"}","b":[{}]}`, uint(3))
	f.Add(`nul`, uint(1))
	f.Fuzz(func(t *testing.T, s string, split uint) {
		if !utf8.ValidString(s) {
			return
		}
		at := int(split % uint(len(s)+1))
		told, a := fed(s[:at], s[at:])
		var object map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(s), &object) == nil && object != nil
		if bytewise, b := fed(strings.Split(s, "")...); bytewise != told || b.whole() != a.whole() || b.rest() != a.rest() {
			t.Fatalf("%q: at once %q, whole %v; byte by byte %q, whole %v", s, told, a.whole(), bytewise, b.whole())
		}
		if isObject && (!a.whole() || told != strings.TrimSpace(s)) {
			t.Fatalf("%q: told %q, whole %v", s, told, a.whole())
		}
		if !a.begun && !json.Valid([]byte(a.rest())) {
			t.Fatalf("%q: rest %q", s, a.rest())
		}
		if isObject {
			trimmed := strings.TrimSpace(s)
			if _, b := fed(trimmed[:len(trimmed)-1]); b.whole() {
				t.Fatalf("%q is whole before its end", s)
			}
		}
	})
}
