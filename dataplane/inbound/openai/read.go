package openai

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

func (p *parser) model(raw []byte) error {
	if raw == nil {
		return refuse("model", "missing_required_parameter", "Missing required parameter: 'model'.")
	}
	name, ok := jsonscan.String(raw)
	if !ok {
		return wrongType("model", "a string", raw)
	}
	if name == "" {
		return refuse("model", "empty_string", "Invalid 'model': empty string.")
	}
	p.request.Model = name
	return nil
}

func (p *parser) stream(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	on, ok := jsonscan.Bool(raw)
	if !ok {
		return wrongType("stream", "a boolean", raw)
	}
	if p.request.Stream = on; on {
		p.need(needStreaming)
	}
	return nil
}

// streamOptions reads {include_usage}. Its other members pass through, but none twice: the forwarded object sets one of them.
func (p *parser) streamOptions(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("stream_options", "an object", raw)
	}
	if !p.request.Stream {
		return refuse("stream_options", "invalid_value", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	}
	seen := map[string]bool{}
	for name, value := range jsonscan.Members(raw) {
		if seen[name] {
			return refuse("stream_options", "duplicate_parameter", "Duplicate parameter: 'stream_options.%s' is given more than once.", name)
		}
		seen[name] = true
		if name != "include_usage" && strings.EqualFold(name, "include_usage") {
			return refuse("stream_options", "unknown_parameter", "Unknown parameter: 'stream_options.%s'. Did you mean 'include_usage'?", name)
		}
		if name != "include_usage" || jsonscan.IsNull(value) {
			continue
		}
		on, ok := jsonscan.Bool(value)
		if !ok {
			return wrongType("stream_options.include_usage", "a boolean", value)
		}
		p.request.IncludeUsage = on
	}
	return nil
}

// maxTokens reads one of the two limits; where both are given, upstreams differ in which they obey, so the larger counts.
func maxTokens(param string) func(*parser, []byte) error {
	return func(p *parser, raw []byte) error {
		n, err := integer(param, raw, 1)
		p.request.MaxOutputTokens = max(p.request.MaxOutputTokens, n)
		return err
	}
}

func (p *parser) choices(raw []byte) error {
	n, err := integer("n", raw, 1)
	if err != nil {
		return err
	}
	if n > maxChoices {
		return refuse("n", "integer_above_max_value", "Invalid 'n': integer above maximum value. Expected a value <= %d, but got %d instead.", maxChoices, n)
	}
	p.request.Choices = max(1, n)
	return nil
}

// integer reads a number of at least least; 0: absent or null.
func integer(param string, raw []byte, least int64) (int64, error) {
	if jsonscan.IsNull(raw) {
		return 0, nil
	}
	n, ok := jsonscan.Int(raw)
	if !ok {
		return 0, refuse(param, "invalid_type", "Invalid type for '%s': expected an integer.", param)
	}
	if n < least {
		return 0, refuse(param, "integer_below_min_value", "Invalid '%s': integer below minimum value. Expected a value >= %d, but got %d instead.", param, least, n)
	}
	return n, nil
}

func (p *parser) functions(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '[' {
		return wrongType("functions", "an array", raw)
	}
	for range jsonscan.Elements(raw) {
		p.need(needTools)
	}
	return nil
}

func (p *parser) responseFormat(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("response_format", "an object", raw)
	}
	switch kind, _ := jsonscan.String(jsonscan.Field(raw, "type")); kind {
	case "json_object", "json_schema":
		p.need(needJSON)
	}
	return nil
}

func (p *parser) reasoningEffort(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	effort, ok := jsonscan.String(raw)
	if !ok {
		return wrongType("reasoning_effort", "a string", raw)
	}
	if effort != "none" {
		p.need(needThinking)
	}
	return nil
}
