package perplexity

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

func TestRecordedErrors(t *testing.T) {
	for _, r := range recorded(t, func(r recording) bool { return r.API == "chat" && r.Status != http.StatusOK }) {
		t.Run(r.ID, func(t *testing.T) {
			kind := "application/json"
			if bytes.HasPrefix(r.body, []byte("<")) {
				kind = "text/html"
			}
			_, err := newUpstream(t).Do(context.Background(), call(serve(t, r.Status, kind, string(r.body)), "sonar", hi(), r.Stream))
			var e *chat.Error
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			want := map[int]string{400: "invalid_request_error", 401: "api_error"}[r.Status]
			if e.Type != want || r.Status == 401 && (e.Code != "upstream_auth" || !e.Fallback) || r.Status == 400 && (e.Status != 400 || e.Code == "") {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status            int
		body              string
		want              int
		kind, code, param string
		fallback          bool
	}{
		"what is gone":     {403, `{"error":{"message":"Sonar is now the Agent API.","type":"chat_completions_not_available","code":403}}`, 502, "api_error", "upstream_error", "", true},
		"what is gone too": {403, `{"error":{"message":"Sonar is now the Agent API.","code":"agent_api_migration_required"}}`, 502, "api_error", "agent_api_migration_required", "", true},
		"too long":         {400, `{"error":{"message":"too long","type":"too_many_prompt_tokens","code":400}}`, 400, "invalid_request_error", "context_length_exceeded", "messages", false},
		"model":            {400, `{"error":{"message":"Invalid model","type":"invalid_model","code":400}}`, 400, "invalid_request_error", "model_not_found", "model", false},
		"unknown field":    {400, `{"error":{"message":"unknown field","type":"invalid_request","code":400}}`, 400, "invalid_request_error", "", "", false},
		"FastAPI":          {422, `{"detail":[{"msg":"a"},{"msg":"b"}]}`, 422, "invalid_request_error", "", "", false},
		"limit":            {429, `{"error":{"message":"slow","type":"rate_limit","code":429}}`, 429, "rate_limit_error", "rate_limit_exceeded", "", true},
		"a page":           {503, `<html>`, 503, "overloaded_error", "upstream_overloaded", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newUpstream(t).Do(context.Background(), call(serve(t, c.status, "application/json", c.body), "sonar", hi(), true))
			var e *chat.Error
			if !errors.As(err, &e) || e.Status != c.want || e.Type != c.kind || e.Code != c.code || e.Param != c.param || e.Fallback != c.fallback {
				t.Errorf("got %+v", e)
			}
			if name == "FastAPI" && e.Message != "a; b" {
				t.Errorf("got %q", e.Message)
			}
		})
	}
}

func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		kind, body string
		stream     bool
		code       string
	}{
		"a page":            {"text/html", "<html>", false, "upstream_invalid_response"},
		"a page, streamed":  {"text/html", "<html>", true, "upstream_invalid_response"},
		"JSON for a stream": {"application/json", `{"output":[]}`, true, "upstream_invalid_response"},
		"failed":            {"application/json", `{"status":"failed","output":[],"error":{"message":"x","code":"server_error"}}`, false, "server_error"},
	} {
		_, err := newUpstream(t).Do(context.Background(), call(serve(t, 200, c.kind, c.body), "sonar", hi(), c.stream))
		var e *chat.Error
		if !errors.As(err, &e) || e.Code != c.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
