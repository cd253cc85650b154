package openai

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	inbound "github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// recordedRequest is the body that a recording's client sent; nil: it was not recorded.
func recordedRequest(t *testing.T, r recording) []byte {
	t.Helper()
	if r.Files.Request == "" {
		return nil
	}
	body, err := os.ReadFile(filepath.Join(recordings, r.Files.Request))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// A recorded request that is read into a prompt comes out of it again, but for spellings that mean the same.
func TestRecordedRequestsTranslated(t *testing.T) {
	types := map[string]snapshot.ProviderType{"openai": snapshot.OpenAI, "vercel": snapshot.VercelAIGateway}
	n := 0
	for _, r := range chatRecordings(t) {
		body := recordedRequest(t, r)
		if body == nil || r.Status != http.StatusOK {
			continue
		}
		// What costs more than the list's price is refused before it is translated.
		body = without(t, body, "service_tier", "return_images", "search_recency_filter")
		req, refused := inbound.Completions{}.Parse("req_1", nil, body)
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
			kind := snapshot.OpenAICompatible
			if k, ok := types[r.Provider]; ok {
				kind = k
			}
			got, drops, err := encode(chat.Call{Request: req, Model: req.Model, Provider: &snapshot.Provider{Type: kind}}, p)
			if err != nil {
				t.Fatal(err)
			}
			want := without(t, body, drops.All()...)
			if d := cmp.Diff(normal(t, want), normal(t, got)); d != "" {
				t.Error(d)
			}
		})
	}
	if n < 40 {
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
	if v, ok := m["max_tokens"]; ok {
		m["max_completion_tokens"] = v
	}
	if m["stream"] == false {
		delete(m, "stream")
	}
	for _, name := range []string{"max_tokens", "store", "service_tier", "stream_options", "usage"} {
		delete(m, name)
	}
	if r, ok := m["reasoning"].(map[string]any); ok && r["effort"] != nil {
		delete(m, "reasoning")
		m["reasoning_effort"] = r["effort"]
	}
	if f, ok := m["response_format"].(map[string]any); ok {
		if s, ok := f["json_schema"].(map[string]any); ok && s["name"] == "response" {
			delete(s, "name")
		}
	}
	tools, _ := m["tools"].([]any)
	for _, raw := range tools {
		tool, _ := raw.(map[string]any)
		if f, ok := tool["function"].(map[string]any); ok && f["description"] == "" {
			delete(f, "description")
		}
	}
	messages, _ := m["messages"].([]any)
	for _, raw := range messages {
		message, _ := raw.(map[string]any)
		if message["role"] == "developer" {
			message["role"] = "system"
		}
		if s, ok := message["stop"].(string); ok {
			message["stop"] = []any{s}
		}
		message["content"] = joinedContent(message)
		details, _ := message["reasoning_details"].([]any)
		for i, raw := range details {
			detail, _ := raw.(map[string]any)
			delete(detail, "id")
			if len(detail) == 3 { // a type, a format and an index: nothing is said
				message["reasoning_details"] = details[:i]
			}
		}
		if message["reasoning_content"] == "" {
			delete(message, "reasoning_content")
		}
		if message["content"] == nil {
			delete(message, "content")
		}
	}
	return m
}

// joinedContent is the content as a string where it is text alone; a cache mark of its last part becomes the message's.
func joinedContent(message map[string]any) any {
	parts, ok := message["content"].([]any)
	if !ok {
		return message["content"]
	}
	all := ""
	for i, raw := range parts {
		part, _ := raw.(map[string]any)
		text, ok := part["text"].(string)
		if !ok {
			return parts
		}
		if i > 0 {
			all += "\n"
		}
		all += text
		if part["cache_control"] != nil {
			message["cache_control"] = part["cache_control"]
		}
	}
	return all
}
