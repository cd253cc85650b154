package server

import (
	"errors"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/server/observe"
)

// Headers that carry a request's ids: the client's own if it sent a good one, and always ours, under which it is charged.
const (
	headerRequestID       = "X-Request-Id"
	headerLayersRequestID = "X-Layers-Request-Id"
)

// goodID is what we take as a client's request id.
var goodID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// handler answers a request or says why it does not. After an answer has begun its error is only logged.
type handler func(w *answer, r *http.Request, rec *observe.Record) error

// answer knows whether an answer has begun.
type answer struct {
	http.ResponseWriter
	status int
	// dialect is the protocol in which errors are written.
	dialect chat.Dialect
	// refusedBody says that the client may still be sending its body.
	refusedBody bool
	// before, if set, is called once before the headers go, to add to them.
	before func()
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the status.
func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

// Write notes that the answer has begun.
func (a *answer) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

func (a *answer) begin(status int) {
	if a.status != 0 {
		return
	}
	a.status = status
	if before := a.before; before != nil {
		a.before = nil
		before()
	}
}

// handle is the one place where requests get their ids, errors are written, panics end, and requests are counted and logged.
// Errors are in the protocol's shape.
func (s *Server) handle(route string, protocol chat.Protocol, h handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.running.enter()
		defer s.running.leave()
		rec := &observe.Record{ID: s.o.NewID(), Route: route, Method: r.Method, Path: clip(r.URL.Path, 256), Start: s.o.Now()}
		rec.ClientID = rec.ID
		if id := r.Header.Get(headerRequestID); goodID.MatchString(id) {
			rec.ClientID = id
		}
		rw.Header().Set(headerRequestID, rec.ClientID)
		rw.Header().Set(headerLayersRequestID, rec.ID)
		rw.Header().Set("X-Content-Type-Options", "nosniff")
		w := &answer{ResponseWriter: rw, dialect: s.o.Dialects[protocol]}
		// The deadline of the connection's last answer is not this one's.
		_ = http.NewResponseController(rw).SetWriteDeadline(time.Time{})
		s.metrics.Begin()
		h := h
		if sizeOf(r.Header) > maxHeaders {
			h = headersTooLarge
		}
		err := s.guarded(h, w, r, rec)
		s.finish(w, r, rec, err)
	})
}

// guarded runs h and turns a panic into an error.
func (s *Server) guarded(h handler, w *answer, r *http.Request, rec *observe.Record) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.metrics.Panicked(rec, v, debug.Stack())
			err = errInternal(errors.New("panic"))
		}
	}()
	return h(w, r, rec)
}

// finish writes the error, if there is one and it can still be written, and counts and logs the request.
func (s *Server) finish(w *answer, r *http.Request, rec *observe.Record, err error) {
	if err != nil {
		e := asError(err)
		rec.Err = err
		if rec.Outcome == "" {
			rec.Outcome = outcomeOf(e)
		}
		if w.status == 0 {
			s.writeDeadline(w)
			w.dialect.Error(w, e)
			s.linger(w, r)
		}
	}
	if rec.Outcome == "" {
		rec.Outcome = observe.OK
	}
	rec.Status = w.status
	if rec.Status == 0 {
		rec.Status = http.StatusOK
	}
	s.metrics.Done(r.Context(), rec)
	if rec.Outcome == observe.InternalError && w.status == http.StatusOK {
		// The answer is incomplete: closing the connection is all that tells the client.
		panic(http.ErrAbortHandler)
	}
}

// linger lets a client that sends before it reads come to its answer. HTTP/2 does not need it, and a client that waits for
// leave to send has not got it.
func (s *Server) linger(w *answer, r *http.Request) {
	if !w.refusedBody || r.ProtoMajor != 1 || r.Header.Get("Expect") != "" {
		return
	}
	if http.NewResponseController(w).Flush() == nil {
		s.bodies.Discard(w, r)
	}
}

// maxHeaders bounds a request's headers, names and values. Beyond maxHeaderBytes the connection itself refuses them.
const maxHeaders = 64 << 10

// headersTooLarge answers requests with more headers than any client of this API has.
func headersTooLarge(w *answer, _ *http.Request, _ *observe.Record) error {
	w.Header().Set("Connection", "close")
	w.refusedBody = true
	return &chat.Error{
		Status: http.StatusRequestHeaderFieldsTooLarge, Type: typeRequest, Code: "headers_too_large",
		Message: "The request's headers are larger than 65536 bytes.", Details: map[string]any{"limit_bytes": maxHeaders},
	}
}

func sizeOf(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// writeDeadline bounds the next write to the client.
func (s *Server) writeDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(s.o.Now().Add(s.o.WriteTimeout)) // a recorder in a test has none
}

// asError is err as a client shall hear it.
func asError(err error) *chat.Error {
	var e *chat.Error
	if errors.As(err, &e) {
		return e
	}
	return errInternal(err)
}

// clip bounds what is logged of something that a client chose.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
