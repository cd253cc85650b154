package openai

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// refusal reads an answer that is not 200.
func refusal(a *transport.Answer) *chat.Error {
	var r transport.Report
	body := a.Refused()
	if fields, err := jsonscan.Scan(body); err == nil {
		r = report(body, fields)
	}
	return a.Refusal(a.Status, r)
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
	return r
}
