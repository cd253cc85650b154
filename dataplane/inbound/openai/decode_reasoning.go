package openai

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// think is what the client said about reasoning so far; the first field that says something counts.
func (d *decoder) think() *chat.Reasoning {
	if d.prompt.Reasoning == nil {
		d.prompt.Reasoning = &chat.Reasoning{}
	}
	return d.prompt.Reasoning
}

// efforts are those that Reasoning.Effort may have.
const efforts = "none minimal low medium high xhigh max"

func (d *decoder) setEffort(param string, raw []byte) error {
	effort, ok := jsonscan.String(raw)
	if !ok {
		return wrongType(param, "a string", raw)
	}
	if !isOneOf(effort, efforts) {
		return refuse(param, "invalid_value", "Invalid value: '%s'. Supported values of '%s' are: '%s'.", clip(effort), param, strings.ReplaceAll(efforts, " ", "', '"))
	}
	r := d.think()
	if r.Effort == "" {
		r.Effort = effort
		r.Off = r.Off || effort == "none"
	}
	return nil
}

func isOneOf(s, words string) bool {
	for w := range strings.FieldsSeq(words) {
		if s == w {
			return true
		}
	}
	return false
}

func (d *decoder) effort(raw []byte) error { return d.setEffort("reasoning_effort", raw) }

func (d *decoder) thinkingBudget(raw []byte) error {
	n, _ := jsonscan.Int(raw)
	r := d.think()
	if r.Budget == 0 {
		r.Budget = n
		r.Off = r.Off || n == 0
	}
	return nil
}

// thinking is Anthropic's {type, budget_tokens, display}.
func (d *decoder) thinking(raw []byte) error {
	var o struct {
		Type    string `json:"type"`
		Budget  int64  `json:"budget_tokens"`
		Display string `json:"display"`
	}
	if err := object("thinking", raw, &o); err != nil {
		return err
	}
	r := d.think()
	switch o.Type {
	case "enabled":
	case "adaptive":
		r.Adaptive = true
	case "disabled":
		r.Off = true
		return nil
	default:
		return refuse("thinking.type", "invalid_value", "Invalid value: '%s'. Supported values of 'thinking.type' are: 'enabled', 'adaptive', and 'disabled'.", clip(o.Type))
	}
	r.Budget, r.Summary = o.Budget, o.Display
	return nil
}

// reasoning is {enabled, effort, max_tokens, exclude} of OpenRouter and Vercel, with the summary of OpenAI's Responses.
func (d *decoder) reasoning(raw []byte) error {
	var o struct {
		Enabled *bool  `json:"enabled"`
		Budget  int64  `json:"max_tokens"`
		Exclude bool   `json:"exclude"`
		Summary string `json:"summary"`
	}
	if err := object("reasoning", raw, &o); err != nil {
		return err
	}
	r := d.think()
	if o.Enabled != nil && !*o.Enabled {
		r.Off = true
		return nil
	}
	if r.Budget == 0 {
		r.Budget = o.Budget
	}
	if r.Summary == "" {
		r.Summary = o.Summary
	}
	if o.Exclude {
		r.Summary = "omitted"
	}
	if effort := jsonscan.Field(raw, "effort"); !jsonscan.IsNull(effort) {
		return d.setEffort("reasoning.effort", effort)
	}
	return nil
}
