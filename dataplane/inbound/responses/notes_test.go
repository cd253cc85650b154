package responses

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// view is what these tests look at in a response.
type view struct {
	Output []struct {
		Type   string `json:"type"`
		CallID string `json:"call_id"`
		Action struct {
			Sources []struct {
				URL string `json:"url"`
			} `json:"sources"`
		} `json:"action"`
		Content []struct {
			Text        string `json:"text"`
			Annotations []struct {
				Start int64  `json:"start_index"`
				End   int64  `json:"end_index"`
				URL   string `json:"url"`
			} `json:"annotations"`
			Logprobs []struct {
				Token string `json:"token"`
			} `json:"logprobs"`
		} `json:"content"`
	} `json:"output"`
}

// streamed is the response at the end of a stream of pieces, and all of its events.
func streamed(t *testing.T, pieces ...chat.Piece) (view, string) {
	t.Helper()
	w := New(noErrors{}).Stream(request(t, `{"model":"m","input":"x","stream":true}`))
	var out []byte
	for i := range pieces {
		out = w.Write(out, &pieces[i])
	}
	out = w.End(out, chat.Total{})
	var end struct{ Response view }
	all := string(out)
	last := all[strings.LastIndex(all, "data: ")+len("data: "):]
	if err := json.Unmarshal([]byte(strings.TrimSpace(last)), &end); err != nil {
		t.Fatal(err)
	}
	return end.Response, all
}

// unary is the response of a whole answer with these parts.
func unary(t *testing.T, a *chat.Answer) view {
	t.Helper()
	body, err := New(noErrors{}).Answer(request(t, `{"model":"m","input":"x"}`), a, chat.Total{})
	if err != nil {
		t.Fatal(err)
	}
	var out view
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func types(w view) []string {
	var out []string
	for _, o := range w.Output {
		out = append(out, o.Type)
	}
	return out
}

func TestSourcesEndNoText(t *testing.T) {
	page := &chat.Source{URL: "https://a.example"}
	got, events := streamed(t,
		chat.Piece{Kind: chat.PieceText, Text: "Hello "},
		chat.Piece{Kind: chat.PieceSource, Source: page},
		chat.Piece{Kind: chat.PieceText, Text: "world."},
		chat.Piece{Kind: chat.PieceCitation, Citation: &chat.Citation{URL: page.URL, Start: 0, End: 5}},
		chat.Piece{Kind: chat.PieceSigned, Thought: &chat.Thought{Signature: "s", Format: chat.FormatGemini}},
		chat.Piece{Kind: chat.PieceCitation, Citation: &chat.Citation{URL: page.URL, Start: 6, End: 11}},
		chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishStop}})
	if diff := cmp.Diff([]string{"message", "web_search_call", "reasoning"}, types(got)); diff != "" {
		t.Fatal(diff)
	}
	p := got.Output[0].Content[0]
	if p.Text != "Hello world." || len(p.Annotations) != 2 || p.Annotations[1].End != 11 {
		t.Errorf("%+v", p)
	}
	if s := got.Output[1].Action.Sources; len(s) != 1 || s[0].URL != page.URL {
		t.Errorf("sources %+v", s)
	}
	if n := strings.Count(events, `"type":"response.output_text.annotation.added"`); n != 2 {
		t.Errorf("%d annotations told", n)
	}
}

func TestSourcesBesideOpenCalls(t *testing.T) {
	got, _ := streamed(t,
		chat.Piece{Kind: chat.PieceCall, Call: &chat.ToolCall{ID: "a", Name: "f"}},
		chat.Piece{Kind: chat.PieceSource, Source: &chat.Source{URL: "https://a.example"}},
		chat.Piece{Kind: chat.PieceCall, Index: 1, Call: &chat.ToolCall{ID: "b", Name: "g"}},
		chat.Piece{Kind: chat.PieceArguments, Index: 0, Text: `{"x":1}`},
		chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishTools}})
	if diff := cmp.Diff([]string{"function_call", "function_call", "web_search_call"}, types(got)); diff != "" {
		t.Error(diff)
	}
}

