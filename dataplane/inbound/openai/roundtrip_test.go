package openai

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/chat"
)

// An answer that a client sends back is the prompt that it was: the same text, the same calls, the same signed thoughts in
// the same places.

// turn is an answer: a text, then groups of thoughts and the call behind them.
func drawTurn(t *rapid.T) []chat.Part {
	words := rapid.StringMatching(`[a-z<&>é😀 "\\\n]{1,20}`)
	var parts []chat.Part
	group := func() {
		for range rapid.IntRange(0, 2).Draw(t, "thoughts") {
			parts = append(parts, thought(drawThought(t, words)))
		}
	}
	said := func() {
		if rapid.Bool().Draw(t, "speaks") {
			parts = append(parts, text(words.Draw(t, "text")))
		}
	}
	group()
	said()
	for i := range rapid.IntRange(0, 3).Draw(t, "calls") {
		if i > 0 {
			group()
		}
		arguments := rapid.SampledFrom([]string{`{}`, `{"a": 1.0}`, `{"b":"<é>"}`}).Draw(t, "arguments")
		p := called(fmt.Sprintf("call_%d", i), words.Draw(t, "name"), arguments)
		p.Call.Signature = rapid.SampledFrom([]string{"", "c2ln", "Zm9v"}).Draw(t, "signature")
		parts = append(parts, p)
	}
	if len(parts) == 0 || len(parts) > 0 && parts[len(parts)-1].Kind == chat.PartThought {
		parts = append(parts, text("end"))
	}
	return parts
}

func drawThought(t *rapid.T, words *rapid.Generator[string]) chat.Thought {
	token := rapid.StringMatching(`[a-zA-Z0-9+/]{8,20}`)
	switch rapid.IntRange(0, 3).Draw(t, "whose") {
	case 0:
		return chat.Thought{Text: words.Draw(t, "thought"), Signature: token.Draw(t, "sig"), Format: chat.FormatAnthropic}
	case 1:
		return chat.Thought{Encrypted: token.Draw(t, "redacted"), Format: chat.FormatAnthropic}
	case 2:
		return chat.Thought{Text: words.Draw(t, "thought"), Signature: token.Draw(t, "sig"), Format: chat.FormatGemini}
	}
	return chat.Thought{Text: words.Draw(t, "summary"), Encrypted: token.Draw(t, "encrypted"), Format: chat.FormatOpenAI, ID: "rs_" + token.Draw(t, "id")}
}

// pieces say a turn as an upstream streams it, cut in small bits.
func pieces(parts []chat.Part) []chat.Piece {
	out := []chat.Piece{{Kind: chat.PieceStart, ID: "x"}}
	cut := func(p chat.Piece, s string) {
		for _, r := range s {
			p.Text = string(r)
			out = append(out, p)
		}
	}
	calls := 0
	for _, p := range parts {
		switch p.Kind {
		case chat.PartText:
			cut(chat.Piece{Kind: chat.PieceText}, p.Text)
		case chat.PartThought:
			cut(chat.Piece{Kind: chat.PieceReasoning}, p.Thought.Text)
			bare := *p.Thought
			bare.Text = ""
			out = append(out, chat.Piece{Kind: chat.PieceSigned, Thought: &bare})
		case chat.PartCall:
			bare := *p.Call
			bare.Arguments = ""
			out = append(out, chat.Piece{Kind: chat.PieceCall, Index: calls, Call: &bare})
			cut(chat.Piece{Kind: chat.PieceArguments, Index: calls}, p.Call.Arguments)
			calls++
		}
	}
	return append(out, chat.Piece{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishStop}})
}

// accumulate joins deltas as openai-python does: strings and numbers add up, objects join, lists of objects by their index.
func accumulate(acc, delta map[string]any) error {
	for key, v := range delta {
		old, ok := acc[key]
		if !ok || old == nil || key == "index" || key == "type" {
			acc[key] = v
			continue
		}
		switch v := v.(type) {
		case string:
			acc[key] = old.(string) + v
		case map[string]any:
			if err := accumulate(old.(map[string]any), v); err != nil {
				return err
			}
		case []any:
			list := old.([]any)
			for _, e := range v {
				o := e.(map[string]any)
				at, ok := o["index"].(float64)
				if !ok || int(at) > len(list) {
					return fmt.Errorf("expected an index: %v", o)
				}
				if int(at) == len(list) {
					list = append(list, o)
				} else if err := accumulate(list[int(at)].(map[string]any), o); err != nil {
					return err
				}
			}
			acc[key] = list
		}
	}
	return nil
}

