package server

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/route"
	"github.com/layers-dev/layers/dataplane/server/body"
	"github.com/layers-dev/layers/dataplane/server/limits"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// exchange is one chat request on its way: who asks, what for, what it may cost, and what came of it.
type exchange struct {
	s   *Server
	w   *answer
	r   *http.Request
	rec *observe.Record
	*caller
	dialect  chat.Dialect
	req      *chat.Request
	target   *snapshot.Model
	backends []snapshot.Backend // those of the target that serve the protocol
	// translates says that one of them does by translating.
	translates bool
	lease      *route.Lease // of the backend at work
	// passes says that the backend at work gets the body as it is.
	passes   bool
	price    *pricing.Price // nil in demo mode
	worst    pricing.Nano   // what it may cost at most; 0 without a price
	strict   bool           // the answer must not be cut
	stake    stake
	inBound  int64 // input tokens, at most
	outBound int64 // output tokens of all choices, at most
	searches int64 // of the web, at most
	guess    limits.Estimate

	tally tally
	ended bool
	// claimed is the name that the client gave the request; nil: none.
	claimed *claim
	// stopsBilling says that the provider at work bills nothing more of a stream that is cancelled.
	stopsBilling atomic.Bool
	reached      bool // an upstream was called
	// disconnect says what became of the call whose client left: one of ledger.Disconnect*; empty: it did not.
	disconnect atomic.Value
}

// infer is every path that asks a model something, in one protocol. The order of refusals is part of the API: 401, 400,
// 404, 403, 429, 402.
func (s *Server) infer(protocol chat.Protocol) handler {
	return func(w *answer, r *http.Request, rec *observe.Record) error {
		e, release, err := s.exchange(w, r, rec, func([]byte) chat.Dialect { return s.o.Dialects[protocol] })
		defer release()
		if err != nil {
			return err
		}
		rec.Stream = e.req.Stream
		if err := e.claim(); err != nil {
			return err
		}
		defer e.giveUp()
		if err := e.admit(); err != nil {
			return err
		}
		if len(e.backends) == 0 { // only token counts come this far
			return e.countTokens()
		}
		return e.run()
	}
}

// exchange reads a request up to where it may be admitted: who asks, for which model, at what cost. release is never nil
// and gives its body back. speaks says in which protocol the body is.
func (s *Server) exchange(w *answer, r *http.Request, rec *observe.Record, speaks func(body []byte) chat.Dialect) (e *exchange, release func(), err error) {
	release = func() {}
	c, err := s.caller(w, r, rec)
	if err != nil {
		return nil, release, err
	}
	if err := c.may(scopeInference); err != nil {
		return nil, release, err
	}
	if err := acceptable(r); err != nil {
		return nil, release, err
	}
	whole, err := strict(r)
	if err != nil {
		return nil, release, err
	}
	limit := min(c.maxBody(), s.bodies.Most())
	raw, release, err := s.bodies.Read(w.ResponseWriter, r, limit)
	if err != nil {
		return nil, release, s.bodyError(w, err, limit)
	}
	dialect := speaks(raw)
	req, bad := dialect.Parse(rec.ID, r.Header, raw)
	if bad != nil {
		return nil, release, bad
	}
	m, err := c.model(req.Model)
	if err != nil {
		return nil, release, err
	}
	rec.Model = m.PublicName
	if m.Unavailable != "" {
		return nil, release, errNotConfigured(m.Unavailable)
	}
	req.Created = rec.Start.Unix()
	e = &exchange{s: s, w: w, r: r, rec: rec, caller: c, dialect: dialect, req: req, target: m, strict: whole}
	if err := e.fit(); err != nil {
		return nil, release, err
	}
	return e, release, e.bound()
}

// acceptable looks at the headers that describe the body. The body is parsed as JSON whatever its Content-Type, because
// curl and other plain tools label what they post as a form; only multipart, which never is JSON, is refused by name.
func acceptable(r *http.Request) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return errRequest("unsupported_content_encoding", "", "Send the request body uncompressed: Content-Encoding is not supported.")
	}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/") {
		return errRequest("unsupported_content_type", "", "Send the request body as JSON, with 'Content-Type: application/json'.")
	}
	return nil
}

// bodyError is what a client hears when its body could not be read. The connection ends with the answer.
func (s *Server) bodyError(w *answer, err error, limit int64) error {
	w.Header().Set("Connection", "close")
	w.refusedBody = true
	switch {
	case errors.Is(err, body.ErrTooLarge):
		return errTooLarge(limit)
	case errors.Is(err, body.ErrBudget):
		return errOverloaded("too many large requests are in flight.")
	case errors.Is(err, body.ErrSlow):
		return &chat.Error{Status: http.StatusRequestTimeout, Type: typeRequest, Code: "request_timeout", Message: "The request body did not arrive in time.", Cause: err}
	}
	e := errRequest("invalid_request", "", "The request body could not be read to its end.")
	e.Cause = err
	return e
}

