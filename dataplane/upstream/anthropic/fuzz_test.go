package anthropic

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

func noClose(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

// seeds adds the recorded bodies with that end of their names, where they are there.
func seeds(f *testing.F, name string) {
	files, _ := filepath.Glob(filepath.Join(recordings, "anthropic", "*", name))
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && len(raw) < 4000 {
			f.Add(raw)
		}
	}
}

// FuzzStream reads anything as a stream, both ways: no panic, an error that is one of ours, the same at every cut, and calls
// that are counted without gaps.
func FuzzStream(f *testing.F) {
	f.Add([]byte(events(startEvent, textStart, textDelta, blockStop, endEvent, stopEvent)))
	f.Add([]byte(events(startEvent, textDelta, overloaded)))
	f.Add([]byte(events(`{"type":"content_block_start","content_block":{"type":"tool_use","id":"t","name":"json","input":{"input":"x"}}}`, stopEvent)))
	seeds(f, "response.body.sse")
	r := reading{jsonTool: true, fences: true, custom: map[string]bool{"now": true}}
	f.Fuzz(func(t *testing.T, body []byte) {
		one := body
		for _, read := range []func(io.Reader) (collected, error){passed, func(b io.Reader) (collected, error) { return decoded(b, r) }} {
			got, err := read(bytes.NewReader(one))
			var told *chat.Error
			if err != nil && !errors.As(err, &told) {
				t.Fatalf("got %v", err)
			}
			slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(one)))
			if (err == nil) != (slowErr == nil) || !reflect.DeepEqual(got.pieces, slow.pieces) || got.outputBytes != slow.outputBytes {
				t.Fatalf("a byte at a time: %v, %v", err, slowErr)
			}
			calls := 0
			for _, p := range got.pieces {
				if p.Kind == chat.PieceCall {
					if p.Index != calls {
						t.Fatalf("call %d has index %d", calls, p.Index)
					}
					calls++
				}
				if p.Kind == chat.PieceArguments && p.Index >= calls {
					t.Fatalf("arguments of call %d of %d", p.Index, calls)
				}
			}
		}
	})
}

// FuzzUnary reads anything as an answer: no panic, and offsets of citations that are inside their text.
func FuzzUnary(f *testing.F) {
	f.Add([]byte(message1))
	f.Add([]byte("{\"content\":[{\"type\":\"text\",\"text\":\"```json\\n{}\\n```\",\"citations\":[{\"url\":\"u\"}]},{\"type\":\"tool_use\",\"name\":\"now\",\"input\":{\"input\":\"x\"}}]}"))
	seeds(f, "response.body.json")
	r := reading{jsonTool: true, fences: true, custom: map[string]bool{"now": true}}
	f.Fuzz(func(t *testing.T, body []byte) {
		out := &chat.Response{}
		var told *chat.Error
		if err := unary(transport.Replay(noClose(string(body)), false), r, out); err != nil {
			if !errors.As(err, &told) {
				t.Fatalf("got %v", err)
			}
			return
		}
		for _, p := range out.Answer.Choices[0].Parts {
			for _, c := range p.Citations {
				if c.Start < 0 || c.End < c.Start || c.End > int64(len(utf16Text(p.Text))) {
					t.Fatalf("a citation of [%d,%d) in %q", c.Start, c.End, p.Text)
				}
			}
		}
	})
}

// FuzzBuild makes requests of prompts of any shape: an error with status 400, or JSON in which roles alternate and every call is
// answered at once.
func FuzzBuild(f *testing.F) {
	f.Add(uint8(0), "hi", "c1", `{"a":1}`, []byte("uscrau"), []byte(`{"type":"object"}`))
	f.Add(uint8(3), "", "a.b", "", []byte("sucrucr"), []byte(`{"oneOf":[{"properties":{}}],"minimum":3}`))
	f.Fuzz(func(t *testing.T, which uint8, text, id, arguments string, shape, schema []byte) {
		ids := []string{recent, haiku, old, middle, "claude-fable-5", "claude-3-haiku-20240307"}
		p := &chat.Prompt{Choices: 1, Format: &chat.Format{Schema: schema}, Reasoning: &chat.Reasoning{Effort: "low"}, Cache: "5m",
			Tools: []chat.Tool{{Name: "f", Schema: schema}}}
		for i, s := range shape {
			m := says(chat.User, text)
			switch s % 5 {
			case 0:
				m = says(chat.System, text)
			case 1:
				m = does(words(text), calls(id, arguments))
			case 2:
				m = gives(result(id, text), words(text))
			case 3:
				m = does(thinks1(text, id, chat.FormatAnthropic), words(text))
			}
			if i < 50 {
				p.Messages = append(p.Messages, m)
			}
		}
		if jsonscanValid(schema) {
			c := chat.Call{Request: &chat.Request{}, Model: ids[int(which)%len(ids)], MaxOutputTokens: 9000}
			raw, _, _, err := build(c, p)
			var told *chat.Error
			if err != nil {
				if !errors.As(err, &told) || told.Status != 400 {
					t.Fatalf("got %v", err)
				}
				return
			}
			checkRequest(t, raw)
		}
	})
}

func jsonscanValid(raw []byte) bool {
	_, err := jsonscan.Scan(raw)
	return err == nil
}

func checkRequest(t *testing.T, raw []byte) {
	var request struct {
		Messages []struct {
			Role    string
			Content []struct {
				Type, ID string
				Text     *string
				ToolUse  string `json:"tool_use_id"`
			}
		}
	}
	if err := json.Unmarshal(raw, &request); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	last := ""
	var open []string
	for _, m := range request.Messages {
		if m.Role == last || len(m.Content) == 0 || m.Role == "system" && last != "user" || m.Role == "user" && last == "system" {
			t.Fatalf("%s after %s in %s", m.Role, last, raw)
		}
		last = m.Role
		for _, c := range m.Content {
			if c.Type == "text" && (c.Text == nil || strings.TrimSpace(*c.Text) == "") {
				t.Fatalf("an empty text in %s", raw)
			}
			if len(open) > 0 && m.Role == "user" {
				if c.ToolUse != open[0] {
					t.Fatalf("%q is not answered in %s", open[0], raw)
				}
				open = open[1:]
			}
		}
		if len(open) > 0 {
			t.Fatalf("calls without results in %s", raw)
		}
		for _, c := range m.Content {
			if c.Type == "tool_use" {
				open = append(open, c.ID)
			}
		}
	}
}
