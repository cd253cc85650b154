package openai

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/sse"
)

// stream writes pieces and gives the data of the events.
func streamed(t *testing.T, r *chat.Request, total chat.Total, pieces ...chat.Piece) []string {
	t.Helper()
	w := Completions{}.Stream(r)
	out := []byte(": before\n\n") // what was there stays
	for i := range pieces {
		out = w.Write(out, &pieces[i])
	}
	out = w.End(out, total)
	return events(t, out)
}

func events(t *testing.T, raw []byte) []string {
	t.Helper()
	reader := sse.NewReader(bytes.NewReader(raw), 1<<20)
	var out []string
	for {
		ev, err := reader.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(ev.Data) > 0 {
			out = append(out, string(ev.Data))
		}
	}
}

func TestStreamBytes(t *testing.T) {
	got := streamed(t, asked(t, `"stream":true,"stream_options":{"include_usage":true}`), chat.Total{Usage: pricing.Usage{Input: 3, Output: 2}, CostUSD: "0.5"},
		chat.Piece{Kind: chat.PieceStart, ID: "msg_1", Model: "upstream"},
		chat.Piece{Kind: chat.PieceText, Text: "a<b>"},
		chat.Piece{Kind: chat.PieceText, Text: ""},
		chat.Piece{Kind: chat.PieceUsage, Usage: &pricing.Usage{Input: 9}},
		chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishLength, Native: "max_tokens"}},
	)
	const head = `{"id":"chatcmpl-7","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[`
	want := []string{
		head + `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `{"index":0,"delta":{"content":"a<b>"},"logprobs":null,"finish_reason":null}],"usage":null}`,
		head + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"length","native_finish_reason":"max_tokens"}],"usage":null}`,
		head + `],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0},"cache_creation_input_tokens":0,"cost":0.5}}`,
		"[DONE]",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, line := range streamed(t, asked(t, `"stream":true`), chat.Total{Usage: pricing.Usage{Input: 3}}, chat.Piece{Kind: chat.PieceText, Text: "a"}) {
		if strings.Contains(line, "usage") {
			t.Errorf("usage that nobody asked for: %s", line)
		}
	}
}

