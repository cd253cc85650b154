package openai

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file has the readers of fields that are there to be paid for: they bound what an answer may cost, or refuse it.

// maxExtra bounds what a body may ask for beside the answer: more than any model thinks.
const maxExtra = 1 << 40

// extra notes output tokens that come beside the limit that the client gave.
func (p *parser) extra(tokens int64) {
	p.request.ExtraOutputTokens = min(p.request.ExtraOutputTokens+min(tokens, maxExtra), maxExtra)
}

// extraTokens reads a budget of tokens.
func extraTokens(param string) func(*parser, []byte) error {
	return func(p *parser, raw []byte) error {
		n, err := integer(param, raw, 0)
		if n > 0 {
			p.need(needThinking)
			p.extra(n)
		}
		return err
	}
}

// prediction is what the client thinks that the answer will be. Its tokens that do not come true are billed as output, so
// they are bounded as output: never more tokens than bytes.
func (p *parser) prediction(raw []byte) error {
	if !jsonscan.IsNull(raw) {
		p.extra(int64(len(raw)))
	}
	return nil
}

// reasoning is the form of OpenRouter and Vercel: {enabled, effort, max_tokens}.
func (p *parser) reasoning(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("reasoning", "an object", raw)
	}
	if err := p.budget("reasoning", raw, "max_tokens"); err != nil {
		return err
	}
	if on, ok := jsonscan.Bool(jsonscan.Field(raw, "enabled")); ok && !on {
		return nil
	}
	if effort, _ := jsonscan.String(jsonscan.Field(raw, "effort")); effort == "none" {
		return nil
	}
	p.need(needThinking)
	return nil
}

// thinking is the form of Anthropic: {type, budget_tokens}.
func (p *parser) thinking(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("thinking", "an object", raw)
	}
	if err := p.budget("thinking", raw, "budget_tokens"); err != nil {
		return err
	}
	if kind, _ := jsonscan.String(jsonscan.Field(raw, "type")); kind != "disabled" {
		p.need(needThinking)
	}
	return nil
}

// budget reads the member that bounds reasoning: whether it counts within the limit of the answer differs, so it is held
// for beside it. Every spelling and every duplicate counts.
func (p *parser) budget(param string, object []byte, member string) error {
	for name, value := range jsonscan.Members(object) {
		if !strings.EqualFold(name, member) {
			continue
		}
		n, err := integer(param+"."+member, value, 0)
		if err != nil {
			return err
		}
		p.extra(n)
	}
	return nil
}

// toolMembers are what a tool that runs at the client has. Anything else in a tool may be one that runs at the provider, for
// a price: Google's and others' have no type but a member of their own.
var toolMembers = map[string]bool{
	"type": true, "function": true, "custom": true, "cache_control": true, "strict": true, "id": true,
	"name": true, "description": true, "parameters": true, "input_schema": true,
}

// tools needs an array whose tools run at the client. Others, such as web searches, run at the upstream for a price.
func (p *parser) tools(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '[' {
		return wrongType("tools", "an array", raw)
	}
	for tool := range jsonscan.Elements(raw) {
		if tool[0] != '{' {
			return wrongType("tools", "an array of objects", tool)
		}
		read := p.tool
		if isSearchTool(toolType(tool)) {
			read = p.searchTool
		}
		if err := read(tool); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) tool(raw []byte) error {
	p.need(needTools)
	for name, value := range jsonscan.Members(raw) {
		folded := strings.ToLower(name)
		if !toolMembers[folded] {
			return refuse("tools", "unsupported_parameter", "Unsupported parameter: 'tools': a tool with the member '%s': %s.", clip(name), hosted)
		}
		switch folded {
		case "type":
			if kind, ok := jsonscan.String(value); !ok || kind != "function" && kind != "custom" {
				return refuse("tools", "unsupported_parameter", "Unsupported parameter: 'tools': only the types 'function', 'custom' and 'web_search' are priced by this gateway.")
			}
		case "cache_control":
			if err := p.cacheTime("tools", value); err != nil {
				return err
			}
		case "function":
			if err := p.cacheMarks("tools", value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *parser) cacheControl(raw []byte) error { return p.cacheTime("cache_control", raw) }

// cacheMarks looks at every cache_control of an object.
func (p *parser) cacheMarks(param string, raw []byte) error {
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "cache_control") {
			continue
		}
		if err := p.cacheTime(param, value); err != nil {
			return err
		}
	}
	return nil
}

// cacheTime notes marks that keep a prompt cache for an hour, which costs more to write than the usual five minutes, and
// refuses others. param is the field in which the mark is.
func (p *parser) cacheTime(param string, raw []byte) error {
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "ttl") || jsonscan.IsNull(value) {
			continue
		}
		switch ttl, _ := jsonscan.String(value); ttl {
		case fiveMinutes:
		case oneHour:
			p.request.LongCache = true
		default:
			return refuse(param, "unsupported_value", "Unsupported value: 'cache_control.ttl' does not support anything but \"5m\" and \"1h\" in '%s': %s.", param, retention)
		}
	}
	return nil
}

