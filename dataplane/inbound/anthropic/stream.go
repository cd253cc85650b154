package anthropic

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
)

// Stream begins to write a translated stream: message_start, blocks one after the other with indices without gaps,
// message_delta with the usage, message_stop. Only the first choice is told: the protocol has no other.
func (Messages) Stream(r *chat.Request) chat.StreamWriter { return &stream{request: r} }

// stream writes blocks; at most one is open. Pieces for another block than an unfinished tool call wait until the call's
// arguments are whole: some providers interleave parallel calls, and a block that is closed cannot be added to.
type stream struct {
	request *chat.Request
	started bool
	finish  chat.Finish
	// open is the kind of the open block, next the index of the next one.
	open chat.PieceKind
	next int
	// call is the open call's own index, args what is known of its arguments.
	call int
	args arguments
	// calls and searches count what has been written, for ids.
	calls, searches int
	refused         bool
	// results are those of a search that is being told.
	results []chat.Source
	waiting []chat.Piece
}

// Write takes the next piece; see chat.StreamWriter.
func (s *stream) Write(dst []byte, p *chat.Piece) []byte {
	switch {
	case p.Choice != 0:
		return dst
	case !s.goesOn(p) && (len(s.waiting) > 0 || s.blocked()):
		s.waiting = append(s.waiting, *p)
		return dst
	}
	dst = s.write(dst, p)
	if len(s.waiting) > 0 && !s.blocked() {
		dst = s.release(dst)
	}
	return dst
}

// goesOn says that a piece belongs to the open call.
func (s *stream) goesOn(p *chat.Piece) bool {
	return s.open == chat.PieceCall && p.Kind == chat.PieceArguments && p.Index == s.call
}

// blocked says that other pieces must wait for the end of the open call.
func (s *stream) blocked() bool { return s.open == chat.PieceCall && !s.args.whole() }

// release writes what need not wait any longer, in its order, but for the arguments of the call that is open by then.
func (s *stream) release(dst []byte) []byte {
	for first := true; first || len(s.waiting) > 0 && !s.blocked(); first = false {
		rest := s.waiting[:0]
		for _, p := range s.waiting {
			if !s.goesOn(&p) && (len(rest) > 0 || s.blocked()) {
				rest = append(rest, p)
				continue
			}
			dst = s.write(dst, &p)
		}
		s.waiting = rest
	}
	return dst
}

func (s *stream) write(dst []byte, p *chat.Piece) []byte {
	dst = s.start(dst, p)
	switch p.Kind {
	case chat.PieceText, chat.PieceRefusal:
		s.refused = s.refused || p.Kind == chat.PieceRefusal
		return s.text(dst, p.Text)
	case chat.PieceReasoning:
		return s.reasoning(dst, p.Text)
	case chat.PieceSigned:
		return s.signed(dst, p.Thought)
	case chat.PieceCall:
		return s.begin(dst, p)
	case chat.PieceArguments:
		return s.arguments(dst, p)
	case chat.PieceCitation:
		return s.citation(dst, p.Citation)
	case chat.PieceSource:
		if p.Source != nil {
			s.results = append(s.results, *p.Source)
		}
	case chat.PieceFinish:
		if p.Finish != nil {
			s.finish = *p.Finish
		}
	}
	return dst
}

// start writes message_start before anything else.
func (s *stream) start(dst []byte, p *chat.Piece) []byte {
	if s.started {
		return dst
	}
	s.started = true
	id := ""
	if p.Kind == chat.PieceStart {
		id = p.ID
	}
	return event(dst, "message_start", struct {
		Type    string  `json:"type"`
		Message message `json:"message"`
	}{"message_start", newMessage(s.request, id)})
}

// event appends one event; v always encodes.
func event(dst []byte, name string, v any) []byte {
	data, err := encode(v)
	if err != nil {
		return dst
	}
	return sse.Append(dst, name, data)
}

// openBlock closes what is open and opens a block, behind what a search has found meanwhile.
func (s *stream) openBlock(dst []byte, kind chat.PieceKind, block any) []byte {
	dst = s.flushResults(s.closeBlock(dst))
	s.open = kind
	s.next++
	return event(dst, "content_block_start", struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
		Block any    `json:"content_block"`
	}{"content_block_start", s.next - 1, block})
}

func (s *stream) closeBlock(dst []byte) []byte {
	if s.open == "" {
		return dst
	}
	if s.open == chat.PieceCall {
		if rest := s.args.rest(); rest != "" {
			dst = s.delta(dst, "input_json_delta", "partial_json", rest)
		}
	}
	s.open = ""
	return event(dst, "content_block_stop", struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}{"content_block_stop", s.next - 1})
}

// whole writes a block that has no deltas.
func (s *stream) whole(dst []byte, block any) []byte {
	return s.closeBlock(s.openBlock(dst, "whole", block))
}

