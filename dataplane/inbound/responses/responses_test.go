package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/sse"
)

type noErrors struct{}

func (noErrors) Error(http.ResponseWriter, *chat.Error) {}

func request(t testing.TB, body string) *chat.Request {
	t.Helper()
	r, err := New(noErrors{}).Parse("req_0000-1111", http.Header{}, []byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	r.Created = 1_800_000_000
	return r
}

// References to thoughts are left out of prompts; upstreams of the protocol get those that they can have stored themselves.

func TestReferences(t *testing.T) {
	const call = `{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}`
	r := request(t, `{"model":"m","input":[{"type":"item_reference","id":"rs_0a_1"},{"id":"rs_0b","type":"item_reference"},{"type":"item_reference","id":"msg_1_2"},`+call+`]}`)
	if diff := cmp.Diff(`{"model":"m","input":[{"id":"rs_0b","type":"item_reference"},{"type":"item_reference","id":"msg_1_2"},`+call+`]}`, string(r.Body)); diff != "" {
		t.Error(diff)
	}
	p, err := request(t, `{"model":"m","input":[{"type":"item_reference","id":"rs_0a_1"},`+call+`]}`).Translate()
	if err != nil {
		t.Fatal(err)
	}
	want := []chat.Part{{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c", Name: "f", Arguments: "{}"}}}
	if diff := cmp.Diff(want, p.Messages[0].Parts); diff != "" {
		t.Error(diff)
	}
}

// pieces are an answer as a stream tells it.

func pieces(a *chat.Answer) []chat.Piece {
	out := []chat.Piece{{Kind: chat.PieceStart}}
	for i := range a.Sources {
		out = append(out, chat.Piece{Kind: chat.PieceSource, Source: &a.Sources[i]})
	}
	calls := 0
	for _, p := range a.Choices[0].Parts {
		switch p.Kind {
		case chat.PartText:
			for i := range p.Text {
				out = append(out, chat.Piece{Kind: chat.PieceText, Text: p.Text[i : i+1]})
			}
			for i := range p.Citations {
				out = append(out, chat.Piece{Kind: chat.PieceCitation, Citation: &p.Citations[i]})
			}
		case chat.PartRefusal:
			out = append(out, chat.Piece{Kind: chat.PieceRefusal, Text: p.Text})
		case chat.PartThought:
			out = append(out, chat.Piece{Kind: chat.PieceReasoning, Text: p.Thought.Text}, chat.Piece{Kind: chat.PieceSigned, Thought: &chat.Thought{
				Signature: p.Thought.Signature, Encrypted: p.Thought.Encrypted, Format: p.Thought.Format}})
		case chat.PartCall:
			c := *p.Call
			c.Arguments = ""
			out = append(out, chat.Piece{Kind: chat.PieceCall, Index: calls, Call: &c})
			for i := range p.Call.Arguments {
				out = append(out, chat.Piece{Kind: chat.PieceArguments, Index: calls, Text: p.Call.Arguments[i : i+1]})
			}
			calls++
		}
	}
	return append(out, chat.Piece{Kind: chat.PieceFinish, Finish: &a.Choices[0].Finish})
}

func written() *chat.Answer {
	return &chat.Answer{
		Sources: []chat.Source{{URL: "https://x.org", Title: "X"}},
		Choices: []chat.Choice{{Finish: chat.Finish{Reason: chat.FinishTools}, Parts: []chat.Part{
			{Kind: chat.PartThought, Thought: &chat.Thought{Text: "Hm.", Signature: "sig", Format: chat.FormatAnthropic}},
			{Kind: chat.PartText, Text: "Hello <b>", Citations: []chat.Citation{{URL: "https://x.org", Title: "X", Start: 0, End: 5}}},
			{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c1", Name: "f", Arguments: `{"a":1}`, Signature: "gem"}},
			{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c2", Name: "g"}},
		}}},
	}
}

var total = chat.Total{Usage: pricing.Usage{Input: 10, CacheRead: 5, CacheWrite: 2, CacheWrite1h: 1, Output: 7, Reasoning: 3}, CostUSD: "0.25"}

// The last event of a stream is what the unary answer is, and the events before it tell the same.

func TestStreamIsTheAnswer(t *testing.T) {
	r := request(t, `{"model":"m","input":"x","metadata":{"k":"v"},"tools":[{"type":"function","name":"f"}]}`)
	unary, err := New(noErrors{}).Answer(r, written(), total)
	if err != nil {
		t.Fatal(err)
	}
	w := New(noErrors{}).Stream(r)
	var raw []byte
	for _, p := range pieces(written()) {
		raw = w.Write(raw, &p)
	}
	raw = w.End(raw, total)
	var events []map[string]any
	reader := sse.NewReader(bytes.NewReader(raw), 1<<20)
	for {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var v map[string]any
		if err != nil || json.Unmarshal(e.Data, &v) != nil || v["type"] != e.Name || v["sequence_number"] != float64(len(events)) {
			t.Fatalf("event %d: %s %s, %v", len(events), e.Name, e.Data, err)
		}
		events = append(events, v)
	}
	last := events[len(events)-1]
	var want any
	if err := json.Unmarshal(unary, &want); err != nil || last["type"] != "response.completed" {
		t.Fatal(err, last["type"])
	}
	if diff := cmp.Diff(want, last["response"]); diff != "" {
		t.Errorf("-unary +stream:\n%s", diff)
	}
	output := want.(map[string]any)["output"].([]any)
	texts, items := map[string]string{}, map[float64]any{}
	for _, e := range events {
		switch e["type"] {
		case "response.output_text.delta", "response.function_call_arguments.delta", "response.reasoning_summary_text.delta":
			texts[e["item_id"].(string)] += e["delta"].(string)
		case "response.output_item.done":
			items[e["output_index"].(float64)] = e["item"]
		}
	}
	for i, o := range output {
		if diff := cmp.Diff(o, items[float64(i)]); diff != "" {
			t.Errorf("item %d: %s", i, diff)
		}
		o := o.(map[string]any)
		if args, ok := o["arguments"]; ok && texts[o["id"].(string)] != args {
			t.Errorf("the arguments' deltas are %q of %q", texts[o["id"].(string)], args)
		}
	}
	if !strings.Contains(string(unary), `"text":"Hello <b>"`) || !strings.Contains(string(unary), `"cost":0.25`) ||
		!strings.Contains(string(unary), `"input_tokens":18,"input_tokens_details":{"cached_tokens":5,"cache_write_tokens":3}`) {
		t.Errorf("%s", unary)
	}
}

// An answer that comes back as input is what it was, signatures and all; an upstream of the protocol gets none of ours.

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 20, 80)
		a := &chat.Answer{Choices: []chat.Choice{{}}}
		if rapid.Bool().Draw(t, "thought") {
			th := &chat.Thought{Text: text.Draw(t, "thinking"), Format: rapid.SampledFrom([]string{chat.FormatAnthropic, chat.FormatGemini}).Draw(t, "format")}
			if rapid.Bool().Draw(t, "encrypted") {
				th.Text, th.Encrypted = "", text.Draw(t, "encrypted text")
			} else {
				th.Signature = text.Draw(t, "signature")
			}
			a.Choices[0].Parts = append(a.Choices[0].Parts, chat.Part{Kind: chat.PartThought, Thought: th})
		}
		a.Choices[0].Parts = append(a.Choices[0].Parts, chat.Part{Kind: chat.PartText, Text: text.Draw(t, "text")})
		for i := range rapid.IntRange(0, 3).Draw(t, "calls") {
			c := &chat.ToolCall{ID: "c" + string(rune('0'+i)), Name: "f", Arguments: `{"a":1}`}
			if rapid.Bool().Draw(t, "signed") {
				c.Signature = text.Draw(t, "call signature")
			}
			a.Choices[0].Parts = append(a.Choices[0].Parts, chat.Part{Kind: chat.PartCall, Call: c})
		}
		d := New(noErrors{})
		first, failed := d.Parse("req_1", nil, []byte(`{"model":"m","input":"x"}`))
		if failed != nil {
			t.Fatal(failed)
		}
		body, err := d.Answer(first, a, chat.Total{})
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			Output json.RawMessage `json:"output"`
		}
		if err := json.Unmarshal(body, &out); err != nil {
			t.Fatal(err)
		}
		second, failed := d.Parse("req_2", nil, []byte(`{"model":"m","input":`+string(out.Output)+`}`))
		if failed != nil {
			if string(out.Output) == "[]" {
				return
			}
			t.Fatal(failed)
		}
		if bytes.Contains(second.Body, []byte(carryPrefix)) || !json.Valid(second.Body) {
			t.Fatalf("an upstream would get %s", second.Body)
		}
		p, err := second.Translate()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a.Choices[0].Parts, p.Messages[0].Parts); diff != "" {
			t.Fatalf("-answer +prompt:\n%s", diff)
		}
	})
}

