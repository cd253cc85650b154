package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// maker makes answers at random.
type maker struct {
	*rand.Rand
	calls int
	// unary says that the answer is not streamed: then texts may have signatures of their own.
	unary bool
}

func (m *maker) word() string {
	words := []string{"a", "<b> & \"c\"", "é\u2028", "\n\t", "{", "x:y", "😀", `\u0041`, " "}
	out := "w"
	for range m.IntN(4) {
		out += words[m.IntN(len(words))]
	}
	return out
}

// thought is signed by any of the makers, or by none.
func (m *maker) thought() chat.Part {
	t := chat.Thought{Text: m.word()}
	opaque := []string{"gAAA+/==", "a:b:c:d", "x"}[m.IntN(3)]
	switch m.IntN(6) {
	case 0:
	case 1:
		t.Signature, t.Format = "Eq+/QB==", chat.FormatAnthropic
	case 2:
		t = chat.Thought{Encrypted: "Em==", Format: chat.FormatAnthropic}
	case 3:
		t.Signature, t.Format = opaque, chat.FormatGemini
	case 4:
		t.Encrypted, t.Format, t.ID = opaque, chat.FormatOpenAI, []string{"", "rs_1", "a:b%"}[m.IntN(3)]
	case 5:
		t.Signature, t.ID = opaque, "id"
	}
	if m.IntN(3) == 0 && (t.Signature != "" || t.Encrypted != "") {
		t.Text = ""
	}
	return thoughtPart(t)
}

func (m *maker) call() chat.Part {
	m.calls++
	c := chat.ToolCall{ID: fmt.Sprintf("call_%d", m.calls), Name: "tool-" + fmt.Sprint(m.calls), Arguments: "{}"}
	if m.IntN(2) == 0 {
		text, _ := json.Marshal(map[string]any{m.word(): m.word(), "n": []any{m.IntN(9), nil, map[string]any{"}": "{"}}})
		c.Arguments = string(text)
	}
	if m.IntN(3) == 0 {
		c.Signature = "AY:+/=="
	}
	return callPart(c)
}

func (m *maker) text() chat.Part {
	p := textPart(m.word())
	if m.unary && m.IntN(4) == 0 {
		p.Signature = "a:b=="
	}
	for range m.IntN(2) * m.IntN(3) {
		p.Citations = append(p.Citations, chat.Citation{URL: "https://x/" + m.word(), Title: m.word(), Quote: m.word()})
	}
	return p
}

// parts never have two texts, or two unsigned thoughts, next to each other: a stream cannot tell them apart.
func (m *maker) parts() []chat.Part {
	var out []chat.Part
	for range 1 + m.IntN(7) {
		var p chat.Part
		switch m.IntN(3) {
		case 0:
			p = m.thought()
		case 1:
			p = m.text()
		case 2:
			p = m.call()
		}
		if n := len(out); n > 0 && out[n-1].Kind == p.Kind && p.Kind != chat.PartCall {
			continue
		}
		out = append(out, p)
	}
	return out
}

// split cuts a text at random.
func (m *maker) split(s string) []string {
	var out []string
	runes := []rune(s)
	for len(runes) > 0 {
		n := 1 + m.IntN(len(runes))
		out = append(out, string(runes[:n]))
		runes = runes[n:]
	}
	return out
}

// pieces stream the parts, with calls that follow each other told side by side.
func (m *maker) pieces(parts []chat.Part) []chat.Piece {
	var out []chat.Piece
	calls := 0
	for i := 0; i < len(parts); i++ {
		p := parts[i]
		switch p.Kind {
		case chat.PartText:
			for _, s := range m.split(p.Text) {
				out = append(out, textPiece(s))
			}
			for j := range p.Citations {
				out = append(out, chat.Piece{Kind: chat.PieceCitation, Citation: &p.Citations[j]})
			}
		case chat.PartThought:
			for _, s := range m.split(p.Thought.Text) {
				out = append(out, reasoningPiece(s))
			}
			if t := *p.Thought; t.Signature != "" || t.Encrypted != "" {
				t.Text = ""
				out = append(out, signedPiece(t))
			}
		case chat.PartCall:
			from := i
			for i+1 < len(parts) && parts[i+1].Kind == chat.PartCall {
				i++
			}
			out = append(out, m.together(parts[from:i+1], calls)...)
			calls += i + 1 - from
		}
	}
	return out
}

// together shuffles the arguments of calls, each call's in their order.
func (m *maker) together(calls []chat.Part, first int) []chat.Piece {
	var out []chat.Piece
	var rest [][]chat.Piece
	for i := range calls {
		c := *calls[i].Call
		var mine []chat.Piece
		for _, s := range m.split(c.Arguments) {
			mine = append(mine, argsPiece(first+i, s))
		}
		c.Arguments = ""
		out, rest = append(out, callPiece(first+i, c)), append(rest, mine)
	}
	for len(rest) > 0 {
		i := m.IntN(len(rest))
		if len(rest[i]) == 0 {
			rest = append(rest[:i], rest[i+1:]...)
			continue
		}
		out, rest[i] = append(out, rest[i][0]), rest[i][1:]
	}
	return out
}

