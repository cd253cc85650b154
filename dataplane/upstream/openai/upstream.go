// Package openai calls upstreams that speak OpenAI's chat completions. The bytes go through both ways: changed are the
// request's model and, in streams, stream_options.include_usage.
package openai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// DefaultBaseURL serves providers of type OpenAI that name no other.
const DefaultBaseURL = "https://api.openai.com/v1"

// Bounds on what an upstream may answer.
const (
	maxUnaryBytes = 64 << 20
	maxEventBytes = 16 << 20
	maxErrorBytes = 1 << 20
)

// Options are what New needs.
type Options struct {
	// Version goes into the User-Agent.
	Version string
	// Now is the clock for Retry-After dates and deadlines; nil: time.Now.
	Now func() time.Time
}

// Upstream implements chat.Upstream.
type Upstream struct {
	options Options
	pool    pool
}

var _ chat.Upstream = (*Upstream)(nil)

// New makes an Upstream with connections of its own.
func New(o Options) *Upstream {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Upstream{options: o}
}

// CloseIdle closes the connections that no call uses.
func (u *Upstream) CloseIdle() { u.pool.closeIdle() }

// Do sends the call; see chat.Upstream.
func (u *Upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	w := newWatch(ctx, c, u.options.Now)
	resp, err := u.send(w.ctx, c)
	if err != nil {
		err = w.failure(err)
		w.stop()
		return nil, err
	}
	t := &translator{credential: c.Provider.Credential, now: u.options.Now}
	if resp.StatusCode != http.StatusOK {
		defer w.stop()
		defer resp.Body.Close()
		return nil, t.refusal(resp)
	}
	if c.Request.Stream && !isJSON(resp.Header) {
		return u.stream(w, t, c, resp)
	}
	defer w.stop()
	defer resp.Body.Close()
	return unary(w, t, c, resp)
}

func (u *Upstream) stream(w *watch, t *translator, c chat.Call, resp *http.Response) (*chat.Response, error) {
	if isHTML(resp.Header) {
		w.stop()
		_ = resp.Body.Close()
		return nil, t.badAnswer(resp.StatusCode, errors.New("an HTML page instead of a stream"))
	}
	return &chat.Response{Header: safeHeader(resp.Header), Events: newStream(w, t, resp.Body)}, nil
}

func (u *Upstream) send(ctx context.Context, c chat.Call) (*http.Response, error) {
	base := c.Provider.BaseURL
	if base == "" && c.Provider.Type == snapshot.OpenAI {
		base = DefaultBaseURL
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/chat/completions", http.NoBody)
	if err != nil {
		return nil, err
	}
	setBody(req, rewrite(c))
	u.header(req, c)
	return u.pool.get(c.Timeouts.ConnectSeconds).RoundTrip(req)
}

// setBody sends pieces as they are: a copy would be as large as the client's body.
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

// rewrite makes the upstream's body out of the client's: its own id of the model, and in streams the wish for usage.
func rewrite(c chat.Call) [][]byte {
	body, fields := c.Request.Body, c.Request.Fields
	model, _ := fields.Get("model")
	edits := []jsonscan.Edit{model.Replace(jsonscan.Quote(c.Model))}
	if c.Request.Stream {
		edits = append(edits, wantUsage(body, fields))
		if edits[1].Start < edits[0].Start {
			edits[0], edits[1] = edits[1], edits[0]
		}
	}
	return jsonscan.Pieces(body, edits...)
}

// wantUsage is the edit that sets stream_options.include_usage to true and leaves the other options as they are.
func wantUsage(body []byte, fields jsonscan.Object) jsonscan.Edit {
	const want = `{"include_usage":true}`
	options, found := fields.Get("stream_options")
	if !found {
		return fields.Prepend("stream_options", []byte(want))
	}
	raw := body[options.ValueStart:options.ValueEnd]
	inner, err := jsonscan.Scan(raw)
	if err != nil || len(inner) == 0 {
		return options.Replace([]byte(want))
	}
	edit := inner.Prepend("include_usage", []byte("true"))
	if m, found := inner.Get("include_usage"); found {
		edit = m.Replace([]byte("true"))
	}
	edit.Start += options.ValueStart
	edit.End += options.ValueStart
	return edit
}

// ownHeaders are set by the connection; a provider's extra headers do not replace them.
var ownHeaders = map[string]bool{
	"Accept-Encoding": true, "Connection": true, "Content-Length": true, "Host": true, "Transfer-Encoding": true, "Te": true, "Upgrade": true,
}

// header sets all request headers: none of them is the client's.
func (u *Upstream) header(req *http.Request, c chat.Call) {
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json")
	if c.Request.Stream {
		h.Set("Accept", "text/event-stream")
	}
	h.Set("User-Agent", "layers/"+u.options.Version)
	if c.Request.ID != "" {
		// Documented by OpenAI: found again in their support's logs.
		h.Set("X-Client-Request-Id", c.Request.ID)
	}
	if c.Provider.Credential != "" {
		h.Set("Authorization", "Bearer "+c.Provider.Credential)
	}
	for _, extra := range c.Provider.Headers {
		if !ownHeaders[http.CanonicalHeaderKey(extra.Name)] {
			h.Set(extra.Name, extra.Value)
		}
	}
}

// safeHeader takes what a client may see: no credentials, organizations, cookies, nor the upstream's limits, which are the
// operator's and not the client's.
func safeHeader(h http.Header) http.Header {
	out := http.Header{}
	for from, to := range map[string]string{
		"Openai-Processing-Ms": "Openai-Processing-Ms", "Openai-Version": "Openai-Version", "X-Request-Id": "X-Upstream-Request-Id",
	} {
		if v := h.Get(from); v != "" {
			out.Set(to, v)
		}
	}
	return out
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

func isHTML(h http.Header) bool { return mediaType(h) == "text/html" }

func isJSON(h http.Header) bool {
	t := mediaType(h)
	return t == "application/json" || strings.HasSuffix(t, "+json")
}
