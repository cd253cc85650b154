package responses

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	inbound "github.com/layers-dev/layers/dataplane/inbound/responses"
)

// A recorded request that is read into a prompt comes out of it again, but for spellings that mean the same.
func TestRecordedRequests(t *testing.T) {
	n := 0
	for _, r := range recorded(t) {
		if r.request == nil || r.Status != http.StatusOK {
			continue
		}
		// What costs more than the list's price, or is kept at the provider, is refused before it is translated.
		body := without(t, r.request, "service_tier", "store")
		req, refused := inbound.New(nil).Parse("req_1", nil, body)
		if refused != nil {
			t.Logf("%s is not taken: %v", r.ID, refused)
			continue
		}
		n++
		t.Run(r.ID, func(t *testing.T) {
			p, err := req.Translate()
			if err != nil {
				t.Fatal(err)
			}
			any := func(string) bool { return true }
			m := Model{ID: req.Model, Reasons: !strings.HasPrefix(req.Model, "gpt-4"), Effort: func(want string) string { return want }, Samples: any}
			got, drops, err := Encode(chat.Call{Request: req}, p, m)
			if err != nil {
				t.Fatal(err)
			}
			want := without(t, body, drops.All()...)
			if p.Search != nil && p.Search.Assumed {
				// What is held for is what may be used.
				got = without(t, got, "max_tool_calls")
			}
			if d := cmp.Diff(normal(t, want), normal(t, got)); d != "" {
				t.Error(d)
			}
		})
	}
	if n < 20 {
		t.Errorf("only %d requests were compared", n)
	}
}

// without takes members out of a body.
func without(t *testing.T, body []byte, names ...string) []byte {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		delete(m, n)
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// normal is a request without what has several spellings.
func normal(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if m["stream"] == false {
		delete(m, "stream")
	}
	for _, name := range []string{"store", "include"} {
		delete(m, name)
	}
	if s, ok := m["input"].(string); ok {
		m["input"] = []any{map[string]any{"role": "user", "content": s}}
	}
	items, _ := m["input"].([]any)
	for i, raw := range items {
		item, _ := raw.(map[string]any)
		if next, ok := item["content"].([]any); ok && i > 0 && item["role"] == "user" {
			// Messages of one role that follow each other are one.
			if last, _ := items[i-1].(map[string]any); last["role"] == "user" {
				first, _ := last["content"].([]any)
				if s, ok := last["content"].(string); ok {
					first = []any{map[string]any{"type": "input_text", "text": s}}
				}
				last["content"] = append(first, next...)
				m["input"] = items[:i]
				break
			}
		}
		if item["type"] == "message" {
			delete(item, "type")
		}
		if item["role"] == "developer" {
			item["role"] = "system"
		}
		parts, ok := item["content"].([]any)
		if ok && len(parts) == 0 {
			delete(item, "content")
		}
		if ok && len(parts) == 1 {
			if part, _ := parts[0].(map[string]any); part["text"] != nil {
				item["content"] = part["text"]
			}
		}
	}
	if len(items) > 1 {
		if first, _ := items[0].(map[string]any); first["role"] == "system" && m["instructions"] == nil {
			m["instructions"], m["input"] = first["content"], items[1:]
		}
	}
	return m
}
