package anthropic

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A turn of which nothing is left for Anthropic's models goes; every other byte stays.
func TestStripped(t *testing.T) {
	const user, rest = `{ "role":"user","content":"<hi>\u0041" }`, `,"max_tokens":1 ,"x":[ ]}`
	text := func(more string) string {
		return `{"role":"assistant","content":[{"type":"text", "text":"a"` + more + `}]}`
	}
	thought := func(signature string) string {
		return `{"type":"thinking","thinking":"t","signature":"` + signature + `"}`
	}
	page := func(index string) string { return `{"url":"u","encrypted_index":"` + index + `"}` }
	for name, c := range map[string]struct {
		in, want string
		dropped  []string
	}{
		"nothing to do":  {text(`,"citations":[` + page("x") + `]`), text(`,"citations":[` + page("x") + `]`), nil},
		"all":            {`{"role":"assistant","content":[` + thought("") + `]}`, ``, []string{"messages.thinking"}},
		"own signature":  {`{"role":"assistant","content":[ ` + thought("Eq==") + ` ]}`, `{"role":"assistant","content":[ ` + thought("Eq==") + ` ]}`, nil},
		"of both":        {`{"role":"assistant", "content" : [` + thought("Eq==") + ` , ` + thought("openai-responses-v1:encrypted::x") + `] }`, `{"role":"assistant", "content" : [` + thought("Eq==") + `] }`, []string{"messages.thinking"}},
		"citations":      {text(`, "citations":[` + page("") + `]`), text(`, "citations":null`), []string{"messages.citations"}},
		"some citations": {text(`,"citations":[` + page("x") + ` ,` + page("") + `]`), text(`,"citations":[` + page("x") + `]`), []string{"messages.citations"}},
		"a document's":   {text(`,"citations":[{"type":"char_location"},` + page("") + `]`), text(`,"citations":[{"type":"char_location"}]`), []string{"messages.citations"}},
		"a search": {
			`{"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_layers_1_0","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_layers_1_0","content":[]},{"type":"server_tool_use","id":"srvtoolu_01"}]}`,
			`{"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_01"}]}`, []string{"messages.web_search_tool_result"},
		},
		"both": {
			`{"role":"assistant","content":[` + thought("a") + `,` + thought("") + `,` + thought("x:call::y") + `,{"type":"text","text":" ","citations":[` + page("") + `]}]}`,
			`{"role":"assistant","content":[` + thought("a") + `,{"type":"text","text":" ","citations":null}]}`, []string{"messages.thinking", "messages.citations"},
		},
		"escaped names":   {`{"r\u006fle":"assistant","c\u006fntent":[{"typ\u0065":"thinking","thinking":"","signature":""}]}`, ``, []string{"messages.thinking"}},
		"not an array":    {`{"role":"assistant","content":"\"thinking\""}`, `{"role":"assistant","content":"\"thinking\""}`, nil},
		"in a user's own": {`{"role":"user","content":[` + thought("") + `]}`, `{"role":"user","content":[` + thought("") + `]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			whole := func(m string) string {
				if m != "" {
					m = "," + m
				}
				return `{"model":"m","messages":[` + user + m + `]` + rest
			}
			in := whole(c.in)
			r, e := Messages{}.Parse("", nil, []byte(in))
			if e != nil {
				t.Fatal(e)
			}
			if d := cmp.Diff(whole(c.want), string(r.Body)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.dropped, r.Dropped); d != "" {
				t.Error(d)
			}
			if m, ok := r.Fields.Get("x"); !ok || string(r.Body[m.ValueStart:m.ValueEnd]) != "[ ]" {
				t.Error("the fields are not those of the body")
			}
		})
	}
}

// What is left is a request of the same kind, of which nothing more is to be taken.
func FuzzStripped(f *testing.F) {
	f.Add([]byte(`{"type":"thinking","thinking":"","signature":""},{"type":"text","text":"x","citations":[{"encrypted_index":""},1,[]]}`))
	f.Add([]byte(`{"type":"web_search_tool_result","tool_use_id":"srvtoolu_layers_1"},"thinking",{"type":"thinking"}`))
	f.Add([]byte(`{"type":"text","text":"a"},{"type":"thinking","thinking":"t","signature":"Eq=="},{"type":"server_tool_use","id":"srvtoolu_01"}`))
	f.Fuzz(func(t *testing.T, blocks []byte) {
		in := []byte(talk(`{"role":"user","content":"hi"},` + assistant(string(blocks))))
		r, e := Messages{}.Parse("", nil, in)
		if e != nil {
			return
		}
		if !json.Valid(r.Body) || len(r.Dropped) > 0 && bytes.Equal(r.Body, in) {
			t.Fatalf("%v: %s", r.Dropped, r.Body)
		}
		again, e := Messages{}.Parse("", nil, r.Body)
		if e != nil {
			t.Fatal(e)
		}
		if !bytes.Equal(again.Body, r.Body) || len(again.Dropped) > 0 {
			t.Fatalf("%s, then %s", r.Body, again.Body)
		}
		var want, got map[string]any
		if json.Unmarshal(in, &want) != nil {
			return // a number that is too large for the test
		}
		if err := json.Unmarshal(r.Body, &got); err != nil {
			t.Fatal(err)
		}
		want["messages"] = withoutForeign(want["messages"].([]any), takeMessage)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%s: %s", in, d)
		}
	})
}

// withoutForeign rewrites a list: take returns what is left of an element, and whether it stays.
func withoutForeign(list []any, take func(v any) (any, bool)) []any {
	out := []any{}
	for _, v := range list {
		if left, stays := take(v); stays {
			out = append(out, left)
		}
	}
	return out
}

// takeMessage is what stripped shall do, on what the JSON means and not on its text.
func takeMessage(v any) (any, bool) {
	m, _ := v.(map[string]any)
	content, ok := m["content"].([]any)
	if m["role"] != "assistant" || !ok {
		return v, true
	}
	left := withoutForeign(content, takeBlock)
	m["content"] = left
	return m, len(left) > 0 || len(content) == 0
}

func takeBlock(v any) (any, bool) {
	b, _ := v.(map[string]any)
	word := func(name string) string {
		s, _ := b[name].(string)
		return s
	}
	switch b["type"] {
	case "thinking":
		return v, !foreign(word("signature"))
	case "server_tool_use":
		return v, !strings.HasPrefix(word("id"), searchID)
	case "web_search_tool_result":
		return v, !strings.HasPrefix(word("tool_use_id"), searchID)
	case "text":
		list, ok := b["citations"].([]any)
		if !ok {
			return v, true
		}
		left := withoutForeign(list, func(c any) (any, bool) {
			one, _ := c.(map[string]any)
			return c, one["encrypted_index"] != ""
		})
		if b["citations"] = left; len(left) == 0 && len(list) > 0 {
			b["citations"] = nil
		}
	}
	return v, true
}