// cache is the shorthand for breakpoints where the gateway thinks best: true is as "5m".
func (p *parser) cache(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	on, ok := jsonscan.Bool(raw)
	switch ttl, _ := jsonscan.String(raw); ttl {
	case fiveMinutes:
		on, ok = true, true
	case oneHour:
		on, ok = true, true
		p.request.LongCache = true
	}
	if !ok {
		return refuse("cache", "unsupported_value", "Unsupported value: 'cache' does not support anything but true, false, \"5m\" and \"1h\": %s.", retention)
	}
	if on {
		p.need(needCache)
	}
	return nil
}

func (p *parser) modalities(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '[' {
		return wrongType("modalities", "an array", raw)
	}
	for m := range jsonscan.Elements(raw) {
		if kind, ok := jsonscan.String(m); !ok || kind != "text" {
			return refuse("modalities", "unsupported_value", "Unsupported value: 'modalities' does not support anything but 'text' with this gateway, which prices no other.")
		}
	}
	return nil
}

// onlyText takes some strings and refuses the rest.
func onlyText(param, why string, allowed ...string) func(*parser, []byte) error {
	return func(_ *parser, raw []byte) error {
		if jsonscan.IsNull(raw) {
			return nil
		}
		text, ok := jsonscan.String(raw)
		if !ok {
			return wrongType(param, "a string", raw)
		}
		for _, a := range allowed {
			if text == a {
				return nil
			}
		}
		return refuse(param, "unsupported_value", "Unsupported value: '%s' does not support '%s' with this gateway: %s.", param, clip(text), why)
	}
}

// tier takes the standard speed. OpenAI's other tiers answer the same slower or sooner, for another price.
func tier(p *parser, raw []byte) error {
	switch name, _ := jsonscan.String(raw); name {
	case "flex", "priority", "scale":
		p.even("service_tier", raw, `"default"`)
		return nil
	}
	return onlyText("service_tier", faster, "auto", "default")(p, raw)
}

// withoutImages leaves out the images that Perplexity shows beside an answer.
func withoutImages(p *parser, raw []byte) error {
	if on, _ := jsonscan.Bool(raw); on {
		p.even("return_images", raw, "false")
		return nil
	}
	return onlyOff("return_images", search)(p, raw)
}

// even gives a field the value that costs what the model's price says.
func (p *parser) even(name string, raw []byte, value string) {
	p.edit(raw, []byte(value))
	p.request.Dropped = append(p.request.Dropped, name)
}

// onlyOne takes the number 1.
func onlyOne(param string) func(*parser, []byte) error {
	return func(_ *parser, raw []byte) error {
		n, err := integer(param, raw, 1)
		if err == nil && n > 1 {
			err = refuse(param, "unsupported_value", "Unsupported value: '%s' does not support %d with this gateway, only 1: %s.", param, n, samples)
		}
		return err
	}
}

// onlyOff takes false.
func onlyOff(param, why string) func(*parser, []byte) error {
	return func(_ *parser, raw []byte) error {
		if jsonscan.IsNull(raw) {
			return nil
		}
		if on, ok := jsonscan.Bool(raw); !ok || on {
			return refuse(param, "unsupported_value", "Unsupported value: '%s' does not support anything but false with this gateway: %s.", param, why)
		}
		return nil
	}
}

// clip bounds what of a body is said again in an error.
func clip(s string) string { return chat.Clip(s) }
