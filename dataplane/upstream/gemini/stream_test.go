package gemini

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// replayed is a stream of body, without HTTP.
func replayed(body string) *stream {
	a := transport.Replay(io.NopCloser(strings.NewReader(body)), true)
	return newStream(a, newDecoder(a, plan{perQuery: true}, &idSource{random: zeros{}}))
}

// All that a stream can hold, in the order that it came.
const everything = ": hello\r\n\r\n" +
	`data: {"candidates":[{"content":{"parts":[{"text":"h","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":11,"totalTokenCount":11},"modelVersion":"m1","responseId":"r1"}` + "\r\n\r\n" +
	`data: {"candidates":[{"content":{"parts":[{"text":"m","thought":true,"thoughtSignature":"s0"},{"text":"€"}]}}],"usageMetadata":{"promptTokenCount":11,"candidatesTokenCount":2,"thoughtsTokenCount":5}}` + "\r\n\r\n" +
	"event: ping\r\ndata:\r\n\r\n" +
	`data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a": "<b>"}},"thoughtSignature":"s1"},{"functionCall":{"name":"g","args":{},"id":"x"}}]}}]}` + "\r\n\r\n" +
	"data: {\"candidates\":[{\"content\":\r\ndata: {\"parts\":[{\"functionCall\":{\"name\":\"h\"}}]}}]}\r\n\r\n" +
	`data: {"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"s2"}]},"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["q1","q2"]}}],"usageMetadata":{"promptTokenCount":20,"candidatesTokenCount":9,"thoughtsTokenCount":5,"cachedContentTokenCount":8}}`

func TestStream(t *testing.T) {
	got, err := streamText(everything)
	if err != nil {
		t.Fatal(err)
	}
	want := told{
		id: "r1", model: "m1", text: map[int64]string{0: "€"}, reasoning: map[int64]string{0: "hm"}, signatures: []string{"s0", "s2"},
		calls: map[int64][]chat.ToolCall{0: {
			{ID: zeroID, Name: "f", Arguments: `{"a":"<b>"}`, Signature: "s1"}, {ID: "x", Name: "g", Arguments: `{}`}, {ID: zeroID, Name: "h", Arguments: `{}`},
		}},
		finish:  map[int64]chat.Finish{0: {Reason: chat.FinishTools, Native: "STOP"}},
		usage:   &pricing.Usage{Input: 12, CacheRead: 8, Output: 14, Reasoning: 5, Searches: 2},
		content: 5, bytes: int64(len(`hm€f{"a":"<b>"}g{}h{}`)),
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(told{})); d != "" {
		t.Error(d)
	}
	for i := range everything {
		cutAt, err := streamFrom(&cut{first: []byte(everything[:i]), rest: []byte(everything[i:])})
		if d := cmp.Diff(got, cutAt, cmp.AllowUnexported(told{})); d != "" || err != nil {
			t.Fatal("cut at", i, d, err)
		}
	}
	if slow, err := streamFrom(iotest.OneByteReader(strings.NewReader(everything))); err != nil || !cmp.Equal(got, slow, cmp.AllowUnexported(told{})) {
		t.Error("a byte at a time:", err)
	}
}

// events collects the events of a stream as they come, without the comments.
func events(t *testing.T, s chat.Stream) []chat.Event {
	t.Helper()
	var out []chat.Event
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Pieces) > 0 || e.Err != nil {
			out = append(out, e)
		}
	}
}

