package openai

import (
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// reportedSearches is how often the web was searched, as a usage object of chat completions tells it: OpenRouter's
// server_tool_use_details, Anthropic's server_tool_use, Perplexity's num_search_queries; 0: it does not.
func reportedSearches(usage []byte) int64 {
	return firstCount(
		jsonscan.Field(usage, "server_tool_use_details"), "web_search_requests",
		jsonscan.Field(usage, "server_tool_use"), "web_search_requests",
		usage, "num_search_queries",
	)
}

// billableSearches is the same as Vercel AI Gateway tells it, in the provider_metadata of a message or of a delta.
func billableSearches(message []byte) int64 {
	metadata := jsonscan.Field(message, "provider_metadata")
	return firstCount(jsonscan.Field(metadata, "gateway"), "billableWebSearchCalls")
}

// searched notes that the web was searched at least n times.
func searched(u *pricing.Usage, n int64) {
	if u != nil {
		u.Searches = max(u.Searches, n)
	}
}
