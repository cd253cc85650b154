package anthropic

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// events writes a stream of Anthropic's: the type is the event's name too.
func events(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		kind := strings.Split(d, `"`)[3]
		b.WriteString("event: " + kind + "\ndata: " + d + "\n\n")
	}
	return b.String()
}

const (
	startEvent = `{"type":"message_start","message":{"id":"msg_1","model":"claude-x","content":[],"usage":{"input_tokens":10,"cache_creation_input_tokens":4,"cache_creation":{"ephemeral_1h_input_tokens":4},"output_tokens":1}}}`
	pingEvent  = `{"type":"ping"}`
	textStart  = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	textDelta  = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hé"}   }`
	blockStop  = `{"type":"content_block_stop","index":0}`
	endEvent   = `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9,"output_tokens_details":{"thinking_tokens":2}}}`
	stopEvent  = `{"type":"message_stop"}`
	overloaded = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
)

var streamUsage = &pricing.Usage{Input: 10, CacheWrite1h: 4, Output: 9, Reasoning: 2}

func TestStreamPasses(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want collected
	}{
		"usual":        {events(startEvent, pingEvent, textStart, textDelta, blockStop, endEvent, stopEvent), collected{usage: streamUsage, content: 1, outputBytes: 3, id: "msg_1", done: true}},
		"ping first":   {events(pingEvent, startEvent, textStart, textDelta, endEvent, stopEvent), collected{usage: streamUsage, content: 1, outputBytes: 3, id: "msg_1", done: true}},
		"CRLF":         {strings.ReplaceAll(events(startEvent, textDelta, endEvent, stopEvent), "\n", "\r\n"), collected{usage: streamUsage, content: 1, outputBytes: 3, id: "msg_1", done: true}},
		"comment":      {": hi\n\n" + events(textDelta, stopEvent), collected{content: 1, outputBytes: 3, done: true}},
		"white space":  {"data:  \n\n" + events(textDelta, stopEvent), collected{content: 1, outputBytes: 3, done: true}},
		"no names":     {"data: " + textDelta + "\n\ndata: " + stopEvent + "\n\n", collected{content: 1, outputBytes: 3, done: true}},
		"tool":         {events(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"now","input":{}}}`, `{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{}"}}`, stopEvent), collected{content: 2, outputBytes: 5, done: true}},
		"thinking":     {events(`{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"ab"}}`, `{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"s"}}`, stopEvent), collected{content: 2, outputBytes: 2, done: true}},
		"redacted":     {events(`{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"xyz"}}`, stopEvent), collected{content: 1, done: true}},
		"unknown kind": {events(`{"type":"something_new","text":"x"}`, stopEvent), collected{done: true}},
		"empty answer": {events(startEvent, endEvent, stopEvent), collected{usage: streamUsage, id: "msg_1", done: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c.want.raw = c.in
			got, err := passed(strings.NewReader(c.in))
			if d := cmp.Diff(c.want, got, exported); d != "" || err != nil {
				t.Error(d, err)
			}
			compareSplits(t, []byte(c.in), passed, got)
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
		"empty":           {strings.NewReader(""), 502, "upstream_incomplete", 0},
		"no message_stop": {strings.NewReader(events(startEvent, textDelta, endEvent)), 502, "upstream_incomplete", 1},
		"cut in an event": {strings.NewReader(events(textDelta) + `data: {"type":"mess`), 502, "upstream_incomplete", 1},
		"connection lost": {io.MultiReader(strings.NewReader(events(textDelta)), iotest.ErrReader(io.ErrUnexpectedEOF)), 502, "upstream_incomplete", 1},
		"garbage":         {strings.NewReader(events(textDelta) + "data: garbage\n\n"), 502, "upstream_invalid_response", 1},
		"error first":     {strings.NewReader(events(overloaded)), 503, "upstream_overloaded", 0},
		"error, no words": {strings.NewReader(events(startEvent, pingEvent, textStart, overloaded)), 503, "upstream_overloaded", 0},
		"too long":        {strings.NewReader(events(failure("invalid_request_error", "prompt is too long: 1 tokens > 0 maximum"))), 400, "context_length_exceeded", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := passed(c.in)
			if e := chatError(t, err); e.Status != c.status || e.Code != c.code || got.content != c.content {
				t.Errorf("got %+v after %d events with content", e, got.content)
			}
		})
	}
}

// After content an error is an event: the caller knows what it has sent already.
func TestStreamErrorLater(t *testing.T) {
	in := events(startEvent, textDelta, overloaded)
	for _, read := range []func() (collected, error){
		func() (collected, error) { return passed(strings.NewReader(in)) },
		func() (collected, error) { return decoded(strings.NewReader(in), reading{}) },
	} {
		got, err := read()
		if e := chatError(t, err); e.Code != "upstream_incomplete" {
			t.Errorf("got %+v at the end", e)
		}
		if got.inStream == nil || got.inStream.Status != 503 || got.inStream.Message != "Overloaded" || got.content != 1 {
			t.Errorf("got %+v", got)
		}
	}
}

func TestStreamEndsAtItsMarker(t *testing.T) {
	got, err := passed(strings.NewReader(events(textDelta, stopEvent) + "data: more\n\n"))
	if err != nil || !got.done || strings.Contains(got.raw, "more") {
		t.Errorf("got %q, %v", got.raw, err)
	}
}

func TestStreamTooLong(t *testing.T) {
	_, err := passed(io.MultiReader(strings.NewReader("data: "), endless{}))
	if e := chatError(t, err); e.Code != "upstream_invalid_response" {
		t.Errorf("got %+v", e)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// A stream that leaves out the closing of a block, or the reason of its end, is still told whole.
func TestStreamDecodedLoosely(t *testing.T) {
	in := events(startEvent, `{"type":"content_block_start","content_block":{"type":"thinking","thinking":"a"}}`,
		`{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"s"}}`,
		`{"type":"content_block_start","content_block":{"type":"tool_use","id":"t1","name":"now","input":{}}}`, stopEvent)
	got, err := decoded(strings.NewReader(in), reading{})
	if err != nil {
		t.Fatal(err)
	}
	want := []chat.Piece{
		{Kind: chat.PieceStart, ID: "msg_1", Model: "claude-x"},
		{Kind: chat.PieceUsage, Usage: &pricing.Usage{Input: 10, CacheWrite1h: 4, Output: 1}},
		{Kind: chat.PieceReasoning, Text: "a"},
		{Kind: chat.PieceSigned, Thought: &chat.Thought{Signature: "s", Format: chat.FormatAnthropic}},
		{Kind: chat.PieceCall, Call: &chat.ToolCall{ID: "t1", Name: "now"}},
		{Kind: chat.PieceArguments, Text: "{}"},
		{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishTools}},
	}
	if d := cmp.Diff(want, got.pieces); d != "" {
		t.Error(d)
	}
}
