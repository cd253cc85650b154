package anthropic

import (
	"bytes"
	"errors"
	"io"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// stream yields the events of one answer: as they came, or translated where there is a decoder.
type stream struct {
	answer *transport.Answer
	// decoder translates; nil: the events pass through.
	decoder *decoder
	meter   meter
	// begun says that content was given out, done that message_stop came.
	begun, done bool
}

// Next returns the next event; see chat.Stream.
func (s *stream) Next() (chat.Event, error) {
	e, err := s.answer.Event()
	if errors.Is(err, io.EOF) && !s.done {
		err = transport.Incomplete(errors.New("the stream ended without message_stop"))
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
	var out chat.Event
	if s.decoder == nil {
		out = chat.Event{Raw: e.Raw, Data: e.Data}
	}
	if len(e.Data) == 0 {
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
	if failed := inBody(s.answer, e.Data); failed != nil {
		if !s.begun {
			return chat.Event{}, failed
		}
		out.Err = failed
		return out, nil
	}
	kind, _ := jsonscan.String(fields.Value(e.Data, "type"))
	s.measure(&out, kind, e.Data, fields)
	if s.decoder != nil {
		out.Pieces = s.decoder.event(kind, e.Data, fields, out.Usage)
		out.Content = false
		for i := range out.Pieces {
			out.Content = out.Content || out.Pieces[i].Content()
		}
	}
	s.begun = s.begun || out.Content
	return out, nil
}

// measure reads what the gateway wants to know of an event, whoever it is for.
func (s *stream) measure(out *chat.Event, kind string, data []byte, fields jsonscan.Object) {
	switch kind {
	case "message_start":
		started := fields.Value(data, "message")
		out.UpstreamID, _ = jsonscan.String(jsonscan.Field(started, "id"))
		s.meter.take(jsonscan.Field(started, "usage"))
		out.Usage = s.meter.usage()
	case "content_block_start":
		out.OutputBytes, out.Content = blockBytes(fields.Value(data, "content_block"))
	case "content_block_delta":
		out.OutputBytes, out.Content = blockBytes(fields.Value(data, "delta"))
	case "message_delta":
		s.meter.take(fields.Value(data, "usage"))
		out.Usage = s.meter.usage()
	case "message_stop":
		out.Done = true
		s.done = true
		s.answer.Over()
	}
}