// history is a request that goes on behind an answer: its content as it was, and a result for each of its calls.
func history(t *testing.T, content any) []byte {
	t.Helper()
	results := []any{}
	for _, b := range content.([]any) {
		if block := b.(map[string]any); block["type"] == "tool_use" {
			results = append(results, map[string]any{"type": "tool_result", "tool_use_id": block["id"], "content": "ok"})
		}
	}
	results = append(results, map[string]any{"type": "text", "text": "go on"})
	body, err := json.Marshal(map[string]any{"model": "m", "max_tokens": 9, "messages": []any{
		map[string]any{"role": "user", "content": "hi"},
		map[string]any{"role": "assistant", "content": content},
		map[string]any{"role": "user", "content": results},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// equalJSON compares arguments as what they say.
var equalJSON = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Arguments" }, cmp.Comparer(func(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && cmp.Equal(x, y)
}))

// An answer, unary or streamed, that a client sends back is what it was: texts and their citations, thoughts and signatures
// of every maker, calls.
func TestAnswerComesBack(t *testing.T) {
	for seed := range uint64(500) {
		m := &maker{Rand: rand.New(rand.NewPCG(seed, 1)), unary: seed%2 == 0}
		parts := m.parts()
		body, err := Messages{}.Answer(&chat.Request{ID: "req_1", Model: "m"}, one(chat.FinishStop, parts...), chat.Total{})
		if err != nil {
			t.Fatal(err)
		}
		unary := decoded(t, body)
		stream := streamed(t, append(m.pieces(parts), finishPiece(chat.FinishStop)), chat.Total{})
		delete(unary["usage"].(map[string]any), "service_tier") // message_delta tells none
		if d := cmp.Diff(unary, stream); d != "" && !m.unary {
			t.Fatalf("seed %d: unary and streamed differ: %s", seed, d)
		}
		r, e := Messages{}.Parse("req_2", nil, history(t, unary["content"]))
		if e != nil {
			t.Fatalf("seed %d: %v", seed, e)
		}
		prompt, err := r.Translate()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := cmp.Diff(parts, prompt.Messages[1].Parts, equalJSON); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		checkPassed(t, r.Body, parts)
	}
}

// checkPassed looks at what Anthropic's own models get of an answer: nothing that their API refuses, and all else.
func checkPassed(t *testing.T, body []byte, parts []chat.Part) {
	t.Helper()
	for _, bad := range []string{`"signature":""`, `-v1:`, `unknown:`, `"encrypted_index":""`, `"content":[]`, searchID} {
		if bytes.Contains(body, []byte(bad)) {
			t.Fatalf("%s stays in %s", bad, body)
		}
	}
	r, e := Messages{}.Parse("", nil, body)
	if e != nil {
		t.Fatal(e)
	}
	prompt, err := r.Translate()
	if err != nil {
		t.Fatal(err)
	}
	var want []chat.Part
	for _, p := range parts {
		if th := p.Thought; th != nil && th.Format != chat.FormatAnthropic {
			continue
		}
		p.Citations, p.Signature = nil, ""
		if p.Call != nil {
			c := *p.Call
			c.Signature = ""
			p.Call = &c
		}
		want = append(want, p)
	}
	var got []chat.Part
	for _, msg := range prompt.Messages {
		if msg.Role == chat.Assistant {
			got = msg.Parts
		}
	}
	if d := cmp.Diff(want, got, equalJSON); d != "" {
		t.Fatal(d)
	}
}

// A text's own signature finds its text again; what a search found is told once and then left out.
func TestTextSignatureComesBack(t *testing.T) {
	parts := []chat.Part{{Kind: chat.PartText, Text: "x", Signature: "a:b=="}, textPart("y")}
	a := one(chat.FinishStop, parts...)
	a.Sources = []chat.Source{{URL: "https://a", Title: "A"}}
	body, err := Messages{}.Answer(&chat.Request{ID: "req_1", Model: "m"}, a, chat.Total{})
	if err != nil {
		t.Fatal(err)
	}
	r, e := Messages{}.Parse("req_2", nil, history(t, decoded(t, body)["content"]))
	if e != nil {
		t.Fatal(e)
	}
	prompt, err := r.Translate()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(parts, prompt.Messages[1].Parts); d != "" {
		t.Error(d)
	}
	checkPassed(t, r.Body, []chat.Part{textPart("x"), textPart("y")})
}
