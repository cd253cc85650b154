package openai

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// FuzzStream gives any pieces to the writer: the stream is one that clients read, and ends.
func FuzzStream(f *testing.F) {
	f.Add([]byte("tcaafrsl"), "text")
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 200}, "\xff<")
	kinds := []chat.PieceKind{chat.PieceStart, chat.PieceText, chat.PieceRefusal, chat.PieceReasoning, chat.PieceSigned, chat.PieceCall, chat.PieceArguments, chat.PieceCitation, chat.PieceSource, chat.PieceLogprobs, chat.PieceFinish, chat.PieceUsage, "?"}
	f.Fuzz(func(t *testing.T, script []byte, s string) {
		w := newStream(&chat.Request{ID: "req_1", Model: "m"})
		var out []byte
		calls := 0
		for _, b := range script {
			p := chat.Piece{Kind: kinds[int(b)%len(kinds)], Choice: int64(b>>6) - 1, Index: calls, Text: s, Raw: json.RawMessage(s)}
			if b&1 == 0 {
				p.Thought, p.Call = &chat.Thought{Signature: s}, &chat.ToolCall{Name: s, Arguments: s, Signature: s}
				p.Citation, p.Source, p.Finish = &chat.Citation{URL: s, Start: int64(b)}, &chat.Source{URL: s}, &chat.Finish{Reason: chat.FinishReason(s), Explanation: s}
			}
			out = w.Write(out, &p)
			if p.Kind == chat.PieceCall {
				calls++
			}
		}
		lines := dataLines(w.End(out, chat.Total{}))
		if lines[len(lines)-1] != "[DONE]" {
			t.Fatal("no end")
		}
		for _, line := range lines[:len(lines)-1] {
			if !json.Valid([]byte(line)) {
				t.Fatal(line)
			}
		}
	})
}
