// Package openai calls upstreams that speak OpenAI's chat completions. The bytes go through both ways: changed are the
// request's model and, in streams, stream_options.include_usage.
package openai

import (
	"context"
	"errors"
	"net/http"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Upstream implements chat.Upstream.
type Upstream struct {
	client *transport.Client
}

var _ chat.Upstream = (*Upstream)(nil)

// New makes an Upstream that calls through client.
func New(client *transport.Client) *Upstream { return &Upstream{client: client} }

// Do sends the call; see chat.Upstream.
func (u *Upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	a, err := u.client.Do(ctx, c, transport.Request{URL: baseURL(c.Provider) + "/chat/completions", Header: header(c), Body: rewrite(c)})
	if err != nil {
		return nil, err
	}
	if a.Status == http.StatusOK && c.Request.Stream && !a.JSON() {
		if !a.HTML() {
			return &chat.Response{Header: safeHeader(a.Header), Events: newStream(a)}, nil
		}
		err = a.Bad(errors.New("an HTML page instead of a stream"))
	}
	defer func() { _ = a.Close() }() // what it had to say is read
	switch {
	case err != nil:
		return nil, err
	case a.Status != http.StatusOK:
		return nil, refusal(a)
	}
	return unary(a, c)
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
