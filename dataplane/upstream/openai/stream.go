package openai

import (
	"bytes"
	"errors"
	"io"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// stream yields the events of one answer: as they came, or as pieces.
type stream struct {
	answer *transport.Answer
	done   bool
	// chunks translates; nil: the bytes pass.
	chunks *chunks
	// searches is how often the web was searched so far.
	searches int64
	// finished has the choices seen, by index, and whether their finish_reason came.
	finished map[int64]bool
}

// stream reads an answer as it comes.
func (r reading) stream(a *transport.Answer) chat.Stream {
	s := &stream{answer: a, finished: map[int64]bool{}}
	if r.translate {
		s.chunks = newChunks()
	}
	if r.searches {
		s.searches = 1
	}
	return s
}

// Next returns the next event; see chat.Stream.
func (s *stream) Next() (chat.Event, error) {
	first := s.answer.First()
	e, err := s.answer.Event()
	if errors.Is(err, io.EOF) && !s.done {
		err = s.end()
	}
	if err != nil {
		return chat.Event{}, err
	}
	out, err := s.event(e, first)
	if s.chunks != nil {
		out.Raw, out.Data = nil, nil
	}
	return out, err
}

// Close ends the call.
func (s *stream) Close() error { return s.answer.Close() }

// end judges a stream that ended without its marker: some upstreams leave it out, but none leaves out the finish_reason.
func (s *stream) end() error {
	if len(s.finished) == 0 {
		return transport.Incomplete(errors.New("the stream ended without any choice"))
	}
	for _, finished := range s.finished {
		if !finished {
			return transport.Incomplete(errors.New("the stream ended without finish_reason and [DONE]"))
		}
	}
	return io.EOF
}

func (s *stream) event(e sse.Event, first bool) (chat.Event, error) {
	e.Data = bytes.TrimSpace(e.Data) // white space alone keeps a connection alive, and some put it behind their words
	out := chat.Event{Raw: e.Raw, Data: e.Data}
	if len(e.Data) == 0 {
		return out, nil
	}
	if string(e.Data) == "[DONE]" {
		out.Done = true
		s.done = true
		s.answer.Over()
		if s.chunks != nil {
			out.Pieces = s.chunks.end()
		}
		return out, nil
	}
	fields, err := jsonscan.Scan(e.Data)
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= len(e.Data) {
		return chat.Event{}, transport.Incomplete(err)
	}
	if err != nil {
		return chat.Event{}, s.answer.Bad(err)
	}
	if raw := fields.Value(e.Data, "error"); !jsonscan.IsNull(raw) || e.Name == "error" || text(e.Data, "object") == "error" { // vLLM's has no member of its own
		out.Err = s.answer.InBody(report(e.Data, fields))
		if first {
			return chat.Event{}, out.Err
		}
		return out, nil
	}
	s.chunk(&out, fields)
	return out, nil
}

func (s *stream) chunk(out *chat.Event, fields jsonscan.Object) {
	out.UpstreamID, _ = jsonscan.String(fields.Value(out.Data, "id"))
	out.Usage = usage(fields.Value(out.Data, "usage"))
	some := false
	for choice := range jsonscan.Elements(fields.Value(out.Data, "choices")) {
		some = true
		var index int64
		var finished bool
		for name, value := range jsonscan.Members(choice) {
			switch name {
			case "index":
				index, _ = jsonscan.Int(value)
			case "finish_reason":
				finished = ends(value)
			case "delta":
				out.OutputBytes += contentBytes(value)
				out.Content = out.Content || hasContent(value)
				s.searches = max(s.searches, billableSearches(value))
			}
		}
		s.finished[index] = s.finished[index] || finished
	}
	out.Content = out.Content || out.OutputBytes > 0
	searched(out.Usage, s.searches)
	out.UsageOnly = out.Usage != nil && !some
	if s.chunks != nil {
		s.translate(out)
	}
}

// ends says that a finish_reason is one: null and, with some upstreams, "" stand for an answer that goes on.
func ends(reason []byte) bool { return !jsonscan.IsNull(reason) && string(reason) != `""` }

// translate puts pieces in place of a chunk.
func (s *stream) translate(out *chat.Event) {
	out.Pieces, out.UsageOnly = s.chunks.read(out.Data, out.Usage), false
	out.Content, out.OutputBytes = false, 0
	for i := range out.Pieces {
		out.Content = out.Content || out.Pieces[i].Content()
		out.OutputBytes += out.Pieces[i].OutputBytes()
	}
}
