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
	"github.com/layers-dev/layers/dataplane/sse"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

func noClose(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

// seeds adds the recorded bodies with that end of their names, where they are there, each with the other arguments.
func seeds(f *testing.F, name string, others ...any) {
	files, _ := filepath.Glob(filepath.Join(recordings, "anthropic", "*", name))
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && len(raw) < 4000 {
			f.Add(append([]any{raw}, others...)...)
		}
	}
}

// scripted are the events that a byte of a script stands for: bytes alone seldom make two events that belong together.
var scripted = []string{
	startEvent, textStart, textDelta, blockStop, endEvent, overloaded, `{"type":"ping"}`,
	`{"type":"content_block_start","content_block":{"type":"text","text":"a","citations":[{"url":"u"}]}}`,
	`{"type":"content_block_start","content_block":{"type":"text","citations":[{"url":"u"}]}}`,
	`{"type":"content_block_delta","delta":{"type":"text_delta","text":"\ud83d\ude00"}}`,
	`{"type":"content_block_delta","delta":{"type":"citations_delta","citation":{"url":"v"}}}`,
	`{"type":"content_block_start","content_block":{"type":"thinking","thinking":""}}`,
	`{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"t"}}`,
	`{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"s"}}`,
	`{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"e"}}`,
	`{"type":"content_block_start","content_block":{"type":"tool_use","id":"c","name":"f","input":{}}}`,
	`{"type":"content_block_start","content_block":{"type":"tool_use","id":"c","name":"now","input":{"input":"x"}}}`,
	`{"type":"content_block_start","content_block":{"type":"tool_use","id":"c","name":"json","input":{}}}`,
	`{"type":"content_block_start","content_block":{"type":"server_tool_use","id":"c","name":"web_search","input":{}}}`,
	`{"type":"content_block_start","content_block":{"type":"web_search_tool_result","content":[{"url":"u"}]}}`,
	`{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{}"}}`,
	stopEvent,
}

// written is the stream of a script.
func written(script []byte) []byte {
	var out []string
	for _, b := range script {
		out = append(out, scripted[int(b)%len(scripted)])
	}
	if len(out) == 0 {
		return nil
	}
	return []byte(events(out...))
}

// FuzzStream reads anything as a stream, both ways: no panic, an error that is one of ours, the same at every cut, nothing
// lost, and calls that are counted without gaps.
func FuzzStream(f *testing.F) {
	f.Add([]byte(events(startEvent, textStart, textDelta, blockStop, endEvent, stopEvent)), []byte(nil))
	f.Add([]byte(events(startEvent, textDelta, overloaded)), []byte{0})
	f.Add([]byte(events(`{"type":"content_block_start","content_block":{"type":"tool_use","id":"t","name":"json","input":{"input":"x"}}}`, stopEvent)), []byte(nil))
	f.Add([]byte(nil), []byte{0, 1, 2, 3, 11, 12, 13, 3, 7, 10, 3, 15, 20, 3, 4, 21})
	seeds(f, "response.body.sse", []byte(nil))
	r := reading{jsonTool: true, fences: true, custom: map[string]bool{"now": true}}
	f.Fuzz(func(t *testing.T, body, script []byte) {
		one := append(body[:len(body):len(body)], written(script)...)
		for _, read := range []func(io.Reader) (collected, error){passed, func(b io.Reader) (collected, error) { return decoded(b, r) }} {
			got, err := read(bytes.NewReader(one))
			var told *chat.Error
			if err != nil && (!errors.As(err, &told) || told.Status < 400 || told.Message == "") {
				t.Fatalf("got %v", err)
			}
			slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(one)))
			if (err == nil) != (slowErr == nil) || !reflect.DeepEqual(got.pieces, slow.pieces) || got.outputBytes != slow.outputBytes {
				t.Fatalf("a byte at a time: %v, %v", err, slowErr)
			}
			checkCalls(t, got.pieces, err == nil)
		}
		if got, err := decoded(bytes.NewReader(one), reading{}); err == nil && got.inStream == nil {
			if want, is := toldIn(one), saidBy(got.pieces); want != is {
				t.Fatalf("of %+v is said %+v", want, is)
			}
		}
	})
}

// checkCalls checks that calls are counted from 0, and have arguments where they are over.
func checkCalls(t *testing.T, pieces []chat.Piece, over bool) {
	t.Helper()
	calls, argued := 0, map[int]bool{}
	for _, p := range pieces {
		if p.Kind == chat.PieceCall {
			if p.Index != calls {
				t.Fatalf("call %d has index %d", calls, p.Index)
			}
			calls++
		}
		if p.Kind == chat.PieceArguments {
			if p.Index >= calls {
				t.Fatalf("arguments of call %d of %d", p.Index, calls)
			}
			argued[p.Index] = true
		}
	}
	if over && len(argued) != calls {
		t.Fatalf("%d of %d calls have arguments", len(argued), calls)
	}
}

