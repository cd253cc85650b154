package responses

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

func (p *parser) model(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return refuse("model", "missing_required_parameter", "Missing required parameter: 'model'.")
	}
	name, ok := jsonscan.String(raw)
	if !ok {
		return wrongType("model", "a string")
	}
	if name == "" {
		return refuse("model", "empty_string", "Invalid 'model': empty string.")
	}
	p.request.Model = name
	return nil
}

func (p *parser) instructions(raw []byte) error {
	if _, ok := jsonscan.String(raw); !ok && !jsonscan.IsNull(raw) {
		return wrongType("instructions", "a string")
	}
	return nil
}

func (p *parser) stream(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	on, ok := jsonscan.Bool(raw)
	if !ok {
		return wrongType("stream", "a boolean")
	}
	if p.request.Stream = on; on {
		p.need(needStreaming)
	}
	return nil
}

func (p *parser) maxTokens(raw []byte) (err error) {
	p.request.MaxOutputTokens, err = integer("max_output_tokens", raw)
	return err
}

func (p *parser) maxToolCalls(raw []byte) (err error) {
	p.calls, err = integer("max_tool_calls", raw)
	return err
}

// integer reads a number of at least 1; 0: absent or null.
func integer(param string, raw []byte) (int64, error) {
	if jsonscan.IsNull(raw) {
		return 0, nil
	}
	n, ok := jsonscan.Int(raw)
	if !ok {
		return 0, wrongType(param, "an integer")
	}
	if n < 1 {
		return 0, refuse(param, "integer_below_min_value", "Invalid '%s': integer below minimum value. Expected a value >= 1, but got %d instead.", param, n)
	}
	return n, nil
}

// input needs a text or a non-empty array of items, and notes the parts that are not text. Names are looked at without regard
// to case and at every duplicate: what one upstream ignores another reads.
func (p *parser) input(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return refuse("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	}
	if raw[0] == '"' {
		return nil
	}
	if raw[0] != '[' {
		return wrongType("input", "a string or an array")
	}
	empty := true
	for item := range jsonscan.Elements(raw) {
		empty = false
		if item[0] != '{' {
			return wrongType("input", "an array of objects")
		}
		if err := p.item(item); err != nil {
			return err
		}
	}
	if empty {
		return refuse("input", "empty_array", "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	return nil
}

func (p *parser) item(raw []byte) error {
	for name, value := range jsonscan.Members(raw) {
		switch {
		case strings.EqualFold(name, "content"), strings.EqualFold(name, "output"):
			for part := range jsonscan.Elements(value) {
				if err := p.part(part); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// part is one element of a message's content or of a tool's output.
func (p *parser) part(raw []byte) error {
	if raw[0] != '{' {
		return nil
	}
	text, attached := false, false
	for name, value := range jsonscan.Members(raw) {
		if !strings.EqualFold(name, "type") {
			continue
		}
		switch kind, _ := jsonscan.String(value); kind {
		case "input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text":
			text = true
		case "input_image", "image_url", "input_file":
			p.need(needVision)
			attached = true
		case "input_audio", "input_video":
			return refuse("input", "unsupported_parameter", "Unsupported parameter: 'input' with a part '%s': audio and video are not priced by this gateway.", kind)
		default:
			p.request.Obscure()
		}
	}
	switch {
	case attached:
		p.request.Attach(raw)
	case !text:
		p.request.Obscure()
	}
	return nil
}

// tools run at the client, but for web search, which has a price.
func (p *parser) tools(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '[' {
		return wrongType("tools", "an array")
	}
	for tool := range jsonscan.Elements(raw) {
		kind, ok := "", false
		for name, value := range jsonscan.Members(tool) {
			if strings.EqualFold(name, "type") {
				if ok {
					return refuse("tools", "duplicate_parameter", "Duplicate parameter: 'tools' with a 'type' given more than once.")
				}
				kind, ok = jsonscan.String(value)
			}
		}
		switch {
		case kind == "function" || kind == "custom":
			p.need(needTools)
		case searchTool(kind):
			p.need(needSearch)
			p.searches = true
		case !ok:
			return refuse("tools", "missing_required_parameter", "Missing required parameter: 'tools[].type'.")
		default:
			return refuse("tools", "unsupported_parameter", "Unsupported parameter: 'tools' of the type '%s': %s.", clip(kind), hosted)
		}
	}
	return nil
}

// searchTool says whether a tool is OpenAI's web search, in any of its versions.
func searchTool(kind string) bool {
	return kind == "web_search" || strings.HasPrefix(kind, "web_search_preview") || strings.HasPrefix(kind, "web_search_20")
}

func (p *parser) reasoning(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("reasoning", "an object")
	}
	if effort, ok := jsonscan.String(jsonscan.Field(raw, "effort")); ok && effort != "none" {
		p.need(needThinking)
	}
	return nil
}

func (p *parser) text(raw []byte) error {
	if jsonscan.IsNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return wrongType("text", "an object")
	}
	switch kind, _ := jsonscan.String(jsonscan.Field(jsonscan.Field(raw, "format"), "type")); kind {
	case "json_object", "json_schema":
		p.need(needJSON)
	}
	return nil
}

// tier takes the standard speed. OpenAI's other tiers answer the same slower or sooner, for another price: those become the
// standard one, which is named (even).
func (p *parser) tier(raw []byte) error {
	switch name, _ := jsonscan.String(raw); name {
	case "flex", "priority", "scale":
		p.evened = true
		return nil
	}
	return onlyText("service_tier", faster, "auto", "default")(p, raw)
}

// even puts the standard tier in the place of another.
func (p *parser) even() error {
	r := p.request
	m, found := r.Fields.Get("service_tier")
	if !p.evened || !found {
		return nil
	}
	r.Body = jsonscan.Splice(r.Body, m.Replace([]byte(`"default"`)))
	r.Dropped = append(r.Dropped, "service_tier")
	var err error
	r.Fields, err = jsonscan.Scan(r.Body)
	return err
}

// onlyText takes some strings and refuses the rest.
func onlyText(param, why string, allowed ...string) func(*parser, []byte) error {
	return func(_ *parser, raw []byte) error {
		if jsonscan.IsNull(raw) {
			return nil
		}
		text, ok := jsonscan.String(raw)
		if !ok {
			return wrongType(param, "a string")
		}
		for _, a := range allowed {
			if text == a {
				return nil
			}
		}
		return refuse(param, "unsupported_value", "Unsupported value: '%s' does not support '%s' with this gateway: %s.", param, clip(text), why)
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

// onlyOne takes the number 1 of a field that the protocol does not have.
func onlyOne(_ *parser, raw []byte) error {
	n, err := integer("n", raw)
	if err == nil && n > 1 {
		err = refuse("n", "unsupported_value", "Unsupported value: 'n' does not support %d: a response is one answer.", n)
	}
	return err
}