// Usage is told when it counts output, and again where it grew; the beginning of a stream counts a prompt alone.
func TestStreamUsage(t *testing.T) {
	var got []*pricing.Usage
	for _, e := range events(t, replayed(everything)) {
		got = append(got, e.Usage)
	}
	last := &pricing.Usage{Input: 12, CacheRead: 8, Output: 14, Reasoning: 5, Searches: 2}
	want := []*pricing.Usage{nil, {Input: 11, Output: 7, Reasoning: 5}, nil, nil, last, nil}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// PieceStart comes once and first, a finish once and last.
func TestStreamOrder(t *testing.T) {
	list := events(t, replayed(everything))
	if p := list[0].Pieces[0]; p.Kind != chat.PieceStart || p.ID != "r1" || p.Model != "m1" {
		t.Errorf("got %+v", p)
	}
	var count int
	for _, e := range list {
		for _, p := range e.Pieces {
			if p.Kind == chat.PieceStart || p.Kind == chat.PieceFinish {
				count++
			}
		}
	}
	if end := list[len(list)-1]; count != 2 || end.Pieces[0].Kind != chat.PieceFinish || end.UpstreamID != "r1" {
		t.Errorf("%d, got %+v", count, end)
	}
}

// The finishReason may come with every chunk.
func TestFinishTwice(t *testing.T) {
	const chunk = `data: {"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}` + "\n\n"
	got, err := streamText(chunk + chunk)
	if err != nil || got.text[0] != "aa" || len(got.finish) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStreamedChoices(t *testing.T) {
	got, err := streamText(`data: {"candidates":[{"content":{"parts":[{"text":"a"}]}},{"index":1,"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}` + "\n\n" +
		`data: {"candidates":[{"index":1,"content":{"parts":[{"functionCall":{"name":"g"}}]},"finishReason":"STOP"},{"index":0,"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS","logprobsResult":{"chosenCandidates":[{"token":"b","logProbability":-1}]}}]}` + "\n\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.text[0] != "ab" || len(got.calls[1]) != 2 || got.finish[0].Reason != chat.FinishLength || got.finish[1].Reason != chat.FinishTools || len(got.logprobs) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestBlockedStreams(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		text string
		used *pricing.Usage
	}{
		"at once": {`data: {"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}`, "", &pricing.Usage{Input: 4}},
		"later":   {`data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}` + "\n\n" + `data: {"promptFeedback":{"blockReason":"SAFETY"}}`, "a", nil},
	} {
		got, err := streamText(c.body + "\n\n")
		if err != nil || got.text[0] != c.text || got.finish[0] != (chat.Finish{Reason: chat.FinishFilter, Native: "SAFETY"}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if d := cmp.Diff(c.used, got.usage); d != "" {
			t.Error(name, d)
		}
	}
}

func TestBrokenStreams(t *testing.T) {
	const good = `data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}` + "\n\n"
	for name, c := range map[string]struct{ body, code string }{
		"nothing":               {"", "upstream_incomplete"},
		"comments":              {": a\n\n", "upstream_incomplete"},
		"no finishReason":       {good, "upstream_incomplete"},
		"no candidate":          {`data: {"usageMetadata":{}}` + "\n\n", "upstream_incomplete"},
		"one of two unfinished": {good + `data: {"candidates":[{"index":1,"finishReason":"STOP"}]}` + "\n\n", "upstream_incomplete"},
		"cut in a chunk":        {good + `data: {"candidates":[{"fin`, "upstream_incomplete"},
		"not JSON":              {"data: hello\n\n", "upstream_invalid_response"},
		"not JSON later":        {good + "data: {]}\n\n", "upstream_invalid_response"},
		"not JSON bare":         {good + "{]}\n\n", "upstream_invalid_response"},
		"a broken list":         {"data: [{},]\n\n", "upstream_invalid_response"},
	} {
		_, err := streamText(c.body)
		if e := chatError(t, err); e.Code != c.code || !e.Fallback {
			t.Errorf("%s: got %+v", name, e)
		}
	}
	_, err := streamFrom(io.MultiReader(strings.NewReader(good), iotest.ErrReader(errors.New("reset"))))
	if e := chatError(t, err); e.Code != "upstream_incomplete" {
		t.Errorf("got %+v", e)
	}
}

// An error after content is an event, with data: or without, and the last one.
func TestErrorInStream(t *testing.T) {
	const good = `data: {"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}` + "\r\n\r\n"
	for _, failed := range []string{
		`data: {"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}`,
		"{\r\n  \"error\": {\r\n    \"code\": 503,\r\n    \"message\": \"The model is overloaded.\"\r\n  }\r\n}",
	} {
		got, err := streamText(good + failed + "\r\n\r\n" + good)
		if err != nil || got.err == nil || got.err.Status != 503 || got.text[0] != "a" || len(got.finish) != 0 {
			t.Errorf("got %+v, %v", got, err)
		}
		_, err = streamText(failed)
		if e := chatError(t, err); e.Status != 503 || !e.Fallback {
			t.Errorf("got %+v", e)
		}
	}
}

// Without alt=sse the endpoint gives a JSON list: as JSON, or in what says that it is an event stream.
func TestListInsteadOfStream(t *testing.T) {
	const list = "[{\n  \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"a\"}]}}]\n}\n,\r\n{\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"b\"}]},\n\"finishReason\": \"STOP\"}]}\n]\n"
	for _, contentType := range []string{"application/json", "text/event-stream"} {
		resp, err := newUpstream(t).Do(context.Background(), call(answer(t, 200, contentType, list), third35, hello(), true))
		if err != nil {
			t.Fatal(err)
		}
		got, err := collect(resp.Events)
		if err != nil || got.text[0] != "ab" || got.finish[0].Reason != chat.FinishStop {
			t.Errorf("%s: got %+v, %v", contentType, got, err)
		}
		if err := resp.Events.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a client cannot be told is content all the same: it is paid for.
func TestHiddenOutput(t *testing.T) {
	for _, e := range events(t, replayed(`data: {"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},"finishReason":"STOP"}]}`+"\n\n")) {
		if first := e.Pieces[0].Kind == chat.PieceStart; e.Content != first || (e.OutputBytes == 1) != first {
			t.Errorf("got %+v", e)
		}
	}
}

func TestCloseEndsStream(t *testing.T) {
	resp, err := newUpstream(t).Do(context.Background(), call(answer(t, 200, "text/event-stream", everything), third35, hello(), true))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Usage != nil || resp.Answer != nil || resp.Body != nil {
		t.Errorf("got %+v", resp)
	}
	if err := resp.Events.Close(); err != nil {
		t.Error(err)
	}
	if _, err := resp.Events.Next(); err == nil {
		t.Error("a closed stream goes on")
	}
}
