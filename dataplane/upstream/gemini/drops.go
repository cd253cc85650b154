package gemini

import (
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Parameters that are not always served. The client's protocol names them.
const (
	paramUser      = "user"
	paramVerbosity = "verbosity"
	paramParallel  = "parallel_tool_calls"
	paramStop      = "stop"
	paramLogprobs  = "logprobs"
	paramLogitBias = "logit_bias"
	paramReasoning = "reasoning_effort"
	paramSearch    = "web_search_options"
	paramThoughts  = "reasoning_details"
	paramFormat    = "response_format"
)

// names has what the other protocols call a parameter that chat completions have under another name.
var names = map[chat.Protocol]map[string]string{
	chat.Messages: {
		paramUser: "metadata.user_id", paramParallel: "tool_choice.disable_parallel_tool_use", paramStop: "stop_sequences",
		paramReasoning: "thinking", paramSearch: "tools.web_search", paramThoughts: "messages.thinking", paramFormat: "output_config.format",
	},
	chat.Responses: {
		paramVerbosity: "text.verbosity", paramLogprobs: "top_logprobs", paramReasoning: "reasoning", paramSearch: "tools.web_search",
		paramThoughts: "input.reasoning", paramFormat: "text.format",
	},
}

// drops collects what is left out.
type drops struct {
	protocol chat.Protocol
	// parameters are refused where a call is strict; others are left out by rule.
	parameters, others []string
}

// parameter notes one that the model has nothing for. of names a part of it.
func (d *drops) parameter(name string, of ...string) { d.note(&d.parameters, name, of) }

// rule notes something that never goes to the model.
func (d *drops) rule(name string) { d.note(&d.others, name, nil) }

func (d *drops) note(list *[]string, name string, of []string) {
	if own := names[d.protocol][name]; own != "" {
		name = own
	}
	for _, part := range of {
		name += "." + part
	}
	if !slices.Contains(*list, name) {
		*list = append(*list, name)
	}
}

func (d *drops) all() []string { return append(slices.Clone(d.parameters), d.others...) }