func TestWithCost(t *testing.T) {
	for data, want := range map[string]string{
		`{"id":"r","usage":{"input_tokens":1}}`:                               `{"id":"r","usage":{"input_tokens":1,"cost":0.5}}`,
		`{"type":"response.completed","response":{"usage":{"a":1},"id":"r"}}`: `{"type":"response.completed","response":{"usage":{"a":1,"cost":0.5},"id":"r"}}`,
		`{"usage":{"cost":9}}`:                                                `{"usage":{"cost":0.5}}`,
		`{"usage":{}}`:                                                        `{"usage":{"cost":0.5}}`,
		`{"response":{"usage":null}}`:                                         "",
		`{"type":"response.created","x":1}`:                                   "",
		`[]`:                                                                  "",
	} {
		got, ok := New(noErrors{}).WithCost([]byte(data), "0.5")
		if want == "" && (ok || string(got) != data) || want != "" && string(got) != want {
			t.Errorf("%s: %s %v", data, got, ok)
		}
	}
}

func TestFinish(t *testing.T) {
	r := request(t, `{"model":"m","input":"x"}`)
	for reason, want := range map[chat.FinishReason]string{
		chat.FinishStop: `"status":"completed"`, chat.FinishLength: `"incomplete_details":{"reason":"max_output_tokens"}`,
		chat.FinishFilter: `"incomplete_details":{"reason":"content_filter"}`, chat.FinishRefusal: `{"type":"refusal","refusal":"No."}`,
	} {
		a := &chat.Answer{Choices: []chat.Choice{{Finish: chat.Finish{Reason: reason, Explanation: "No."}}}}
		if body, err := New(noErrors{}).Answer(r, a, chat.Total{}); err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v", reason, body, err)
		}
	}
	ev := New(noErrors{}).ErrorEvent(&chat.Error{Code: "upstream_error", Message: "It failed."})
	if want := "event: error\ndata: {\"type\":\"error\",\"code\":\"upstream_error\",\"message\":\"It failed.\",\"param\":null}\n\n"; string(ev) != want {
		t.Errorf("%s", ev)
	}
}
