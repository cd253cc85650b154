package responses

import (
	"errors"
	"sync"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Capabilities that a body can ask for, as api/v1alpha1.Capability spells them.
const (
	needStreaming = "Streaming"
	needVision    = "Vision"
	needTools     = "Tools"
	needJSON      = "JSON"
	needThinking  = "Thinking"
	needSearch    = "WebSearch"
)

// defaultSearches bounds the searches of a request that does not say max_tool_calls: no answer seen used more.
const defaultSearches = 10

// rule says what the gateway does about a top-level field. Fields without one change no price and pass through.
type rule struct {
	name string
	// why it is refused, for people; empty: read judges it.
	why  string
	read func(p *parser, raw []byte) error
}

// Reasons, as people read them behind "Unsupported parameter: 'x': ".
const (
	stateless = "this gateway keeps no conversation; send the whole input"
	hosted    = "what runs at the provider beside the model is not priced by this gateway"
	later     = "answers that come later cannot be charged to this request"
	faster    = "this gateway prices the standard speed only"
	routing   = "the gateway's administrator decides where a model is served"
	retention = "this gateway prices prompt caches of a few minutes only"
)

// rules are judged in this order.
var rules = []rule{
	{name: "model", read: (*parser).model},
	{name: "input", read: (*parser).input},
	{name: "instructions", read: (*parser).instructions},
	{name: "stream", read: (*parser).stream},
	{name: "max_output_tokens", read: (*parser).maxTokens},
	{name: "max_tool_calls", read: (*parser).maxToolCalls},
	{name: "tools", read: (*parser).tools},
	{name: "reasoning", read: (*parser).reasoning},
	{name: "text", read: (*parser).text},
	{name: "background", read: onlyOff("background", later)},
	{name: "service_tier", read: (*parser).tier},
	{name: "prompt_cache_retention", read: onlyText("prompt_cache_retention", retention, "in_memory", "in-memory")},
	{name: "previous_response_id", why: stateless},
	{name: "conversation", why: stateless},
	{name: "prompt", why: stateless},
	{name: "context_management", why: hosted},
	{name: "models", why: routing},
	{name: "provider", why: routing},
	{name: "providerOptions", why: routing},
	{name: "preset", why: routing},
	{name: "plugins", why: hosted},
	{name: "route", why: routing},
	{name: "n", read: onlyOne},
}

// names are those of the rules, in their order.
var names = func() *chat.Names {
	list := make([]string, len(rules))
	for i, r := range rules {
		list[i] = r.name
	}
	return chat.NewNames(list...)
}()

// parser fills in a request. Its methods return a *chat.Error.
type parser struct {
	request *chat.Request
	values  [][]byte
	// searches says that a web search is among the tools, calls what max_tool_calls allows.
	searches bool
	calls    int64
	// evened says that service_tier asks for another price than the model's.
	evened bool
}

func parse(id string, body []byte) (*chat.Request, *chat.Error) {
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, malformed(err)
	}
	p := &parser{
		request: &chat.Request{ID: id, Protocol: chat.Responses, Choices: 1, IncludeUsage: true, InputBytes: int64(len(body)), Body: body, Fields: fields},
	}
	if err := p.parse(); err != nil {
		var e *chat.Error
		if !errors.As(err, &e) {
			e = malformed(err)
		}
		return nil, e
	}
	p.request.Translate = sync.OnceValues(func() (*chat.Prompt, error) { return decode(body, fields) })
	if err := p.even(); err != nil {
		return nil, malformed(err)
	}
	if err := uncarry(p.request); err != nil {
		return nil, malformed(err)
	}
	return p.request, nil
}

func (p *parser) parse() error {
	if err := p.collect(); err != nil {
		return err
	}
	for i, r := range rules {
		raw := p.values[i]
		if r.why != "" && !jsonscan.IsNull(raw) {
			return refuse(r.name, "unsupported_parameter", "Unsupported parameter: '%s': %s.", r.name, r.why)
		}
		if r.read == nil {
			continue
		}
		if err := r.read(p, raw); err != nil {
			return err
		}
	}
	if p.searches {
		p.request.Searches = defaultSearches
		if p.calls > 0 {
			p.request.Searches = p.calls
		}
	}
	return nil
}

// collect finds the fields that have a rule, each at most once and in its exact spelling.
func (p *parser) collect() (err error) {
	p.values, err = names.Collect(p.request)
	return err
}

func (p *parser) need(capability string) { p.request.Need(capability) }

func malformed(cause error) *chat.Error { return chat.Malformed(cause) }

// refuse makes the error for one field.
func refuse(param, code, format string, args ...any) error {
	return chat.Refuse(param, code, format, args...)
}

func wrongType(param, want string) error {
	return refuse(param, "invalid_type", "Invalid type for '%s': expected %s.", param, want)
}

// clip bounds what of a body is said again in an error.
func clip(s string) string { return chat.Clip(s) }
