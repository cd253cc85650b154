package anthropic

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func retell(t *testing.T, body []byte) (recordedMessage, []*recordedUsage) {
	var m recordedMessage
	var usages []*recordedUsage
	for _, line := range strings.FieldsFunc(string(body), func(c rune) bool { return c == '\n' || c == '\r' }) {
		data, ok := strings.CutPrefix(line, "data:")
		if !ok {
			continue
		}
		var e struct {
			Type    string
			Message recordedMessage
			Block   recordedBlock `json:"content_block"`
			Delta   struct {
				Text, Thinking, Signature string
				Partial                   string `json:"partial_json"`
				Citation                  *recordedCitation
				StopReason                string `json:"stop_reason"`
			}
			Index int
			Usage *recordedUsage
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case "message_start":
			m = e.Message
			usages = append(usages, m.Usage)
		case "content_block_start":
			m.Content = append(m.Content, e.Block)
		case "content_block_delta":
			b := &m.Content[e.Index]
			b.Text += e.Delta.Text
			b.Thinking += e.Delta.Thinking
			b.Signature += e.Delta.Signature
			b.partial += e.Delta.Partial
			if e.Delta.Citation != nil {
				b.Citations = append(b.Citations, *e.Delta.Citation)
			}
		case "message_delta":
			m.StopReason = e.Delta.StopReason
			usages = append(usages, e.Usage)
		}
	}
	return m, usages
}

func TestRecordedStreams(t *testing.T) {
	for _, r := range recorded(t) {
		if !r.Stream || bytes.Contains(r.body, []byte("event: error")) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			m, usages := retell(t, r.body)
			base := served(t, r)
			raw, err := collect(do(t, passes(t, base, streamBody, true)).Events)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimRight(raw.raw, "\r\n") != strings.TrimRight(string(r.body), "\r\n") {
				t.Error("the bytes were changed")
			}
			out, err := collect(do(t, translated(t, base, hello(), true)).Events)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(hear(t, m), told(t, answerOf(out))); d != "" {
				t.Error(d)
			}
			for _, got := range []collected{raw, out} {
				if d := cmp.Diff(priced(usages...), got.usage); d != "" {
					t.Error(d)
				}
				empty := len(m.Content) == 0
				if got.id != m.ID || !got.done || (got.content == 0) != empty || (got.outputBytes == 0) != empty {
					t.Errorf("id %q, done %v, %d events with content, %d bytes", got.id, got.done, got.content, got.outputBytes)
				}
			}
			compareSplits(t, r.body, passed, raw)
			compareSplits(t, r.body, func(body io.Reader) (collected, error) { return decoded(body, reading{}) }, out)
		})
	}
}

// compareSplits replays a stream a byte at a time, and cut in two: a small one at every offset, others at a sample of them.

func compareSplits(t *testing.T, body []byte, read func(io.Reader) (collected, error), want collected) {
	t.Helper()
	slow, err := read(iotest.OneByteReader(bytes.NewReader(body)))
	if d := cmp.Diff(want, slow, exported); d != "" || err != nil {
		t.Fatal("a byte at a time:", d, err)
	}
	for i := 0; i < len(body); i += 1 + len(body)*len(body)/1_000_000 {
		got, err := read(io.MultiReader(bytes.NewReader(body[:i]), bytes.NewReader(body[i:])))
		if err != nil || !reflect.DeepEqual(want, got) {
			t.Fatal("cut at", i, cmp.Diff(want, got, exported), err)
		}
	}
}

// The connection takes the compression off, as it asked for it itself.
