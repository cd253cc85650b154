package responses

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Names of what an upstream may have nothing for, as chat completions call it.
const (
	ParamThoughts  = "reasoning_details"
	ParamReasoning = "reasoning_effort"
	ParamSearch    = "web_search_options"
	ParamStop      = "stop"
	ParamUser      = "user"
	ParamParallel  = "parallel_tool_calls"
	ParamFormat    = "response_format"
	ParamVerbosity = "verbosity"
	ParamLogprobs  = "logprobs"
	ParamLimit     = "max_completion_tokens"
)

// ownNames has what the other protocols call a parameter that chat completions have under another name.
var ownNames = map[chat.Protocol]map[string]string{
	chat.Messages: {
		ParamUser: "metadata.user_id", ParamParallel: "tool_choice.disable_parallel_tool_use", ParamStop: "stop_sequences",
		ParamReasoning: "thinking", ParamSearch: "tools.web_search", ParamThoughts: "messages.thinking", ParamFormat: "output_config.format",
		ParamLimit: "max_tokens",
	},
	chat.Responses: {
		ParamVerbosity: "text.verbosity", ParamLogprobs: "top_logprobs", ParamReasoning: "reasoning", ParamSearch: "tools.web_search",
		ParamThoughts: "input.reasoning", ParamFormat: "text.format", ParamLimit: "max_output_tokens",
	},
}

// Drops collects what a translated request leaves out, by the client's names.
type Drops struct {
	// Protocol is the client's.
	Protocol chat.Protocol

	parameters, rules []string
}

// Parameter notes a parameter that the upstream has nothing for. of names a part of it.
func (d *Drops) Parameter(name string, of ...string) { d.note(&d.parameters, name, of) }

// Rule notes something that never goes to the upstream's models, and is no reason to refuse.
func (d *Drops) Rule(name string) { d.note(&d.rules, name, nil) }

func (d *Drops) note(list *[]string, name string, of []string) {
	if own := ownNames[d.Protocol][name]; own != "" {
		name = own
	}
	name = strings.Join(append([]string{name}, of...), ".")
	if !slices.Contains(*list, name) {
		*list = append(*list, name)
	}
}

// All are the names, for chat.Response.Dropped.
func (d *Drops) All() []string { return append(slices.Clone(d.parameters), d.rules...) }

// Refused is the *chat.Error for a strict call that has parameters the upstream has nothing for; nil: nothing is refused.
func (d *Drops) Refused(c chat.Call) error {
	if !c.Strict || len(d.parameters) == 0 {
		return nil
	}
	return Unsupported(d.parameters[0])
}

// Unsupported is the refusal of a parameter.
func Unsupported(name string) *chat.Error {
	return Invalid("unsupported_parameter", name, fmt.Sprintf("Unsupported parameter: '%s' is not supported with this model.", name))
}

// Invalid is the refusal of a request that cannot be said in the upstream's words.
func Invalid(code, param, message string) *chat.Error {
	return &chat.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: code, Param: param, Message: message}
}
