package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
)

// pool has one transport for each connect timeout, which a transport holds for all its calls. A transport follows no
// redirects: a credential goes nowhere but to the provider's own address.
type pool struct {
	mu         sync.Mutex
	transports map[int32]*http.Transport
}

func (p *pool) get(connectSeconds int32) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t, ok := p.transports[connectSeconds]; ok {
		return t
	}
	if p.transports == nil {
		p.transports = map[int32]*http.Transport{}
	}
	t := newTransport(time.Duration(connectSeconds) * time.Second)
	p.transports[connectSeconds] = t
	return t
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.transports {
		t.CloseIdleConnections()
	}
}

func newTransport(connect time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connect, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: connect,
		ForceAttemptHTTP2:   true,
		// A gateway has few hosts and many calls: the default of two would dial anew under load.
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    1024,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// Causes of an end by timeout.
var (
	errFirstEvent = errors.New("no first event in time")
	errIdle       = errors.New("no event in time")
	errTotal      = errors.New("no end in time")
	errClosed     = errors.New("closed by the gateway")
)

// watch bounds the phases of one call by cancelling its context.
type watch struct {
	ctx    context.Context
	parent context.Context
	cancel context.CancelCauseFunc
	total  *time.Timer

	now   func() time.Time
	first time.Time
	idle  time.Duration
	// wait bounds the present wait for the upstream; nil where only the total counts.
	wait *time.Timer
}

// newWatch begins the call: total, and the first event where it is a stream. A timeout of 0 is none.
func newWatch(parent context.Context, c chat.Call, now func() time.Time) *watch {
	w := &watch{parent: parent, now: now}
	w.ctx, w.cancel = context.WithCancelCause(parent)
	if d := seconds(c.Timeouts.TotalSeconds); d > 0 {
		w.total = time.AfterFunc(d, func() { w.cancel(errTotal) })
	}
	if !c.Request.Stream {
		return w
	}
	w.idle = seconds(c.Timeouts.IdleSeconds)
	if d := seconds(c.Timeouts.FirstEventSeconds); d > 0 {
		w.first = now().Add(d)
		w.wait = time.AfterFunc(d, func() { w.cancel(errFirstEvent) })
	}
	return w
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// waiting begins a wait for the next event: first says that none came yet.
func (w *watch) waiting(first bool) {
	w.rest()
	switch {
	case first && !w.first.IsZero():
		w.wait = time.AfterFunc(w.first.Sub(w.now()), func() { w.cancel(errFirstEvent) })
	case !first && w.idle > 0:
		w.wait = time.AfterFunc(w.idle, func() { w.cancel(errIdle) })
	}
}

// rest ends a wait: the time that the client takes is not the upstream's.
func (w *watch) rest() {
	if w.wait != nil {
		w.wait.Stop()
	}
}

func (w *watch) stop() {
	w.rest()
	if w.total != nil {
		w.total.Stop()
	}
	w.cancel(errClosed)
}

// failure says what an error of the connection means: who ended it, or that the upstream broke off.
func (w *watch) failure(err error) *chat.Error {
	cause := context.Cause(w.ctx)
	switch {
	case w.parent.Err() != nil:
		return cancelled(w.parent, err)
	case errors.Is(cause, errFirstEvent), errors.Is(cause, errIdle), errors.Is(cause, errTotal):
		return timeout(cause)
	case errors.Is(cause, errClosed):
		return cancelled(w.parent, cause)
	}
	return unreachable(err)
}
