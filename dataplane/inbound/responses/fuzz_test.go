package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
)

// FuzzParse gives any bytes to the judge of requests and to the decoder: there is a request or an error, and what a prompt
// promises holds.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"model":"m","input":[{"type":"reasoning","encrypted_content":"layers1:eyJjIjoieCJ9"},{"role":"user","content":[{"type":"input_text","text":"x"}]}]}`))
	f.Add([]byte(`{"model":"m","input":"x","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools"}}`))
	f.Add([]byte(`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;x=y;base64,AA"},{"type":"input_file","file_url":"https://x.test/y"}]}]}`))
	f.Add([]byte(`{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"x"},{"type":"custom_tool_call","call_id":"d","name":"g","input":"y"},{"type":"custom_tool_call_output","call_id":"d","output":[{"type":"input_text","text":"z"}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, failed := New(noErrors{}).Parse("req_1", nil, body)
		if failed != nil {
			if failed.Status != 400 || failed.Message == "" || r != nil {
				t.Fatalf("%+v", failed)
			}
			return
		}
		if o, err := jsonscan.Scan(r.Body); err != nil || cmp.Diff(o, r.Fields, cmpopts.EquateEmpty()) != "" {
			t.Fatal("the fields are not the body's", err)
		}
		p, err := r.Translate()
		if err != nil {
			var e *chat.Error
			if !errors.As(err, &e) || e.Status != 400 || e.Message == "" {
				t.Fatal(err)
			}
		} else {
			checkPrompt(t, p)
		}
		if out, err := New(noErrors{}).Answer(r, written(), total); err != nil || !json.Valid(out) {
			t.Fatalf("%s, %v", out, err)
		}
	})
}

// checkPrompt checks what every upstream relies on.
func checkPrompt(t *testing.T, p *chat.Prompt) {
	t.Helper()
	called := map[string]string{}
	for _, m := range p.Messages {
		if len(m.Parts) == 0 {
			t.Fatal("an empty message")
		}
		for _, part := range m.Parts {
			switch {
			case part.Call != nil:
				c := part.Call
				if called[c.ID] = c.Name; m.Role != chat.Assistant || c.Name == "" || !c.Custom && !json.Valid([]byte(c.Arguments)) {
					t.Fatalf("%+v", c)
				}
			case part.Result != nil:
				if name, ok := called[part.Result.ID]; !ok || name != part.Result.Name {
					t.Fatalf("%+v", part.Result)
				}
			case part.Media != nil:
				if (part.Media.URL == "") == (part.Media.Base64 == "") {
					t.Fatalf("%+v", part.Media)
				}
			}
		}
	}
	for _, tool := range p.Tools {
		if tool.Name == "" || tool.Schema != nil && !json.Valid(tool.Schema) {
			t.Fatalf("%+v", tool)
		}
	}
}

// told is what a client has of an answer.
type told struct {
	Text, Refusal, Thought string
	Arguments              []string
}

// FuzzStream gives any pieces to the writer: its events are numbered, each part and each item that begins ends once, and the
// deltas and the response at the end have all that the pieces say.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 2, 4, 5, 3, 6, 0, 1, 6}, `{"a":1}`)
	f.Add([]byte{4, 5, 4, 6, 13, 21, 0, 5, 2, 1, 7}, "x")
	f.Fuzz(func(t *testing.T, script []byte, s string) {
		s = string([]rune(s)) + "."
		w := New(noErrors{}).Stream(request(t, `{"model":"m","input":"x"}`))
		var raw []byte
		var want told
		for _, b := range script[:min(len(script), 500)] {
			p := chat.Piece{Text: s}
			last := len(want.Arguments) - 1
			switch b % 8 {
			case 0:
				p.Kind, want.Text = chat.PieceText, want.Text+s
			case 1:
				p.Kind, want.Refusal = chat.PieceRefusal, want.Refusal+s
			case 2:
				p.Kind, want.Thought = chat.PieceReasoning, want.Thought+s
			case 3:
				p.Kind, p.Thought = chat.PieceSigned, &chat.Thought{Signature: s, Format: chat.FormatAnthropic}
			case 4:
				p.Kind, p.Index, p.Call = chat.PieceCall, last+1, &chat.ToolCall{ID: s, Name: "f"}
				want.Arguments = append(want.Arguments, "")
			case 5, 6:
				if last < 0 {
					continue
				}
				p.Kind, p.Index, p.Text = chat.PieceArguments, max(0, last-int(b>>3)%3), "["
				want.Arguments[p.Index] += p.Text
			case 7:
				p.Kind, p.Source = chat.PieceSource, &chat.Source{URL: s}
			}
			raw = w.Write(raw, &p)
		}
		for i := range want.Arguments {
			if want.Arguments[i] == "" {
				want.Arguments[i] = "{}"
			}
		}
		said, whole := readEvents(t, w.End(raw, total))
		if d := cmp.Diff(want, said, cmpopts.EquateEmpty()); d != "" {
			t.Fatal("the deltas:", d)
		}
		if d := cmp.Diff(want, whole, cmpopts.EquateEmpty()); d != "" {
			t.Fatal("the response:", d)
		}
	})
}

// output is an item as clients read it.
type output struct {
	Type, Status, Arguments string
	Content                 []struct{ Text, Refusal string }
	Summary                 []struct{ Text string }
}

// readEvents reads a stream: what its deltas say, and what the response at its end has.
func readEvents(t *testing.T, raw []byte) (said, whole told) {
	t.Helper()
	reader := sse.NewReader(bytes.NewReader(raw), 16<<20)
	open, calls := map[string]int{}, map[int]int{}
	for n, over := 0, false; ; n++ {
		e, err := reader.Next()
		if err != nil {
			if !over || len(open) > 0 {
				t.Fatalf("it ends: %v; open: %v", over, open)
			}
			return said, whole
		}
		var v struct {
			Type     string
			Sequence int    `json:"sequence_number"`
			Index    int    `json:"output_index"`
			Delta    string `json:"delta"`
			Item     output
			Response struct{ Output []output }
		}
		if err := json.Unmarshal(e.Data, &v); err != nil || v.Type != e.Name || v.Sequence != n || over {
			t.Fatalf("%v: event %d is %s %s", err, n, e.Name, e.Data)
		}
		switch v.Type {
		case "response.output_text.delta":
			said.Text += v.Delta
		case "response.refusal.delta":
			said.Refusal += v.Delta
		case "response.reasoning_summary_text.delta":
			said.Thought += v.Delta
		case "response.function_call_arguments.delta":
			said.Arguments[calls[v.Index]] += v.Delta
		case "response.output_item.added":
			if open["item"]++; v.Item.Type == "function_call" {
				calls[v.Index] = len(said.Arguments)
				said.Arguments = append(said.Arguments, "")
			}
		case "response.content_part.added":
			open["part"]++
		case "response.output_item.done":
			shut(t, open, "item", e.Data)
		case "response.content_part.done":
			shut(t, open, "part", e.Data)
		case "response.completed":
			over, whole = true, toldBy(v.Response.Output)
		}
	}
}

func shut(t *testing.T, open map[string]int, what string, data []byte) {
	t.Helper()
	if open[what]--; open[what] < 0 {
		t.Fatalf("the %s is not open: %s", what, data)
	}
	if open[what] == 0 {
		delete(open, what)
	}
}

func toldBy(items []output) (whole told) {
	for _, o := range items {
		for _, c := range o.Content {
			whole.Text += c.Text
			whole.Refusal += c.Refusal
		}
		for _, c := range o.Summary {
			whole.Thought += c.Text
		}
		if o.Type == "function_call" {
			whole.Arguments = append(whole.Arguments, o.Arguments)
		}
	}
	return whole
}
