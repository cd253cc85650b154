package openai

import "strings"

// rule says what a top-level field of a chat completion request means to the gateway. Fields without a rule pass through
// untouched.
type rule struct {
	name string
	// read looks at the value; nil: the field is known only so that it stands once and in its exact spelling.
	read func(p *parser, raw []byte) error
	// refused is why a value other than null is refused; empty: it is not.
	refused string
}

const (
	routing = "the gateway's administrator decides where a model is served"
	audio   = "audio is not priced by this gateway"
	search  = "web search is not priced by this gateway"
)

// rules are the fields that decide what a request needs or costs, in the order in which they are judged. A field of these
// that stands twice or in another case is refused, because an upstream may read the other one: what is priced is what is
// forwarded.
var rules = []rule{
	{name: "model", read: (*parser).model},
	{name: "messages", read: (*parser).messages},
	{name: "stream", read: (*parser).stream},
	{name: "stream_options", read: (*parser).streamOptions},
	{name: "max_tokens", read: maxTokens("max_tokens")},
	{name: "max_completion_tokens", read: maxTokens("max_completion_tokens")},
	{name: "n", read: (*parser).choices},
	{name: "tools", read: (*parser).tools},
	{name: "functions", read: (*parser).functions},
	{name: "response_format", read: (*parser).responseFormat},
	{name: "reasoning_effort", read: (*parser).reasoningEffort},
	{name: "reasoning", read: (*parser).reasoning},
	{name: "service_tier", read: (*parser).serviceTier},
	{name: "modalities", read: (*parser).modalities},
	// OpenAI: audio tokens have prices of their own.
	{name: "audio", refused: audio},
	// OpenAI: a price for each search.
	{name: "web_search_options", refused: search},
	// xAI: a price for each source.
	{name: "search_parameters", refused: search},
	// Vercel AI Gateway: order, only, models.
	{name: "providerOptions", refused: routing},
	// OpenRouter and Vercel: other models to fall back to, at their own price.
	{name: "models", refused: routing},
	// OpenRouter: how to fall back.
	{name: "route", refused: routing},
	// OpenRouter: which hosts, at which price.
	{name: "provider", refused: routing},
	// OpenRouter and Perplexity: a stored configuration that names a model.
	{name: "preset", refused: routing},
	// OpenRouter: web search and file parsing, billed apart.
	{name: "plugins", refused: "plugins are not priced by this gateway"},
	// OpenRouter: rewrites the messages.
	{name: "transforms", refused: routing},
	// LiteLLM: other models to fall back to.
	{name: "fallbacks", refused: routing},
}

// exact finds a rule by its name.
var exact = func() map[string]int {
	m := make(map[string]int, len(rules))
	for i, r := range rules {
		m[r.name] = i
	}
	return m
}()

// like finds the rule that a name spells in another case, by the folding that lenient JSON readers use; -1: none.
func like(name string) int {
	for i := range rules {
		if strings.EqualFold(rules[i].name, name) {
			return i
		}
	}
	return -1
}
