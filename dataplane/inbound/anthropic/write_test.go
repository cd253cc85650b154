package anthropic

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestError(t *testing.T) {
	for name, c := range map[string]struct {
		in     chat.Error
		id     string
		status int
		body   string
		after  [2]string
	}{
		"bare": {chat.Error{Status: 401, Type: "invalid_request_error", Message: "<x> & y"}, "req_1", 401,
			`{"error":{"message":"<x> & y","type":"authentication_error"},"request_id":"req_1","type":"error"}`, [2]string{}},
		"no id": {chat.Error{Status: 400, Message: "m"}, "", 400,
			`{"error":{"message":"m","type":"invalid_request_error"},"type":"error"}`, [2]string{}},
		"code": {chat.Error{Status: 402, Code: "insufficient_credits", Param: "p", Message: "m", Details: map[string]any{"required": 5, "message": "no", "type": "no"}}, "r", 402,
			`{"error":{"details":{"error_code":"insufficient_credits","param":"p"},"message":"m","required":5,"type":"billing_error"},"request_id":"r","type":"error"}`, [2]string{}},
		"a moment": {chat.Error{Status: 429, Message: "m", RetryAfter: 1500 * time.Microsecond}, "r", 429,
			`{"error":{"message":"m","type":"rate_limit_error"},"request_id":"r","type":"error"}`, [2]string{"1", "2"}},
		"longer": {chat.Error{Status: 503, Type: "server_error", Message: "m", RetryAfter: 2001 * time.Millisecond}, "r", 503,
			`{"error":{"message":"m","type":"overloaded_error"},"request_id":"r","type":"error"}`, [2]string{"3", "2001"}},
		"overloaded": {chat.Error{Status: 503, Type: "overloaded_error", Message: "m"}, "r", 529,
			`{"error":{"message":"m","type":"overloaded_error"},"request_id":"r","type":"error"}`, [2]string{}},
		"a detail that cannot be encoded": {chat.Error{Status: 500, Message: "m", Details: map[string]any{"x": func() {}}}, "r", 500,
			`{"error":{"message":"m","type":"api_error"},"request_id":"r","type":"error"}`, [2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if c.id != "" {
				w.Header().Set("X-Request-Id", c.id)
			}
			Messages{}.Error(w, &c.in)
			if d := cmp.Diff(c.body, w.Body.String()); d != "" {
				t.Error(d)
			}
			h := w.Header()
			if w.Code != c.status || h.Get("Content-Type") != "application/json" || h.Get("request-id") != c.id {
				t.Errorf("status %d, headers %v", w.Code, h)
			}
			if got := [2]string{h.Get("Retry-After"), h.Get("Retry-After-Ms")}; got != c.after {
				t.Errorf("after %v", got)
			}
		})
	}
}

func TestErrorKinds(t *testing.T) {
	for status, want := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
		405: "invalid_request_error", 409: "invalid_request_error", 413: "request_too_large", 422: "invalid_request_error", 429: "rate_limit_error",
		500: "api_error", 502: "api_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error", 0: "api_error",
	} {
		if got := kind(&chat.Error{Status: status}); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
	if got := kind(&chat.Error{Status: 502, Type: "overloaded_error"}); got != "overloaded_error" {
		t.Error(got)
	}
}

