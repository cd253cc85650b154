package anthropic

import (
	"errors"
	"net/http"
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

// parser fills in a request. Its methods return a *chat.Error.
type parser struct {
	request *chat.Request
	values  [][]byte
	// counting says that the body is only counted: nothing is generated, so that nothing bounds it.
	counting bool
	// depth is how deep the walk over the blocks is.
	depth int
}

// parse judges a body for one of the two protocols.
func parse(id string, protocol chat.Protocol, h http.Header, body []byte) (*chat.Request, *chat.Error) {
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, malformed(err)
	}
	p := &parser{
		request: &chat.Request{
			ID: id, Protocol: protocol, Choices: 1,
			InputBytes: int64(len(body)), Body: body, Fields: fields,
		},
		counting: protocol == chat.CountTokens,
	}
	if err := p.parse(); err != nil {
		var e *chat.Error
		if !errors.As(err, &e) {
			e = malformed(err)
		}
		return nil, e
	}
	r := p.request
	r.Header, r.Dropped = forwarded(h)
	r.Translate = sync.OnceValues(func() (*chat.Prompt, error) { return decode(body, fields) })
	if s, changed := stripped(body, fields); changed {
		r.Body, r.Fields = s.body, s.fields
		r.Dropped = append(r.Dropped, s.dropped...)
	}
	return r, nil
}

func (p *parser) parse() error {
	if err := p.collect(); err != nil {
		return err
	}
	for i, r := range rules {
		raw := p.values[i]
		if r.read != nil {
			if err := r.read(p, raw); err != nil {
				return err
			}
		}
		if r.Effect == Refused && !jsonscan.IsNull(raw) {
			return unsupported(r.Name, "'%s': %s", r.Name, r.Why)
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

// unsupported is the error for what is refused by name.
func unsupported(param, format string, args ...any) error {
	return refuse(param, "unsupported_parameter", "Unsupported parameter: "+format+".", args...)
}

func wrongType(param, want string, raw []byte) error {
	return refuse(param, "invalid_type", "%s: Input should be %s, but got %s.", param, want, kindOf(raw))
}

func kindOf(raw []byte) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// clip bounds what of a body is said again in an error.
func clip(s string) string { return chat.Clip(s) }