// delta adds text to the open block.
func (s *stream) delta(dst []byte, kind, member, text string) []byte {
	return s.rawDelta(dst, kind, member, jsonscan.Quote(text))
}

func (s *stream) rawDelta(dst []byte, kind, member string, value []byte) []byte {
	data := strconv.AppendInt([]byte(`{"type":"content_block_delta","index":`), int64(s.next-1), 10)
	data = append(data, `,"delta":{"type":"`+kind+`","`+member+`":`...)
	data = append(append(data, value...), "}}"...)
	return sse.Append(dst, "content_block_delta", data)
}

func (s *stream) text(dst []byte, text string) []byte {
	if text == "" {
		return dst
	}
	if s.open != chat.PieceText {
		dst = s.openBlock(dst, chat.PieceText, textBlock{Type: "text"})
	}
	return s.delta(dst, "text_delta", "text", text)
}

func (s *stream) reasoning(dst []byte, text string) []byte {
	if text == "" {
		return dst
	}
	if s.open != chat.PieceReasoning {
		dst = s.openBlock(dst, chat.PieceReasoning, thinkingBlock{Type: "thinking"})
	}
	return s.delta(dst, "thinking_delta", "thinking", text)
}

// signed closes the thinking that is open with its signature, or writes a block that has nothing else.
func (s *stream) signed(dst []byte, t *chat.Thought) []byte {
	if t == nil {
		return dst
	}
	if redacted(t) {
		return s.whole(dst, redactedBlock{"redacted_thinking", t.Encrypted})
	}
	return s.signature(dst, signatureOf(t))
}

func (s *stream) signature(dst []byte, signature string) []byte {
	if signature == "" {
		return dst
	}
	if s.open != chat.PieceReasoning {
		dst = s.openBlock(dst, chat.PieceReasoning, thinkingBlock{Type: "thinking"})
	}
	return s.closeBlock(s.delta(dst, "signature_delta", "signature", signature))
}

func (s *stream) begin(dst []byte, p *chat.Piece) []byte {
	c := p.Call
	if c == nil {
		return dst
	}
	if c.Signature != "" {
		// In a block of its own: a thought before it may be signed itself.
		dst = s.signature(s.closeBlock(dst), callSignature(c.Signature))
	}
	id := callID(s.request, c.ID, s.calls)
	dst = s.openBlock(dst, chat.PieceCall, callBlock{"tool_use", id, c.Name, json.RawMessage("{}")})
	s.calls++
	s.call, s.args = p.Index, arguments{}
	return s.more(dst, c.Arguments)
}

// arguments adds to the open call; what comes for a call that is closed has no place any more.
func (s *stream) arguments(dst []byte, p *chat.Piece) []byte {
	if s.open != chat.PieceCall || p.Index != s.call {
		return dst
	}
	return s.more(dst, p.Text)
}

func (s *stream) more(dst []byte, text string) []byte {
	if text = s.args.add(text); text == "" {
		return dst
	}
	return s.delta(dst, "input_json_delta", "partial_json", text)
}

// citation belongs to the open text; without one it is told as the result of a search, if it is not yet.
func (s *stream) citation(dst []byte, c *chat.Citation) []byte {
	if c == nil || c.URL == "" {
		return dst
	}
	if s.open != chat.PieceText {
		if !slices.ContainsFunc(s.results, func(r chat.Source) bool { return r.URL == c.URL }) {
			s.results = append(s.results, chat.Source{URL: c.URL, Title: c.Title})
		}
		return dst
	}
	value, err := encode(citationOf(c))
	if err != nil {
		return dst
	}
	return s.rawDelta(dst, "citations_delta", "citation", value)
}

// flushResults writes the results of a search once all are known: when another block begins, or the answer ends. A text
// that goes on is not cut by them.
func (s *stream) flushResults(dst []byte) []byte {
	if len(s.results) == 0 {
		return dst
	}
	call, result := searchBlocks(s.request, s.results, s.searches)
	s.searches++
	s.results = nil
	return s.whole(s.whole(dst, call), result)
}

// End closes what is open and tells why and at what cost; see chat.StreamWriter.
func (s *stream) End(dst []byte, t chat.Total) []byte {
	for len(s.waiting) > 0 {
		// A call that was never finished: what waits for it follows all the same.
		dst = s.release(s.closeBlock(dst))
	}
	dst = s.start(dst, &chat.Piece{})
	dst = s.flushResults(s.closeBlock(dst))
	dst = event(dst, "message_delta", struct {
		Type  string    `json:"type"`
		Delta stopDelta `json:"delta"`
		Usage usage     `json:"usage"`
	}{"message_delta", stopOf(s.finish, s.calls > 0, s.refused), usageOf(t)})
	return sse.Append(dst, "message_stop", []byte(`{"type":"message_stop"}`))
}
