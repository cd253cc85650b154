package openai

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// FuzzParse gives any bytes to the judge of requests and to the decoder: there is a request or an error, and what a prompt
// promises holds.
func FuzzParse(f *testing.F) {
	for _, in := range []string{
		body(`"stream":true,"stream_options":{}`), withContent(`[{"type":"image_url"}]`),
		withContent(`[{"type":"image_url","image_url":{"url":"data:image/gif;base64,` + pixel + `"}},{"type":"file","file":{"file_data":"data:,x"}}]`),
		messagesOf(`{"role":"assistant","reasoning_details":[{"type":"reasoning.text","text":"a","signature":"b","index":0}],"tool_calls":[{"id":"` + carry("a", []chat.Thought{{Signature: "s"}}, "x") + `","function":{"name":"f","arguments":""}}]},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"x"}]}`),
		messagesOf(`{"role":"assistant","function_call":{"name":"f"}},{"role":"function","name":"f","content":"x"}`),
		body(`"tools":[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"web_search"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}`),
		body(`"reasoning":{"effort":"low"},"thinking":{"type":"adaptive"},"response_format":{"type":"json_schema","json_schema":{"schema":{}}},"stop":["a"],"temperature":1.0,"cache":"1h"`),
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, e := Parse("", b)
		if (r == nil) == (e == nil) {
			t.Fatal("neither or both")
		}
		if e != nil {
			return
		}
		if r.Model == "" || r.Choices < 1 || r.MaxOutputTokens < 0 || r.Searches < 0 || r.InputBytes < int64(len(b)) {
			t.Fatalf("%+v", r)
		}
		if o, err := jsonscan.Scan(r.Body); err != nil || cmp.Diff(o, r.Fields) != "" {
			t.Fatal("the fields are not the body's", err)
		}
		p, err := r.Translate()
		var bad *chat.Error
		if err != nil {
			if !errors.As(err, &bad) || bad.Status != 400 || bad.Message == "" || p != nil {
				t.Fatal(err)
			}
			return
		}
		checkPrompt(t, r, p)
	})
}

// checkPrompt checks what every upstream relies on.
func checkPrompt(t *testing.T, r *chat.Request, p *chat.Prompt) {
	t.Helper()
	if len(p.Messages) == 0 || p.Choices != r.Choices || p.MaxOutputTokens > r.MaxOutputTokens || p.Search != nil && p.Search.MaxUses*p.Choices > r.Searches {
		t.Fatalf("%+v", p)
	}
	waiting, seen := map[string]string{}, map[string]bool{}
	for _, m := range p.Messages {
		if len(m.Parts) == 0 {
			t.Fatal("an empty message")
		}
		for _, part := range m.Parts {
			checkPart(t, m.Role, part)
			if c := part.Call; c != nil {
				if seen[c.ID] {
					t.Fatalf("the id %q twice", c.ID)
				}
				seen[c.ID], waiting[c.ID] = true, c.Name
			}
			if res := part.Result; res != nil {
				if name, ok := waiting[res.ID]; !ok || name != res.Name {
					t.Fatalf("a result for %q", res.ID)
				}
				delete(waiting, res.ID)
			}
		}
	}
	if len(waiting) > 0 {
		t.Fatal("calls without results")
	}
	for _, tool := range p.Tools {
		if tool.Name == "" || tool.Schema != nil && !json.Valid(tool.Schema) {
			t.Fatalf("%+v", tool)
		}
	}
}

func checkPart(t *testing.T, role chat.Role, p chat.Part) {
	t.Helper()
	ok := p.Cache == "" || p.Cache == "5m" || p.Cache == "1h"
	switch p.Kind {
	case chat.PartText:
		ok = ok && p.Text != ""
	case chat.PartRefusal:
		ok = ok && p.Text != "" && role == chat.Assistant
	case chat.PartThought:
		ok = ok && role == chat.Assistant && p.Thought != nil && (p.Thought.Text != "" || signed(p.Thought)) && (p.Thought.Signature == "" || p.Thought.Encrypted == "")
	case chat.PartImage, chat.PartDocument:
		ok = ok && role == chat.User && p.Media != nil
	case chat.PartCall:
		ok = ok && role == chat.Assistant && p.Call.Name != "" && (p.Call.Custom || json.Valid([]byte(p.Call.Arguments)) && p.Call.Arguments[0] != '[')
	case chat.PartResult:
		ok = ok && role == chat.User
	}
	if !ok {
		t.Fatalf("%s: %+v", role, p)
	}
}

