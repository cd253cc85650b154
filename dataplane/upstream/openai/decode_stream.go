package openai

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Bounds on what a stream can make the decoder remember.
const (
	maxChoices = 128
	maxCalls   = 4096
	maxEarly   = 64 << 10
)

// chunks turns the chunks of one stream into pieces.
type chunks struct {
	started bool
	choices map[int64]*choice
	sources map[string]bool
	pieces  []chat.Piece
}

// choice is what must be remembered of one choice.
type choice struct {
	index int64
	calls []streamCall
	// begun counts the calls whose beginning was said.
	begun int
	said  said
	ended bool
	// units is the length of the content in UTF-16 code units, run where its present run of text began; broken says that
	// something else came since.
	units, run int64
	broken     bool
}

// streamCall is one tool call: its index and id at the upstream, and whether its beginning was said, which needs a name.
type streamCall struct {
	index int64
	id    string
	begun bool
	// ordinal counts the calls that begun, from 0.
	ordinal int
	early   string // arguments that came before the name
}

func newChunks() *chunks { return &chunks{choices: map[int64]*choice{}, sources: map[string]bool{}} }

// read turns one chunk, which must be valid JSON, into pieces. u is the usage that it reports.
func (d *chunks) read(data []byte, u *pricing.Usage) []chat.Piece {
	d.pieces = nil
	if !d.started {
		d.started = true
		d.say(chat.Piece{Kind: chat.PieceStart, ID: text(data, "id"), Model: text(data, "model")})
	}
	for _, s := range sourcesOf(data) {
		if !d.sources[s.URL] && len(d.sources) < maxCalls {
			d.sources[s.URL] = true
			d.say(chat.Piece{Kind: chat.PieceSource, Source: &s})
		}
	}
	for raw := range jsonscan.Elements(jsonscan.Field(data, "choices")) {
		if c := d.choice(number(raw, "index")); c != nil {
			d.chunk(c, raw)
		}
	}
	if u != nil {
		all := *u
		d.say(chat.Piece{Kind: chat.PieceUsage, Usage: &all})
	}
	return d.pieces
}

// end is called at the end marker: choices whose finish_reason never came have ended, too.
func (d *chunks) end() []chat.Piece {
	d.pieces = nil
	for _, c := range d.choices {
		d.finish(c, "")
	}
	slices.SortFunc(d.pieces, func(a, b chat.Piece) int { return int(a.Choice - b.Choice) })
	return d.pieces
}

func (d *chunks) say(p chat.Piece) { d.pieces = append(d.pieces, p) }

func (d *chunks) choice(index int64) *choice {
	c := d.choices[index]
	if c == nil && index >= 0 && len(d.choices) < maxChoices {
		c = &choice{index: index}
		d.choices[index] = c
	}
	return c
}

func (d *chunks) chunk(c *choice, raw []byte) {
	delta := jsonscan.Field(raw, "delta")
	d.reasoning(c, delta)
	d.text(c, delta)
	if refusal := text(delta, "refusal"); refusal != "" {
		c.said.refusal, c.broken = true, true
		d.say(chat.Piece{Kind: chat.PieceRefusal, Choice: c.index, Text: refusal})
	}
	for t := range jsonscan.Elements(jsonscan.Field(delta, "tool_calls")) {
		d.call(c, t)
	}
	if f := jsonscan.Field(delta, "function_call"); !jsonscan.IsNull(f) {
		d.delta(c, d.at(c, 0, ""), chat.ToolCall{Name: text(f, "name"), Arguments: argumentsOf(f)})
	}
	for a := range jsonscan.Elements(jsonscan.Field(delta, "annotations")) {
		d.cite(c, a)
	}
	if lp := jsonscan.Field(raw, "logprobs"); tokens(lp) {
		d.say(chat.Piece{Kind: chat.PieceLogprobs, Choice: c.index, Raw: append(json.RawMessage(nil), lp...)})
	}
	if ends(jsonscan.Field(raw, "finish_reason")) {
		d.finish(c, text(raw, "finish_reason"))
	}
}

// tokens says that an object of log probabilities speaks of any.
func tokens(logprobs []byte) bool {
	for _, v := range jsonscan.Members(logprobs) {
		for range jsonscan.Elements(v) {
			return true
		}
	}
	return false
}

