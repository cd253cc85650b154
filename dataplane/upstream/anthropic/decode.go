package anthropic

import (
	"strings"
	"unicode/utf16"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// decoder turns content blocks into pieces. A whole block and one that comes in deltas take the same way, so that a unary
// answer and a stream say the same.
type decoder struct {
	reading reading
	pieces  []chat.Piece
	// calls is how many of the client's tools were called: the next one's index. Blocks have indexes too, which count
	// everything and are not the client's.
	calls int
	// jsonCalled says that the answer came as a call of the tool json.
	jsonCalled, finished bool
	// position is the length so far of the present text part, in UTF-16 units.
	position int64
	fence    fence
	open     openBlock
}

// openBlock is the block that is being read.
type openBlock struct {
	kind blockKind
	// begin is the position at which its text begins.
	begin     int64
	signature string
	citations []chat.Citation
	// input is what the block began with, argued says that arguments came after that, and held keeps those that cannot be
	// passed on yet.
	input  []byte
	argued bool
	held   strings.Builder
}

type blockKind int

const (
	// other is everything that no client of another protocol has a place for: the provider's own tools and what they need.
	other blockKind = iota
	text
	thinks
	call
	customCall
	jsonCall
)

func newDecoder(r reading) *decoder { return &decoder{reading: r, fence: fence{on: r.fences}} }

// take gives out the pieces since the last time.
func (d *decoder) take() []chat.Piece {
	out := d.pieces
	d.pieces = nil
	return out
}

// event reads one event of a stream; usage is what it reported, or nil.
func (d *decoder) event(kind string, data []byte, fields jsonscan.Object, usage *pricing.Usage) []chat.Piece {
	switch kind {
	case "message_start":
		message := fields.Value(data, "message")
		start := chat.Piece{Kind: chat.PieceStart}
		start.ID, _ = jsonscan.String(jsonscan.Field(message, "id"))
		start.Model, _ = jsonscan.String(jsonscan.Field(message, "model"))
		d.add(start)
	case "content_block_start":
		d.stop() // one that was not closed
		d.start(fields.Value(data, "content_block"))
	case "content_block_delta":
		d.delta(fields.Value(data, "delta"))
	case "content_block_stop":
		d.stop()
	case "message_delta":
		d.stop()
		d.finish(fields.Value(data, "delta"))
	case "message_stop":
		d.stop()
		d.finish(nil)
	}
	if usage != nil {
		d.add(chat.Piece{Kind: chat.PieceUsage, Usage: usage})
	}
	return d.take()
}

func (d *decoder) add(p chat.Piece) {
	switch p.Kind {
	case chat.PieceText:
		d.position += int64(utf16Len(p.Text))
	case chat.PieceReasoning, chat.PieceSigned, chat.PieceCall, chat.PieceArguments:
		d.position = 0 // what follows is another part
	}
	d.pieces = append(d.pieces, p)
}

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// start begins a block, with all that it has already.
func (d *decoder) start(block []byte) {
	d.open = openBlock{}
	get := func(name string) string {
		s, _ := jsonscan.String(jsonscan.Field(block, name))
		return s
	}
	switch get("type") {
	case "text":
		d.open.kind = text
		d.open.begin = d.position
		for c := range jsonscan.Elements(jsonscan.Field(block, "citations")) {
			d.cite(c)
		}
		d.text(get("text"))
	case "thinking":
		d.open.kind = thinks
		d.open.signature = get("signature")
		d.reasoning(get("thinking"))
	case "redacted_thinking":
		d.add(chat.Piece{Kind: chat.PieceSigned, Thought: &chat.Thought{Encrypted: get("data"), Format: chat.FormatAnthropic}})
	case "tool_use":
		d.call(get("id"), get("name"))
		if input := jsonscan.Field(block, "input"); len(input) > 0 && input[0] == '{' {
			d.open.input = append([]byte(nil), input...)
		}
	case "web_search_tool_result":
		d.sources(jsonscan.Field(block, "content"))
	}
}

// call begins a call of a tool.
func (d *decoder) call(id, name string) {
	if d.reading.jsonTool && name == jsonName {
		d.open.kind = jsonCall
		d.jsonCalled = true
		return
	}
	d.open.kind = call
	custom := d.reading.custom[name]
	if custom {
		d.open.kind = customCall
	}
	d.add(chat.Piece{Kind: chat.PieceCall, Index: d.calls, Call: &chat.ToolCall{ID: id, Name: name, Custom: custom}})
	d.calls++
}

// sources are what a search found; where it failed, there is an error object in the place of the list.
func (d *decoder) sources(results []byte) {
	for r := range jsonscan.Elements(results) {
		get := func(name string) string {
			s, _ := jsonscan.String(jsonscan.Field(r, name))
			return s
		}
		if url := get("url"); url != "" {
			d.add(chat.Piece{Kind: chat.PieceSource, Source: &chat.Source{URL: url, Title: get("title"), Date: get("page_age")}})
		}
	}
}

// delta continues the block.
func (d *decoder) delta(delta []byte) {
	get := func(name string) string {
		s, _ := jsonscan.String(jsonscan.Field(delta, name))
		return s
	}
	switch get("type") {
	case "text_delta":
		d.text(get("text"))
	case "thinking_delta":
		d.reasoning(get("thinking"))
	case "signature_delta":
		d.open.signature += get("signature")
	case "citations_delta":
		d.cite(jsonscan.Field(delta, "citation"))
	case "input_json_delta":
		d.arguments(get("partial_json"))
	}
}

func (d *decoder) text(s string) {
	if s = d.fence.feed(s); s != "" {
		d.add(chat.Piece{Kind: chat.PieceText, Text: s})
	}
}

func (d *decoder) reasoning(s string) {
	if s != "" {
		d.add(chat.Piece{Kind: chat.PieceReasoning, Text: s})
	}
}

// arguments are those of the client's tools, of the tool json, whose argument is the answer, or of the provider's own tools,
// which are nobody's business.
func (d *decoder) arguments(s string) {
	if s == "" || d.open.kind < call {
		return
	}
	d.open.argued = true
	switch d.open.kind {
	case call:
		d.add(chat.Piece{Kind: chat.PieceArguments, Index: d.calls - 1, Text: s})
	case customCall:
		d.open.held.WriteString(s)
	case jsonCall:
		d.add(chat.Piece{Kind: chat.PieceText, Text: s})
	}
}

// cite keeps a citation until its block's text is there: a stream tells it before.
func (d *decoder) cite(raw []byte) {
	c := chat.Citation{Native: append([]byte(nil), raw...)}
	for name, value := range jsonscan.Members(raw) {
		switch name {
		case "url":
			c.URL, _ = jsonscan.String(value)
		case "source": // of search_result_location, where it is the URL in most cases
			if c.URL == "" {
				c.URL, _ = jsonscan.String(value)
			}
		case "title", "document_title":
			if c.Title == "" {
				c.Title, _ = jsonscan.String(value)
			}
		case "cited_text":
			c.Quote, _ = jsonscan.String(value)
		}
	}
	d.open.citations = append(d.open.citations, c)
}

// stop ends the block.
func (d *decoder) stop() {
	o := &d.open
	switch o.kind {
	case text:
		for i := range o.citations {
			c := o.citations[i]
			c.Start, c.End = o.begin, d.position
			d.add(chat.Piece{Kind: chat.PieceCitation, Citation: &c})
		}
	case thinks:
		if o.signature != "" {
			d.add(chat.Piece{Kind: chat.PieceSigned, Thought: &chat.Thought{Signature: o.signature, Format: chat.FormatAnthropic}})
		}
	case customCall:
		d.custom()
	case call, jsonCall:
		if !o.argued {
			// A call without arguments has no delta, or an empty one; a whole block has them from the beginning.
			d.arguments(orEmpty(o.input))
		}
	}
	d.open = openBlock{}
}

func orEmpty(object []byte) string {
	if len(object) == 0 {
		return "{}"
	}
	return string(object)
}

// custom takes the free text out of the object that it is wrapped in.
func (d *decoder) custom() {
	raw := []byte(d.open.held.String())
	if len(raw) == 0 {
		raw = d.open.input
	}
	if _, err := jsonscan.Scan(raw); err == nil {
		if s, ok := jsonscan.String(jsonscan.Field(raw, "input")); ok {
			raw = []byte(s)
		}
	}
	d.add(chat.Piece{Kind: chat.PieceArguments, Index: d.calls - 1, Text: string(raw)})
}
