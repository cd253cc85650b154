package provider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// call is one call being answered.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	q      request
	ask    Ask
	log    *Log
	stops  bool
	record *Served
}

type object map[string]any

// tokens is how long the answer gets, and why it ends.
func (c *call) tokens() (n int64, finish string) {
	most := c.q.MaxTokens
	if c.q.MaxCompletionTokens > 0 {
		most = c.q.MaxCompletionTokens
	}
	if most > 0 && c.ask.Output > most {
		return most, "length"
	}
	return c.ask.Output, "stop"
}

// bill records what the call costs so far.
func (c *call) bill(output, sent int64) {
	c.log.change(func() {
		c.record.Billed, c.record.Input, c.record.Output, c.record.Sent = true, c.ask.Input, output, sent
	})
}

func (c *call) answer(fails bool) {
	if fails {
		c.w.Header().Set("Content-Type", "application/json")
		c.w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(c.w, `{"error":{"message":"chaos","type":"server_error"}}`) // whoever is gone does not hear it
		return
	}
	n, finish := c.tokens()
	if c.q.Stream {
		c.stream(n, finish)
		return
	}
	c.wait(c.ask.First) // a unary answer is written, and billed, whether or not its caller waits for it
	if n > 0 {
		c.bill(n, n)
	}
	body := c.head("chat.completion")
	body["choices"] = []any{object{"index": 0, "message": object{"role": "assistant", "content": text(n)}, "finish_reason": finish}}
	body["usage"] = c.usage(n)
	c.w.Header().Set("Content-Type", "application/json")
	b, _ := json.Marshal(body) // texts and numbers always marshal
	_, err := c.w.Write(b)
	c.log.change(func() { c.record.Reported, c.record.Whole = err == nil, err == nil })
}

// stream writes an answer in chunks; the first event has only the role.
func (c *call) stream(n int64, finish string) {
	full := func(sent int64) int64 { // what is billed where so much was sent
		if c.stops {
			return sent
		}
		return n
	}
	c.w.Header().Set("Content-Type", "text/event-stream")
	gone := !c.wait(c.ask.First) || !c.delta(object{"role": "assistant", "content": ""}, nil)
	sent := int64(0)
	for i := range int64(max(1, c.ask.Chunks)) {
		part := n*(i+1)/int64(max(1, c.ask.Chunks)) - sent
		if gone || part > 0 && i > 0 && !c.wait(c.ask.Interval) {
			gone = true
			break
		}
		if part == 0 {
			continue
		}
		if c.ask.Breaks && i >= int64(c.ask.Chunks)/2 && i > 0 {
			c.bill(sent, sent) // no more than what it has written
			c.event(object{"error": object{"message": "chaos in the stream", "type": "server_error"}})
			return
		}
		sent += part
		c.bill(full(sent), sent) // before it leaves: what is read is billed
		gone = !c.delta(object{"content": text(part)}, nil)
	}
	if n > 0 && !c.stops {
		c.bill(n, sent)
	}
	if gone || !c.delta(object{}, finish) {
		return
	}
	if c.q.StreamOptions.IncludeUsage {
		last := c.head("chat.completion.chunk")
		last["choices"], last["usage"] = []any{}, c.usage(n)
		c.log.change(func() { c.record.Reported = true }) // before it is read
		if !c.event(last) {
			return
		}
	}
	_, err := io.WriteString(c.w, "data: [DONE]\n\n")
	c.log.change(func() { c.record.Whole = err == nil })
}

func (c *call) head(kind string) object {
	return object{"id": c.record.ID, "object": kind, "created": 1_700_000_000, "model": c.q.Model, "choices": []any{}}
}

func (c *call) usage(output int64) object {
	return object{"prompt_tokens": c.ask.Input, "completion_tokens": output, "total_tokens": c.ask.Input + output}
}

func (c *call) delta(delta object, finish any) bool {
	out := c.head("chat.completion.chunk")
	out["choices"] = []any{object{"index": 0, "delta": delta, "finish_reason": finish}}
	return c.event(out)
}

// event writes an event at once; false: the caller is gone.
func (c *call) event(v object) bool {
	b, _ := json.Marshal(v) // texts and numbers always marshal
	if _, err := fmt.Fprintf(c.w, "data: %s\n\n", b); err != nil {
		return false
	}
	return http.NewResponseController(c.w).Flush() == nil && c.r.Context().Err() == nil
}

// wait pauses for milliseconds; false: the caller went.
func (c *call) wait(ms int64) bool {
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-c.r.Context().Done():
		return false
	case <-timer.C:
		return true
	}
}

// text is so many tokens.
func text(tokens int64) string { return strings.Repeat("abc ", int(tokens)) }