// bound checks what the model can do and how much it may write, and computes what the answer may cost at most.
func (e *exchange) bound() error {
	for _, need := range e.req.Needs {
		if !slices.Contains(e.target.Capabilities, need) {
			return errRequest("unsupported_capability", capabilityParam(e.req.Protocol, need), "The model '"+e.target.PublicName+"' does not support "+need+".")
		}
	}
	e.searches = e.searchBound()
	limit := e.target.Limits
	if e.req.MaxOutputTokens > limit.MaxOutputTokens {
		return errRequest("max_tokens_too_large", e.maxTokensParam(), "max_tokens is too large for the model '"+e.target.PublicName+"', which writes at most "+
			strconv.FormatInt(limit.MaxOutputTokens, 10)+" tokens.")
	}
	if !e.tokens() {
		return errRequest("max_tokens_too_large", "n", "This request may cost more than any account can hold.")
	}
	if e.demo() || e.target.Price == nil {
		return nil
	}
	if err := e.priced(); err != nil {
		return err
	}
	return e.worstCase()
}

// priced finds the price, and refuses what it has no price for.
func (e *exchange) priced() error {
	p := e.target.Price
	price := priceOf(p, e.tier)
	e.price = &price
	if e.req.Searches > 0 && p.SearchPerMillion == nil {
		return errRequest("unsupported_parameter", "tools", "The model '"+e.target.PublicName+"' has no price for web searches.")
	}
	if e.req.LongCache && p.CacheWrite1hPerMillion == nil {
		return errRequest("unsupported_parameter", "cache_control", "The model '"+e.target.PublicName+"' has no price for prompt caches of an hour.")
	}
	return nil
}

// tokens estimates and bounds what the request reads and writes; false: the bound is no number any more.
func (e *exchange) tokens() bool {
	limit, req := e.target.Limits, e.req
	if req.Protocol == chat.CountTokens {
		return true // it costs nothing
	}
	e.guess = limits.NewEstimate(e.readBytes(), limit.ContextTokens, req.MaxOutputTokens, limit.MaxOutputTokens, req.Choices)
	e.inBound = limit.ContextTokens
	if !req.Opaque && e.searches == 0 { // what a search finds is input, and no byte of the body
		e.inBound = min(e.inBound, req.InputBytes)
	}
	out := limit.MaxOutputTokens
	if req.Protocol == chat.Embeddings {
		e.guess.Output = 0
		return true
	}
	if req.MaxOutputTokens > 0 {
		out = req.MaxOutputTokens
	}
	out = min(limit.MaxOutputTokens, out+e.besides())
	choices := max(req.Choices, 1)
	if out > math.MaxInt64-req.ExtraOutputTokens || out+req.ExtraOutputTokens > math.MaxInt64/choices {
		return false
	}
	// A prediction's lost tokens come on top of the model's own limit; so may reasoning, where an upstream counts it apart.
	e.outBound = (out + req.ExtraOutputTokens) * choices
	return true
}

// besides is for how many tokens room is made beside an answer: where an effort becomes a budget, the adapter adds it.
func (e *exchange) besides() int64 {
	if e.translates && slices.Contains(e.req.Needs, "Thinking") {
		return effortBudget
	}
	return 0
}

// untoldSearches is how often an answer is thought to search at most where the provider cannot be told: as often as where
// the client does not say. What is charged is what the provider reports.
const untoldSearches = 10

// searchBound is how often the request may search the web: as often as it says, but for backends that search unasked, or as
// often as they like.
func (e *exchange) searchBound() int64 {
	n := e.req.Searches
	if e.req.Protocol == chat.Embeddings || e.req.Protocol == chat.CountTokens {
		return n
	}
	for _, b := range e.backends {
		kind := e.x.Provider(b.Provider).Type
		if searchesUnasked(kind, b.Model) || n > 0 && kind == snapshot.Gemini {
			n = max(n, untoldSearches*max(e.req.Choices, 1))
		}
	}
	return n
}

// searchesUnasked says that a model searches for every answer: Perplexity's, wherever it is served, and OpenAI's models for
// searching in chat completions.
func searchesUnasked(kind snapshot.ProviderType, model string) bool {
	return kind == snapshot.Perplexity || strings.HasPrefix(model, "perplexity/") ||
		kind == snapshot.OpenAI && (strings.Contains(model, "-search-preview") || strings.Contains(model, "-search-api"))
}

// effortBudget is the largest budget, in tokens, that an adapter makes of an effort (upstream/anthropic, upstream/gemini).
const effortBudget = 24576

// capabilityParams are the fields of a chat completion that ask for a capability, and where another protocol has other ones.
var capabilityParams = map[chat.Protocol]map[string]string{
	chat.Completions: {
		"Streaming": "stream", "Vision": "messages", "Tools": "tools", "JSON": "response_format", "Thinking": "reasoning_effort",
		"WebSearch": "tools", "PromptCache": "cache",
	},
	chat.Messages:    {"JSON": "output_config", "Thinking": "thinking"},
	chat.CountTokens: {"JSON": "output_config", "Thinking": "thinking"},
	chat.Responses:   {"Vision": "input", "JSON": "text", "Thinking": "reasoning"},
}

// capabilityParam is the field in which a request of the protocol asks for a capability.
func capabilityParam(protocol chat.Protocol, need string) string {
	if param, ok := capabilityParams[protocol][need]; ok {
		return param
	}
	return capabilityParams[chat.Completions][need]
}

// maxTokensParam is the field in which the client gave its limit.
func (e *exchange) maxTokensParam() string {
	for _, name := range []string{"max_completion_tokens", "max_output_tokens"} {
		if _, ok := e.req.Fields.Get(name); ok {
			return name
		}
	}
	return "max_tokens"
}
