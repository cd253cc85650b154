package anthropic

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file decodes what is not part of the conversation.

// maxTokens reads the bound. 0 asks to fill a cache and to generate nothing, which is least elsewhere with 1.
func (d *decoder) maxTokens(raw []byte) error {
	n, err := integer("max_tokens", raw, 0)
	d.prompt.MaxOutputTokens = max(n, 1)
	return err
}

func (d *decoder) stop(raw []byte) (err error) {
	d.prompt.Stop, err = texts("stop_sequences", raw)
	return err
}

func (d *decoder) temperature(raw []byte) (err error) {
	d.prompt.Temperature, err = number("temperature", raw)
	return err
}

func (d *decoder) topP(raw []byte) (err error) {
	d.prompt.TopP, err = number("top_p", raw)
	return err
}

func (d *decoder) topK(raw []byte) error {
	n, err := integer("top_k", raw, 0)
	d.prompt.TopK = &n
	return err
}

// metadata is {user_id}.
func (d *decoder) metadata(raw []byte) (err error) {
	m, err := members("metadata", raw)
	if err != nil {
		return err
	}
	d.prompt.User, err = optional("metadata.user_id", m["user_id"])
	return err
}

// cache at the top puts a breakpoint where the API thinks best.
func (d *decoder) cache(raw []byte) (err error) {
	d.prompt.Cache, err = cacheTime("cache_control", raw)
	return err
}

// cacheTime reads {type: ephemeral, ttl} as 5m or 1h; empty: none.
func cacheTime(place string, raw []byte) (string, error) {
	if jsonscan.IsNull(raw) {
		return "", nil
	}
	m, err := members(place, raw)
	if err != nil {
		return "", err
	}
	ttl, err := optional(place+".ttl", m["ttl"])
	if ttl == "" {
		ttl = "5m"
	}
	return ttl, err
}

// reasoning is made when something is first said about it.
func (d *decoder) reasoning() *chat.Reasoning {
	if d.prompt.Reasoning == nil {
		d.prompt.Reasoning = &chat.Reasoning{}
	}
	return d.prompt.Reasoning
}

// thinking is {type, budget_tokens, display}.
func (d *decoder) thinking(raw []byte) error {
	m, err := members("thinking", raw)
	if err != nil {
		return err
	}
	kind, err := text("thinking.type", m["type"])
	if err != nil {
		return err
	}
	r := d.reasoning()
	switch kind {
	case "disabled":
		r.Off = true
		return nil
	case "enabled":
		if r.Budget, err = integer("thinking.budget_tokens", m["budget_tokens"], 0); err != nil {
			return err
		}
	case "adaptive", "between_tools":
		r.Adaptive = true
	default:
		return invalid("thinking.type", "'%s' is not one of enabled, disabled, adaptive, between_tools", clip(kind))
	}
	r.Summary, err = optional("thinking.display", m["display"])
	if r.Summary == "updates" {
		r.Summary = "summarized"
	}
	return err
}

// outputConfig is {effort, format, task_budget}.
func (d *decoder) outputConfig(raw []byte) error {
	m, err := members("output_config", raw)
	if err != nil {
		return err
	}
	if err := d.effort("output_config.effort", m["effort"]); err != nil {
		return err
	}
	if b := m["task_budget"]; !jsonscan.IsNull(b) {
		d.other("output_config.task_budget", b)
	}
	if jsonscan.IsNull(m["format"]) {
		return nil
	}
	return d.format(m["format"])
}

// effort may be said at the top, and anew by a system message in mid-conversation.
func (d *decoder) effort(place string, raw []byte) error {
	effort, err := optional(place, raw)
	switch effort {
	case "":
		return err
	case "minimal", "low", "medium", "high", "xhigh", "max":
		d.reasoning().Effort = effort
		return nil
	}
	return invalid(place, "'%s' is not one of low, medium, high, xhigh, max", clip(effort))
}

// format is {type: json_schema, schema}.
func (d *decoder) format(raw []byte) error {
	m, err := members("output_config.format", raw)
	if err != nil {
		return err
	}
	if kind, _ := jsonscan.String(m["type"]); kind != "json_schema" {
		return invalid("output_config.format.type", "Input should be 'json_schema'")
	}
	if s := m["schema"]; len(s) == 0 || s[0] != '{' {
		return invalid("output_config.format.schema", "Input should be an object")
	}
	name, err := optional("output_config.format.name", m["name"])
	d.prompt.Format = &chat.Format{Schema: json.RawMessage(m["schema"]), Name: name}
	return err
}
