package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/sse"
)

// heartbeat is a comment, which clients skip.
const heartbeat = ": heartbeat\n\n"

// maxHeldBack bounds what is held back of a stream before its first content (a role chunk, usually).
const maxHeldBack = 64 << 10

// stream calls backends until one gives content, and passes its events on as they come.
func (e *exchange) stream(ctx context.Context, leave func()) error {
	out := newOutlet(e, leave)
	defer out.timer.Stop()
	once := func(b snapshot.Backend) error {
		out.held, out.bytes, out.writer = nil, 0, nil
		return e.streamFrom(ctx, out, b)
	}
	last := e.attempts(ctx, once, func(d time.Duration) { out.idle(e.r.Context(), d) }, func() bool { return e.tally.content || out.spoke || out.gone })
	if last == nil {
		return nil
	}
	if !out.started {
		return e.failed(ctx, last)
	}
	e.rec.Outcome = failureOf(ctx)
	e.end(http.StatusOK)
	if e.tally.content {
		out.pass()
	}
	fail := e.upstreamError(ctx, last)
	out.write(e.dialect.ErrorEvent(fail))
	return fail
}

// streamFrom passes on the events of one backend; nil: the answer is whole and settled.
func (e *exchange) streamFrom(ctx context.Context, out *outlet, b snapshot.Backend) error {
	up, call, err := e.attempt(b)
	if err != nil {
		return err
	}
	m := e.meter(b)
	defer m.stop()
	p := startPump(ctx, up, call)
	defer p.stop()
	for {
		select {
		case <-m.silence():
			if m.silent(); !m.pays() {
				return e.cutShort(ctx, out, p, m)
			}
		case <-out.timer.C:
			out.beat()
		case st := <-p.steps:
			if ended(st.err) {
				e.tally.whole = true
				e.end(http.StatusOK)
				out.pass()
				if out.writer != nil {
					out.write(out.writer.End(nil, e.total()))
				}
				e.tellUsage(out)
				return nil
			}
			if st.err == nil {
				st.err = e.take(out, st)
			}
			switch {
			case st.err == nil:
			case e.ended: // the end marker was there already
				return nil
			default:
				return st.err
			}
			if m.sees(st.event); !e.ended && !m.pays() {
				p.next <- struct{}{}
				return e.cutShort(ctx, out, p, m)
			}
			p.next <- struct{}{}
		}
	}
}

// ended says whether an error is the end of a stream. A failure may have io.EOF as its cause: an upstream that closed the
// connection.
func ended(err error) bool {
	var failure *chat.Error
	return errors.Is(err, io.EOF) && !errors.As(err, &failure)
}

// take handles one step of a stream: the answer's headers, or an event.
func (e *exchange) take(out *outlet, st step) error {
	if st.resp != nil {
		if st.resp.UpstreamID != "" {
			e.tally.upstreamID = st.resp.UpstreamID
		}
		if !out.started {
			out.resp = st.resp
		}
		return nil
	}
	ev := st.event
	if ev.Err != nil {
		return ev.Err
	}
	e.count(ev)
	if len(ev.Pieces) > 0 {
		return e.takePieces(out, ev)
	}
	if ev.UsageOnly && !e.req.IncludeUsage {
		return nil
	}
	if ev.Done {
		e.tally.whole = true
		e.end(http.StatusOK)
	}
	if !e.tally.content && !ev.Done && out.holdBack(ev) {
		return nil
	}
	out.pass()
	if ev.Done {
		e.tellUsage(out)
	}
	if raw := e.withCost(ev); !tellsEnd(ev) || !out.holdBack(chat.Event{Raw: raw, Data: raw}) {
		out.write(raw)
	}
	return nil
}

// tellsEnd says that an event tells what an answer costs and nothing else. It goes to the client with the next one, or with
// the end: what a client was told is then in the log.
func tellsEnd(ev chat.Event) bool {
	return ev.Usage != nil && !ev.Content && ev.OutputBytes == 0 && !ev.Done
}

// takePieces writes a translated event.
func (e *exchange) takePieces(out *outlet, ev chat.Event) error {
	if out.writer == nil {
		out.writer = e.dialect.Stream(e.req)
	}
	var raw []byte
	for i := range ev.Pieces {
		raw = out.writer.Write(raw, &ev.Pieces[i])
	}
	if len(raw) == 0 || !e.tally.content && out.holdBack(chat.Event{Raw: raw, Data: raw}) {
		return nil
	}
	out.pass()
	out.write(raw)
	return nil
}

// withCost is an event as the client gets it: with what the answer costs, where it reports usage.
func (e *exchange) withCost(ev chat.Event) []byte {
	if ev.Usage != nil {
		if data, ok := e.dialect.WithCost(ev.Data, pricing.FormatUSD(e.bill().charged)); ok {
			return sse.Append(nil, eventName(ev.Raw), data)
		}
	}
	return ev.Raw
}

// eventName is the name in an event's bytes; empty: none.
func eventName(raw []byte) string {
	for line := range bytes.Lines(raw) {
		if name, ok := bytes.CutPrefix(line, []byte("event:")); ok {
			return string(bytes.TrimSpace(name))
		}
	}
	return ""
}

