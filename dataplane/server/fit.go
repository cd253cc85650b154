package server

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// fit keeps the backends that can serve the request: those that speak the client's protocol, and those that it can be
// translated for. What none of them can serve is refused here, before anything is held.
func (e *exchange) fit() error {
	var refused error
	for _, b := range e.target.Backends {
		if b.Weight <= 0 {
			continue // it takes none, and neither helps nor hinders
		}
		switch e.fitOf(b) {
		case chat.Unfit:
			continue
		case chat.Translates:
			if e.req.Translate != nil {
				if _, err := e.req.Translate(); err != nil {
					refused = err
					continue
				}
			}
			e.translates = true
		}
		e.backends = append(e.backends, b)
	}
	if len(e.backends) > 0 {
		return nil
	}
	if refused != nil {
		return refused
	}
	if e.req.Protocol != chat.CountTokens {
		return errRequest("unsupported_endpoint", "model", "The model '"+e.target.PublicName+"' is not served at "+clip(e.r.URL.Path, 128)+".")
	}
	return nil
}

// fitOf says how a backend serves the protocol; a provider that this build does not know is left to the attempt, which says so.
func (e *exchange) fitOf(b snapshot.Backend) chat.Fit {
	provider := e.x.Provider(b.Provider)
	up := e.s.o.Upstreams[provider.Type]
	if up == nil {
		return chat.Passes
	}
	return up.Fit(provider, e.req.Protocol)
}

// countTokens answers POST /v1/messages/count_tokens for a model whose provider does not count: an estimate, which costs
// nothing.
func (e *exchange) countTokens() error {
	e.release(http.StatusOK)
	tokens := (e.readBytes() + bytesPerToken - 1) / bytesPerToken
	e.w.Header().Set("X-Layers-Estimated", "true")
	e.s.writeJSON(e.w, json.RawMessage(`{"input_tokens":`+strconv.FormatInt(tokens, 10)+`}`))
	return nil
}
