package perplexity

import (
	"net/http"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// refusal reads an answer that is not 200. The code is a number that repeats the status; a bad key may be answered with an
// HTML page of what stands before the API.
func refusal(a *transport.Answer) *chat.Error {
	body := a.Refused()
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return a.Refusal(a.Status, transport.Report{})
	}
	r := transport.ReadReport(body, fields)
	if r.Message == "" {
		r.Message = details(fields.Value(body, "detail"))
	}
	return explain(a, r)
}

// explain gives Perplexity's own types of errors OpenAI's codes.
func explain(a *transport.Answer, r transport.Report) *chat.Error {
	status := a.Status
	switch r.Type {
	case "too_many_prompt_tokens":
		r.Code, r.Status, r.Param = "context_length_exceeded", 0, "messages"
	case "invalid_model":
		r.Code, r.Status, r.Param = "model_not_found", 0, "model"
	case "chat_completions_not_available", "agent_api_migration_required":
		// Nothing that the client asked: the Provider's address leads to what is gone.
		status = http.StatusBadGateway
	}
	if r.Code == "agent_api_migration_required" {
		status = http.StatusBadGateway
	}
	return a.Refusal(status, r)
}

// details are the messages of FastAPI's refusals, {"detail":[{"msg"}]}.
func details(raw []byte) string {
	var all []string
	for d := range jsonscan.Elements(raw) {
		if s, ok := jsonscan.String(jsonscan.Field(d, "msg")); ok {
			all = append(all, s)
		}
	}
	return strings.Join(all, "; ")
}
