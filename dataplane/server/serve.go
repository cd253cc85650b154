package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of a connection. There is no ReadTimeout and no WriteTimeout: they would cut streams; see package body and
// writeDeadline for what bounds the phases of a request.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// maxHeaderBytes is more than maxHeaders, so that most of what is too large is refused in the client's protocol.
	maxHeaderBytes = 512 << 10
	// http2Window is what a client may send on a connection, or on a stream of it, before somebody reads: HTTP/2's own
	// first window. It is in nobody's budget, so that many connections must not make much of it.
	http2Window = 64 << 10
	// cutTime is how long handlers may take to end once their upstream calls are cut.
	cutTime = 5 * time.Second
	// flushTime is how long the last bytes of a cut answer may take to its client.
	flushTime = time.Second
)

// Listeners are where a Server serves; Ack may be nil.
type Listeners struct {
	API, Admin, Ack net.Listener
	// TLS serves the API with a certificate; nil: HTTP/1.1 and cleartext HTTP/2.
	TLS *tls.Config
}

// Drain bounds the end of a Server.
type Drain struct {
	// Delay is how long it goes on accepting after it said that it is not ready: endpoints propagate slowly.
	Delay time.Duration
	// Timeout is how long open requests may take to finish.
	Timeout time.Duration
}

// Serve serves until ctx ends, then drains in four bounded steps: not ready at once, accepting for a while, waiting for
// open requests, closing. At last the settler's queue is emptied. It closes the listeners.
func (s *Server) Serve(ctx context.Context, l Listeners, d Drain) error {
	api := s.httpServer(s.Handler())
	side := []*http.Server{s.httpServer(s.AdminHandler()), s.httpServer(s.AckHandler())}
	api.TLSConfig = l.TLS
	failed := make(chan error, 3)
	serve := func(h *http.Server, l net.Listener) {
		if l == nil {
			return
		}
		go func() {
			begin := h.Serve
			if h.TLSConfig != nil {
				begin = func(l net.Listener) error { return h.ServeTLS(l, "", "") }
			}
			if err := begin(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serving %s: %w", l.Addr(), err)
			}
		}()
	}
	serve(api, l.API)
	serve(side[0], l.Admin)
	serve(side[1], l.Ack)
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-failed:
		errs = append(errs, err)
	}
	errs = append(errs, s.drain(api, d))
	for _, h := range side {
		errs = append(errs, h.Close())
	}
	return errors.Join(errs...)
}

// drain ends the API; the other ports answer meanwhile.
func (s *Server) drain(api *http.Server, d Drain) error {
	s.draining.Store(true)
	s.o.Log.Info("Draining", "delay", d.Delay, "timeout", d.Timeout)
	time.Sleep(d.Delay)
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), d.Timeout)
	defer cancel()
	if err := api.Shutdown(ctx); err != nil {
		s.o.Log.Warn("Cutting open requests", "error", err)
	}
	// What still runs now ends with an error event, and is settled for what was streamed.
	s.cutCalls()
	s.await(cutTime)
	// The last bytes of an answer are written after its handler has ended.
	flushed, over := context.WithTimeout(context.Background(), flushTime)
	defer over()
	_ = api.Shutdown(flushed) // what is still open then is cut
	err := api.Close()
	if s.o.Settler == nil {
		return err
	}
	// Settlements have what requests have left of the time, and a little more where that is nothing.
	last, stop := context.WithTimeout(context.Background(), max(d.Timeout-time.Since(begun), cutTime))
	defer stop()
	return errors.Join(err, s.o.Settler.Close(last))
}

// await waits for the handlers to end, so long.
func (s *Server) await(limit time.Duration) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-s.running.idle():
	case <-t.C:
		s.o.Log.Error("Handlers do not end")
	}
}

// crowd counts handlers. Unlike a sync.WaitGroup it may be entered while somebody waits.
type crowd struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n is 0; nil: nobody waits
}

func (c *crowd) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.n == 0 && c.empty != nil {
		close(c.empty)
		c.empty = nil
	}
}

// idle is closed when nobody is inside.
func (c *crowd) idle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n > 0 && c.empty != nil {
		return c.empty
	}
	ch := make(chan struct{})
	if c.n == 0 {
		close(ch)
		return ch
	}
	c.empty = ch
	return ch
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)            // with a certificate
	protocols.SetUnencryptedHTTP2(true) // without one, by prior knowledge
	return &http.Server{
		Protocols: protocols,
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerConnection: http2Window, MaxReceiveBufferPerStream: http2Window},
		Handler:   h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
}