func TestCitationsOfJoinedTexts(t *testing.T) {
	got := unary(t, &chat.Answer{Choices: []chat.Choice{{Parts: []chat.Part{
		{Kind: chat.PartText, Text: "One😀."},
		{Kind: chat.PartText, Text: "Two.", Citations: []chat.Citation{{URL: "a", Start: 1, End: 3}, {URL: "b"}}},
	}}}})
	p := got.Output[0].Content[0]
	if p.Text != "One😀.Two." || len(p.Annotations) != 2 {
		t.Fatalf("%+v", p)
	}
	if a := p.Annotations[0]; a.Start != 7 || a.End != 9 {
		t.Errorf("the first: %+v", a)
	}
	if a := p.Annotations[1]; a.Start != 6 || a.End != 10 {
		t.Errorf("the whole part: %+v", a)
	}
}

func TestLogprobs(t *testing.T) {
	raw := json.RawMessage(`{"content":[{"token":"Hi","logprob":-0.5,"bytes":[72,105],"top_logprobs":[]}],"refusal":null}`)
	whole := unary(t, &chat.Answer{Choices: []chat.Choice{{Parts: []chat.Part{{Kind: chat.PartText, Text: "Hi"}}, Logprobs: raw}}})
	streamed, events := streamed(t, chat.Piece{Kind: chat.PieceText, Text: "Hi"}, chat.Piece{Kind: chat.PieceLogprobs, Raw: raw})
	for name, got := range map[string]view{"unary": whole, "stream": streamed} {
		if l := got.Output[0].Content[0].Logprobs; len(l) != 1 || l[0].Token != "Hi" {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if n := strings.Count(events, `"logprob":-0.5`); n != 5 { // delta, text done, part done, item done, response
		t.Errorf("%d events have them", n)
	}
}

func TestCallsWithoutIDs(t *testing.T) {
	got := unary(t, &chat.Answer{Choices: []chat.Choice{{Parts: []chat.Part{
		{Kind: chat.PartCall, Call: &chat.ToolCall{Name: "f"}}, {Kind: chat.PartCall, Call: &chat.ToolCall{Name: "g"}},
	}}}})
	if a, b := got.Output[0].CallID, got.Output[1].CallID; a == "" || b == "" || a == b {
		t.Errorf("%q, %q", a, b)
	}
}

func TestForeignThoughtsAreNamed(t *testing.T) {
	item := `{"type":"reasoning","id":"rs_a_0","summary":[],"encrypted_content":"` + carried{Format: chat.FormatAnthropic, Signature: "s"}.String() + `"}`
	r := request(t, `{"model":"m","input":[{"role":"user","content":"x"},`+item+`,{"role":"assistant","content":"y"},{"role":"user","content":"z"}]}`)
	if diff := cmp.Diff([]string{"input.reasoning"}, r.Dropped); diff != "" {
		t.Error(diff)
	}
}

// What is done does not change any more: sources that follow each other are one item, later ones another.
func TestSourcesAreToldOnce(t *testing.T) {
	source := func(url string) chat.Piece {
		return chat.Piece{Kind: chat.PieceSource, Source: &chat.Source{URL: url}}
	}
	got, events := streamed(t,
		source("https://a.example"), source("https://b.example"), chat.Piece{Kind: chat.PieceText, Text: "Hello"},
		source("https://c.example"), chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishStop}})
	if diff := cmp.Diff([]string{"web_search_call", "message", "web_search_call"}, types(got)); diff != "" {
		t.Fatal(diff)
	}
	if s := got.Output[0].Action.Sources; len(s) != 2 || len(got.Output[2].Action.Sources) != 1 {
		t.Errorf("%+v", got.Output)
	}
	for _, data := range strings.Split(events, "data: ")[1:] {
		var e struct {
			Type string
			Item struct{ Action struct{ Sources []any } }
		}
		if err := json.Unmarshal([]byte(strings.SplitN(data, "\n", 2)[0]), &e); err != nil {
			t.Fatal(err)
		}
		if e.Type == "response.output_item.done" && strings.Contains(data, "ws_") && !strings.Contains(data, "msg_") {
			if n := len(e.Item.Action.Sources); n != 2 && !strings.Contains(data, "https://c.example") {
				t.Errorf("done with %d sources: %s", n, data)
			}
		}
	}
}
