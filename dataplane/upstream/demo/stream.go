package demo

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/sse"
)

// stream says an answer word by word.
type stream struct {
	ctx    context.Context
	cancel context.CancelFunc
	delay  time.Duration
	events []chat.Event
}

func newStream(ctx context.Context, events []chat.Event, delay time.Duration) *stream {
	s := &stream{delay: delay, events: events}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// Next waits and returns the next event.
func (s *stream) Next() (chat.Event, error) {
	if len(s.events) == 0 {
		return chat.Event{}, io.EOF
	}
	if err := s.pause(); err != nil {
		return chat.Event{}, cancelled(err)
	}
	e := s.events[0]
	s.events = s.events[1:]
	return e, nil
}

// pause waits before an event with content.
func (s *stream) pause() error {
	if !s.events[0].Content || s.delay <= 0 {
		return s.ctx.Err()
	}
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Close ends a wait.
func (s *stream) Close() error {
	s.cancel()
	return nil
}

// events are those of the whole answer: for each choice a role, the content and the end, then usage and the marker.
func (a *answer) events() []chat.Event {
	var out []chat.Event
	add := func(index int64, d delta, finish *string, size int) {
		c := a.completion("chat.completion.chunk")
		c.Choices = append(c.Choices, choice{Index: index, Delta: &d, FinishReason: finish})
		e := a.event(c)
		e.Content, e.OutputBytes = size > 0, int64(size)
		out = append(out, e)
	}
	finish, empty := a.finish(), ""
	for i := range a.choices {
		if a.tool == "" {
			add(i, delta{Role: "assistant", Content: &empty}, nil, 0)
			for _, w := range words(a.text) {
				add(i, delta{Content: &w}, nil, len(w))
			}
		} else {
			index := 0
			add(i, delta{Role: "assistant", ToolCalls: []toolCall{{Index: &index, ID: a.callID(i), Type: "function", Function: called{Name: a.tool}}}}, nil, len(a.tool))
			for _, w := range words(a.arguments) {
				add(i, delta{ToolCalls: []toolCall{{Index: &index, Function: called{Arguments: w}}}}, nil, len(w))
			}
		}
		add(i, delta{}, &finish, 0)
	}
	last := a.completion("chat.completion.chunk")
	last.Usage = report(a.usage)
	e := a.event(last)
	usage := a.usage
	e.Usage, e.UsageOnly = &usage, true
	done := chat.Event{Raw: []byte("data: [DONE]\n\n"), Data: []byte("[DONE]"), Done: true}
	return append(out, e, done)
}

func (a *answer) event(c completion) chat.Event {
	data := encode(c)
	return chat.Event{Raw: sse.Append(nil, "", data), Data: data, UpstreamID: a.id}
}

// words cuts a text behind its spaces.
func words(text string) []string {
	if text == "" {
		return nil
	}
	return strings.SplitAfter(text, " ")
}
