package anthropic

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

func textPiece(s string) chat.Piece { return chat.Piece{Kind: chat.PieceText, Text: s} }

func reasoningPiece(s string) chat.Piece { return chat.Piece{Kind: chat.PieceReasoning, Text: s} }

func signedPiece(t chat.Thought) chat.Piece { return chat.Piece{Kind: chat.PieceSigned, Thought: &t} }

func callPiece(index int, c chat.ToolCall) chat.Piece {
	return chat.Piece{Kind: chat.PieceCall, Index: index, Call: &c}
}

func argsPiece(index int, s string) chat.Piece {
	return chat.Piece{Kind: chat.PieceArguments, Index: index, Text: s}
}

func finishPiece(r chat.FinishReason) chat.Piece {
	return chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: r}}
}

// A whole stream, byte for byte.
func TestStreamBytes(t *testing.T) {
	got := string(written([]chat.Piece{
		{Kind: chat.PieceStart, ID: "resp_1", Model: "gpt"},
		reasoningPiece("h"), reasoningPiece("m"), signedPiece(chat.Thought{Signature: "s", Format: chat.FormatAnthropic}),
		textPiece(""), textPiece("a<b"),
		{Kind: chat.PieceCitation, Citation: &chat.Citation{URL: "https://a", Title: "A"}},
		callPiece(0, chat.ToolCall{ID: "c", Name: "f"}), argsPiece(0, `{"a"`), argsPiece(0, `:1}`),
		{Kind: chat.PieceUsage, Usage: &pricing.Usage{Output: 3}},
		finishPiece(chat.FinishTools),
	}, chat.Total{Usage: pricing.Usage{Input: 9, Output: 3}, CostUSD: "0.5"}))
	want := strings.ReplaceAll(`event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":0,"service_tier":"standard"}}}
~
event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
~
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h"}}
~
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"m"}}
~
event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}
~
event: content_block_stop
data: {"type":"content_block_stop","index":0}
~
event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}
~
event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a<b"}}
~
event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"type":"web_search_result_location","cited_text":"","url":"https://a","title":"A","encrypted_index":""}}}
~
event: content_block_stop
data: {"type":"content_block_stop","index":1}
~
event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"c","name":"f","input":{}}}
~
event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}
~
event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":":1}"}}
~
event: content_block_stop
data: {"type":"content_block_stop","index":2}
~
event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":9,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":3,"cost":0.5}}
~
event: message_stop
data: {"type":"message_stop"}
~
`, "~\n", "\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What streams come to, as a client puts them together. A want is a content array.
func TestStream(t *testing.T) {
	const a0 = `{"type":"tool_use","id":"a","name":"f","input":{"x":[1,"}"]}}`
	const b0 = `{"type":"tool_use","id":"b","name":"g","input":{"y":2}}`
	const c0 = `{"type":"tool_use","id":"c","name":"h","input":{}}`
	a, b, c := chat.ToolCall{ID: "a", Name: "f"}, chat.ToolCall{ID: "b", Name: "g"}, chat.ToolCall{ID: "c", Name: "h"}
	source := func(url string) chat.Piece { return chat.Piece{Kind: chat.PieceSource, Source: &chat.Source{URL: url}} }
	found := func(n, url string) string {
		return `{"type":"server_tool_use","id":"srvtoolu_layers_1_` + n + `","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_layers_1_` + n + `","content":[{"type":"web_search_result","title":"","url":"` + url + `","encrypted_content":"","page_age":null}]}`
	}
	for name, tc := range map[string]struct {
		in   []chat.Piece
		want string
	}{
		"nothing":       {nil, ``},
		"no start":      {[]chat.Piece{textPiece("x")}, `{"type":"text","text":"x"}`},
		"tools only":    {[]chat.Piece{callPiece(0, a), argsPiece(0, `{"x":[1,`), argsPiece(0, `"}"]}`), callPiece(1, b), argsPiece(1, `{"y":2}`)}, a0 + "," + b0},
		"whole calls":   {[]chat.Piece{callPiece(0, chat.ToolCall{ID: "a", Name: "f", Arguments: `{"x":[1,"}"]}`}), callPiece(1, chat.ToolCall{ID: "b", Name: "g", Arguments: ` {"y":2} `})}, a0 + "," + b0},
		"no arguments":  {[]chat.Piece{callPiece(0, c), callPiece(1, b), argsPiece(1, `{"y":2}`), textPiece("x")}, c0 + "," + b0 + `,{"type":"text","text":"x"}`},
		"interleaved":   {[]chat.Piece{callPiece(0, a), callPiece(1, b), argsPiece(1, `{"y"`), argsPiece(0, `{"x":[1,`), argsPiece(1, `:2}`), argsPiece(0, `"}"]}`), callPiece(2, c), argsPiece(2, "{}")}, a0 + "," + b0 + "," + c0},
		"text between":  {[]chat.Piece{callPiece(0, a), textPiece("x"), argsPiece(0, `{"x":[1,"}"]}`), textPiece("y")}, a0 + `,{"type":"text","text":"xy"}`},
		"three at once": {[]chat.Piece{callPiece(0, a), callPiece(1, b), callPiece(2, c), argsPiece(2, `{`), argsPiece(1, `{"y":2}`), argsPiece(2, `}`), argsPiece(0, `{"x":[1,"}"]}`)}, a0 + "," + b0 + "," + c0},
		"no object":     {[]chat.Piece{callPiece(0, c), argsPiece(0, `nu`), argsPiece(0, `ll`)}, `{"type":"tool_use","id":"c","name":"h","input":{"invalid_arguments":"null"}}`},
		"behind it":     {[]chat.Piece{callPiece(0, c), argsPiece(0, `{}`), argsPiece(0, ` garbage`)}, c0},
		"too late":      {[]chat.Piece{callPiece(0, chat.ToolCall{ID: "c", Name: "h", Arguments: "{}"}), textPiece("x"), argsPiece(0, `{}`)}, c0 + `,{"type":"text","text":"x"}`},
		"other choice":  {[]chat.Piece{textPiece("x"), {Kind: chat.PieceText, Choice: 1, Text: "y"}}, `{"type":"text","text":"x"}`},
		"refusal":       {[]chat.Piece{{Kind: chat.PieceRefusal, Text: "no"}}, `{"type":"text","text":"no"}`},
		"redacted":      {[]chat.Piece{reasoningPiece("x"), signedPiece(chat.Thought{Encrypted: "e", Format: chat.FormatAnthropic}), reasoningPiece("y")}, `{"type":"thinking","thinking":"x","signature":""},{"type":"redacted_thinking","data":"e"},{"type":"thinking","thinking":"y","signature":""}`},
		"of OpenAI":     {[]chat.Piece{reasoningPiece("x"), signedPiece(chat.Thought{Encrypted: "e", ID: "rs_1", Format: chat.FormatOpenAI})}, `{"type":"thinking","thinking":"x","signature":"openai-responses-v1:encrypted:rs_1:e"}`},
		"no words":      {[]chat.Piece{signedPiece(chat.Thought{Encrypted: "e", ID: "rs_1", Format: chat.FormatOpenAI}), textPiece("x")}, `{"type":"thinking","thinking":"","signature":"openai-responses-v1:encrypted:rs_1:e"},{"type":"text","text":"x"}`},
		"unsigned":      {[]chat.Piece{reasoningPiece("x"), signedPiece(chat.Thought{}), reasoningPiece("y")}, `{"type":"thinking","thinking":"xy","signature":""}`},
		"signed call":   {[]chat.Piece{reasoningPiece("x"), callPiece(0, chat.ToolCall{ID: "c", Name: "h", Arguments: "{}", Signature: "s"})}, `{"type":"thinking","thinking":"x","signature":""},{"type":"thinking","thinking":"","signature":"google-gemini-v1:call::s"},` + c0},
		"found":         {[]chat.Piece{source("https://a"), textPiece("x"), source("https://b")}, found("0", "https://a") + `,{"type":"text","text":"x"},` + found("1", "https://b")},
		"found in text": {[]chat.Piece{textPiece("x"), source("https://a"), textPiece("y"), {Kind: chat.PieceCitation, Citation: &chat.Citation{URL: "https://a"}}, callPiece(0, chat.ToolCall{ID: "c", Name: "h", Arguments: "{}"})}, `{"type":"text","text":"xy","citations":[{"type":"web_search_result_location","cited_text":"","url":"https://a","title":null,"encrypted_index":""}]},` + found("0", "https://a") + "," + c0},
		"cited twice":   {[]chat.Piece{textPiece("x"), reasoningPiece("y"), source("https://a"), {Kind: chat.PieceCitation, Citation: &chat.Citation{URL: "https://a"}}}, `{"type":"text","text":"x"},{"type":"thinking","thinking":"y","signature":""},` + found("0", "https://a")},
		"cited late":    {[]chat.Piece{textPiece("x"), reasoningPiece("y"), {Kind: chat.PieceCitation, Citation: &chat.Citation{URL: "https://a"}}}, `{"type":"text","text":"x"},{"type":"thinking","thinking":"y","signature":""},` + found("0", "https://a")},
		"no page":       {[]chat.Piece{textPiece("x"), {Kind: chat.PieceCitation, Citation: &chat.Citation{Title: "t"}}}, `{"type":"text","text":"x"}`},
		"broken pieces": {[]chat.Piece{{Kind: chat.PieceCall}, {Kind: chat.PieceSigned}, {Kind: chat.PieceCitation}, {Kind: chat.PieceSource}, {Kind: chat.PieceFinish}, argsPiece(3, "x"), {Kind: chat.PieceLogprobs}, {}}, ``},
	} {
		t.Run(name, func(t *testing.T) {
			got := streamed(t, tc.in, chat.Total{})
			want := decoded(t, []byte(`{"content":[`+tc.want+`]}`))
			if d := cmp.Diff(want["content"], got["content"]); d != "" {
				t.Error(d)
			}
		})
	}
}

// What waits for a call is told as soon as the call's arguments are whole, not at the end.
func TestStreamWaitsNoLonger(t *testing.T) {
	w := Messages{}.Stream(&chat.Request{ID: "req_1", Model: "m"})
	for i, step := range []struct {
		in         chat.Piece
		has, hasnt string
	}{
		{callPiece(0, chat.ToolCall{ID: "a", Name: "f"}), `"id":"a"`, ""},
		{callPiece(1, chat.ToolCall{ID: "b", Name: "g"}), "", "event"},
		{argsPiece(1, `{"b"`), "", "event"},
		{argsPiece(0, `{"a":`), `{\"a\":`, `"id":"b"`},
		{argsPiece(0, `1}`), `"id":"b"`, "text_delta"},
		{textPiece("x"), "", "event"},
		{argsPiece(1, `:2}`), `"text":"x"`, ""},
		{textPiece("y"), `"text":"y"`, "content_block_start"},
	} {
		got := string(w.Write(nil, &step.in))
		if !strings.Contains(got, step.has) || step.hasnt != "" && strings.Contains(got, step.hasnt) {
			t.Errorf("step %d: %q", i, got)
		}
	}
}

// Arguments that were cut short stay so: what waited behind them is told all the same.
func TestStreamCutCall(t *testing.T) {
	out := string(written([]chat.Piece{callPiece(0, chat.ToolCall{ID: "a", Name: "f"}), argsPiece(0, `{"a":"b`), textPiece("x"), finishPiece(chat.FinishLength)}, chat.Total{}))
	for _, want := range []string{`"partial_json":"{\"a\":\"b"`, `"index":1,"delta":{"type":"text_delta","text":"x"}`, `"stop_reason":"max_tokens"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// A call that never ends makes everything behind it wait.
func BenchmarkStreamWaiting(b *testing.B) {
	pieces := []chat.Piece{callPiece(0, chat.ToolCall{ID: "a", Name: "f"})}
	for range 10_000 {
		pieces = append(pieces, textPiece("word "))
	}
	b.ReportAllocs()
	for b.Loop() {
		written(pieces, chat.Total{})
	}
}

// fuzzed turns bytes into pieces of every kind, sensible or not.
func fuzzed(b []byte) []chat.Piece {
	var out []chat.Piece
	for len(b) >= 3 {
		n := min(int(b[2]%16), len(b)-3)
		text, index := strings.ToValidUTF8(string(b[3:3+n]), "?"), int(b[1]%3)
		switch b[0] % 12 {
		case 0, 1:
			out = append(out, textPiece(text))
		case 2:
			out = append(out, reasoningPiece(text))
		case 3:
			out = append(out, signedPiece(chat.Thought{Signature: text, Format: chat.FormatGemini}))
		case 4:
			out = append(out, signedPiece(chat.Thought{Encrypted: text, Format: chat.FormatAnthropic}))
		case 5, 6:
			out = append(out, callPiece(index, chat.ToolCall{ID: text, Name: text, Arguments: text}))
		case 7, 8:
			out = append(out, argsPiece(index, text))
		case 9:
			out = append(out, chat.Piece{Kind: chat.PieceCitation, Citation: &chat.Citation{URL: text}})
		case 10:
			out = append(out, chat.Piece{Kind: chat.PieceSource, Source: &chat.Source{URL: text}})
		case 11:
			out = append(out, finishPiece(chat.FinishReason(text)))
		}
		b = b[3+n:]
	}
	return out
}

// Whatever an upstream says, the stream keeps to the protocol, and loses no text.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x05\x00\x02ab\x07\x00\x04{\"a\"\x05\x01\x01b\x07\x01\x02{}\x07\x00\x03:1}\x00\x00\x01x"))
	f.Add([]byte("\x02\x00\x01a\x03\x00\x01s\x04\x00\x01e\x09\x00\x01u\x0a\x00\x01u\x0b\x00\x04stop"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pieces := fuzzed(b)
		r := reader{lenient: true}
		for _, raw := range strings.SplitAfter(string(written(pieces, chat.Total{})), "\n\n") {
			if raw == "" {
				continue
			}
			if err := r.event(raw); err != nil {
				t.Fatalf("%v in %q", err, raw)
			}
		}
		if !r.ended {
			t.Fatal("no end")
		}
		want, got := "", ""
		for _, p := range pieces {
			if p.Kind == chat.PieceText {
				want += p.Text
			}
		}
		for _, b := range r.message["content"].([]any) {
			if block := b.(map[string]any); block["type"] == "text" {
				got += block["text"].(string)
			}
		}
		if want != got {
			t.Fatalf("text %q, want %q", got, want)
		}
	})
}
