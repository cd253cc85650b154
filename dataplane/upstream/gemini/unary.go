package gemini

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// whole reads an answer to its end. What should have been a stream may be one JSON list of its chunks, which is what the
// endpoint gives without alt=sse.
func whole(a *transport.Answer, d *decoder, streamed bool) (*chat.Response, error) {
	body, err := a.Whole()
	if err != nil {
		return nil, err
	}
	chunks, err := split(body)
	if err != nil {
		return nil, bad(a, body, err)
	}
	if streamed {
		return replay(a, d, chunks)
	}
	out := &chat.Answer{}
	byChoice := map[*choice]*unaryChoice{}
	for _, chunk := range chunks {
		updates, err := d.read(chunk)
		if err != nil {
			return nil, err
		}
		for _, u := range updates {
			if byChoice[u.choice] == nil {
				byChoice[u.choice] = &unaryChoice{}
			}
			byChoice[u.choice].add(u)
			out.Sources = append(out.Sources, u.found.sources...)
		}
	}
	if len(d.choices) == 0 && d.prompt == nil {
		return nil, a.Bad(errors.New("no candidates"))
	}
	out.ID, out.Model = d.id, d.model
	for _, c := range d.choices {
		one := &byChoice[c].Choice
		one.Index, one.Finish = c.index, d.finish(c)
		if d.prompt != nil && !c.finished {
			one.Finish = *d.prompt
		}
		out.Choices = append(out.Choices, *one)
	}
	if len(d.choices) == 0 {
		out.Choices = []chat.Choice{{Finish: *d.prompt}}
	}
	return &chat.Response{Header: http.Header{}, UpstreamID: d.id, Answer: out, Usage: d.usage(), OutputBytes: d.bytes}, nil
}

// unaryChoice is a choice and, for each text part of the answer, which of the choice's parts it is.
type unaryChoice struct {
	chat.Choice
	texts []int
}

func (u *unaryChoice) add(up update) {
	for _, it := range up.items {
		switch it.kind {
		case itemText:
			u.texts = append(u.texts, len(u.Parts))
			u.Parts = append(u.Parts, chat.Part{Kind: chat.PartText, Text: it.text, Signature: it.signature})
		case itemThought:
			u.Parts = append(u.Parts, chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Text: it.text, Signature: it.signature, Format: chat.FormatGemini}})
		case itemCall:
			u.Parts = append(u.Parts, chat.Part{Kind: chat.PartCall, Call: it.call})
		}
	}
	if up.logprobs != nil {
		u.Logprobs = up.logprobs
	}
	for _, c := range up.found.citations {
		if c.part < 0 {
			c.part = len(u.texts) - 1
		}
		if c.part >= 0 && c.part < len(u.texts) {
			p := &u.Parts[u.texts[c.part]]
			p.Citations = append(p.Citations, c.Citation)
		}
	}
}

// split takes the chunks out of a list; anything else is one chunk.
func split(body []byte) ([][]byte, error) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 || body[0] != '[' {
		return [][]byte{body}, nil
	}
	const head = `{"list":`
	wrapped := append(append([]byte(head), body...), '}')
	fields, err := jsonscan.Scan(wrapped)
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) {
		return nil, &jsonscan.SyntaxError{Offset: syntax.Offset - len(head), Reason: syntax.Reason}
	}
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for chunk := range jsonscan.Elements(fields.Value(wrapped, "list")) {
		out = append(out, chunk)
	}
	return out, nil
}
