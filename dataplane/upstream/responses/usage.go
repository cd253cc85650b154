// Package responses speaks OpenAI's Responses protocol to upstreams: what a request becomes, and what answers and event streams
// mean. OpenAI, Vercel AI Gateway and Perplexity's Agent API are served with it.
package responses

import (
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// maxTokens is more than any answer uses; a larger count is nonsense and counts as not reported.
const maxTokens = 1_000_000_000_000

// Usage reads what a response object reports; nil: nothing. The text must be valid JSON.
//
// input_tokens includes tokens read from and written to a cache, so those are taken out. OpenAI names them
// input_tokens_details.{cached_tokens,cache_write_tokens}, Perplexity and Vercel {cache_read,cache_creation}_input_tokens.
func Usage(response []byte) *pricing.Usage {
	raw := jsonscan.Field(response, "usage")
	input, ok := count(raw, "input_tokens")
	output, ok2 := count(raw, "output_tokens")
	if !ok || !ok2 {
		return nil
	}
	in := jsonscan.Field(raw, "input_tokens_details")
	read := max(positive(in, "cached_tokens"), positive(in, "cache_read_input_tokens"))
	write := max(positive(in, "cache_write_tokens"), positive(in, "cache_creation_input_tokens"))
	u := &pricing.Usage{Output: output, Reasoning: positive(jsonscan.Field(raw, "output_tokens_details"), "reasoning_tokens")}
	if u.Reasoning > u.Output {
		// Some count reasoning beside the output, as they do in chat completions.
		u.Output += u.Reasoning
	}
	u.CacheRead = min(read, input)
	u.CacheWrite = min(write, input-u.CacheRead)
	u.Input = input - u.CacheRead - u.CacheWrite
	u.Searches = searches(response, raw)
	return u
}

// searches is how often the web was searched: tool_usage.web_search.num_requests where OpenAI tells it, Perplexity's
// usage.tool_calls_details.search_web.invocation, or else the web_search_call items that are searches. Opening a page is
// an item too, and costs nothing of its own.
func searches(response, usage []byte) int64 {
	if n := positive(jsonscan.Field(jsonscan.Field(response, "tool_usage"), "web_search"), "num_requests"); n > 0 {
		return n
	}
	var n int64
	for name, tool := range jsonscan.Members(jsonscan.Field(usage, "tool_calls_details")) {
		if name == "search_web" || name == "web_search" {
			n += positive(tool, "invocation")
		}
	}
	if n > 0 {
		return n
	}
	for item := range jsonscan.Elements(jsonscan.Field(response, "output")) {
		if isSearch(item) {
			n++
		}
	}
	return n
}

// isSearch says that an output item is a search of the web.
func isSearch(item []byte) bool {
	if text(item, "type") != "web_search_call" {
		return false
	}
	action := text(jsonscan.Field(item, "action"), "type")
	return action == "" || action == "search"
}

// count reads a count of tokens that makes sense.
func count(object []byte, name string) (int64, bool) {
	n, ok := jsonscan.Int(jsonscan.Field(object, name))
	return n, ok && n >= 0 && n <= maxTokens
}

// positive is count, with 0 for what is none.
func positive(object []byte, name string) int64 {
	if n, ok := count(object, name); ok {
		return n
	}
	return 0
}

// text is an object's string member; empty: there is none.
func text(object []byte, name string) string {
	s, _ := jsonscan.String(jsonscan.Field(object, name))
	return s
}

// number is an object's integer member; 0: there is none.
func number(object []byte, name string) int64 {
	n, _ := jsonscan.Int(jsonscan.Field(object, name))
	return n
}
