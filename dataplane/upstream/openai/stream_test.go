package openai

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/pricing"
)

func lines(data ...string) string {
	return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n"
}

const (
	roleChunk  = `{"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null}`
	textChunk  = `{"id":"c1","choices":[{"index":0,"delta":{"content":"hé"},"finish_reason":null}]}`
	endChunk   = `{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	usageChunk = `{"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`
)

func TestStream(t *testing.T) {
	reported := &pricing.Usage{Input: 3, Output: 1}
	for name, c := range map[string]struct {
		in   string
		want collected
	}{
		"usual":               {lines(roleChunk, textChunk, endChunk, usageChunk, "[DONE]"), collected{usage: reported, usageOnly: 1, content: 1, outputBytes: 3, id: "c1", done: true}},
		"comments":            {": PROCESSING\n\n" + lines(textChunk, endChunk, "[DONE]"), collected{content: 1, outputBytes: 3, id: "c1", done: true}},
		"white space":         {"data:  \n\n" + lines(textChunk, endChunk, " [DONE] "), collected{content: 1, outputBytes: 3, id: "c1", done: true}},
		"no marker":           {lines(textChunk, endChunk, usageChunk), collected{usage: reported, usageOnly: 1, content: 1, outputBytes: 3, id: "c1"}},
		"usage with choices":  {lines(`{"choices":[{"index":0,"delta":{"reasoning":"ab"},"finish_reason":"stop"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}`), collected{usage: &pricing.Usage{}, content: 1, outputBytes: 2}},
		"tool call":           {lines(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"arguments":""}}]},"finish_reason":"tool_calls"}]}`, "[DONE]"), collected{content: 1, done: true}},
		"refusal":             {lines(`{"choices":[{"index":0,"delta":{"refusal":"no"}}]}`, "[DONE]"), collected{content: 1, outputBytes: 2, done: true}},
		"reasoning twice":     {lines(`{"choices":[{"delta":{"reasoning":"abc","reasoning_details":[{"text":"abc"}]}}]}`, "[DONE]"), collected{content: 1, outputBytes: 3, done: true}},
		"prompt filter first": {lines(`{"choices":[],"prompt_filter_results":[]}`, textChunk, endChunk), collected{content: 1, outputBytes: 3, id: "c1"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.raw = c.in
			got, err := streamFrom(t, strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(collected{})); d != "" {
				t.Error(d)
			}
			slow, err := streamFrom(t, iotest.OneByteReader(strings.NewReader(c.in)))
			if d := cmp.Diff(got, slow, cmp.AllowUnexported(collected{})); d != "" || err != nil {
				t.Error("a byte at a time:", d, err)
			}
		})
	}
}

func TestStreamFails(t *testing.T) {
	for name, c := range map[string]struct {
		in      io.Reader
		status  int
		code    string
		content int
	}{
		"empty":             {strings.NewReader(""), 502, "upstream_incomplete", 0},
		"comments only":     {strings.NewReader(": ping\n\n"), 502, "upstream_incomplete", 0},
		"no finish":         {strings.NewReader(lines(textChunk)), 502, "upstream_incomplete", 1},
		"no reason":         {strings.NewReader(lines(`{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":""}]}`)), 502, "upstream_incomplete", 1},
		"one of two open":   {strings.NewReader(lines(endChunk, `{"choices":[{"index":1,"delta":{"content":"x"}}]}`)), 502, "upstream_incomplete", 1},
		"cut in an event":   {strings.NewReader(lines(textChunk) + `data: {"choices":[{"in`), 502, "upstream_incomplete", 1},
		"connection lost":   {io.MultiReader(strings.NewReader(lines(textChunk)+"data: {"), iotest.ErrReader(io.ErrUnexpectedEOF)), 502, "upstream_incomplete", 1},
		"garbage":           {strings.NewReader(lines(textChunk, "garbage")), 502, "upstream_invalid_response", 1},
		"error first":       {strings.NewReader(": x\n\n" + lines(`{"error":{"message":"slow down","type":"rate_limit_error"}}`)), 429, "rate_limit_exceeded", 0},
		"error, named":      {strings.NewReader("event: error\ndata: {\"message\":\"no\",\"code\":503}\n\n"), 503, "upstream_overloaded", 0},
		"error of vLLM's":   {strings.NewReader(lines(`{"object":"error","message":"busy","type":"ServiceUnavailableError","code":503}`, "[DONE]")), 503, "upstream_overloaded", 0},
		"error with status": {strings.NewReader(lines(`{"choices":[],"error":{"message":"bad","code":400}}`)), 400, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := streamFrom(t, c.in)
			e := chatError(t, err)
			if e.Status != c.status || e.Code != c.code || got.content != c.content {
				t.Errorf("got %d %q after %d events with content: %+v", e.Status, e.Code, got.content, e)
			}
		})
	}
}

// After the first event an error is an event: the caller knows what it has sent already.
func TestStreamErrorLater(t *testing.T) {
	in := lines(textChunk, `{"error":{"message":"key sk-abcdefgh12345 failed","type":"server_error"}}`)
	got, err := streamFrom(t, strings.NewReader(in))
	if e := chatError(t, err); e.Code != "upstream_incomplete" {
		t.Errorf("got %+v at the end", e)
	}
	if got.inStream == nil || got.inStream.Status != 502 || got.inStream.Message != "key [redacted] failed" {
		t.Errorf("got %+v", got.inStream)
	}
}

func TestStreamEndsAtItsMarker(t *testing.T) {
	in := lines(endChunk, "[DONE]") + "data: more\n\n"
	got, err := streamFrom(t, strings.NewReader(in))
	if err != nil || !got.done || strings.Contains(got.raw, "more") {
		t.Errorf("got %q, %v", got.raw, err)
	}
}

func TestStreamTooLong(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("data: "), endlessReader{})
	_, err := streamFrom(t, endless)
	var e = chatError(t, err)
	if e.Code != "upstream_invalid_response" || errors.Unwrap(e) == nil {
		t.Errorf("got %+v", e)
	}
}

type endlessReader struct{}

func (endlessReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}