// finish ends a choice, once: some say it twice.
func (d *chunks) finish(c *choice, reason string) {
	if c.ended {
		return
	}
	c.ended = true
	f := finishOf(reason, c.said)
	d.say(chat.Piece{Kind: chat.PieceFinish, Choice: c.index, Finish: &f})
}

// reasoning says the next bytes of it and its signatures. What reasoning_details repeat of reasoning is said once.
func (d *chunks) reasoning(c *choice, delta []byte) {
	plain := plainReasoning(delta)
	var details []chat.Thought
	var told strings.Builder
	for raw := range jsonscan.Elements(jsonscan.Field(delta, "reasoning_details")) {
		t := thoughtOf(raw)
		told.WriteString(t.Text)
		details = append(details, t)
	}
	if told.Len() == 0 && plain != "" {
		details = append([]chat.Thought{{Text: plain}}, details...)
	}
	for i := range details {
		d.thought(c, &details[i])
	}
}

func (d *chunks) thought(c *choice, t *chat.Thought) {
	if t.Text != "" {
		c.broken = true
		d.say(chat.Piece{Kind: chat.PieceReasoning, Choice: c.index, Text: t.Text})
	}
	if t.Signature != "" || t.Encrypted != "" {
		c.broken = true
		t.Text = ""
		d.say(chat.Piece{Kind: chat.PieceSigned, Choice: c.index, Thought: t})
	}
}

func (d *chunks) text(c *choice, delta []byte) {
	s, _ := contentOf(jsonscan.Field(delta, "content"))
	if s == "" {
		return
	}
	if c.broken {
		c.run, c.broken = c.units, false
	}
	for _, r := range s {
		c.units += int64(utf16.RuneLen(r))
	}
	c.said.text = true
	d.say(chat.Piece{Kind: chat.PieceText, Choice: c.index, Text: s})
}

// cite says a citation. Its offsets are into the whole content, and become those into the run of text.
func (d *chunks) cite(c *choice, annotation []byte) {
	cited := citationOf(annotation)
	if cited == nil {
		return
	}
	if cited.Start >= c.run && cited.End > 0 {
		cited.Start, cited.End = cited.Start-c.run, cited.End-c.run
	} else {
		cited.Start, cited.End = 0, 0
	}
	d.say(chat.Piece{Kind: chat.PieceCitation, Choice: c.index, Citation: cited})
}

// call reads the delta of a call. The id comes in its first delta alone. Without an index an id begins a call, and no id
// goes on with the last one; another id at a known index is another call, because some number all of them 0.
func (d *chunks) call(c *choice, raw []byte) {
	delta := callOf(raw)
	index, ok := jsonscan.Int(jsonscan.Field(raw, "index"))
	if !ok {
		index = int64(len(c.calls))
		if n := len(c.calls); n > 0 && (delta.ID == "" || delta.ID == c.calls[n-1].id) {
			index = c.calls[n-1].index
		}
	}
	d.delta(c, d.at(c, index, delta.ID), delta)
}

// at is the ordinal of a call; -1: there are too many.
func (d *chunks) at(c *choice, index int64, id string) int {
	for i := len(c.calls) - 1; i >= 0; i-- {
		if k := &c.calls[i]; k.index == index && (id == "" || k.id == "" || k.id == id) {
			return i
		}
	}
	if len(c.calls) >= maxCalls {
		return -1
	}
	c.calls = append(c.calls, streamCall{index: index, id: id})
	return len(c.calls) - 1
}

// delta says what is new of call i: its beginning, when the name is known, and arguments.
func (d *chunks) delta(c *choice, i int, delta chat.ToolCall) {
	if i < 0 {
		return
	}
	k := &c.calls[i]
	c.broken = true
	if k.id == "" {
		k.id = delta.ID
	}
	if k.begun {
		if delta.Arguments != "" {
			d.say(chat.Piece{Kind: chat.PieceArguments, Choice: c.index, Index: k.ordinal, Text: delta.Arguments})
		}
		return
	}
	if delta.Name == "" {
		if len(k.early)+len(delta.Arguments) <= maxEarly {
			k.early += delta.Arguments
		}
		return
	}
	k.begun, k.ordinal, c.said.calls = true, c.begun, true
	c.begun++
	delta.ID, delta.Arguments = k.id, k.early+delta.Arguments
	k.early = ""
	d.say(chat.Piece{Kind: chat.PieceCall, Choice: c.index, Index: k.ordinal, Call: &delta})
}