// FuzzStream gives any pieces to the writer: the stream is one that clients read, ends, and has all that the pieces say.
func FuzzStream(f *testing.F) {
	f.Add([]byte("tcaafrsl"), "text")
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 200}, "\xff<")
	f.Add([]byte{66, 67, 68, 70, 72, 71, 65, 70, 73, 75, 131, 135}, `{"a":1}`)
	f.Add([]byte{66, 76}, "refusal")
	kinds := []chat.PieceKind{chat.PieceStart, chat.PieceText, chat.PieceRefusal, chat.PieceReasoning, chat.PieceSigned, chat.PieceCall, chat.PieceArguments, chat.PieceCitation, chat.PieceSource, chat.PieceLogprobs, chat.PieceFinish, chat.PieceUsage, "?"}
	f.Fuzz(func(t *testing.T, script []byte, text string) {
		w := newStream(&chat.Request{ID: "req_1", Model: "m"})
		var out []byte
		want := map[int64]*toldChoice{0: {}}
		for i, b := range script {
			s := [...]string{text, " ", text[:len(text)/2], text}[i%4] // a blank is less than it seems
			p := chat.Piece{Kind: kinds[int(b)%len(kinds)], Choice: int64(b>>6) - 1, Text: s, Raw: json.RawMessage(s)}
			if b&1 == 0 {
				p.Thought, p.Call = &chat.Thought{Signature: s}, &chat.ToolCall{Name: s, Arguments: s, Signature: s}
				p.Citation, p.Source, p.Finish = &chat.Citation{URL: s, Start: int64(b)}, &chat.Source{URL: s}, &chat.Finish{Reason: chat.FinishReason(s), Explanation: s}
			}
			tell(want, &p)
			out = w.Write(out, &p)
		}
		lines := dataLines(w.End(out, chat.Total{}))
		if lines[len(lines)-1] != "[DONE]" {
			t.Fatal("no end")
		}
		for _, c := range want {
			c.close()
		}
		if d := cmp.Diff(want, readChoices(t, lines[:len(lines)-1]), cmp.AllowUnexported(toldChoice{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

// toldChoice is what a client has of a choice.
type toldChoice struct {
	content, refusal, reasoning string
	arguments                   []string
	annotations, ends           int
	// finish is the last one.
	finish *chat.Finish
}

// tell notes a piece, and numbers what is a call's.
func tell(want map[int64]*toldChoice, p *chat.Piece) {
	if p.Choice < 0 || p.Kind == chat.PieceStart || p.Kind == chat.PieceSource || p.Kind == chat.PieceUsage {
		return
	}
	c := want[p.Choice]
	if c == nil {
		c = &toldChoice{}
		want[p.Choice] = c
	}
	switch last := len(c.arguments) - 1; p.Kind {
	case chat.PieceText:
		c.content += said8(p.Text)
	case chat.PieceRefusal:
		c.refusal += said8(p.Text)
	case chat.PieceReasoning:
		c.reasoning += said8(p.Text)
	case chat.PieceCall:
		if p.Index = last + 1; p.Call != nil {
			c.arguments = append(c.arguments, said8(p.Call.Arguments))
		}
	case chat.PieceArguments:
		if p.Index = last; last >= 0 {
			c.arguments[last] += said8(p.Text)
		}
	case chat.PieceCitation:
		if p.Citation != nil && p.Citation.URL != "" {
			c.annotations++
		}
	case chat.PieceFinish:
		c.finish = p.Finish
	}
}

// close adds what the end of a stream adds.
func (c *toldChoice) close() {
	if f := c.finish; f != nil && f.Reason == chat.FinishRefusal && c.refusal == "" {
		c.refusal = said8(f.Explanation)
	}
	c.ends, c.finish = 1, nil
	for i, a := range c.arguments {
		if strings.TrimSpace(a) == "" {
			c.arguments[i] += "{}"
		}
	}
}

// said8 is a text with U+FFFD for each byte that is no UTF-8.
func said8(s string) string { return string([]rune(s)) }

// chunkRead is a chunk as clients read it.
type chunkRead struct {
	Choices []struct {
		Index int64
		Delta struct {
			Role, Content, Refusal, Reasoning string
			Annotations                       []any
			Calls                             []struct {
				Index    int
				ID       string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		Finish *string `json:"finish_reason"`
	}
}

// readChoices puts chunks together.
func readChoices(t *testing.T, lines []string) map[int64]*toldChoice {
	t.Helper()
	out := map[int64]*toldChoice{}
	for _, line := range lines {
		var chunk chunkRead
		if err := json.Unmarshal([]byte(line), &chunk); err != nil {
			t.Fatal(err, line)
		}
		for _, c := range chunk.Choices {
			told := out[c.Index]
			if (told == nil) != (c.Delta.Role == "assistant") || told != nil && told.ends > 0 {
				t.Fatalf("out of order: %s", line)
			}
			if told == nil {
				told = &toldChoice{}
				out[c.Index] = told
			}
			told.content += c.Delta.Content
			told.refusal += c.Delta.Refusal
			told.reasoning += c.Delta.Reasoning
			told.annotations += len(c.Delta.Annotations)
			for _, call := range c.Delta.Calls {
				if (call.Index == len(told.arguments)) != (call.ID != "") || call.Index > len(told.arguments) {
					t.Fatalf("call %d of %d: %s", call.Index, len(told.arguments), line)
				}
				if call.ID != "" {
					told.arguments = append(told.arguments, "")
				}
				told.arguments[call.Index] += call.Function.Arguments
			}
			if c.Finish != nil {
				told.ends++
			}
		}
	}
	return out
}