// content is what an answer says.
type content struct {
	text, thoughts, signatures string
	citations, sources, calls  int
}

// saidBy is what pieces say.
func saidBy(pieces []chat.Piece) (c content) {
	for _, p := range pieces {
		switch p.Kind {
		case chat.PieceText:
			c.text += p.Text
		case chat.PieceReasoning:
			c.thoughts += p.Text
		case chat.PieceSigned:
			c.signatures += p.Thought.Signature
		case chat.PieceCitation:
			c.citations++
		case chat.PieceSource:
			c.sources++
		case chat.PieceCall:
			c.calls++
		}
	}
	return c
}

// toldIn is what the events of a stream tell, read without the package, of blocks that may not have been closed.
func toldIn(stream []byte) (c content) {
	events := sse.NewReader(bytes.NewReader(stream), 1<<20)
	block := ""
	for {
		e, err := events.Next()
		if err != nil {
			return c
		}
		var v map[string]any
		d := json.NewDecoder(bytes.NewReader(e.Data))
		d.UseNumber()
		_ = d.Decode(&v)
		switch v["type"] {
		case "message_stop":
			return c
		case "content_block_stop", "message_delta":
			block = ""
		case "content_block_start":
			one, _ := v["content_block"].(map[string]any)
			block, _ = one["type"].(string)
			c.take(block, one)
		case "content_block_delta":
			one, _ := v["delta"].(map[string]any)
			kind, _ := one["type"].(string)
			c.more(block, kind, one)
		}
	}
}

// take adds a block as it begins.
func (c *content) take(kind string, block map[string]any) {
	word := func(name string) string {
		s, _ := block[name].(string)
		return s
	}
	list := func(name string) []any {
		l, _ := block[name].([]any)
		return l
	}
	switch kind {
	case "text":
		c.text += word("text")
		c.citations += len(list("citations"))
	case "thinking":
		c.thoughts += word("thinking")
		c.signatures += word("signature")
	case "tool_use":
		c.calls++
	case "web_search_tool_result":
		for _, r := range list("content") {
			if page, _ := r.(map[string]any); page["url"] != nil && page["url"] != "" {
				if _, ok := page["url"].(string); ok {
					c.sources++
				}
			}
		}
	}
}

// more adds a delta of a block.
func (c *content) more(block, kind string, delta map[string]any) {
	word := func(name string) string {
		s, _ := delta[name].(string)
		return s
	}
	switch {
	case kind == "text_delta":
		c.text += word("text")
	case kind == "thinking_delta":
		c.thoughts += word("thinking")
	case kind == "signature_delta" && block == "thinking":
		c.signatures += word("signature")
	case kind == "citations_delta" && block == "text":
		c.citations++
	}
}

// FuzzUnary reads anything as an answer: no panic, nothing lost, and offsets of citations that are inside their text.
func FuzzUnary(f *testing.F) {
	f.Add([]byte(message1))
	f.Add([]byte("{\"content\":[{\"type\":\"text\",\"text\":\"```json\\n{}\\n```\",\"citations\":[{\"url\":\"u\"}]},{\"type\":\"tool_use\",\"name\":\"now\",\"input\":{\"input\":\"x\"}}]}"))
	f.Add([]byte(`{"content":[{"type":"text","text":""},{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"e"},{"type":"text","text":"\ud83d\ude00","citations":[{"url":"u"},{"url":"v"}]}]}`))
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
		var want content
		var v map[string]any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if d.Decode(&v) != nil || unary(transport.Replay(noClose(string(body)), false), reading{}, out) != nil {
			return
		}
		for _, one := range v["content"].([]any) {
			block, _ := one.(map[string]any)
			kind, _ := block["type"].(string)
			want.take(kind, block)
		}
		if is := saidIn(out.Answer); is != want {
			t.Fatalf("of %+v is said %+v", want, is)
		}
	})
}

// saidIn is what an answer says.
func saidIn(a *chat.Answer) content {
	c := content{sources: len(a.Sources)}
	for _, p := range a.Choices[0].Parts {
		c.text += p.Text
		c.citations += len(p.Citations)
		if p.Thought != nil {
			c.thoughts += p.Thought.Text
			c.signatures += p.Thought.Signature
		}
		if p.Call != nil {
			c.calls++
		}
	}
	return c
}

// FuzzBuild makes requests of prompts of any shape: an error with status 400, or JSON in which roles alternate and every call is
// answered at once.
func FuzzBuild(f *testing.F) {
	f.Add(uint8(0), "hi", "c1", `{"a":1}`, []byte("uscrau"), []byte(`{"type":"object"}`))
	f.Add(uint8(0), "hi", "a.b", "{}", []byte{4, 1, 2, 1, 2, 1, 2}, []byte(`{}`))
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
	used := map[string]bool{}
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
				if used[c.ID] || clean(c.ID) != c.ID {
					t.Fatalf("the id %q in %s", c.ID, raw)
				}
				used[c.ID] = true
				open = append(open, c.ID)
			}
		}
	}
}