// The SDK goes on without a thread when it reads these words at this place.
func TestThreadError(t *testing.T) {
	_, e := parsed(body(`"thread":{"type":"create"}`))
	if e == nil {
		t.Fatal("taken")
	}
	w := httptest.NewRecorder()
	Messages{}.Error(w, e)
	var got struct {
		Error struct {
			Type    string
			Details struct {
				Code        string `json:"error_code"`
				Unsupported []string
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if w.Code != 400 || got.Error.Details.Code != "thread_unsupported_request" || cmp.Diff([]string{"thread"}, got.Error.Details.Unsupported) != "" {
		t.Errorf("%d %+v", w.Code, got)
	}
}

func TestErrorEvent(t *testing.T) {
	got := string(Messages{}.ErrorEvent(&chat.Error{Status: 529, Message: "a\nb"}))
	if want := "event: error\ndata: {\"error\":{\"message\":\"a\\nb\",\"type\":\"overloaded_error\"},\"type\":\"error\"}\n\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestWithCost(t *testing.T) {
	for in, want := range map[string]string{
		`{"usage":{}}`: `{"usage":{"cost":0.0012}}`,
		`{"type":"message_delta","usage":{"output_tokens":1}      }`:     `{"type":"message_delta","usage":{"output_tokens":1,"cost":0.0012}      }`,
		"{\"a\":\"<é>\", \"usage\" : { \"x\":{} \n} ,\"b\":1}\n":         "{\"a\":\"<é>\", \"usage\" : { \"x\":{},\"cost\":0.0012 \n} ,\"b\":1}\n",
		` {"usage":{"cost": 99 ,"x":1},"cost":3}`:                        ` {"usage":{"cost": 0.0012 ,"x":1},"cost":3}`,
		`{"type":"message","content":[{"usage":{}}],"usage":{"x":null}}`: `{"type":"message","content":[{"usage":{}}],"usage":{"x":null,"cost":0.0012}}`,
	} {
		got, ok := Messages{}.WithCost([]byte(in), "0.0012")
		if !ok || string(got) != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{`{"type":"message_start","message":{"usage":{"input_tokens":1}}}`, `{"usage":null}`, `{"type":"ping"}`, `{"usage":[]}`, `x`, ``} {
		if got, ok := (Messages{}).WithCost([]byte(in), "1"); ok || string(got) != in {
			t.Errorf("%s: changed to %s", in, got)
		}
	}
}

func TestModels(t *testing.T) {
	m := ModelInfo{ID: "anthropic/claude", Created: 1780000000}
	const object = `{"type":"model","id":"anthropic/claude","display_name":"anthropic/claude","created_at":"2026-05-28T20:26:40Z","max_input_tokens":null,"max_tokens":null,"capabilities":null}`
	if d := cmp.Diff(object, string(ModelObject(m))); d != "" {
		t.Error(d)
	}
	n := ModelInfo{ID: "m", DisplayName: "<M>", MaxInputTokens: 5, MaxTokens: 6, Capabilities: []string{"Text", "Vision", "Thinking"}}
	const other = `{"type":"model","id":"m","display_name":"<M>","created_at":"1970-01-01T00:00:00Z","max_input_tokens":5,"max_tokens":6,"capabilities":{` +
		`"batch":{"supported":false},"citations":{"supported":false},"code_execution":{"supported":false},` +
		`"context_management":{"supported":false,"clear_thinking_20251015":null,"clear_tool_uses_20250919":null,"compact_20260112":null},` +
		`"effort":{"supported":true,"low":{"supported":true},"medium":{"supported":true},"high":{"supported":true},"xhigh":null,"max":{"supported":false}},` +
		`"image_input":{"supported":true},"pdf_input":{"supported":true},"server_tools":{"supported":false,"code_execution":{"supported":false},"web_search":{"supported":false}},"structured_outputs":{"supported":false},` +
		`"thinking":{"supported":true,"types":{"enabled":{"supported":true},"adaptive":{"supported":true}}}}}`
	want := `{"data":[` + object + `,` + other + `],"first_id":"anthropic/claude","has_more":false,"last_id":"m"}`
	if d := cmp.Diff(want, string(ModelList([]ModelInfo{m, n}))); d != "" {
		t.Error(d)
	}
	if got := string(ModelList(nil)); got != `{"data":[],"first_id":null,"has_more":false,"last_id":null}` {
		t.Error(got)
	}
}

func TestInfo(t *testing.T) {
	m := &snapshot.Model{PublicName: "a/b", Created: 7, Capabilities: []string{"JSON", "WebSearch"}}
	m.Limits.ContextTokens, m.Limits.MaxOutputTokens = 8, 9
	got := Info(m)
	if d := cmp.Diff(ModelInfo{ID: "a/b", Created: 7, MaxInputTokens: 8, MaxTokens: 9, Capabilities: []string{"JSON", "WebSearch"}}, got); d != "" {
		t.Error(d)
	}
	c := capabilitiesOf(got.Capabilities)
	if !c.Structured.Supported || !c.ServerTools.WebSearch.Supported || c.Image.Supported || c.Effort.Supported {
		t.Errorf("%+v", c)
	}
}
