package openai

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status   int
		body     string
		want     int
		kind     string
		code     string
		param    string
		message  string
		fallback bool
	}{
		"bad request":          {400, `{"error":{"message":"Unsupported parameter: 'max_tokens'","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}`, 400, "invalid_request_error", "unsupported_parameter", "max_tokens", "Unsupported parameter: 'max_tokens'", false},
		"context":              {400, `{"error":{"message":"maximum context length is 4097","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, 400, "invalid_request_error", "context_length_exceeded", "messages", "maximum context length is 4097", false},
		"param an array":       {400, `{"error":{"message":"Invalid input","type":"invalid_request_error","param":[{"code":"x"}]}}`, 400, "invalid_request_error", "", "", "Invalid input", false},
		"error a string":       {400, `{"error":"no ZDR providers"}`, 400, "invalid_request_error", "", "", "no ZDR providers", false},
		"vLLM":                 {400, `{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}`, 400, "invalid_request_error", "", "", "too long", false},
		"vLLM, too long":       {400, `{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","param":null,"code":400}`, 400, "invalid_request_error", "context_length_exceeded", "messages", "This model's maximum context length is 4096 tokens.", false},
		"a router's Claude":    {400, `{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum","type":"invalid_request_error"}}`, 400, "invalid_request_error", "context_length_exceeded", "messages", "prompt is too long: 210000 tokens > 200000 maximum", false},
		"Vercel, no model":     {404, `{"error":{"message":"Model 'x' is unknown","type":"model_not_found"}}`, 404, "invalid_request_error", "model_not_found", "model", "Model 'x' is unknown", false},
		"Morph, no model":      {404, `{"error":{"message":"Model x not found","type":"invalid_request_error","code":404}}`, 404, "invalid_request_error", "model_not_found", "model", "Model x not found", false},
		"a list":               {400, `[{"error":{"code":400,"message":"Bad request","status":"INVALID_ARGUMENT"}}]`, 400, "invalid_request_error", "", "", "Bad request", false},
		"200, too long":        {200, `{"error":{"message":"maximum context length","code":400}}`, 400, "invalid_request_error", "context_length_exceeded", "messages", "maximum context length", false},
		"Perplexity, too long": {400, `{"error":{"message":"The total length of all messages is too long.","type":"too_many_prompt_tokens","code":400}}`, 400, "invalid_request_error", "context_length_exceeded", "messages", "The total length of all messages is too long.", false},
		"FastAPI":              {422, `{"detail":"no such field"}`, 422, "invalid_request_error", "", "", "no such field", false},
		"our key":              {401, `{"error":{"message":"Incorrect API key provided: sk-abc***","code":"invalid_api_key","param":"x"}}`, 502, "api_error", "upstream_auth", "", "The upstream provider refused the gateway's credential.", true},
		"our key, a page":      {403, `<html>`, 502, "api_error", "upstream_auth", "", "The upstream provider refused the gateway's credential.", true},
		"country":              {403, `{"error":{"code":"unsupported_country_region_territory","message":"Country not supported","type":"request_forbidden"}}`, 403, "permission_error", "unsupported_country_region_territory", "", "Country not supported", false},
		"their bill":           {402, `{"error":{"message":"Payment due"}}`, 429, "insufficient_quota", "insufficient_quota", "", "The upstream provider's quota is used up: Payment due", true},
		"quota":                {429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`, 429, "insufficient_quota", "insufficient_quota", "", "The upstream provider's quota is used up: You exceeded your current quota", true},
		"model":                {404, `{"error":{"message":"The model does not exist","type":"invalid_request_error","code":"model_not_found"}}`, 404, "invalid_request_error", "model_not_found", "", "The model does not exist", false},
		"wrong address":        {404, `404 page not found`, 502, "api_error", "upstream_invalid_response", "", "The upstream provider's answer is not one of its protocol.", true},
		"timeout":              {408, `{}`, 504, "api_error", "upstream_timeout", "", "The upstream provider did not answer in time.", true},
		"conflict":             {409, `{"error":{"message":"busy"}}`, 409, "invalid_request_error", "conflict", "", "busy", true},
		"too large":            {413, `<html>nginx`, 413, "invalid_request_error", "request_too_large", "", "The request is too large for the upstream provider.", false},
		"limit":                {429, `{"error":{"message":"slow","type":"tokens","code":"rate_limit_exceeded"}}`, 429, "rate_limit_error", "rate_limit_exceeded", "", "slow", true},
		"limit, number":        {429, `{"error":{"code":429,"message":"Provider returned error"}}`, 429, "rate_limit_error", "rate_limit_exceeded", "", "Provider returned error", true},
		"server":               {500, `{"error":{"message":"in org-abcdefgh123 with secret-credential","type":"server_error","code":"server_error"}}`, 502, "api_error", "server_error", "", "in [redacted] with [redacted]", true},
		"server, a page":       {500, `<html>`, 502, "api_error", "upstream_error", "", "The upstream provider failed.", true},
		"unavailable":          {503, ``, 503, "overloaded_error", "upstream_overloaded", "", "The upstream provider is overloaded.", true},
		"overloaded":           {529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, 503, "overloaded_error", "upstream_overloaded", "", "Overloaded", true},
		"gateway timeout":      {504, `<html>`, 504, "api_error", "upstream_timeout", "", "The upstream provider did not answer in time.", true},
		"200 with error":       {200, `{"error":{"message":"Provider returned error","code":400}}`, 400, "invalid_request_error", "", "", "Provider returned error", false},
		"Vercel's wrapper":     {400, `{"error":{"message":"Bad","type":"AI_APICallError","statusCode":400,"responseBody":"{\"error\":{\"message\":\"inner\",\"code\":\"content_policy\"}}"}}`, 400, "invalid_request_error", "content_policy", "", "Bad", false},
		"Vercel's, a 200":      {200, `{"error":{"type":"AI_APICallError","statusCode":429,"responseBody":"{\"error\":{\"message\":\"slow\"}}"}}`, 429, "rate_limit_error", "rate_limit_exceeded", "", "slow", true},
		"Vercel's, not JSON":   {502, `{"error":{"message":"x","type":"AI_APICallError","responseBody":"<html>"}}`, 502, "api_error", "upstream_error", "", "x", true},
		"Vercel, an array":     {400, `{"error":{"message":"Invalid input","type":"invalid_request_error","param":[{"code":"invalid_union"}]}}`, 400, "invalid_request_error", "", "", "Invalid input", false},
		"200, no code":         {200, `{"error":{"message":"x"}}`, 502, "api_error", "upstream_error", "", "x", true},
	} {
		t.Run(name, func(t *testing.T) {
			kind := "application/json"
			if strings.HasPrefix(c.body, "<") {
				kind = "text/html"
			}
			base := answer(t, c.status, kind, c.body)
			for _, stream := range []bool{false, true} {
				body := plainBody
				if stream {
					body = streamBody
				}
				_, err := newUpstream(t).Do(context.Background(), call(t, base, body, stream))
				e := chatError(t, err)
				if e.Status != c.want || e.Type != c.kind || e.Code != c.code || e.Param != c.param || e.Message != c.message || e.Fallback != c.fallback {
					t.Errorf("stream %v: got %d %q %q %q %q, fallback %v", stream, e.Status, e.Type, e.Code, e.Param, e.Message, e.Fallback)
				}
				if strings.Contains(e.Error(), "secret-credential") || strings.Contains(e.Error(), "sk-abc") {
					t.Errorf("a secret in %q", e.Error())
				}
			}
		})
	}
}

func TestRetryAfterOf429(t *testing.T) {
	base := answer(t, 429, "application/json", `{"error":{"message":"slow"}}`, "Retry-After", "2")
	_, err := newUpstream(t).Do(context.Background(), call(t, base, streamBody, true))
	if e := chatError(t, err); e.RetryAfter != 2*time.Second {
		t.Errorf("got %v", e.RetryAfter)
	}
}
