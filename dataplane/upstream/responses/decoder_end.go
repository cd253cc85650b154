package responses

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// This file reads what events say whole: the ends of parts, items and responses. What was said in deltas is not said again.

// Reasoning comes as a summary or, from open models, as itself; never both.

func (d *Decoder) summary(data []byte)   { d.think(data, "summary_index", text(data, "delta")) }
func (d *Decoder) reasoning(data []byte) { d.think(data, "content_index", text(data, "delta")) }

func (d *Decoder) summaryDone(data []byte)   { d.thinkDone(data, "summary_index") }
func (d *Decoder) reasoningDone(data []byte) { d.thinkDone(data, "content_index") }

func (d *Decoder) thinkDone(data []byte, counter string) {
	if d.part(data, counter).bytes == 0 {
		d.think(data, counter, text(data, "text"))
	}
}

// think adds reasoning; the parts of an item are paragraphs.
func (d *Decoder) think(data []byte, counter, s string) {
	if s == "" {
		return
	}
	it, p := d.at(data), d.part(data, counter)
	if p.bytes == 0 {
		if it.summaries > 0 {
			s = paragraph + s
		}
		it.summaries++
	}
	p.bytes += len(s)
	d.thought = true
	d.say(chat.Piece{Kind: chat.PieceReasoning, Text: s})
}

func (d *Decoder) partDone(data []byte) {
	d.wholePart(d.part(data, "content_index"), jsonscan.Field(data, "part"))
}

// wholePart says what is new in a part that is told whole.
func (d *Decoder) wholePart(p *part, raw []byte) {
	switch text(raw, "type") {
	case "output_text":
		if p.bytes == 0 {
			d.sayText(p, text(raw, "text"))
			d.logprobs(raw)
		}
		n := 0
		for a := range jsonscan.Elements(jsonscan.Field(raw, "annotations")) {
			if n++; n > p.annotations {
				d.cite(p, a)
			}
		}
	case "refusal":
		if p.bytes == 0 {
			d.refuse(p, text(raw, "refusal"))
		}
	}
}

func (d *Decoder) itemDone(data []byte) { d.wholeItem(d.at(data), jsonscan.Field(data, "item")) }

// wholeItem says what is new in an item that is told whole.
func (d *Decoder) wholeItem(it *item, raw []byte) {
	switch text(raw, "type") {
	case "message":
		index := int64(0)
		for p := range jsonscan.Elements(jsonscan.Field(raw, "content")) {
			d.wholePart(d.partOf(it, index), p)
			index++
		}
	case "function_call", "custom_tool_call":
		if it.call < 0 {
			d.call(it, raw)
		} else if it.arguments == 0 {
			d.argue(it, toolCall(raw).Arguments)
		}
	case "reasoning":
		d.wholeThought(it, raw)
	default:
		for _, s := range d.dialect.sources(raw) {
			d.sources = append(d.sources, s)
			d.say(chat.Piece{Kind: chat.PieceSource, Source: &s})
		}
	}
}

func (d *Decoder) wholeThought(it *item, raw []byte) {
	t := thought(raw)
	if t == nil || it.signed {
		return
	}
	if it.summaries == 0 && t.Text != "" {
		it.summaries++
		d.thought = true
		d.say(chat.Piece{Kind: chat.PieceReasoning, Text: t.Text})
	}
	if t.Encrypted != "" {
		it.signed, d.thought, t.Text = true, true, ""
		d.say(chat.Piece{Kind: chat.PieceSigned, Thought: t})
	}
}

// end reads the response as it ended. Of its output is said only what no event told: some servers send nothing else.
func (d *Decoder) end(response []byte) {
	d.start(response)
	d.rest(response)
	f := finish(response, d.calls > 0)
	d.say(chat.Piece{Kind: chat.PieceFinish, Finish: &f})
	if d.step.Usage = Usage(response); d.step.Usage != nil {
		u := *d.step.Usage
		d.say(chat.Piece{Kind: chat.PieceUsage, Usage: &u})
	}
	d.step.Done = true
}

// rest says the items of a kind of which nothing was said.
func (d *Decoder) rest(response []byte) {
	told := map[string]bool{
		"message": d.said || d.refused, "reasoning": d.thought, "function_call": d.calls > 0, "custom_tool_call": d.calls > 0,
	}
	sources := len(d.sources) > 0
	for raw := range jsonscan.Elements(jsonscan.Field(response, "output")) {
		if kind := text(raw, "type"); told[kind] || sources && len(d.dialect.sources(raw)) > 0 {
			continue
		}
		d.wholeItem(&item{call: -1}, raw)
	}
}

func (d *Decoder) failed(data []byte) {
	response := jsonscan.Field(data, "response")
	d.step.ID, d.step.Usage = text(response, "id"), Usage(response)
	if jsonscan.IsNull(jsonscan.Field(response, "error")) {
		response = data // Perplexity has it beside the type
	}
	d.step.Failed = report(response)
	if d.step.Failed.Message == "" {
		d.step.Failed.Message = "The upstream provider failed to answer."
	}
}

// report reads the error in an object: in its member error, or its own members (OpenAI's SDKs know both).
func report(object []byte) *transport.Report {
	fields, err := jsonscan.Scan(object)
	if err != nil {
		return &transport.Report{Known: true}
	}
	r := transport.ReadReport(object, fields)
	if r.Type == "error" { // the event's own
		r.Type = ""
	}
	return &r
}
