// Package anthropic calls upstreams that speak Anthropic's Messages. A client of the same protocol gets the bytes through,
// both ways, changed in nothing but the request's model; every other protocol is translated through chat.Prompt, chat.Answer
// and chat.Piece.
package anthropic

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// DefaultBaseURL serves providers that name no other. As in Anthropic's SDKs the version is not a part of it; a base that
// ends in /v1 is taken too.
const DefaultBaseURL = "https://api.anthropic.com"

// version is the value of the anthropic-version header, where the client sends none: the only one since 2023.
const version = "2023-06-01"

// Upstream implements chat.Upstream.
type Upstream struct {
	client *transport.Client
}

var _ chat.Upstream = (*Upstream)(nil)

// New makes an Upstream that calls through client.
func New(client *transport.Client) *Upstream { return &Upstream{client: client} }

// Fit says how a provider serves a protocol; see chat.Upstream.
func (u *Upstream) Fit(_ *snapshot.Provider, protocol chat.Protocol) chat.Fit {
	switch protocol {
	case chat.Messages, chat.CountTokens:
		return chat.Passes
	case chat.Completions, chat.Responses:
		return chat.Translates
	}
	return chat.Unfit
}

// Do sends the call; see chat.Upstream.
func (u *Upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	switch c.Request.Protocol {
	case chat.Messages:
		return u.pass(ctx, c)
	case chat.CountTokens:
		return u.count(ctx, c)
	case chat.Completions, chat.Responses:
		return u.translate(ctx, c)
	}
	return nil, &chat.Error{
		Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "unsupported_protocol",
		Message: "The provider does not serve " + string(c.Request.Protocol) + ".",
	}
}

const (
	messagesPath = "/v1/messages"
	countPath    = "/v1/messages/count_tokens"
)

// open sends a body and returns the answer, of which the status is good and the kind is the one that the client asked for.
func (u *Upstream) open(ctx context.Context, c chat.Call, path string, body [][]byte) (*transport.Answer, error) {
	a, err := u.client.Do(ctx, c, transport.Request{URL: address(c.Provider.BaseURL) + path, Header: header(c), Body: body})
	if err != nil {
		return nil, err
	}
	switch {
	case a.Status != http.StatusOK:
		err = refusal(a)
	case a.HTML():
		err = a.Bad(errors.New("an HTML page instead of an answer"))
	case c.Request.Stream && a.JSON():
		err = notStream(a)
	default:
		return a, nil
	}
	_ = a.Close() // what it had to say is read
	return nil, err
}

// notStream reads a JSON answer where a stream was due: an error object says what went wrong.
func notStream(a *transport.Answer) error {
	body, err := a.Whole()
	if err != nil {
		return err
	}
	if e := inBody(a, body); e != nil {
		return e
	}
	return a.Bad(errors.New("JSON instead of a stream"))
}

func address(base string) string {
	if base == "" {
		return DefaultBaseURL
	}
	return strings.TrimSuffix(strings.TrimSuffix(base, "/"), "/v1")
}

// header sets the request headers that are Anthropic's. Of the client's, a pass-through takes along those of the protocol
// (anthropic-version, anthropic-beta), and none else: a credential among them would be the tenant's.
func header(c chat.Call) http.Header {
	h := http.Header{}
	if c.Request.Protocol == chat.Messages || c.Request.Protocol == chat.CountTokens {
		for name, values := range c.Request.Header {
			if name = http.CanonicalHeaderKey(name); strings.HasPrefix(name, "Anthropic-") {
				h[name] = values
			}
		}
	}
	if h.Get("Anthropic-Version") == "" {
		h.Set("Anthropic-Version", version)
	}
	if c.Provider.Credential != "" {
		h.Set("X-Api-Key", c.Provider.Credential)
	}
	return h
}

// safeHeader takes what a client may see: the provider's id of the request. Its limits are the operator's, and
// anthropic-organization-id is nobody's business.
func safeHeader(h http.Header) http.Header {
	out := http.Header{}
	if v := h.Get("Request-Id"); v != "" {
		out.Set("X-Upstream-Request-Id", v)
	}
	return out
}
