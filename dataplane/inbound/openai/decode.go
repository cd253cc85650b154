package openai

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// decoder reads a body that Parse has taken into a prompt. Its methods return a *chat.Error with status 400.
type decoder struct {
	prompt chat.Prompt
	// turns is what the messages so far lead to.
	turns turns
	// choice is how the client chose among the tools, judged when all of them are known.
	choice toolChoice
}

// step reads one top-level member; a nil read takes a member that says nothing to an upstream of another protocol: what the
// gateway has read already, or a field of which Parse lets the neutral value alone pass.
type step struct {
	name string
	read func(d *decoder, raw []byte) error
}

// steps in the order in which they are taken: of several names for one thing the first given counts.
var steps = []step{
	{"model", nil},
	{"stream", nil},
	{"stream_options", nil},
	{"messages", (*decoder).messages},
	{"tools", (*decoder).tools},
	{"functions", (*decoder).functions},
	{"tool_choice", (*decoder).toolChoice},
	{"function_call", (*decoder).functionCall},
	{"parallel_tool_calls", (*decoder).parallel},
	{"web_search_options", (*decoder).searchOptions},
	{"response_format", (*decoder).format},
	{"thinking", (*decoder).thinking},
	{"reasoning", (*decoder).reasoning},
	{"reasoning_effort", (*decoder).effort},
	{"thinking_budget", (*decoder).thinkingBudget},
	{"max_completion_tokens", (*decoder).limit},
	{"max_tokens", (*decoder).limit},
	{"max_output_tokens", (*decoder).limit},
	{"max_new_tokens", (*decoder).limit},
	{"n", (*decoder).choices},
	{"stop", (*decoder).stop},
	{"temperature", number("temperature", 0, 2, func(p *chat.Prompt) *json.Number { return &p.Temperature })},
	{"top_p", number("top_p", 0, 1, func(p *chat.Prompt) *json.Number { return &p.TopP })},
	{"presence_penalty", number("presence_penalty", -2, 2, func(p *chat.Prompt) *json.Number { return &p.PresencePenalty })},
	{"frequency_penalty", number("frequency_penalty", -2, 2, func(p *chat.Prompt) *json.Number { return &p.FrequencyPenalty })},
	{"top_k", whole("top_k", func(p *chat.Prompt) **int64 { return &p.TopK })},
	{"seed", whole("seed", func(p *chat.Prompt) **int64 { return &p.Seed })},
	{"logprobs", (*decoder).logprobs},
	{"top_logprobs", (*decoder).topLogprobs},
	{"logit_bias", (*decoder).logitBias},
	{"user", (*decoder).user},
	{"safety_identifier", (*decoder).user},
	{"verbosity", (*decoder).verbosity},
	{"cache", (*decoder).cache},
	{"cache_control", (*decoder).cacheControl},
	{"service_tier", nil},
	{"speed", nil},
	{"inference_geo", nil},
	{"prompt_cache_retention", nil},
	{"modalities", nil},
	{"best_of", nil},
	{"candidate_count", nil},
	{"num_return_sequences", nil},
	{"use_beam_search", nil},
	{"background", nil},
	{"deferred", nil},
	{"enable_search", nil},
	{"enable_code_interpreter", nil},
	{"return_images", nil},
}

// stepNames are the members that steps take.
var stepNames = func() map[string]bool {
	m := make(map[string]bool, len(steps))
	for _, s := range steps {
		m[s.name] = true
	}
	return m
}()

// decode reads a body, and the members that were found in it, into a prompt.
func decode(body []byte, fields jsonscan.Object) (*chat.Prompt, error) {
	d := &decoder{prompt: chat.Prompt{Choices: 1}}
	for _, s := range steps {
		raw := fields.Value(body, s.name)
		if s.read == nil || jsonscan.IsNull(raw) {
			continue
		}
		if err := s.read(d, raw); err != nil {
			return nil, err
		}
	}
	if err := d.choose(); err != nil {
		return nil, err
	}
	d.others(body, fields)
	return &d.prompt, nil
}

// others keeps what no step takes, the last of each name, where it was first.
func (d *decoder) others(body []byte, fields jsonscan.Object) {
	for _, m := range fields {
		value := fields.Value(body, m.Name)
		if stepNames[m.Name] || jsonscan.IsNull(value) || m.Name == "store" && string(value) == "false" {
			continue
		}
		if !slices.ContainsFunc(d.prompt.Others, func(p chat.Parameter) bool { return p.Name == m.Name }) {
			d.prompt.Others = append(d.prompt.Others, chat.Parameter{Name: m.Name, Value: value})
		}
	}
}

// object reads a JSON object into a struct. Param names it in an error.
func object(param string, raw []byte, into any) error {
	if raw[0] != '{' {
		return wrongType(param, "an object", raw)
	}
	return value(param, raw, into)
}

func value(param string, raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field != "" {
			param += "." + wrong.Field
		}
		return refuse(param, "invalid_type", "Invalid type for '%s': a %s is not expected there.", param, wrong.Value)
	}
	return refuse(param, "invalid_value", "Invalid '%s'.", param)
}

// at names an element of an array.
func at(param string, i int) string { return param + "[" + strconv.Itoa(i) + "]" }
