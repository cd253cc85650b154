package mockprovider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// geminiDialect is Gemini's generateContent and streamGenerateContent.
type geminiDialect struct{}

func (geminiDialect) ids() string { return "mock%06d" }

// signing are the models that sign their calls and want the signatures back; they also number their calls.
var signing = regexp.MustCompile(`gemini-(?:[3-9]|(?:pro|flash)-latest)`)

// geminiStatuses are the names of errors by status.
var geminiStatuses = map[int]string{
	400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
	499: "CANCELLED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}

func (geminiDialect) failure(_ http.Header, _ string, f failure) any {
	status := f.kind
	if status == "" {
		status = geminiStatuses[f.status]
	}
	if status == "" {
		status = "UNKNOWN"
	}
	out := object{"code": f.status, "message": f.message, "status": status}
	var details []any
	if f.reason != "" {
		details = append(details, object{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": f.reason, "domain": "googleapis.com",
			"metadata": object{"service": "generativelanguage.googleapis.com"}})
	}
	if _, err := strconv.ParseFloat(f.retryAfter, 64); err == nil {
		details = append(details, object{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f.retryAfter + "s"})
	}
	if details != nil {
		out["details"] = details
	}
	return object{"error": out}
}

func (d geminiDialect) broken(e *exchange, f failure) string {
	body, _ := json.MarshalIndent(d.failure(http.Header{}, e.served.ID, f), "", "  ")
	return string(body) + "\n"
}

// usage tells thoughts apart from the candidates' tokens.
func (geminiDialect) usage(u Usage, last bool) object {
	out := object{
		"promptTokenCount": u.Prompt, "totalTokenCount": u.Prompt, "serviceTier": "standard",
		"promptTokensDetails": []any{object{"modality": "TEXT", "tokenCount": u.Prompt}},
	}
	if u.Cached > 0 {
		out["cachedContentTokenCount"] = u.Cached
		out["cacheTokensDetails"] = []any{object{"modality": "TEXT", "tokenCount": u.Cached}}
	}
	if last {
		out["candidatesTokenCount"], out["totalTokenCount"] = u.Completion-u.Reasoning, u.Prompt+u.Completion
		if u.Reasoning > 0 {
			out["thoughtsTokenCount"] = u.Reasoning
		}
	}
	return out
}

// finish is the reason of an answer's end; calls have none of their own.
func (geminiDialect) finish(e *exchange) string {
	switch e.script.finish {
	case "length":
		return "MAX_TOKENS"
	case "filter":
		return "SAFETY"
	}
	return "STOP"
}

// parts are the answer's. The first call of a signing model is signed, or else its text.
func (geminiDialect) parts(e *exchange) (out []object) {
	signed := !signing.MatchString(e.in.Model)
	for _, p := range e.parts() {
		switch p.kind {
		case kindThought:
			if e.in.ThinkText && p.text != "" {
				out = append(out, object{"text": p.text, "thought": true})
			}
			continue
		case kindText:
			part := object{"text": p.text}
			if !signed {
				part["thoughtSignature"] = sign("text", "")
			}
			out = append(out, part)
		case kindCall:
			call := object{"name": p.tool.Name, "args": json.RawMessage(p.arguments)}
			part := object{"functionCall": call}
			if signing.MatchString(e.in.Model) {
				call["id"] = "mock_" + p.id
			}
			if !signed {
				part["thoughtSignature"] = sign("call", p.tool.Name)
			}
			out = append(out, part)
		}
		signed = true
	}
	return out
}

func (d geminiDialect) chunk(e *exchange, parts []object, finish string, index int) object {
	candidate := object{"index": index}
	if parts != nil {
		candidate["content"] = object{"parts": parts, "role": "model"}
	}
	if finish != "" {
		candidate["finishReason"] = finish
	}
	out := object{"candidates": []any{candidate}, "modelVersion": e.in.Model, "responseId": e.served.ID}
	if !e.script.noUsage {
		out["usageMetadata"] = d.usage(e.usage(), finish != "")
	}
	return out
}

func (d geminiDialect) unary(e *exchange) any {
	out := d.chunk(e, d.parts(e), d.finish(e), 0)
	if len(e.calls()) > 0 {
		out["candidates"].([]any)[0].(object)["finishMessage"] = "Model generated function call(s)."
	}
	for i := 1; i < e.in.N; i++ {
		more := d.chunk(e, d.parts(e), d.finish(e), i)
		out["candidates"] = append(out["candidates"].([]any), more["candidates"].([]any)...)
	}
	return out
}

// events are chunks of whole parts, but for texts, which are cut and sign in the last chunk.
func (d geminiDialect) events(e *exchange) []event {
	var out []event
	add := func(parts []object, finish string) {
		text := "data: " + string(encode(d.chunk(e, parts, finish, 0))) + "\r\n\r\n"
		out = append(out, event{text: text, content: finish == ""})
	}
	last := object{"text": ""}
	for _, p := range d.parts(e) {
		text, _ := p["text"].(string)
		if p["functionCall"] != nil || p["thought"] != nil {
			add([]object{p}, "")
			continue
		}
		if s, ok := p["thoughtSignature"]; ok {
			last["thoughtSignature"] = s
		}
		for _, piece := range pieces(text, e.script.chunks) {
			add([]object{{"text": piece}}, "")
		}
	}
	add([]object{last}, d.finish(e))
	return out
}

// call reads what is called from the path: MODEL:METHOD.
func (geminiDialect) call(r *http.Request) (model, method string, f *failure) {
	model, method, _ = strings.Cut(r.PathValue("call"), ":")
	if method != "generateContent" && method != "streamGenerateContent" {
		return "", "", &failure{status: http.StatusNotFound, message: fmt.Sprintf(
			"models/%s is not found for API version v1beta, or is not supported for %s.", model, method)}
	}
	return model, method, nil
}
