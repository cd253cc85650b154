package anthropic

import (
	"context"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// translate serves a client that speaks another protocol.
func (u *Upstream) translate(ctx context.Context, c chat.Call) (*chat.Response, error) {
	p, err := c.Request.Translate()
	if err != nil {
		return nil, err
	}
	request, reading, dropped, err := build(c, p)
	if err != nil {
		return nil, err
	}
	a, err := u.open(ctx, c, messagesPath, [][]byte{request})
	if err != nil {
		return nil, err
	}
	out := &chat.Response{Header: safeHeader(a.Header), Dropped: dropped}
	if c.Request.Stream {
		out.Events = &stream{answer: a, decoder: newDecoder(reading)}
		return out, nil
	}
	defer func() { _ = a.Close() }() // it is read whole
	if err := unary(a, reading, out); err != nil {
		return nil, err
	}
	return out, nil
}

// unary reads a whole answer into out.
func unary(a *transport.Answer, reading reading, out *chat.Response) error {
	body, fields, err := message(a)
	if err != nil {
		return err
	}
	out.Usage = usageOf(fields.Value(body, "usage"))
	d := newDecoder(reading)
	for block := range jsonscan.Elements(fields.Value(body, "content")) {
		n, _ := blockBytes(block)
		out.OutputBytes += n
		d.start(block)
		d.stop()
	}
	d.finish(body)
	answer := &chat.Answer{}
	answer.ID, _ = jsonscan.String(fields.Value(body, "id"))
	answer.Model, _ = jsonscan.String(fields.Value(body, "model"))
	gather(answer, d.take())
	out.Answer, out.UpstreamID = answer, answer.ID
	return nil
}

// gather makes an answer of pieces: what belongs together becomes one part.
func gather(out *chat.Answer, pieces []chat.Piece) {
	choice := chat.Choice{}
	calls := map[int]*chat.ToolCall{}
	var open chat.PieceKind
	last := func(kind chat.PieceKind, part chat.PartKind) *chat.Part {
		if open != kind {
			choice.Parts = append(choice.Parts, chat.Part{Kind: part})
		}
		open = kind
		return &choice.Parts[len(choice.Parts)-1]
	}
	for i := range pieces {
		p := &pieces[i]
		switch p.Kind {
		case chat.PieceText:
			last(p.Kind, chat.PartText).Text += p.Text
		case chat.PieceCitation:
			part := last(chat.PieceText, chat.PartText)
			part.Citations = append(part.Citations, *p.Citation)
		case chat.PieceReasoning:
			part := last(p.Kind, chat.PartThought)
			if part.Thought == nil {
				part.Thought = &chat.Thought{Format: chat.FormatAnthropic}
			}
			part.Thought.Text += p.Text
		case chat.PieceSigned:
			if p.Thought.Signature != "" && open == chat.PieceReasoning {
				choice.Parts[len(choice.Parts)-1].Thought.Signature = p.Thought.Signature
			} else {
				thought := *p.Thought
				choice.Parts = append(choice.Parts, chat.Part{Kind: chat.PartThought, Thought: &thought})
			}
			open = p.Kind
		case chat.PieceCall:
			call := *p.Call
			calls[p.Index] = &call
			choice.Parts = append(choice.Parts, chat.Part{Kind: chat.PartCall, Call: &call})
			open = p.Kind
		case chat.PieceArguments:
			calls[p.Index].Arguments += p.Text
		case chat.PieceSource:
			out.Sources = append(out.Sources, *p.Source)
		case chat.PieceFinish:
			choice.Finish = *p.Finish
		}
	}
	out.Choices = []chat.Choice{choice}
}
