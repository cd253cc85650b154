package responses

import (
	"bytes"
	"errors"
	"io"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// stream yields the events of one answer.
type stream struct {
	answer  *transport.Answer
	decoder *Decoder
	// pass gives the bytes as they came instead of pieces.
	pass  bool
	begun bool
	done  bool
}

// Stream reads an answer's events. pass says that the client speaks the protocol, too, and gets the bytes as they are;
// otherwise it gets pieces.
func (d Dialect) Stream(a *transport.Answer, pass bool) chat.Stream {
	return &stream{answer: a, decoder: NewDecoder(d), pass: pass}
}

// Next returns the next event; see chat.Stream.
func (s *stream) Next() (chat.Event, error) {
	e, err := s.answer.Event()
	if errors.Is(err, io.EOF) && !s.done {
		err = transport.Incomplete(errors.New("the stream ended without response.completed"))
	}
	if err != nil {
		return chat.Event{}, err
	}
	return s.event(e)
}

// Close ends the call.
func (s *stream) Close() error { return s.answer.Close() }

func (s *stream) event(e sse.Event) (chat.Event, error) {
	e.Data = bytes.TrimSpace(e.Data) // white space alone keeps a connection alive
	out := chat.Event{}
	if s.pass {
		out.Raw, out.Data = e.Raw, e.Data
	}
	if len(e.Data) == 0 || string(e.Data) == "[DONE]" {
		return out, nil
	}
	_, err := jsonscan.Scan(e.Data)
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= len(e.Data) {
		return chat.Event{}, transport.Incomplete(err)
	}
	if err != nil {
		return chat.Event{}, s.answer.Bad(err)
	}
	return s.take(out, s.decoder.Read(e.Data))
}

// take makes an event out of what was said.
func (s *stream) take(out chat.Event, step Step) (chat.Event, error) {
	out.Usage, out.UpstreamID = step.Usage, step.ID
	for i := range step.Pieces {
		out.Content = out.Content || step.Pieces[i].Content()
		out.OutputBytes += step.Pieces[i].OutputBytes()
	}
	s.begun = s.begun || out.Content
	if !s.pass {
		out.Pieces = step.Pieces
	}
	if step.Failed != nil {
		out.Err = s.answer.InBody(*step.Failed)
		s.over()
		if !s.begun {
			return chat.Event{}, out.Err
		}
	}
	if step.Done {
		out.Done = true
		s.over()
	}
	return out, nil
}

func (s *stream) over() {
	s.done = true
	s.answer.Over()
}
