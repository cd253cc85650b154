package openai

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
)

// stream yields the events of one answer as they came.
type stream struct {
	watch  *watch
	t      *translator
	body   io.ReadCloser
	reader *sse.Reader
	close  sync.Once

	// begun says that an event with data came, done that the end marker did.
	begun bool
	done  atomic.Bool
	// finished has the choices seen, by index, and whether their finish_reason came.
	finished map[int64]bool
}

func newStream(w *watch, t *translator, body io.ReadCloser) *stream {
	return &stream{watch: w, t: t, body: body, reader: sse.NewReader(body, maxEventBytes), finished: map[int64]bool{}}
}

// Next returns the next event; see chat.Stream.
func (s *stream) Next() (chat.Event, error) {
	if s.done.Load() {
		return chat.Event{}, io.EOF
	}
	s.watch.waiting(!s.begun)
	e, err := s.reader.Next()
	s.watch.rest()
	switch {
	case errors.Is(err, io.EOF):
		return chat.Event{}, s.end()
	case errors.Is(err, sse.ErrTooLong):
		return chat.Event{}, s.t.badAnswer(200, err)
	case err != nil:
		return chat.Event{}, s.watch.broken(err)
	}
	return s.event(e)
}

// end judges a stream that ended without its marker: some upstreams leave it out, but none leaves out the finish_reason.
func (s *stream) end() error {
	if len(s.finished) == 0 {
		return incomplete(errors.New("the stream ended without any choice"))
	}
	for _, finished := range s.finished {
		if !finished {
			return incomplete(errors.New("the stream ended without finish_reason and [DONE]"))
		}
	}
	return io.EOF
}

func (s *stream) event(e sse.Event) (chat.Event, error) {
	out := chat.Event{Raw: e.Raw, Data: e.Data}
	if len(e.Data) == 0 {
		return out, nil
	}
	first := !s.begun
	s.begun = true
	if string(e.Data) == "[DONE]" {
		out.Done = true
		s.done.Store(true)
		return out, nil
	}
	fields, err := jsonscan.Scan(e.Data)
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= len(e.Data) {
		return chat.Event{}, incomplete(err)
	}
	if err != nil {
		return chat.Event{}, s.t.badAnswer(200, err)
	}
	if raw := fields.Value(e.Data, "error"); !jsonscan.IsNull(raw) || e.Name == "error" {
		out.Err = s.t.inBody(e.Data, fields)
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
				finished = !jsonscan.IsNull(value)
			case "delta":
				out.OutputBytes += contentBytes(value)
				out.Content = out.Content || hasContent(value)
			}
		}
		s.finished[index] = s.finished[index] || finished
	}
	out.Content = out.Content || out.OutputBytes > 0
	out.UsageOnly = out.Usage != nil && !some
}

// drainFor is how long Close waits for the end of a stream whose marker came, so that its connection can be used again.
const drainFor = 50 * time.Millisecond

// Close ends the call. After the end marker it takes the rest of the body, shortly.
func (s *stream) Close() error {
	var err error
	s.close.Do(func() {
		if s.done.Load() {
			timer := time.AfterFunc(drainFor, func() { s.watch.cancel(errClosed) })
			_, _ = io.CopyN(io.Discard, s.body, 4096)
			timer.Stop()
		}
		// The cancellation ends a read that another goroutine may be in.
		s.watch.cancel(errClosed)
		err = s.body.Close()
		if s.watch.total != nil {
			s.watch.total.Stop()
		}
	})
	return err
}