// choices are what the chunks say of their choices, without the rest.
func choicesOf(t *testing.T, lines []string) []string {
	t.Helper()
	var out []string
	for _, line := range lines {
		if line == "[DONE]" {
			continue
		}
		var o struct {
			Choices []struct {
				Index    int
				Delta    json.RawMessage
				Finish   *string         `json:"finish_reason"`
				Logprobs json.RawMessage `json:"logprobs"`
			}
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		for _, c := range o.Choices {
			s := string(c.Delta)
			if c.Index > 0 {
				s = "1 " + s
			}
			if c.Finish != nil {
				s += " " + *c.Finish
			}
			if string(c.Logprobs) != "null" {
				s += string(c.Logprobs)
			}
			out = append(out, s)
		}
	}
	return out
}

func TestStreamDeltas(t *testing.T) {
	const start = `{"role":"assistant","content":""}`
	piece := func(kind chat.PieceKind, text string) chat.Piece { return chat.Piece{Kind: kind, Text: text} }
	finish := func(reason chat.FinishReason) chat.Piece {
		return chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: reason}}
	}
	signedBy := func(th chat.Thought) chat.Piece { return chat.Piece{Kind: chat.PieceSigned, Thought: &th} }
	begin := func(i int, c chat.ToolCall) chat.Piece { return chat.Piece{Kind: chat.PieceCall, Index: i, Call: &c} }
	more := func(i int, s string) chat.Piece { return chat.Piece{Kind: chat.PieceArguments, Index: i, Text: s} }
	cite := func(c chat.Citation) chat.Piece { return chat.Piece{Kind: chat.PieceCitation, Citation: &c} }
	at := func(url string, from, to string) string {
		return `{"type":"url_citation","url_citation":{"end_index":` + to + `,"start_index":` + from + `,"title":"","url":"` + url + `"}}`
	}
	cited := func(all ...string) string { return `{"annotations":[` + strings.Join(all, ",") + `]}` }
	first := carry("c1", []chat.Thought{{Text: "hm", Signature: "sig", Format: chat.FormatAnthropic}}, "")
	for name, c := range map[string]struct {
		more   string
		pieces []chat.Piece
		want   []string
	}{
		"nothing":      {"", nil, []string{start, `{} stop`}},
		"empty reason": {"", []chat.Piece{{Kind: chat.PieceStart}, {Kind: chat.PieceFinish}}, []string{start, `{} stop`}},
		"tools": {"", []chat.Piece{piece(chat.PieceText, "a"), begin(0, chat.ToolCall{ID: "c1", Name: "f"}), more(0, ""), more(0, `{"a`), more(0, `":1}`), begin(1, chat.ToolCall{Name: "g", Arguments: `{"b":2}`}), begin(2, chat.ToolCall{ID: "c3", Name: "h"}), more(2, " "), finish(chat.FinishStop)},
			[]string{start, `{"content":"a"}`, `{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"{\"a"}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"\":1}"}}]}`,
				`{"tool_calls":[{"index":1,"id":"call_7_0_1","type":"function","function":{"name":"g","arguments":"{\"b\":2}"}}]}`, `{"tool_calls":[{"index":2,"id":"c3","type":"function","function":{"name":"h","arguments":""}}]}`,
				`{"tool_calls":[{"index":2,"function":{"arguments":" "}}]}`, `{"tool_calls":[{"index":2,"function":{"arguments":"{}"}}]}`, `{} tool_calls`}},
		"calls that never began": {"", []chat.Piece{more(0, "x"), more(-1, "x"), begin(3, chat.ToolCall{ID: "c"}), {Kind: chat.PieceCall}, {Kind: chat.PieceSigned}, {Kind: chat.PieceCitation}, {Kind: chat.PieceSource}, {Kind: chat.PieceText, Choice: -1, Text: "x"}, {Kind: chat.PieceText, Choice: 1 << 40, Text: "x"}}, []string{start, `{} stop`}},
		"custom": {"", []chat.Piece{begin(0, chat.ToolCall{ID: "c1", Name: "f", Custom: true}), more(0, "free"), finish(chat.FinishTools)},
			[]string{start, `{"tool_calls":[{"index":0,"id":"c1","type":"custom","custom":{"name":"f","input":""}}]}`, `{"tool_calls":[{"index":0,"custom":{"input":"free"}}]}`, `{} tool_calls`}},
		"functions": {`"functions":[{"name":"f"}]`, []chat.Piece{begin(0, chat.ToolCall{ID: "c1", Name: "f"}), more(0, "{}"), begin(1, chat.ToolCall{ID: "c2", Name: "f"}), more(1, "{}"), finish(chat.FinishTools)},
			[]string{start, `{"function_call":{"name":"f","arguments":""}}`, `{"function_call":{"arguments":"{}"}}`, `{} function_call`}},
		"thoughts": {"", []chat.Piece{piece(chat.PieceReasoning, "h"), piece(chat.PieceReasoning, "m"), signedBy(chat.Thought{Signature: "sig", Format: chat.FormatAnthropic}), signedBy(chat.Thought{Encrypted: "enc", Format: chat.FormatAnthropic}), begin(0, chat.ToolCall{ID: "c1", Name: "f", Arguments: "{}"}), piece(chat.PieceReasoning, "n"), piece(chat.PieceText, "a"), piece(chat.PieceReasoning, "o")},
			[]string{start, `{"reasoning_content":"h","reasoning":"h","reasoning_details":[{"type":"reasoning.text","text":"h","index":0}]}`, `{"reasoning_content":"m","reasoning":"m","reasoning_details":[{"type":"reasoning.text","text":"m","index":0}]}`,
				`{"reasoning_details":[{"type":"reasoning.text","signature":"sig","format":"anthropic-claude-v1","index":0}]}`, `{"reasoning_details":[{"type":"reasoning.encrypted","data":"enc","format":"anthropic-claude-v1","index":1}]}`,
				`{"tool_calls":[{"index":0,"id":"` + carry("c1", []chat.Thought{{Text: "hm", Signature: "sig", Format: chat.FormatAnthropic}, {Encrypted: "enc", Format: chat.FormatAnthropic}}, "") + `","type":"function","function":{"name":"f","arguments":"{}"}}]}`,
				`{"reasoning_content":"n","reasoning":"n","reasoning_details":[{"type":"reasoning.text","text":"n","index":2}]}`, `{"content":"a"}`, `{"reasoning_content":"o","reasoning":"o","reasoning_details":[{"type":"reasoning.text","text":"o","index":3}]}`, `{} tool_calls`}},
		"OpenAI's thoughts": {"", []chat.Piece{piece(chat.PieceReasoning, "sum"), signedBy(chat.Thought{Encrypted: "enc", ID: "rs_1", Format: chat.FormatOpenAI})},
			[]string{start, `{"reasoning_content":"sum","reasoning":"sum","reasoning_details":[{"type":"reasoning.text","text":"sum","index":0}]}`, `{"reasoning_details":[{"type":"reasoning.encrypted","data":"enc","id":"rs_1","format":"openai-responses-v1","index":0}]}`, `{} stop`}},
		"Gemini's signatures": {"", []chat.Piece{piece(chat.PieceText, "a"), signedBy(chat.Thought{Signature: "ts", Format: chat.FormatGemini}), begin(0, chat.ToolCall{ID: "c1", Name: "f", Arguments: "{}", Signature: "cs"})},
			[]string{start, `{"content":"a"}`, `{"reasoning_details":[{"type":"reasoning.encrypted","data":"ts","id":"content","format":"google-gemini-v1","index":0}]}`,
				`{"tool_calls":[{"index":0,"id":"` + carry("c1", []chat.Thought{ofContent("ts")}, "cs") + `","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"cs"}}}]}`, `{} tool_calls`}},
		"one thought a call": {"", []chat.Piece{piece(chat.PieceReasoning, "hm"), signedBy(chat.Thought{Signature: "sig", Format: chat.FormatAnthropic}), begin(0, chat.ToolCall{ID: "c1", Name: "f", Arguments: "{}"}), begin(1, chat.ToolCall{ID: "c2", Name: "f", Arguments: "{}"})},
			[]string{start, `{"reasoning_content":"hm","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0}]}`, `{"reasoning_details":[{"type":"reasoning.text","signature":"sig","format":"anthropic-claude-v1","index":0}]}`,
				`{"tool_calls":[{"index":0,"id":"` + first + `","type":"function","function":{"name":"f","arguments":"{}"}}]}`, `{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"f","arguments":"{}"}}]}`, `{} tool_calls`}},
		"refusal":                  {"", []chat.Piece{piece(chat.PieceRefusal, "I "), piece(chat.PieceRefusal, "won't"), {Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishRefusal, Explanation: "x"}}}, []string{start, `{"refusal":"I "}`, `{"refusal":"won't"}`, `{} content_filter`}},
		"refusal, told at the end": {"", []chat.Piece{{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishRefusal, Explanation: "no"}}}, []string{start, `{"refusal":"no"}`, `{} content_filter`}},
		"filter":                   {"", []chat.Piece{finish(chat.FinishFilter)}, []string{start, `{} content_filter`}},
		"logprobs":                 {"", []chat.Piece{piece(chat.PieceText, "a"), {Kind: chat.PieceLogprobs, Raw: json.RawMessage(`{"content":[]}`)}, {Kind: chat.PieceLogprobs, Raw: json.RawMessage(`{`)}}, []string{start, `{"content":"a"}`, `{}{"content":[]}`, `{} stop`}},
		"two choices": {`"n":2`, []chat.Piece{{Kind: chat.PieceStart}, {Kind: chat.PieceText, Choice: 1, Text: "b"}, piece(chat.PieceText, "a"), {Kind: chat.PieceFinish, Choice: 1, Finish: &chat.Finish{Reason: chat.FinishLength}}, finish(chat.FinishStop)},
			[]string{start, "1 " + start, `1 {"content":"b"}`, `{"content":"a"}`, `{} stop`, `1 {} length`}},
		"citations": {"", []chat.Piece{piece(chat.PieceText, "😀a"), piece(chat.PieceText, "b"), cite(chat.Citation{URL: "u1"}), cite(chat.Citation{URL: "u2"}), piece(chat.PieceText, "cd"), cite(chat.Citation{URL: "u3"}), cite(chat.Citation{URL: "u4", Start: 1, End: 3}), cite(chat.Citation{Quote: "q"}),
			piece(chat.PieceReasoning, "hm"), piece(chat.PieceText, "ef"), cite(chat.Citation{URL: "u5", Start: 1, End: 2}), cite(chat.Citation{URL: "u6"}), finish(chat.FinishStop)},
			[]string{start, `{"content":"😀a"}`, `{"content":"b"}`, `{"content":"cd"}`,
				`{"reasoning_content":"hm","reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0}]}`, `{"content":"ef"}`,
				cited(at("u1", "0", "4"), at("u2", "0", "4"), at("u3", "4", "6"), at("u4", "1", "3"), at("u5", "7", "8"), at("u6", "6", "8")), `{} stop`}},
		"citations behind the end": {"", []chat.Piece{piece(chat.PieceText, "a"), finish(chat.FinishStop), cite(chat.Citation{URL: "u"})}, []string{start, `{"content":"a"}`, cited(at("u", "0", "1")), `{} stop`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := choicesOf(t, streamed(t, asked(t, c.more), chat.Total{}, c.pieces...))
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Sources are told with the end of the last choice.
func TestStreamSources(t *testing.T) {
	lines := streamed(t, asked(t, ""), chat.Total{}, chat.Piece{Kind: chat.PieceSource, Source: &chat.Source{URL: "https://x.test", Title: "X"}}, chat.Piece{Kind: chat.PieceText, Text: "a"},
		chat.Piece{Kind: chat.PieceText, Choice: 1, Text: "b"}, chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishStop}})
	for i, line := range lines {
		if told := strings.Contains(line, `"citations":["https://x.test"],"search_results":[{"title":"X","url":"https://x.test"}]`); told != (i == len(lines)-2) {
			t.Errorf("%d: %s", i, line)
		}
	}
}

// Thoughts that no id can carry are not kept.
func TestStreamBoundsWhatItKeeps(t *testing.T) {
	s := newStream(asked(t, ""))
	var out []byte
	for range 1000 {
		out = s.Write(out[:0], &chat.Piece{Kind: chat.PieceReasoning, Text: strings.Repeat("x", 1000)})
		out = s.Write(out[:0], &chat.Piece{Kind: chat.PieceSigned, Thought: &chat.Thought{Signature: strings.Repeat("y", 1000)}})
	}
	kept := 0
	for _, th := range s.choices[0].signed {
		kept += len(th.Text) + len(th.Signature)
	}
	if kept > maxInflated {
		t.Errorf("%d bytes are kept", kept)
	}
	out = s.Write(out[:0], &chat.Piece{Kind: chat.PieceCall, Call: &chat.ToolCall{ID: "c1", Name: "f"}})
	if !strings.Contains(string(out), `"id":"c1"`) {
		t.Errorf("%s", out)
	}
}
