// Package gemini calls upstreams that speak Google's Gemini API: generateContent and streamGenerateContent. Requests are
// built from a chat.Prompt, answers and streams are read into a chat.Answer or chat.Pieces.
package gemini

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// DefaultBaseURL serves providers that name no other.
const DefaultBaseURL = "https://generativelanguage.googleapis.com/v1beta"

// Options are what New needs.
type Options struct {
	// Random is where the ids of tool calls come from that the model gave none; nil: crypto/rand. It is read by one call at
	// a time.
	Random io.Reader
}

// Upstream implements chat.Upstream.
type Upstream struct {
	client *transport.Client
	ids    *idSource
}

var _ chat.Upstream = (*Upstream)(nil)

// New makes an Upstream that calls through client.
func New(client *transport.Client, o Options) *Upstream {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	return &Upstream{client: client, ids: &idSource{random: o.Random}}
}

// Fit says what can be translated: everything that is a conversation.
func (u *Upstream) Fit(_ *snapshot.Provider, protocol chat.Protocol) chat.Fit {
	switch protocol {
	case chat.Completions, chat.Messages, chat.Responses:
		return chat.Translates
	}
	return chat.Unfit
}

// Do sends the call; see chat.Upstream.
func (u *Upstream) Do(ctx context.Context, c chat.Call) (*chat.Response, error) {
	built, err := prepare(c)
	if err != nil {
		return nil, err
	}
	a, err := u.client.Do(ctx, c, transport.Request{URL: address(c), Header: header(c), Body: [][]byte{built.body}})
	if err != nil {
		return nil, err
	}
	d := newDecoder(a, built.plan, u.ids)
	if a.Status == http.StatusOK && c.Request.Stream && !a.JSON() && !a.HTML() {
		return &chat.Response{Header: http.Header{}, Dropped: built.dropped, Events: newStream(a, d)}, nil
	}
	defer func() { _ = a.Close() }() // what it had to say is read
	if a.Status != http.StatusOK {
		return nil, refusal(a)
	}
	resp, err := whole(a, d, c.Request.Stream)
	if err != nil {
		return nil, err
	}
	resp.Dropped = built.dropped
	return resp, nil
}

// prepare builds the request and refuses what the upstream has nothing for, where the call is strict.
func prepare(c chat.Call) (*built, error) {
	if c.Request.Translate == nil {
		return nil, invalid("", "The model's provider does not serve this endpoint.", nil)
	}
	p, err := c.Request.Translate()
	if err != nil {
		return nil, translated(err)
	}
	b, err := build(c, p)
	if err != nil {
		return nil, err
	}
	if c.Strict && len(b.unsupported) > 0 {
		e := invalid(b.unsupported[0], "The model has nothing for: "+strings.Join(b.unsupported, ", ")+".", nil)
		e.Code = "unsupported_parameter"
		return nil, e
	}
	return b, nil
}

// translated makes sure of the contract: an error is a *chat.Error.
func translated(err error) error {
	var e *chat.Error
	if errors.As(err, &e) {
		return e
	}
	return invalid("", "The request cannot be translated for the model's provider.", err)
}

// invalid is for a request that cannot be said in Gemini's words.
func invalid(param, message string, cause error) *chat.Error {
	return &chat.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Param: param, Message: message, Cause: cause}
}

// address is where the model is called. Ids may come as "models/x", and tuned models as "tunedModels/x".
func address(c chat.Call) string {
	base, method := c.Provider.BaseURL, "generateContent"
	if base == "" {
		base = DefaultBaseURL
	}
	if c.Request.Stream {
		method = "streamGenerateContent?alt=sse"
	}
	collection, id := "models", c.Model
	if before, after, found := strings.Cut(c.Model, "/"); found {
		collection, id = before, after
	}
	return fmt.Sprintf("%s/%s/%s:%s", base, url.PathEscape(collection), url.PathEscape(id), method)
}

// header has the credential: never in the address, where errors and logs would show it.
func header(c chat.Call) http.Header {
	h := http.Header{}
	if c.Provider.Credential != "" {
		h.Set("X-Goog-Api-Key", c.Provider.Credential)
	}
	return h
}
