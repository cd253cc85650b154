package anthropic

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// recordedContent is the content of a recorded answer, put together as a client does; nil: it has none.
func recordedContent(t *testing.T, r recording) []any {
	t.Helper()
	if !strings.HasSuffix(r.Files.Response, ".sse") {
		content, _ := decoded(t, r.response)["content"].([]any)
		return content
	}
	var in reader
	for _, data := range datas(r) {
		var v map[string]any
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatal(err)
		}
		switch name := v["type"].(string); name {
		case "ping", "error":
		default:
			if err := in.event("event: " + name + "\ndata: " + string(data) + "\n\n"); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
		}
	}
	if in.message == nil {
		return nil
	}
	return in.message["content"].([]any)
}

// counted are the kinds of blocks that others understand.
func counted(content []any) (texts, calls, thoughts int) {
	for _, b := range content {
		switch block := b.(map[string]any); block["type"] {
		case "text":
			if block["text"] != "" {
				texts++
			}
		case "tool_use":
			calls++
		case "thinking", "redacted_thinking":
			thoughts++
		}
	}
	return texts, calls, thoughts
}

// Whatever Anthropic answered comes back to it to the byte, and to others as what they understand of it.
func TestRecordedAnswersAsHistory(t *testing.T) {
	seen, signed := 0, 0
	for _, r := range recorded(t) {
		if r.Status != 200 || r.API != "messages" {
			continue
		}
		content := recordedContent(t, r)
		if len(content) == 0 {
			continue
		}
		seen++
		in := history(t, content)
		req, e := Messages{}.Parse("req_1", nil, in)
		if e != nil {
			t.Errorf("%s: %v", r.ID, e)
			continue
		}
		if !bytes.Equal(req.Body, in) || len(req.Dropped) > 0 {
			t.Errorf("%s: the body has changed: %v", r.ID, req.Dropped)
		}
		prompt, err := req.Translate()
		if err != nil {
			t.Errorf("%s: %v", r.ID, err)
			continue
		}
		var got [3]int
		for _, m := range prompt.Messages {
			if m.Role != chat.Assistant {
				continue
			}
			for _, p := range m.Parts {
				switch p.Kind {
				case chat.PartText:
					got[0]++
				case chat.PartCall:
					got[1]++
				case chat.PartThought:
					got[2]++
					if p.Thought.Format != chat.FormatAnthropic {
						t.Errorf("%s: a thought of %q", r.ID, p.Thought.Format)
					}
					signed++
				}
			}
		}
		texts, calls, thoughts := counted(content)
		if texts+calls == 0 {
			continue // only searches, which are told in words
		}
		if d := cmp.Diff([3]int{texts, calls, thoughts}, got); d != "" {
			t.Errorf("%s: texts, calls, thoughts: %s", r.ID, d)
		}
	}
	if seen < 40 || signed < 10 {
		t.Errorf("only %d answers with %d thoughts", seen, signed)
	}
}
