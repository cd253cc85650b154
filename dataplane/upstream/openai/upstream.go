// Package openai calls upstreams that speak OpenAI's protocols: OpenAI itself, Morph, Vercel AI Gateway and the many that are
// compatible. Where the client speaks the same protocol the bytes go through both ways, but for the request's model, a wish
// for usage, and what the model would refuse; other requests are translated to chat completions, or to Responses where
// only that can do what is asked.
package openai

import (
	"context"
	"errors"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Upstream implements chat.Upstream.
type Upstream struct {
	client *transport.Client
}

var _ chat.Upstream = (*Upstream)(nil)

// New makes an Upstream that calls through client.
func New(client *transport.Client) *Upstream { return &Upstream{client: client} }

// exchange is one call as it goes over the wire: where to, what, and who reads the answer.
type exchange struct {
	path string
	body [][]byte
	// dropped are the parameters that the upstream has nothing for.
	dropped []string
	// otherwise is the exchange to try where the upstream refuses the parameter refusable, which the client can do without;
	// nil: there is none.
	otherwise *exchange
	refusable string
	unary     func(*transport.Answer) (*chat.Response, error)
	stream    func(*transport.Answer) chat.Stream
}

// Do sends the call; see chat.Upstream.
func (u *Upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	x, err := plan(c)
	if err != nil {
		return nil, err
	}
	out, err := u.exchange(ctx, c, x)
	var e *chat.Error
	if x.otherwise != nil && errors.As(err, &e) && e.Param == x.refusable {
		return u.exchange(ctx, c, x.otherwise)
	}
	return out, err
}

// exchange sends a request and reads the answer.
func (u *Upstream) exchange(ctx context.Context, c chat.Call, x *exchange) (*chat.Response, error) {
	a, err := u.client.Do(ctx, c, transport.Request{URL: baseURL(c.Provider) + x.path, Header: header(c), Body: x.body})
	if err != nil {
		return nil, err
	}
	out, err := x.read(a, c.Request.Stream)
	if err != nil {
		return nil, err
	}
	out.Header, out.Dropped = safeHeader(a.Header), x.dropped
	return out, nil
}

// read reads the answer: whole, or where it is a stream its beginning.
func (x *exchange) read(a *transport.Answer, stream bool) (*chat.Response, error) {
	if a.Status == http.StatusOK && stream && !a.JSON() {
		if !a.HTML() {
			return &chat.Response{Events: x.stream(a)}, nil
		}
		_ = a.Close() // nothing of it is of use
		return nil, a.Bad(errors.New("an HTML page instead of a stream"))
	}
	defer func() { _ = a.Close() }() // what it had to say is read
	if a.Status != http.StatusOK {
		return nil, refusal(a)
	}
	out, err := x.unary(a)
	if err == nil && stream {
		return nil, a.Bad(errors.New("JSON instead of a stream"))
	}
	return out, err
}

// header sets the request headers that are OpenAI's: none of them is the client's.
func header(c chat.Call) http.Header {
	h := http.Header{}
	if c.Request.ID != "" {
		// Documented by OpenAI: found again in their support's logs.
		h.Set("X-Client-Request-Id", c.Request.ID)
	}
	if c.Provider.Credential != "" {
		h.Set("Authorization", "Bearer "+c.Provider.Credential)
	}
	return h
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
