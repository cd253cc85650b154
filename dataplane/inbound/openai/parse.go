// Package openai is OpenAI's chat completions protocol as clients speak it to the gateway: requests in, errors, model
// lists and the declared changes of answers out.
package openai

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// maxChoices is OpenAI's largest n.
const maxChoices = 128

// Capabilities that a body can ask for, as api/v1alpha1.Capability spells them.
const (
	needStreaming = "Streaming"
	needVision    = "Vision"
	needTools     = "Tools"
	needJSON      = "JSON"
	needThinking  = "Thinking"
	needSearch    = "WebSearch"
	needCache     = "PromptCache"
)

// parser fills in a request. Its methods return a *chat.Error.
type parser struct {
	request *chat.Request
	values  [][]byte
	// edits take out of the body what only this package reads, and what costs otherwise than the price says; carried says that
	// signed thoughts are among it.
	edits   []jsonscan.Edit
	carried bool
}

// Parse judges the body of a chat completion request. The body is kept in the request, not copied; only where ids of tool
// calls carry signed thoughts (carry.go), or a field asks for another price (Evened), the request has a copy without these. An error has status 400 and names the field in
// Param.
func Parse(id string, body []byte) (*chat.Request, *chat.Error) {
	fields, err := jsonscan.Scan(body)
	if err != nil {
		return nil, malformed(err)
	}
	p := &parser{
		request: &chat.Request{ID: id, Protocol: chat.Completions, Choices: 1, InputBytes: int64(len(body)), Body: body, Fields: fields},
	}
	if err := p.parse(); err != nil {
		var e *chat.Error
		if !errors.As(err, &e) {
			e = malformed(err)
		}
		return nil, e
	}
	p.request.Searches *= p.request.Choices
	p.request.Translate = sync.OnceValues(func() (*chat.Prompt, error) { return decode(body, fields) })
	if len(p.edits) > 0 {
		if p.carried && !bytes.Contains(body, []byte(`"reasoning_details"`)) { // else an upstream may take them from there
			p.request.Dropped = append(p.request.Dropped, "reasoning_details")
		}
		slices.SortFunc(p.edits, func(a, b jsonscan.Edit) int { return a.Start - b.Start })
		p.request.Body = jsonscan.Splice(body, p.edits...)
		// It is the same object with other values, which scans as the one before did.
		if p.request.Fields, err = jsonscan.Scan(p.request.Body); err != nil {
			return nil, malformed(err)
		}
	}
	return p.request, nil
}

func (p *parser) parse() error {
	if err := p.collect(); err != nil {
		return err
	}
	for i, r := range rules {
		raw := p.values[i]
		if r.Effect == Refused && !jsonscan.IsNull(raw) {
			return refuse(r.Name, "unsupported_parameter", "Unsupported parameter: '%s': %s.", r.Name, r.Why)
		}
		if r.read == nil {
			continue
		}
		if err := r.read(p, raw); err != nil {
			return err
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

func wrongType(param, want string, raw []byte) error {
	return refuse(param, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", param, want, kindOf(raw))
}

func kindOf(raw []byte) string {
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
