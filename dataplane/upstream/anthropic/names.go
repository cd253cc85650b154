package anthropic

import "github.com/layers-dev/layers/dataplane/chat"

// responsesNames has what Responses call a parameter that chat completions have under another name.
var responsesNames = map[string]string{
	"verbosity": "text.verbosity", "logprobs": "top_logprobs", "reasoning_effort": "reasoning", "reasoning_details": "input.reasoning",
	"web_search_options.search_context_size": "tools.web_search.search_context_size",
}

// own is the client's name of a parameter that chat completions know by name.
func (b *builder) own(name string) string {
	if other := responsesNames[name]; other != "" && b.call.Request.Protocol == chat.Responses {
		return other
	}
	return name
}
