package mockprovider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// exchange is one request being answered.
type exchange struct {
	w      http.ResponseWriter
	ctx    context.Context
	in     request
	script script
	served Served
}

func (e *exchange) answer() {
	if e.script.hang {
		<-e.ctx.Done()
		return
	}
	if !e.wait(e.script.delay) {
		return
	}
	switch {
	case e.script.html:
		e.write(max(e.script.status, http.StatusOK), "text/html; charset=utf-8", "<!DOCTYPE html><html><body>mock page</body></html>")
	case e.script.garbage:
		e.write(http.StatusOK, "application/json", "mock garbage")
	case e.script.status >= 300:
		e.failAsAsked()
	case e.in.Stream:
		e.stream()
	default:
		e.unary()
	}
}

// wait pauses; false: the caller went.
func (e *exchange) wait(d time.Duration) bool {
	if d <= 0 {
		return e.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-e.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (e *exchange) write(status int, contentType, body string) {
	e.served.Status = status
	e.w.Header().Set("Content-Type", contentType)
	e.w.WriteHeader(status)
	_, err := io.WriteString(e.w, body)
	e.served.Complete = err == nil
}

func (e *exchange) failAsAsked() {
	kind := "invalid_request_error"
	switch {
	case e.script.status == http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case e.script.status >= 500:
		kind = "server_error"
	}
	message := e.script.message
	if message == "" {
		message = fmt.Sprintf("mock error %d", e.script.status)
	}
	if e.script.retryAfter != "" {
		e.w.Header().Set("Retry-After", e.script.retryAfter)
	}
	e.fail(e.script.status, kind, e.script.code, message)
}

func (e *exchange) fail(status int, kind, code, message string) {
	e.write(status, "application/json", string(encode(errorObject(kind, code, message))))
}

func errorObject(kind, code, message string) map[string]any {
	inner := map[string]any{"message": message, "type": kind, "param": nil, "code": nil}
	if code != "" {
		inner["code"] = code
	}
	return map[string]any{"error": inner}
}

// text is the answer in words.
func (e *exchange) text() string {
	switch {
	case e.script.empty:
		return ""
	case e.script.text != "":
		return e.script.text
	}
	return "You said: " + e.in.prompt()
}

// toolName is the tool to call; empty: none.
func (e *exchange) toolName() string {
	if !e.script.tool {
		return ""
	}
	if len(e.in.Tools) > 0 && e.in.Tools[0].Function.Name != "" {
		return e.in.Tools[0].Function.Name
	}
	return "lookup"
}

const toolArguments = `{"query":"mock"}`

// usage is what the answer costs: as scripted, else a token for each four bytes.
func (e *exchange) usage() Usage {
	if e.script.usage != nil {
		return *e.script.usage
	}
	size := len(e.text())
	if name := e.toolName(); name != "" {
		size = len(name) + len(toolArguments)
	}
	return Usage{Prompt: tokens(len(e.in.prompt())) + 3, Completion: int64(max(1, e.in.N)) * tokens(size)}
}

func tokens(size int) int64 { return int64((size + 3) / 4) }

func (u Usage) object() map[string]any {
	return map[string]any{
		"prompt_tokens": u.Prompt, "completion_tokens": u.Completion, "total_tokens": u.Prompt + u.Completion,
		"prompt_tokens_details":     map[string]any{"cached_tokens": u.Cached},
		"completion_tokens_details": map[string]any{"reasoning_tokens": 0},
	}
}

func (e *exchange) object(kind string) map[string]any {
	return map[string]any{"id": e.served.ID, "object": kind, "created": created, "model": e.in.Model, "system_fingerprint": "fp_mock", "choices": []any{}}
}

func (e *exchange) unary() {
	message := map[string]any{"role": "assistant", "content": e.text(), "refusal": nil}
	finish := "stop"
	if name := e.toolName(); name != "" {
		message["content"], finish = nil, "tool_calls"
		message["tool_calls"] = []any{map[string]any{"id": "call_mock", "type": "function", "function": map[string]any{"name": name, "arguments": toolArguments}}}
	}
	choices := []any{}
	for i := range max(1, e.in.N) {
		choices = append(choices, map[string]any{"index": i, "message": message, "logprobs": nil, "finish_reason": finish})
	}
	out := e.object("chat.completion")
	out["choices"] = choices
	usage := e.usage()
	e.served.Usage = &usage
	if !e.script.noUsage {
		out["usage"] = usage.object()
	}
	body := string(encode(out))
	if e.script.disconnect >= 0 {
		e.w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		e.write(http.StatusOK, "application/json", body[:len(body)/2])
		e.served.Complete = false
		return
	}
	e.write(http.StatusOK, "application/json", body)
	e.served.Reported = !e.script.noUsage && e.served.Complete
}

// deltas are the chunks of one choice's answer.
func (e *exchange) deltas() []map[string]any {
	if name := e.toolName(); name != "" {
		call := func(more map[string]any, function map[string]any) map[string]any {
			more["index"], more["function"] = 0, function
			return map[string]any{"tool_calls": []any{more}}
		}
		return []map[string]any{
			call(map[string]any{"id": "call_mock", "type": "function"}, map[string]any{"name": name, "arguments": ""}),
			call(map[string]any{}, map[string]any{"arguments": toolArguments[:8]}),
			call(map[string]any{}, map[string]any{"arguments": toolArguments[8:]}),
		}
	}
	var out []map[string]any
	for _, piece := range pieces(e.text(), e.script.chunks) {
		out = append(out, map[string]any{"content": piece})
	}
	return out
}

// pieces cuts a text into n pieces, or into words; fewer where it has fewer characters.
func pieces(text string, n int) []string {
	if text == "" {
		return nil
	}
	if n <= 0 {
		return strings.SplitAfter(text, " ")
	}
	runes := []rune(text)
	n = min(n, len(runes))
	var out []string
	for i := range n {
		out = append(out, string(runes[i*len(runes)/n:(i+1)*len(runes)/n]))
	}
	return out
}
