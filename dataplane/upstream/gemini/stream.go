package gemini

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// stream yields the events of one answer. Gemini has no end marker, and a finishReason may come with several chunks: what an
// answer ended by is told at its end.
type stream struct {
	answer  *transport.Answer
	decoder *decoder
	// waiting are chunks that came together.
	waiting [][]byte
	// whole says that all there is waits: nothing more is read.
	whole bool
	// begun says that a chunk came, started that PieceStart was told, ended that the end was.
	begun, started, ended bool
	told                  *pricing.Usage
}

func newStream(a *transport.Answer, d *decoder) *stream {
	d.runs = true
	return &stream{answer: a, decoder: d}
}

// Next returns the next event; see chat.Stream.
func (s *stream) Next() (chat.Event, error) {
	for {
		if s.ended {
			return chat.Event{}, io.EOF
		}
		if len(s.waiting) > 0 {
			chunk := s.waiting[0]
			s.waiting = s.waiting[1:]
			return s.chunk(chunk)
		}
		if s.whole {
			return s.end()
		}
		e, err := s.answer.Event()
		if errors.Is(err, io.EOF) {
			s.whole = true
			continue
		}
		if err != nil {
			return chat.Event{}, err
		}
		data := bytes.TrimSpace(e.Data)
		if len(data) == 0 {
			data = bare(e.Raw)
		}
		if len(data) == 0 || string(data) == "[DONE]" {
			return chat.Event{}, nil
		}
		if s.waiting, err = split(data); err != nil {
			return chat.Event{}, bad(s.answer, data, err)
		}
	}
}

// Close ends the call.
func (s *stream) Close() error { return s.answer.Close() }

// bare finds JSON that stands in a stream without "data:", as errors do that come after the first chunk.
func bare(raw []byte) []byte {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return nil
	}
	return raw
}

// replay is a stream whose chunks came in one piece.
func replay(a *transport.Answer, d *decoder, chunks [][]byte) (*chat.Response, error) {
	if len(chunks) == 0 {
		return nil, a.Bad(errors.New("an empty list instead of a stream"))
	}
	s := newStream(a, d)
	s.waiting, s.whole = chunks, true
	return &chat.Response{Header: http.Header{}, Events: s}, nil
}

// chunk reads one chunk.
func (s *stream) chunk(raw []byte) (chat.Event, error) {
	before := s.decoder.bytes
	updates, err := s.decoder.read(raw)
	if err != nil {
		return s.failed(err)
	}
	s.begun = true
	out := chat.Event{UpstreamID: s.decoder.id, OutputBytes: s.decoder.bytes - before}
	s.start(&out)
	for _, u := range updates {
		s.pieces(&out, u)
	}
	s.usage(&out)
	for i := range out.Pieces {
		out.Content = out.Content || out.Pieces[i].Content()
	}
	out.Content = out.Content || out.OutputBytes > 0
	return out, nil
}

// failed is an error in the stream: the first thing in it is the answer's failure, a later one an event.
func (s *stream) failed(err error) (chat.Event, error) {
	var e *chat.Error
	if !s.begun || !errors.As(err, &e) || e.Code == "upstream_incomplete" || e.Code == "upstream_invalid_response" {
		return chat.Event{}, err
	}
	s.ended = true
	return chat.Event{Err: e}, nil
}

func (s *stream) start(out *chat.Event) {
	if !s.started {
		s.started = true
		out.Pieces = append(out.Pieces, chat.Piece{Kind: chat.PieceStart, ID: s.decoder.id, Model: s.decoder.model})
	}
}

// pieces says what a chunk adds to a candidate.
func (s *stream) pieces(out *chat.Event, u update) {
	c := u.choice
	first := c.calls
	for _, it := range u.items {
		if it.kind == itemCall {
			first--
		}
	}
	var list []chat.Piece
	for _, it := range u.items {
		list = append(list, itemPieces(it, c.index, first)...)
		if it.kind == itemCall {
			first++
		}
	}
	// A signature behind the text must not stand between it and what is cited of it.
	var behind []chat.Piece
	if n := len(list); n > 0 && list[n-1].Kind == chat.PieceSigned {
		list, behind = list[:n-1], slices.Clone(list[n-1:])
	}
	for _, source := range u.found.sources {
		list = append(list, chat.Piece{Kind: chat.PieceSource, Choice: c.index, Source: &source})
	}
	for _, cited := range u.found.citations {
		if cited.part >= 0 && cited.part != len(c.starts)-1 {
			cited.Start, cited.End = 0, 0 // offsets are into the text that came last
		}
		list = append(list, chat.Piece{Kind: chat.PieceCitation, Choice: c.index, Citation: &cited.Citation})
	}
	if u.logprobs != nil {
		list = append(list, chat.Piece{Kind: chat.PieceLogprobs, Choice: c.index, Raw: u.logprobs})
	}
	out.Pieces = append(append(out.Pieces, list...), behind...)
}

// itemPieces says one part. call is the number of the call that it would be.
func itemPieces(it item, choice int64, call int) []chat.Piece {
	var out []chat.Piece
	switch it.kind {
	case itemNothing:
		return nil
	case itemCall:
		return []chat.Piece{{Kind: chat.PieceCall, Choice: choice, Index: call, Call: it.call}}
	case itemText:
		if it.text != "" {
			out = append(out, chat.Piece{Kind: chat.PieceText, Choice: choice, Text: it.text})
		}
	case itemThought:
		if it.text != "" {
			out = append(out, chat.Piece{Kind: chat.PieceReasoning, Choice: choice, Text: it.text})
		}
	}
	if it.signature != "" {
		out = append(out, chat.Piece{Kind: chat.PieceSigned, Choice: choice, Thought: &chat.Thought{Signature: it.signature, Format: chat.FormatGemini}})
	}
	return out
}

// usage tells what is used so far, where that is new.
func (s *stream) usage(out *chat.Event) {
	u := s.decoder.usage()
	if u == nil || s.told != nil && *s.told == *u {
		return
	}
	s.told, out.Usage = u, u
	out.Pieces = append(out.Pieces, chat.Piece{Kind: chat.PieceUsage, Usage: u})
}

// end closes the answer: a stream without any finishReason was cut off.
func (s *stream) end() (chat.Event, error) {
	d := s.decoder
	if !d.over() {
		return chat.Event{}, transport.Incomplete(errors.New("the stream ended without a finishReason"))
	}
	s.ended = true
	out := chat.Event{UpstreamID: d.id}
	s.start(&out)
	for _, c := range d.choices {
		f := d.finish(c)
		if !c.finished {
			f = *d.prompt
		}
		out.Pieces = append(out.Pieces, chat.Piece{Kind: chat.PieceFinish, Choice: c.index, Finish: &f})
	}
	if len(d.choices) == 0 {
		out.Pieces = append(out.Pieces, chat.Piece{Kind: chat.PieceFinish, Finish: d.prompt})
	}
	s.usage(&out)
	return out, nil
}
