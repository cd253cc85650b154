package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/sse"
	"github.com/layers-dev/layers/dataplane/verify/client"
)

// Bounds of an answer, in bytes.
const (
	maxAnswer = 64 << 20
	maxEvent  = 16 << 20
)

// target is where requests go.
type target struct {
	// base has no slash and no /v1 at its end.
	base, key string
	transport http.RoundTripper
	options   Options
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// keyed are the headers that every good request has.
func (t *target) keyed() http.Header {
	return http.Header{"Authorization": {"Bearer " + t.key}}
}

// send asks once, with these headers.
func (t *target) send(ctx context.Context, method, path string, header http.Header, body []byte) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header = header.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if path == (client.Messages{}).Path() {
		req.Header.Set("Anthropic-Version", "2023-06-01")
	}
	req.Header.Set("User-Agent", "layers-verify/"+t.options.Version)
	resp, err := t.transport.RoundTrip(req)
	if err != nil {
		return nil, noAnswer(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or failed
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(got) > maxAnswer {
		err = errors.New("it is larger than any answer should be")
	}
	if err != nil {
		return nil, noAnswer(ctx, fmt.Errorf("reading the answer: %w", err))
	}
	if len(t.key) >= minKey {
		// Nothing that is told of an answer can then have it, not even a part of it.
		got = bytes.ReplaceAll(got, []byte(t.key), []byte(hiddenKey))
	}
	return &reply{resp.StatusCode, resp.Header, got}, nil
}

func noAnswer(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &client.Mismatch{Want: "an answer within --timeout", Got: "none"}
	}
	return &client.Mismatch{Want: "an answer", Got: err.Error()}
}

// A key that an answer repeats, and how long it has to be to be told from a word, in bytes.
const (
	hiddenKey = "[key]"
	minKey    = 8
)

// retries bounds how often a request is sent again that met a limit or an overload, and soonest how soon: checks that run at
// once may meet a limit together again and again.
const (
	retries = 20
	soonest = time.Second
)

// patient is send, coming back when a limit or an overload says so.
func (t *target) patient(ctx context.Context, method, path string, header http.Header, body []byte) (*reply, error) {
	for n := 0; ; n++ {
		got, err := t.send(ctx, method, path, header, body)
		if err != nil || n == retries {
			return got, err
		}
		after, ok := comeBack(got)
		if deadline, bounded := ctx.Deadline(); !ok || bounded && t.options.Now().Add(after).After(deadline) {
			return got, nil
		}
		t.options.Wait(ctx, after)
	}
}

// comeBack says when to ask again; false: there is no point in it. An answer that does not say when is final.
func comeBack(r *reply) (time.Duration, bool) {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, 529:
	default:
		return 0, false
	}
	if f, err := (client.Completions{}).Failure(r.body); err == nil && f.Code == codeNotConfigured {
		return 0, false
	}
	seconds, err := strconv.ParseInt(r.header.Get("Retry-After"), 10, 32)
	return max(soonest, time.Duration(seconds)*time.Second), err == nil && seconds >= 0
}

// codeNotConfigured is of a model that is listed and has no provider yet.
const codeNotConfigured = "gateway_not_configured"

// post sends a request with the key and a body.
func (t *target) post(ctx context.Context, path string, body []byte) (*reply, error) {
	return t.patient(ctx, http.MethodPost, path, t.keyed(), body)
}

// good holds a reply to being a 200 of a media type.
func (r *reply) good(p failures, media string) error {
	if r.status != http.StatusOK {
		return &client.Mismatch{Want: "status 200", Got: r.told(p)}
	}
	if got, _, err := mime.ParseMediaType(r.header.Get("Content-Type")); err != nil || got != media {
		return &client.Mismatch{Want: "Content-Type " + media, Got: strconv.Quote(r.header.Get("Content-Type"))}
	}
	return nil
}

// failures reads error bodies.
type failures interface {
	Failure(body []byte) (client.Failure, error)
}

// told is a refusal for people.
func (r *reply) told(p failures) string {
	if f, err := p.Failure(r.body); err == nil {
		return fmt.Sprintf("%d, %s", r.status, f)
	}
	return fmt.Sprintf("%d, %q", r.status, client.Clip(string(r.body)))
}

// events are those of a stream that carry something.
func (r *reply) events() ([]client.Event, error) {
	reader := sse.NewReader(bytes.NewReader(r.body), maxEvent)
	var out []client.Event
	for {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the stream: %w", err)
		}
		if len(e.Data) > 0 && e.Name != "keepalive" {
			out = append(out, client.Event{Name: e.Name, Data: bytes.Clone(e.Data)})
		}
	}
}

// ask asks in a protocol and reads the answer.
func (t *target) ask(ctx context.Context, p client.Protocol, a client.Ask) (*client.Answer, *reply, error) {
	got, err := t.post(ctx, p.Path(), p.Body(a))
	if err != nil {
		return nil, nil, err
	}
	if !a.Stream {
		if err := got.good(p, "application/json"); err != nil {
			return nil, got, err
		}
		answer, err := p.Answer(got.body)
		return answer, got, first(err, got.heardSame(answer))
	}
	if err := got.good(p, "text/event-stream"); err != nil {
		return nil, got, err
	}
	events, err := got.events()
	if err != nil {
		return nil, got, err
	}
	answer, err := p.Stream(events, a.Usage)
	return answer, got, first(err, got.heardSame(answer))
}
