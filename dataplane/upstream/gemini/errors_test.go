package gemini

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestErrors(t *testing.T) {
	const retry = `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"48s"}`
	reason := func(s string) string {
		return `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"` + s + `"}`
	}
	for name, c := range map[string]struct {
		status                 int
		word, message, details string
		want                   int
		kind, code, param      string
		after                  time.Duration
		fallback               bool
	}{
		"bad argument":    {400, "INVALID_ARGUMENT", "no such field", "", 400, "invalid_request_error", "", "", 0, false},
		"bad key":         {400, "INVALID_ARGUMENT", "API key not valid.", reason("API_KEY_INVALID"), 502, "api_error", "upstream_auth", "", 0, true},
		"expired key":     {400, "INVALID_ARGUMENT", "API key expired.", reason("API_KEY_INVALID"), 502, "api_error", "upstream_auth", "", 0, true},
		"leaked key":      {403, "PERMISSION_DENIED", "Your API key was reported as leaked.", "", 502, "api_error", "upstream_auth", "", 0, true},
		"API not enabled": {403, "PERMISSION_DENIED", "Generative Language API has not been used.", reason("SERVICE_DISABLED"), 502, "api_error", "upstream_auth", "", 0, true},
		"token":           {401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", "", 502, "api_error", "upstream_auth", "", 0, true},
		"not allowed":     {403, "PERMISSION_DENIED", "You do not have permission to access the file.", "", 403, "permission_error", "", "", 0, false},
		"wrong place":     {400, "FAILED_PRECONDITION", "User location is not supported for the API use.", "", 403, "permission_error", "unsupported_country", "", 0, true},
		"too many tokens": {400, "INVALID_ARGUMENT", "The input token count (12) exceeds the maximum number of tokens allowed (10).", "", 400, "invalid_request_error", "context_length_exceeded", "messages", 0, false},
		"too many bytes":  {400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", "", 413, "invalid_request_error", "request_too_large", "", 0, false},
		"no such model":   {404, "NOT_FOUND", "models/x is not found for API version v1beta", "", 404, "invalid_request_error", "model_not_found", "model", 0, false},
		"no model's name": {400, "INVALID_ARGUMENT", "* GenerateContentRequest.model: unexpected model name format", "", 404, "invalid_request_error", "model_not_found", "model", 0, false},
		"rate":            {429, "RESOURCE_EXHAUSTED", "Quota exceeded.", retry, 429, "rate_limit_error", "rate_limit_exceeded", "", 48 * time.Second, true},
		"rate in words":   {429, "RESOURCE_EXHAUSTED", "Quota exceeded. Please retry in 3.5s.", "", 429, "rate_limit_error", "rate_limit_exceeded", "", 3500 * time.Millisecond, true},
		"a long time":     {429, "RESOURCE_EXHAUSTED", "Quota exceeded.", `{"retryDelay":"9999999s"}`, 429, "rate_limit_error", "rate_limit_exceeded", "", maxDelay, true},
		"no time":         {429, "RESOURCE_EXHAUSTED", "Quota exceeded.", `{"retryDelay":"soon"},{"retryDelay":"-4s"},7,{"reason":1}`, 429, "rate_limit_error", "rate_limit_exceeded", "", 0, true},
		"no credit":       {429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", "", 429, "insufficient_quota", "insufficient_quota", "", 0, true},
		"overloaded":      {503, "UNAVAILABLE", "The model is overloaded.", retry, 503, "overloaded_error", "upstream_overloaded", "", 48 * time.Second, true},
		"broken":          {500, "INTERNAL", "An internal error has occurred.", retry, 502, "api_error", "upstream_error", "", 0, true},
		"late":            {504, "DEADLINE_EXCEEDED", "Deadline expired.", "", 504, "api_error", "upstream_timeout", "", 0, true},
		"cancelled":       {499, "CANCELLED", "The operation was cancelled.", "", 502, "api_error", "upstream_error", "", 0, true},
		"aborted":         {409, "ABORTED", "Concurrent.", "", 503, "overloaded_error", "upstream_overloaded", "", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			body := fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q,"details":[%s]}}`, c.status, c.message, c.word, c.details)
			check := func(how string, err error) {
				t.Helper()
				e := chatError(t, err)
				if e.Status != c.want || e.Type != c.kind || e.Code != c.code || e.Param != c.param || e.RetryAfter != c.after || e.Fallback != c.fallback {
					t.Errorf("%s: got %+v", how, e)
				}
			}
			for how, form := range map[string]string{"plain": body, "in a list": "[" + body + "\n]", "as an event": "data: " + body + "\n\n"} {
				for _, stream := range []bool{false, true} {
					_, err := newUpstream(t).Do(context.Background(), call(answer(t, c.status, "text/event-stream", form), third35, hello(), stream))
					check(how, err)
				}
			}
			_, err := ask(t, body)
			check("in a good answer", err)
			_, err = streamText("data: " + body + "\n\n")
			check("in a stream", err)
			_, err = streamText("data: " + fmt.Sprintf(`{"error":{"message":%q,"status":%q,"details":[%s]}}`, c.message, c.word, c.details) + "\n\n")
			check("without a code", err)
		})
	}
}

// What is no error of the API is no answer.
func TestPages(t *testing.T) {
	for _, c := range []struct {
		status      int
		contentType string
		body        string
		want        int
		code        string
	}{
		{404, "text/html", "<html>Not Found</html>", 502, "upstream_invalid_response"},
		{404, "application/json", `{"message":"no route"}`, 502, "upstream_invalid_response"},
		{404, "application/json", `[]`, 502, "upstream_invalid_response"},
		{502, "text/html", "<html>Bad Gateway</html>", 502, "upstream_error"},
		{403, "text/html", "<html>", 502, "upstream_auth"},
		{302, "text/html", "", 502, "upstream_invalid_response"},
		{200, "text/html", "<html>", 502, "upstream_invalid_response"},
		{200, "application/json", "", 502, "upstream_incomplete"},
		{200, "application/json", `{"candidates":[`, 502, "upstream_incomplete"},
		{200, "application/json", `[{"candidates":[`, 502, "upstream_incomplete"},
		{200, "application/json", `{"candidates":[]}`, 502, "upstream_invalid_response"},
		{200, "application/json", `[]`, 502, "upstream_invalid_response"},
		{200, "application/json", `{"candidates":7}x`, 502, "upstream_invalid_response"},
		{200, "application/json", `[7]`, 502, "upstream_invalid_response"},
		{200, "application/json", `{"error":"in words"}`, 502, "upstream_error"},
	} {
		for _, stream := range []bool{false, true} {
			resp, err := newUpstream(t).Do(context.Background(), call(answer(t, c.status, c.contentType, c.body), third35, hello(), stream))
			if err == nil && stream {
				_, err = collect(resp.Events)
			}
			// A stream without a candidate broke off.
			incomplete := stream && c.body == `{"candidates":[]}` && c.code != "upstream_incomplete"
			if e := chatError(t, err); e.Status != c.want || e.Code != c.code && !incomplete || !e.Fallback {
				t.Errorf("%d %q, stream %t: got %+v", c.status, c.body, stream, e)
			}
		}
	}
}

func TestTooManyCandidates(t *testing.T) {
	body := `{"candidates":[{"index":-1}`
	for i := range maxChoices {
		body += fmt.Sprintf(`,{"index":%d}`, i+1)
	}
	_, err := ask(t, body+`]}`)
	if e := chatError(t, err); e.Status != 502 {
		t.Errorf("got %+v", e)
	}
}
