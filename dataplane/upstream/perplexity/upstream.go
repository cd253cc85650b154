// Package perplexity calls Perplexity's Agent API: POST /v1/responses, shaped like OpenAI's Responses, with items, events and
// errors of its own. The chat completions that Sonar had are gone since 2026-09-27 (wire.md, sections 0.1 and 4).
package perplexity

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// DefaultBaseURL serves Providers that name no other. It may be written with /v1 or without.
const DefaultBaseURL = "https://api.perplexity.ai"

// Upstream implements chat.Upstream.
type Upstream struct {
	client *transport.Client
}

var _ chat.Upstream = (*Upstream)(nil)

// New makes an Upstream that calls through client.
func New(client *transport.Client) *Upstream { return &Upstream{client: client} }

// Fit says that every conversation is translated: not even a client of Responses gets the bytes, whose items and events are
// not all OpenAI's.
func (u *Upstream) Fit(_ *snapshot.Provider, protocol chat.Protocol) chat.Fit {
	switch protocol {
	case chat.Completions, chat.Messages, chat.Responses:
		return chat.Translates
	}
	return chat.Unfit
}

// Do sends the call; see chat.Upstream.
func (u *Upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	body, dropped, err := prepare(c)
	if err != nil {
		return nil, err
	}
	a, err := u.client.Do(ctx, c, transport.Request{URL: address(c.Provider.BaseURL), Header: header(c), Body: [][]byte{body}})
	if err != nil {
		return nil, err
	}
	out, err := read(a, c.Request.Stream)
	if err != nil {
		return nil, err
	}
	out.Dropped, out.Header = dropped, http.Header{}
	if id := a.Header.Get("X-Request-Id"); id != "" {
		out.Header.Set("X-Upstream-Request-Id", id)
	}
	return out, nil
}

// read reads the answer: whole, or where it is a stream its beginning.
func read(a *transport.Answer, stream bool) (*chat.Response, error) {
	if a.Status == http.StatusOK && stream && !a.JSON() && !a.HTML() {
		return &chat.Response{Events: dialect().Stream(a, false)}, nil
	}
	defer func() { _ = a.Close() }() // what it had to say is read
	switch {
	case a.Status != http.StatusOK:
		return nil, refusal(a)
	case a.HTML():
		return nil, a.Bad(errors.New("an HTML page instead of an answer"))
	}
	out, err := dialect().Unary(a, false)
	if err == nil && stream {
		return nil, a.Bad(errors.New("JSON instead of a stream"))
	}
	return out, err
}

// address is where the agent is.
func address(base string) string {
	if base == "" {
		base = DefaultBaseURL
	}
	return strings.TrimSuffix(base, "/v1") + "/v1/responses"
}

func header(c chat.Call) http.Header {
	h := http.Header{}
	if c.Provider.Credential != "" {
		h.Set("Authorization", "Bearer "+c.Provider.Credential)
	}
	return h
}
