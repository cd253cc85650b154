package anthropic

import (
	"net/http"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file has the readers of the plain fields, and those that are there to be paid for.

func (p *parser) model(raw []byte) error {
	if raw == nil {
		return missing("model")
	}
	name, ok := jsonscan.String(raw)
	if !ok {
		return wrongType("model", "a valid string", raw)
	}
	if name == "" {
		return refuse("model", "empty_string", "model: String should have at least 1 character.")
	}
	p.request.Model = name
	return nil
}

func missing(param string) error {
	return refuse(param, "missing_required_parameter", "%s: Field required.", param)
}

// maxTokens is required by the API where something is generated. 0 fills the prompt cache and generates nothing.
func (p *parser) maxTokens(raw []byte) error {
	if raw == nil && !p.counting {
		return missing("max_tokens")
	}
	n, err := integer("max_tokens", raw, 0)
	p.request.MaxOutputTokens = n
	return err
}

func (p *parser) stream(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	on, ok := jsonscan.Bool(raw)
	if !ok {
		return wrongType("stream", "a valid boolean", raw)
	}
	if p.request.Stream = on && !p.counting; p.request.Stream {
		p.need(needStreaming)
		p.request.IncludeUsage = true
	}
	return nil
}

// integer reads a number of at least least; 0: absent or null.
func integer(param string, raw []byte, least int64) (int64, error) {
	if jsonscan.IsNull(raw) {
		return 0, nil
	}
	n, ok := jsonscan.Int(raw)
	if !ok {
		return 0, refuse(param, "invalid_type", "%s: Input should be a valid integer.", param)
	}
	if n < least {
		return 0, refuse(param, "integer_below_min_value", "%s: Input should be greater than or equal to %d.", param, least)
	}
	return n, nil
}

// object needs an object or null.
func object(param string) func(*parser, []byte) error {
	return func(_ *parser, raw []byte) error {
		if !jsonscan.IsNull(raw) && raw[0] != '{' {
			return wrongType(param, "an object", raw)
		}
		return nil
	}
}

// maxExtra bounds what a body may ask for beside the answer: more than any model thinks.
const maxExtra = 1 << 40

// thinking is {type: enabled|disabled|adaptive|between_tools, budget_tokens}. A budget lies within max_tokens; one that does
// not, which interleaved thinking allows, is held for beside it. Every spelling and every duplicate counts.
func (p *parser) thinking(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("thinking", "an object", raw)
	}
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "budget_tokens") {
			continue
		}
		n, err := integer("thinking.budget_tokens", value, 0)
		if err != nil {
			return err
		}
		if !p.counting && n >= p.request.MaxOutputTokens {
			p.request.ExtraOutputTokens = min(p.request.ExtraOutputTokens+min(n, maxExtra), maxExtra)
		}
	}
	if kind, _ := jsonscan.String(jsonscan.Field(raw, "type")); kind != "disabled" {
		p.need(needThinking)
	}
	return nil
}

// outputConfig is {effort, format, task_budget}. Effort is no need: models that have none are asked without it.
func (p *parser) outputConfig(raw []byte) error {
	if err := object("output_config")(p, raw); err != nil {
		return err
	}
	for name, value := range jsonscan.Members(raw) {
		if strings.EqualFold(name, "format") {
			if err := p.format("output_config.format", value); err != nil {
				return err
			}
		}
	}
	return nil
}

// outputFormat is the beta's place of output_config.format.
func (p *parser) outputFormat(raw []byte) error { return p.format("output_format", raw) }

func (p *parser) format(param string, raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType(param, "an object", raw)
	}
	p.need(needJSON)
	return nil
}

// contextManagement takes the edits that only leave input out. The one that writes a summary runs the model once more, and
// its tokens stand outside of the usage that is charged (usage.iterations, type compaction).
func (p *parser) contextManagement(raw []byte) error {
	if err := object("context_management")(p, raw); err != nil {
		return err
	}
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "edits") {
			return unsupported("context_management", "'context_management' with the member '%s': %s", clip(name), summing)
		}
		for edit := range jsonscan.Elements(value) {
			for name, kind := range jsonscan.Members(edit) {
				if strings.EqualFold(name, "type") && !clears(kind) {
					return unsupported("context_management", "'context_management' with an edit that does not clear: %s", summing)
				}
			}
		}
	}
	return nil
}

func clears(raw []byte) bool {
	kind, _ := jsonscan.String(raw)
	return strings.HasPrefix(kind, "clear_")
}

// thread is refused in the words that make Anthropic's SDK send the whole conversation instead (ThreadState.ts).
func (p *parser) thread(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	return &chat.Error{
		Status: http.StatusBadRequest, Type: "invalid_request_error", Code: threadUnsupported, Param: "thread",
		Message: "Unsupported parameter: 'thread': " + state + ".",
		Details: map[string]any{"details": map[string]any{"error_code": threadUnsupported, "unsupported": []string{"thread"}}},
	}
}

// threadUnsupported is the error_code that SDKs look for.
const threadUnsupported = "thread_unsupported_request"

// onlyText takes some strings and refuses the rest.
func onlyText(param, why string, allowed ...string) func(*parser, []byte) error {
	return func(_ *parser, raw []byte) error {
		if jsonscan.IsNull(raw) {
			return nil
		}
		text, ok := jsonscan.String(raw)
		if !ok {
			return wrongType(param, "a valid string", raw)
		}
		for _, a := range allowed {
			if text == a {
				return nil
			}
		}
		return refuse(param, "unsupported_value", "Unsupported value: '%s' does not support '%s' with this gateway: %s.", param, clip(text), why)
	}
}
