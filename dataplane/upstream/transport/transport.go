// Package transport carries a call to an upstream over HTTP and its answer back: connections, the deadlines of each phase,
// the event stream, and what an upstream's refusal becomes for the client. It knows no provider's protocol.
package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/sse"
)

// Bounds on what an upstream may answer.
const (
	MaxUnaryBytes = 64 << 20
	MaxEventBytes = 16 << 20
	maxErrorBytes = 1 << 20
)

// Options are what New needs.
type Options struct {
	// Version goes into the User-Agent.
	Version string
	// Now is the clock for Retry-After dates and deadlines; nil: time.Now.
	Now func() time.Time
	// RoundTripper carries the requests; nil: connections of the Client's own, with each call's connect timeout. Tests give
	// answers that come in pieces of their choice.
	RoundTripper http.RoundTripper
}

// Client sends calls. It is safe for concurrent use.
type Client struct {
	options Options
	pool    pool
}

// New makes a Client with connections of its own.
func New(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{options: o}
}

// CloseIdle closes the connections that no call uses.
func (c *Client) CloseIdle() { c.pool.closeIdle() }

// Request is what goes to the upstream: always a POST of JSON.
type Request struct {
	URL string
	// Header is set as it is, the credential among it. Content-Type, Accept and User-Agent are set by Do, and the provider's
	// extra headers last.
	Header http.Header
	// Body is sent piece by piece: a copy would be as large as the client's body.
	Body [][]byte
}

// Answer is an upstream's answer, of which the status and the headers are there. It must be closed.
type Answer struct {
	Status int
	Header http.Header

	w          *watch
	body       io.ReadCloser
	reader     *sse.Reader
	credential string
	now        func() time.Time
	begun      bool
	over       atomic.Bool
	close      sync.Once
}

// Do sends a request. An error is a *chat.Error that says that the upstream did not answer; a status that is not 200 is
// none.
func (c *Client) Do(ctx context.Context, call chat.Call, r Request) (*Answer, error) {
	w := newWatch(ctx, call, c.options.Now)
	resp, err := c.send(w.ctx, call, r) //nolint:bodyclose // the Answer closes it
	if err != nil {
		err = w.failure(err)
		w.stop()
		return nil, err
	}
	return NewAnswer(w, call, resp, c.options.Now), nil
}

// NewAnswer wraps a response.
func NewAnswer(w *watch, call chat.Call, resp *http.Response, now func() time.Time) *Answer {
	a := &Answer{Status: resp.StatusCode, Header: resp.Header, w: w, body: resp.Body, now: now}
	if call.Provider != nil {
		a.credential = call.Provider.Credential
	}
	return a
}

// Replay is an answer that was recorded: a 200 whose body is read from body. For tests of streams.
func Replay(body io.ReadCloser, stream bool) *Answer {
	call := chat.Call{Request: &chat.Request{Stream: stream}}
	return NewAnswer(newWatch(context.Background(), call, time.Now), call, &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body}, time.Now)
}

// ownHeaders are set by the connection; a provider's extra headers do not replace them.
var ownHeaders = map[string]bool{
	"Accept-Encoding": true, "Connection": true, "Content-Length": true, "Host": true, "Transfer-Encoding": true, "Te": true, "Upgrade": true,
}

func (c *Client) send(ctx context.Context, call chat.Call, r Request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, http.NoBody)
	if err != nil {
		return nil, err
	}
	setBody(req, r.Body)
	h := req.Header
	for name, values := range r.Header {
		h[name] = values
	}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json")
	if call.Request.Stream {
		h.Set("Accept", "text/event-stream")
	}
	h.Set("User-Agent", "layers/"+c.options.Version)
	for _, extra := range call.Provider.Headers {
		if !ownHeaders[http.CanonicalHeaderKey(extra.Name)] {
			h.Set(extra.Name, extra.Value)
		}
	}
	if c.options.RoundTripper != nil {
		return c.options.RoundTripper.RoundTrip(req)
	}
	return c.pool.get(call.Timeouts.ConnectSeconds).RoundTrip(req)
}

func setBody(req *http.Request, pieces [][]byte) {
	req.ContentLength = 0
	for _, p := range pieces {
		req.ContentLength += int64(len(p))
	}
	req.GetBody = func() (io.ReadCloser, error) {
		readers := make([]io.Reader, len(pieces))
		for i, p := range pieces {
			readers[i] = bytes.NewReader(p)
		}
		return io.NopCloser(io.MultiReader(readers...)), nil
	}
	req.Body, _ = req.GetBody() // it never fails
}

// errTooLarge says that an answer is larger than MaxUnaryBytes.
var errTooLarge = errors.New("answer is larger than the limit")

// Whole reads a unary answer to its end. An error is a *chat.Error.
func (a *Answer) Whole() ([]byte, error) {
	body, err := readAll(a.body, MaxUnaryBytes)
	if errors.Is(err, errTooLarge) {
		return nil, a.Bad(err)
	}
	if err != nil {
		return nil, a.w.broken(err)
	}
	return body, nil
}

// Refused reads the body of an answer that is not 200, as far as it goes; nil: it could not be read.
func (a *Answer) Refused() []byte {
	body, err := readAll(a.body, maxErrorBytes)
	if err != nil {
		return nil
	}
	return body
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}

// Event reads the next event of a stream; its slices are valid until the next call. After the last one it returns io.EOF; any
// other error is a *chat.Error. Comments and keep-alives, whose Data is empty, come too: they end a wait as events do.
func (a *Answer) Event() (sse.Event, error) {
	if a.over.Load() {
		return sse.Event{}, io.EOF
	}
	if a.reader == nil {
		a.reader = sse.NewReader(a.body, MaxEventBytes)
	}
	a.w.waiting(!a.begun)
	e, err := a.reader.Next()
	a.w.rest()
	switch {
	case errors.Is(err, io.EOF):
		return sse.Event{}, io.EOF
	case errors.Is(err, sse.ErrTooLong):
		return sse.Event{}, a.Bad(err)
	case err != nil:
		return sse.Event{}, a.w.broken(err)
	}
	a.begun = a.begun || len(e.Data) > 0
	return e, nil
}

// First says that the event read last was the first with data, or that none came yet.
func (a *Answer) First() bool { return !a.begun }

// Over says that the protocol's end marker came: Event returns io.EOF from now on, and Close leaves the connection fit for
// another call.
func (a *Answer) Over() { a.over.Store(true) }

// drainFor is how long Close waits for the end of a stream whose marker came, so that its connection can be used again.
const drainFor = 50 * time.Millisecond

// Close ends the call; it may be called at any time, from another goroutine too.
func (a *Answer) Close() error {
	var err error
	a.close.Do(func() {
		if a.over.Load() {
			timer := time.AfterFunc(drainFor, func() { a.w.cancel(errClosed) })
			_, _ = io.CopyN(io.Discard, a.body, 4096)
			timer.Stop()
		}
		// The cancellation ends a read that another goroutine may be in.
		a.w.cancel(errClosed)
		err = a.body.Close()
		if a.w.total != nil {
			a.w.total.Stop()
		}
	})
	return err
}

// MediaType is the answer's content type without parameters; empty: none that can be read.
func (a *Answer) MediaType() string {
	t, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// HTML says that a page came where an API answers.
func (a *Answer) HTML() bool { return a.MediaType() == "text/html" }

// JSON says that the answer is JSON.
func (a *Answer) JSON() bool {
	t := a.MediaType()
	return t == "application/json" || strings.HasSuffix(t, "+json")
}
