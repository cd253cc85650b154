package responses

import (
	"encoding/json"
	"unicode/utf16"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Step is what one event says.
type Step struct {
	Pieces []chat.Piece
	Usage  *pricing.Usage
	// ID is the response's, if the event tells it.
	ID string
	// Done says that the response is over: nothing follows.
	Done bool
	// Failed is the error that the event is; nil: none.
	Failed *transport.Report
}

// Decoder reads the events of one stream. What the events at the end repeat is not said again: texts and arguments come
// as deltas, then whole in a done event, in the item and in the response.
type Decoder struct {
	dialect Dialect
	items   map[int64]*item
	started bool
	calls   int
	sources []chat.Source
	// said, refused and thought say that there was text, a refusal, reasoning.
	said, refused, thought bool
	// run is the text since something else was said, in UTF-16 code units, and whole the text itself where the dialect
	// looks for citations in it; cited says that it has annotations.
	run   int64
	whole []byte
	cited bool
	step  *Step
}

// maxWhole bounds the text that is kept to look for citations in.
const maxWhole = 8 << 20

// maxItems bounds the items of a response that are told apart.
const maxItems = 10_000

// item is one item of the output, by its output_index.
type item struct {
	// call is the ordinal of the call; -1: it is none, or none yet.
	call int
	// arguments are the bytes of arguments that were said.
	arguments int
	signed    bool
	summaries int64
	parts     map[int64]*part
}

// part is one part of a message, by its content_index, or of a summary.
type part struct {
	// bytes are those that were said; base is the run where the part began.
	bytes       int
	base        int64
	annotations int
}

// NewDecoder begins a stream.
func NewDecoder(d Dialect) *Decoder { return &Decoder{dialect: d, items: map[int64]*item{}} }

// Read reads the data of one event, which must be valid JSON. Events of unknown types say nothing.
func (d *Decoder) Read(data []byte) Step {
	step := Step{}
	d.step = &step
	kind := text(data, "type")
	switch kind {
	case "response.created", "response.in_progress", "response.queued":
		d.start(jsonscan.Field(data, "response"))
	case "response.completed", "response.incomplete":
		d.end(jsonscan.Field(data, "response"))
	case "response.failed", "response.cancelled":
		d.failed(data)
	case "error":
		d.step.Failed = report(data)
	default:
		if read := events[kind]; read != nil {
			read(d, data)
		}
	}
	return step
}

// events are the readers of what happens between the beginning and the end.
var events = map[string]func(*Decoder, []byte){
	"response.output_item.added":             (*Decoder).added,
	"response.output_item.done":              (*Decoder).itemDone,
	"response.content_part.done":             (*Decoder).partDone,
	"response.output_text.delta":             (*Decoder).text,
	"response.output_text.done":              (*Decoder).textDone,
	"response.output_text.annotation.added":  (*Decoder).annotation,
	"response.refusal.delta":                 (*Decoder).refusal,
	"response.refusal.done":                  (*Decoder).refusalDone,
	"response.reasoning_summary_text.delta":  (*Decoder).summary,
	"response.reasoning_summary_text.done":   (*Decoder).summaryDone,
	"response.reasoning_text.delta":          (*Decoder).reasoning,
	"response.reasoning_text.done":           (*Decoder).reasoningDone,
	"response.function_call_arguments.delta": (*Decoder).arguments,
	"response.function_call_arguments.done":  (*Decoder).argumentsDone,
	"response.custom_tool_call_input.delta":  (*Decoder).arguments,
	"response.custom_tool_call_input.done":   (*Decoder).argumentsDone,
}

// say adds a piece, behind the start. What is neither text nor about it ends a run of text.
func (d *Decoder) say(p chat.Piece) {
	if !d.started {
		d.started = true
		d.step.Pieces = append(d.step.Pieces, chat.Piece{Kind: chat.PieceStart})
	}
	switch p.Kind {
	case chat.PieceText:
		d.said = true
		d.run += units(p.Text)
	case chat.PieceCitation, chat.PieceSource, chat.PieceLogprobs, chat.PieceStart:
	default:
		d.breakRun()
	}
	d.step.Pieces = append(d.step.Pieces, p)
}

// breakRun ends a run of text, and says the citations that the dialect finds in it.
func (d *Decoder) breakRun() {
	if len(d.whole) > 0 && !d.cited {
		for _, c := range d.dialect.citations(string(d.whole), d.sources) {
			d.step.Pieces = append(d.step.Pieces, chat.Piece{Kind: chat.PieceCitation, Citation: &c})
		}
	}
	d.run, d.whole, d.cited = 0, nil, false
}

// units are the UTF-16 code units of a text.
func units(s string) int64 {
	var n int64
	for _, r := range s {
		n += int64(utf16.RuneLen(r))
	}
	return n
}

func (d *Decoder) start(response []byte) {
	d.step.ID = text(response, "id")
	if d.started {
		return
	}
	d.started = true
	d.say(chat.Piece{Kind: chat.PieceStart, ID: d.step.ID, Model: text(response, "model")})
}

// at is the item that an event speaks of.
func (d *Decoder) at(data []byte) *item {
	index := number(data, "output_index")
	it := d.items[index]
	if it == nil {
		it = &item{call: -1}
		if len(d.items) < maxItems {
			d.items[index] = it
		}
	}
	return it
}

// part is the part that an event speaks of, by the member that counts it.
func (d *Decoder) part(data []byte, counter string) *part {
	return d.partOf(d.at(data), number(data, counter))
}

func (d *Decoder) partOf(it *item, index int64) *part {
	p := it.parts[index]
	if p == nil {
		p = &part{base: d.run}
		if it.parts == nil {
			it.parts = map[int64]*part{}
		}
		if len(it.parts) < maxItems {
			it.parts[index] = p
		}
	}
	return p
}

func (d *Decoder) added(data []byte) {
	raw := jsonscan.Field(data, "item")
	switch text(raw, "type") {
	case "function_call", "custom_tool_call":
		if !d.dialect.LateCalls {
			d.call(d.at(data), raw)
		}
	}
}

// call begins a call, once.
func (d *Decoder) call(it *item, raw []byte) {
	if it.call >= 0 {
		return
	}
	c := toolCall(raw)
	it.call, it.arguments = d.calls, len(c.Arguments)
	d.calls++
	d.say(chat.Piece{Kind: chat.PieceCall, Index: it.call, Call: &c})
}

func (d *Decoder) arguments(data []byte) {
	d.argue(d.at(data), text(data, "delta"))
}

func (d *Decoder) argumentsDone(data []byte) {
	whole := text(data, "arguments")
	if whole == "" {
		whole = text(data, "input")
	}
	if it := d.at(data); it.arguments == 0 {
		d.argue(it, whole)
	}
}

// argue adds to the arguments of a call. An empty delta is none: some send one for a tool without parameters.
func (d *Decoder) argue(it *item, s string) {
	if it.call < 0 || s == "" {
		return
	}
	it.arguments += len(s)
	d.say(chat.Piece{Kind: chat.PieceArguments, Index: it.call, Text: s})
}

func (d *Decoder) text(data []byte) {
	d.sayText(d.part(data, "content_index"), text(data, "delta"))
	d.logprobs(data)
}

func (d *Decoder) textDone(data []byte) {
	p := d.part(data, "content_index")
	if p.bytes == 0 {
		d.sayText(p, text(data, "text"))
		d.logprobs(data)
	}
}

func (d *Decoder) sayText(p *part, s string) {
	if s == "" {
		return
	}
	if p.bytes == 0 {
		p.base = d.run
	}
	p.bytes += len(s)
	if d.dialect.Citations != nil && len(d.whole)+len(s) <= maxWhole {
		d.whole = append(d.whole, s...)
	}
	d.say(chat.Piece{Kind: chat.PieceText, Text: s})
}

func (d *Decoder) logprobs(data []byte) {
	var tokens []json.RawMessage
	for t := range jsonscan.Elements(jsonscan.Field(data, "logprobs")) {
		tokens = append(tokens, t)
	}
	if len(tokens) > 0 {
		d.say(chat.Piece{Kind: chat.PieceLogprobs, Raw: logprobs(tokens)})
	}
}

func (d *Decoder) annotation(data []byte) {
	d.cite(d.part(data, "content_index"), jsonscan.Field(data, "annotation"))
}

func (d *Decoder) cite(p *part, annotation []byte) {
	p.annotations++
	d.cited = true
	if c := citation(annotation, p.base); c != nil {
		d.say(chat.Piece{Kind: chat.PieceCitation, Citation: c})
	}
}

func (d *Decoder) refusal(data []byte) {
	d.refuse(d.part(data, "content_index"), text(data, "delta"))
}

func (d *Decoder) refusalDone(data []byte) {
	if p := d.part(data, "content_index"); p.bytes == 0 {
		d.refuse(p, text(data, "refusal"))
	}
}

func (d *Decoder) refuse(p *part, s string) {
	d.refused = true
	p.bytes += len(s)
	if s != "" {
		d.say(chat.Piece{Kind: chat.PieceRefusal, Text: s})
	}
}
