package responses

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// passed is a stream that went through.
type passed struct {
	raw, data string
	content   int
	output    int64
	usage     *pricing.Usage
	id        string
	done      int
	failed    *chat.Error
	afterEnd  bool
}

func pass(t testing.TB, body io.Reader) (passed, error) {
	t.Helper()
	s := Dialect{}.Stream(transport.Replay(io.NopCloser(body), true), true)
	defer func() { _ = s.Close() }()
	var p passed
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return p, err
		}
		if len(e.Pieces) > 0 {
			t.Fatal("pieces for a client that gets the bytes")
		}
		p.afterEnd = p.afterEnd || p.done > 0
		p.raw += string(e.Raw)
		p.data += string(e.Data) + "\n"
		p.output += e.OutputBytes
		if e.Content {
			p.content++
		}
		if e.Done {
			p.done++
		}
		if e.Usage != nil {
			p.usage = e.Usage
		}
		if e.UpstreamID != "" {
			p.id = e.UpstreamID
		}
		if e.Err != nil {
			p.failed = e.Err
		}
	}
}

func TestPassedStream(t *testing.T) {
	const (
		head = ": hello\n\nevent: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n" +
			"event: keepalive\r\ndata: {\"type\":\"keepalive\",\"sequence_number\":2}\r\n\r\n" +
			"event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\"}}\n\n" +
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\ndata: \"output_index\":0,\"content_index\":0,\"delta\":\"h\\u00e9\"}\n\n"
		end = "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"id\":\"resp_1\",\"status\":\"incomplete\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"hé\"}]}],\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}}\n\n"
	)
	got, err := pass(t, strings.NewReader(head+end+"data: [DONE]\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	// What follows the end is not waited for.
	if d := cmp.Diff(head+end, got.raw); d != "" {
		t.Error(d)
	}
	if got.content != 1 || got.output != 3 || got.id != "resp_1" || got.done != 1 || got.afterEnd || cmp.Diff(someUsage, got.usage) != "" {
		t.Errorf("%+v", got)
	}
	for i := range head + end {
		again, err := pass(t, &cut{first: []byte(head + end)[:i], rest: []byte(head + end)[i:]})
		if d := cmp.Diff(got, again, cmp.AllowUnexported(passed{})); d != "" || err != nil {
			t.Fatal(i, d, err)
		}
	}
}

// A failure after content comes with its bytes and its usage; before, it is an error that another backend may make good.
func TestPassedFailure(t *testing.T) {
	const failed = `{"type":"response.failed","response":{"error":{"code":"server_error","message":"x"},"usage":{"input_tokens":10,"output_tokens":5}}}`
	text := `{"type":"response.output_text.delta","delta":"a"}`
	got, err := pass(t, strings.NewReader(eventsOf(created, text, failed)))
	if err != nil || got.failed == nil || got.failed.Code != "server_error" || cmp.Diff(someUsage, got.usage) != "" || !strings.Contains(got.raw, failed) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = pass(t, strings.NewReader(eventsOf(created, failed)))
	var e *chat.Error
	if !errors.As(err, &e) || !e.Fallback {
		t.Errorf("got %v", err)
	}
}
