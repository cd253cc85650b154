package openai

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestError(t *testing.T) {
	for name, c := range map[string]struct {
		in            chat.Error
		body          string
		after, afterM string
	}{
		"bare": {chat.Error{Status: 401, Type: "invalid_request_error", Code: "invalid_api_key", Message: "Invalid API key <x> & y"},
			`{"error":{"code":"invalid_api_key","message":"Invalid API key <x> & y","param":null,"type":"invalid_request_error"}}`, "", ""},
		"details": {chat.Error{Status: 402, Type: "t", Param: "p", Message: "m", Details: map[string]any{"required": 5, "message": "no"}},
			`{"error":{"code":null,"message":"m","param":"p","required":5,"type":"t"}}`, "", ""},
		"a moment": {chat.Error{Status: 429, Type: "t", Message: "m", RetryAfter: 1500 * time.Microsecond},
			`{"error":{"code":null,"message":"m","param":null,"type":"t"}}`, "1", "2"},
		"longer": {chat.Error{Status: 429, Type: "t", Message: "m", RetryAfter: 2001 * time.Millisecond},
			`{"error":{"code":null,"message":"m","param":null,"type":"t"}}`, "3", "2001"},
		"a detail that cannot be encoded": {chat.Error{Status: 500, Type: "t", Message: "m", Details: map[string]any{"x": func() {}}},
			`{"error":{"code":null,"message":"m","param":null,"type":"t"}}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			Error(w, &c.in)
			if d := cmp.Diff(c.body, w.Body.String()); d != "" {
				t.Error(d)
			}
			if w.Code != c.in.Status || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("status %d, headers %v", w.Code, w.Header())
			}
			if w.Header().Get("Retry-After") != c.after || w.Header().Get("Retry-After-Ms") != c.afterM {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

func TestErrorEvent(t *testing.T) {
	got := string(ErrorEvent(&chat.Error{Type: "api_error", Message: "a\nb"}))
	if want := "data: {\"error\":{\"code\":null,\"message\":\"a\\nb\",\"param\":null,\"type\":\"api_error\"}}\n\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestWithCost(t *testing.T) {
	for in, want := range map[string]string{
		`{"usage":{}}`:                  `{"usage":{"cost":0.0012}}`,
		`{"usage":{"prompt_tokens":1}}`: `{"usage":{"prompt_tokens":1,"cost":0.0012}}`,
		"{\"a\":\"<é>\", \"usage\" : { \"x\":{} \n} ,\"b\":1}\n":      "{\"a\":\"<é>\", \"usage\" : { \"x\":{},\"cost\":0.0012 \n} ,\"b\":1}\n",
		` {"usage":{"cost": 99 ,"x":1},"cost":3}`:                     ` {"usage":{"cost": 0.0012 ,"x":1},"cost":3}`,
		`{"usage":{"cost":null}}`:                                     `{"usage":{"cost":0.0012}}`,
		`{"choices":[{"usage":{"cost":1}}],"usage":{"d":{"cost":1}}}`: `{"choices":[{"usage":{"cost":1}}],"usage":{"d":{"cost":1},"cost":0.0012}}`,
	} {
		got, ok := WithCost([]byte(in), "0.0012")
		if !ok || string(got) != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	for _, in := range []string{`{"usage":null}`, `{}`, `[DONE]`, `{"usage":[]}`, `{"choices":[{"usage":{}}]}`, ``} {
		if got, ok := WithCost([]byte(in), "1"); ok || string(got) != in {
			t.Errorf("%s: changed to %s", in, got)
		}
	}
}
