package openai

import (
	"bytes"
	"net/http"
	"regexp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// refusal reads an answer that is not 200.
func refusal(a *transport.Answer) *chat.Error {
	var r transport.Report
	body := single(a.Refused())
	if fields, err := jsonscan.Scan(body); err == nil {
		r = report(body, fields)
	}
	if a.Status == http.StatusNotFound && (r.Code == "" || r.Status != 0) && noModel.MatchString(r.Message) {
		r.Code, r.Param, r.Status = "model_not_found", "model", 0
	}
	return a.Refusal(a.Status, r)
}

// single is the error in a list of one, which Google's compatible endpoint answers with.
func single(body []byte) []byte {
	body = bytes.TrimSpace(body)
	if n := len(body); n > 1 && body[0] == '[' && body[n-1] == ']' {
		return bytes.TrimSpace(body[1 : n-1])
	}
	return body
}

var (
	// noModel and tooLong are what those say that have no code for it: Vercel AI Gateway and Morph; vLLM, and Anthropic's and
	// Google's APIs behind a router.
	noModel = regexp.MustCompile(`(?i)\bmodel\b.*(?:not found|(?:does|do) not exist)`)
	tooLong = regexp.MustCompile(`(?i)maximum context length|prompt is too long|input token count.*exceeds|exceeds? the (?:model'?s? )?(?:maximum )?context (?:length|window|limit)`)
)

// codes are OpenAI's codes that others have for types, with their parameters.
var codes = map[string]string{"model_not_found": "model", "context_length_exceeded": "messages"}

// types are what others say for types that have a code: Perplexity.
var types = map[string]string{"too_many_prompt_tokens": "context_length_exceeded"}

// code gives an error OpenAI's code where it has none but says what it is.
func code(r *transport.Report) {
	if r.Code != "" && r.Status == 0 {
		return
	}
	kind := r.Type
	if known := types[kind]; known != "" {
		kind = known
	}
	if tooLong.MatchString(r.Message) {
		kind = "context_length_exceeded"
	}
	if param := codes[kind]; param != "" {
		r.Code, r.Param, r.Status = kind, param, 0
	}
}

// report reads an error. Vercel AI Gateway tells what its provider answered as the AI SDK does, an AI_APICallError with
// statusCode and, as text, responseBody: then the provider's own words count where the wrapper has none.
func report(body []byte, fields jsonscan.Object) transport.Report {
	r := transport.ReadReport(body, fields)
	inner := fields.Value(body, "error")
	if r.Type == "AI_APICallError" {
		r.Type = ""
	}
	said, _ := jsonscan.String(jsonscan.Field(inner, "responseBody"))
	if told, err := jsonscan.Scan([]byte(said)); err == nil {
		theirs := transport.ReadReport([]byte(said), told)
		if r.Message == "" {
			r.Message = theirs.Message
		}
		if r.Code == "" && r.Type == "" {
			r.Code, r.Type, r.Param, r.Status = theirs.Code, theirs.Type, theirs.Param, theirs.Status
		}
	}
	status, ok := jsonscan.Int(jsonscan.Field(inner, "statusCode"))
	if ok && r.Code == "" && status >= 400 && status < 600 {
		r.Status = int(status)
	}
	code(&r)
	return r
}