// fromStream is the message that a client of a stream ends up with.
func fromStream(lines []string) (map[string]any, error) {
	message := map[string]any{}
	for _, line := range lines {
		var o struct {
			Choices []struct{ Delta map[string]any }
		}
		if line == "[DONE]" {
			break
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			return nil, err
		}
		for _, c := range o.Choices {
			if err := accumulate(message, c.Delta); err != nil {
				return nil, err
			}
		}
	}
	return message, nil
}

// onlyOpenAIs keeps the fields that OpenAI's own types have.
func onlyOpenAIs(message map[string]any) map[string]any {
	out := map[string]any{"role": message["role"], "content": message["content"]}
	if calls, ok := message["tool_calls"].([]any); ok {
		var kept []any
		for _, c := range calls {
			c := maps.Clone(c.(map[string]any))
			maps.DeleteFunc(c, func(name string, _ any) bool { return !isOneOf(name, "id type function") })
			kept = append(kept, c)
		}
		out["tool_calls"] = kept
	}
	return out
}

// replay sends a message back, with results of its calls, and reads what an upstream would be told of it.
func replay(t *rapid.T, message map[string]any) []chat.Part {
	messages := []any{map[string]any{"role": "user", "content": "x"}, message}
	calls, _ := message["tool_calls"].([]any)
	for _, c := range calls {
		messages = append(messages, map[string]any{"role": "tool", "tool_call_id": c.(map[string]any)["id"], "content": "r"})
	}
	body, err := json.Marshal(map[string]any{"model": "m", "messages": messages})
	if err != nil {
		t.Fatal(err)
	}
	r, bad := Parse("req_1", body)
	if bad != nil {
		t.Fatal(bad)
	}
	p, err := r.Translate()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(r.Body), "~") {
		t.Fatalf("an upstream of the protocol gets %s", r.Body)
	}
	return p.Messages[1].Parts
}

// inOrder puts the thoughts before everything in front of the text, which is where they come back to.
func inOrder(parts []chat.Part) []chat.Part {
	var before, rest []chat.Part
	for _, p := range parts {
		if p.Kind == chat.PartThought && (len(rest) == 0 || rest[0].Kind == chat.PartText && len(rest) == 1) {
			before = append(before, p)
		} else {
			rest = append(rest, p)
		}
	}
	return append(before, rest...)
}

func withoutThoughts(parts []chat.Part) []chat.Part {
	var out []chat.Part
	for _, p := range parts {
		if p.Kind != chat.PartThought {
			out = append(out, p)
		}
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	r := asked(t, "")
	rapid.Check(t, func(t *rapid.T) {
		parts := drawTurn(t)
		want := inOrder(parts)
		body, err := Completions{}.Answer(r, &chat.Answer{Choices: []chat.Choice{stopped(parts...)}}, chat.Total{})
		if err != nil {
			t.Fatal(err)
		}
		var o struct {
			Choices []struct{ Message map[string]any }
		}
		if err := json.Unmarshal(body, &o); err != nil {
			t.Fatal(err)
		}
		w := Completions{}.Stream(r)
		var out []byte
		for _, p := range pieces(parts) {
			out = w.Write(out, &p)
		}
		stream, err := fromStream(dataLines(w.End(out, chat.Total{})))
		if err != nil {
			t.Fatal(err)
		}
		for name, message := range map[string]map[string]any{"unary": o.Choices[0].Message, "stream": stream} {
			if d := cmp.Diff(want, replay(t, message)); d != "" {
				t.Fatal(name, d)
			}
			bare := want
			if want[len(want)-1].Kind != chat.PartCall {
				bare = withoutThoughts(want)
			}
			if d := cmp.Diff(bare, replay(t, onlyOpenAIs(message))); d != "" {
				t.Fatal(name, " with OpenAI's fields alone ", d)
			}
		}
	})
}

// dataLines reads a stream of which every event is one line.
func dataLines(raw []byte) []string {
	var out []string
	for line := range strings.SplitSeq(string(raw), "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			out = append(out, data)
		}
	}
	return out
}
