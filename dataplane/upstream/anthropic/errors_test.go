package anthropic

import (
	"context"
	"testing"
	"time"
)

func failure(kind, message string) string {
	return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `"},"request_id":"req_1"}`
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status            int
		body              string
		want              int
		kind, code, param string
		fallback          bool
	}{
		"bad field":       {400, failure("invalid_request_error", "tools.0.custom.input_schema.type: Input should be 'object'"), 400, "invalid_request_error", "", "tools", false},
		"schema":          {400, failure("invalid_request_error", "output_config.format.schema: no"), 400, "invalid_request_error", "", "response_format", false},
		"effort":          {400, failure("invalid_request_error", "output_config.effort: no"), 400, "invalid_request_error", "", "reasoning_effort", false},
		"budget":          {400, failure("invalid_request_error", "thinking.budget_tokens: no"), 400, "invalid_request_error", "", "reasoning_effort", false},
		"system":          {400, failure("invalid_request_error", "system.0: no"), 400, "invalid_request_error", "", "messages", false},
		"stop":            {400, failure("invalid_request_error", "stop_sequences: no"), 400, "invalid_request_error", "", "stop", false},
		"user":            {400, failure("invalid_request_error", "metadata.user_id: no"), 400, "invalid_request_error", "", "user", false},
		"no field":        {400, failure("invalid_request_error", "Note: this is none"), 400, "invalid_request_error", "", "", false},
		"too long":        {400, failure("invalid_request_error", "prompt is too long: 7 tokens > 5 maximum"), 400, "invalid_request_error", "context_length_exceeded", "messages", false},
		"too long, newer": {400, failure("invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000"), 400, "invalid_request_error", "context_length_exceeded", "messages", false},
		"no credit":       {400, failure("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), 429, "insufficient_quota", "insufficient_quota", "", true},
		"limit reached":   {400, failure("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01."), 429, "insufficient_quota", "insufficient_quota", "", true},
		"disabled":        {400, failure("invalid_request_error", "This organization has been disabled."), 502, "api_error", "upstream_auth", "", true},
		"billing":         {402, failure("billing_error", "pay"), 429, "insufficient_quota", "insufficient_quota", "", true},
		"key":             {401, failure("authentication_error", "invalid x-api-key"), 502, "api_error", "upstream_auth", "", true},
		"permission":      {403, failure("permission_error", "no"), 403, "permission_error", "", "", false},
		"model":           {404, failure("not_found_error", "model: gone"), 404, "invalid_request_error", "model_not_found", "model", false},
		"too large":       {413, `{"error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}`, 413, "invalid_request_error", "request_too_large", "", false},
		"rate":            {429, failure("rate_limit_error", "slow"), 429, "rate_limit_error", "rate_limit_exceeded", "", true},
		"api":             {500, failure("api_error", "Internal server error"), 502, "api_error", "upstream_error", "", true},
		"timeout":         {504, failure("timeout_error", "late"), 504, "api_error", "upstream_timeout", "", true},
		"overloaded":      {529, failure("overloaded_error", "Overloaded"), 503, "overloaded_error", "upstream_overloaded", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newUpstream(t).Do(context.Background(), translated(t, answer(t, c.status, "application/json", c.body), hello(), false))
			e := chatError(t, err)
			if e.Status != c.want || e.Type != c.kind || e.Code != c.code || e.Param != c.param || e.Fallback != c.fallback || e.Message == "" {
				t.Errorf("got %+v", e)
			}
			// The same inside a 200, where no status says what it is.
			_, err = newUpstream(t).Do(context.Background(), passes(t, answer(t, 200, "application/json", c.body), plainBody, false))
			if inside := chatError(t, err); inside.Status != e.Status || inside.Code != e.Code || inside.Type != e.Type {
				t.Errorf("in a 200: %+v", inside)
			}
		})
	}
}

func TestErrorTellsNoSecret(t *testing.T) {
	body := failure("rate_limit_error", "your organization (12345678-1234-1234-1234-1234567890ab) with sk-ant-api03-abcdef and secret-credential")
	base := answer(t, 429, "application/json", body, "Retry-After", "17")
	_, err := newUpstream(t).Do(context.Background(), passes(t, base, plainBody, false))
	e := chatError(t, err)
	if e.Message != "your organization ([redacted]) with [redacted] and [redacted]" || e.RetryAfter != 17*time.Second {
		t.Errorf("got %+v", e)
	}
}

// Anthropic sends Retry-After with good answers too: an overload in a stream is not said to end then.
func TestRetryAfterOfAGoodAnswer(t *testing.T) {
	base := answer(t, 200, "text/event-stream", "event: error\ndata: "+failure("overloaded_error", "Overloaded")+"\n\n", "Retry-After", "17")
	_, err := collect(do(t, passes(t, base, streamBody, true)).Events)
	if e := chatError(t, err); e.Status != 503 || e.RetryAfter != 0 {
		t.Errorf("got %+v", e)
	}
}