// count adds an event to the tally.
func (e *exchange) count(ev chat.Event) {
	if ev.UpstreamID != "" {
		e.tally.upstreamID = ev.UpstreamID
	}
	if ev.Usage != nil {
		usage := *ev.Usage
		e.tally.usage, e.tally.sinceReport = &usage, 0
	} else {
		e.tally.sinceReport += ev.OutputBytes
	}
	e.tally.outputBytes += ev.OutputBytes
	if e.req.IncludeUsage && e.tally.like == nil && len(ev.Data) > 0 && !ev.Done {
		e.tally.like = bytes.Clone(ev.Data)
	}
	if ev.Content && !e.tally.content {
		e.tally.content = true
		e.lease.Began()
		e.rec.FirstContent = e.s.o.Now()
	}
}

// outlet is the client's side of a stream.
type outlet struct {
	e       *exchange
	control *http.ResponseController
	leave   func()
	// timer fires when the headers, or a heartbeat, are due.
	timer   *time.Timer
	resp    *chat.Response    // of the provider
	writer  chat.StreamWriter // of a translated answer; nil: none yet
	started bool              // the headers are sent
	spoke   bool              // something of an answer is sent: no other backend can take over
	gone    bool              // the client is
	held    []chat.Event      // held back until there is content, and with it a price
	bytes   int               // of what is held back
}

func newOutlet(e *exchange, leave func()) *outlet {
	return &outlet{e: e, leave: leave, control: http.NewResponseController(e.w), timer: time.NewTimer(e.s.o.ContentWait)}
}

// holdBack keeps an event that may be the beginning of an answer that never comes; comments are not worth keeping.
// false: there is too much of it already.
func (o *outlet) holdBack(ev chat.Event) bool {
	if len(ev.Data) == 0 {
		return true
	}
	if o.bytes+len(ev.Raw) > maxHeldBack {
		return false
	}
	o.bytes += len(ev.Raw)
	ev.Raw, ev.Data = bytes.Clone(ev.Raw), bytes.Clone(ev.Data) // they are valid until the next event
	o.held = append(o.held, ev)
	return true
}

// pass sends what was held back.
func (o *outlet) pass() {
	var held []byte
	for _, ev := range o.held {
		held = append(held, o.e.withCost(ev)...)
	}
	o.held, o.bytes = nil, 0
	if len(held) > 0 || !o.started {
		o.write(held)
	}
}

// idle waits for d, or until the client leaves, and sends what is due meanwhile.
func (o *outlet) idle(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-o.timer.C:
			o.beat()
		}
	}
}

// beat is called when nothing was sent for a while.
func (o *outlet) beat() { o.send([]byte(heartbeat)) }

// write sends what a backend said.
func (o *outlet) write(b []byte) {
	o.spoke = true
	o.send(b)
}

// send sends bytes at once, the headers before the first. What a client that is gone does not take is dropped; the
// answer is then read to its end for its usage.
func (o *outlet) send(b []byte) {
	if !o.started {
		o.start()
	}
	if o.gone {
		return
	}
	o.timer.Reset(o.e.s.o.Heartbeat)
	o.e.s.writeDeadline(o.e.w)
	_, err := o.e.w.Write(b)
	if err == nil {
		err = o.control.Flush()
	}
	if err != nil {
		o.gone = true
		o.e.rec.Outcome, o.e.rec.Err = observe.ClientGone, fmt.Errorf("writing to the client: %w", err)
		o.leave()
	}
}

func (o *outlet) start() {
	o.started = true
	h := o.e.w.Header()
	if o.resp != nil {
		o.e.copyHeaders(o.resp)
	}
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	h.Del("Content-Length")
	o.e.w.WriteHeader(http.StatusOK)
}

// step is one thing that an upstream said: the answer's headers first, then events, at last an error (io.EOF: the end).
type step struct {
	resp  *chat.Response
	event chat.Event
	err   error
}

// pump reads an upstream beside the handler, which meanwhile sends heartbeats. One step at a time: an event's bytes are
// valid until next is answered.
type pump struct {
	steps  chan step
	next   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}
}

func startPump(ctx context.Context, up chat.Upstream, call chat.Call) *pump {
	ctx, cancel := context.WithCancel(ctx)
	p := &pump{steps: make(chan step), next: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.steps <- step{err: p.run(ctx, up, call)}
	}()
	return p
}

// stop ends the call and waits for the goroutine.
func (p *pump) stop() {
	p.cancel()
	for {
		select {
		case <-p.steps: // it may be about to speak
		case <-p.done:
			return
		}
	}
}

// run calls the upstream and says what it says. A panic in an upstream is an error like any other.
func (p *pump) run(ctx context.Context, up chat.Upstream, call chat.Call) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errInternal(fmt.Errorf("upstream panicked: %v\n%s", v, debug.Stack()))
		}
	}()
	resp, err := up.Do(ctx, call)
	if err != nil {
		return err
	}
	if resp.Events == nil {
		return errInternal(errors.New("upstream does not stream"))
	}
	defer func() { _ = resp.Events.Close() }() // its errors came by Next
	if !p.said(ctx, step{resp: resp}) {
		return ctx.Err()
	}
	for {
		ev, err := resp.Events.Next()
		if err != nil {
			return err
		}
		if !p.said(ctx, step{event: ev}) {
			return ctx.Err()
		}
	}
}

// said hands over a step and waits until it is used. The handler listens until it has stopped the pump, so that handing
// over never hangs.
func (p *pump) said(ctx context.Context, st step) bool {
	p.steps <- st
	select {
	case <-p.next:
		return true
	case <-ctx.Done():
		return false
	}
}
