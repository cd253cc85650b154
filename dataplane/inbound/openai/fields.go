package openai

import "github.com/layers-dev/layers/dataplane/chat"

// Effect is what the gateway does about a field that changes what a request costs.
type Effect string

// Effects.
const (
	// Needed decides what is called, or what the model must be able to do.
	Needed Effect = "needed"
	// Bounded makes the answer dearer, and the hold with it.
	Bounded Effect = "bounded"
	// Limited is taken with the values that cost what the model's price says, and refused by name with others.
	Limited Effect = "limited"
	// Evened is Limited, but well-known values that cost otherwise become one that does not, and the field is named among what
	// was dropped: the answer is the same, at another speed or without a list beside it.
	Evened Effect = "evened"
	// Refused is refused by name, with any value but null.
	Refused Effect = "refused"
)

// Field is a top-level field of a chat completion request that an upstream's bill, or its choice of model, depends on.
// Fields that are not listed pass through untouched: they change neither.
type Field struct {
	Name   string
	Effect Effect
	// Upstreams are those that are known to read it. An OpenAI-compatible address may be any of them, so that the field means
	// the same whichever provider serves the model.
	Upstreams string
	// Why it is refused or limited, for people.
	Why string

	// read looks at the value; nil: the field is known only so that it stands once and in its exact spelling.
	read func(p *parser, raw []byte) error
}

// Fields lists the fields that change what a request costs, in the order in which they are judged.
func Fields() []Field { return append([]Field(nil), rules...) }

// Reasons, as people read them behind "Unsupported parameter: 'x': ".
const (
	routing   = "the gateway's administrator decides where a model is served"
	audio     = "audio is not priced by this gateway"
	search    = "this gateway searches the web with 'web_search_options' and tools of type 'web_search'"
	faster    = "this gateway prices the standard speed only"
	hidden    = "it adds input that this gateway cannot see and so cannot price"
	hosted    = "what runs at the provider beside the model is not priced by this gateway"
	later     = "answers that come later cannot be charged to this request"
	images    = "images that a model makes are not priced by this gateway"
	retention = "this gateway prices prompt caches of five minutes and of one hour"
	memory    = "this gateway prices prompt caches of a few minutes only"
	features  = "features of a beta may have prices of their own"
	samples   = "answers that are thrown away cannot be counted"
)

// everyone reads the fields of OpenAI's API itself.
const everyone = "all"

// rules are the fields that decide what a request needs or costs. A field of these that stands twice or in another case is
// refused, because an upstream may read the other one: what is priced is what is forwarded.
var rules = []Field{
	{Name: "model", Effect: Needed, Upstreams: everyone, read: (*parser).model},
	{Name: "messages", Effect: Needed, Upstreams: everyone, read: (*parser).messages},
	{Name: "stream", Effect: Needed, Upstreams: everyone, read: (*parser).stream},
	{Name: "stream_options", Effect: Needed, Upstreams: everyone, read: (*parser).streamOptions},
	{Name: "max_tokens", Effect: Bounded, Upstreams: everyone, read: maxTokens("max_tokens")},
	{Name: "max_completion_tokens", Effect: Bounded, Upstreams: everyone, read: maxTokens("max_completion_tokens")},
	{Name: "max_output_tokens", Effect: Bounded, Upstreams: "Google, Perplexity, proxies of OpenAI's Responses", read: maxTokens("max_output_tokens")},
	{Name: "max_new_tokens", Effect: Bounded, Upstreams: "Hugging Face", read: maxTokens("max_new_tokens")},
	{Name: "n", Effect: Bounded, Upstreams: everyone, read: (*parser).choices},
	{Name: "prediction", Effect: Bounded, Upstreams: "OpenAI, Fireworks, Morph", read: (*parser).prediction},
	{Name: "tools", Effect: Limited, Upstreams: everyone, Why: hosted, read: (*parser).tools},
	{Name: "web_search_options", Effect: Bounded, Upstreams: "OpenAI, OpenRouter, Perplexity", read: (*parser).searchOptions},
	{Name: "functions", Effect: Needed, Upstreams: everyone, read: (*parser).functions},
	{Name: "response_format", Effect: Needed, Upstreams: everyone, read: (*parser).responseFormat},
	{Name: "reasoning_effort", Effect: Needed, Upstreams: everyone, read: (*parser).reasoningEffort},
	{Name: "reasoning", Effect: Bounded, Upstreams: "Vercel AI Gateway, OpenRouter", read: (*parser).reasoning},
	{Name: "thinking", Effect: Bounded, Upstreams: "Anthropic, DeepSeek, Moonshot", read: (*parser).thinking},
	{Name: "thinking_budget", Effect: Bounded, Upstreams: "Alibaba, SiliconFlow", read: extraTokens("thinking_budget")},

	{Name: "service_tier", Effect: Evened, Upstreams: "OpenAI, OpenRouter, Groq, Fireworks", Why: faster, read: tier},
	{Name: "speed", Effect: Limited, Upstreams: "Anthropic, Vercel AI Gateway, OpenRouter", Why: faster, read: onlyText("speed", faster, "standard")},
	{Name: "inference_geo", Effect: Limited, Upstreams: "Anthropic", Why: "regions with a price of their own are chosen by the gateway's administrator", read: onlyText("inference_geo", "regions with a price of their own are chosen by the gateway's administrator", "global")},
	{Name: "prompt_cache_retention", Effect: Limited, Upstreams: "OpenAI", Why: memory, read: onlyText("prompt_cache_retention", memory, "in_memory", "in-memory")},
	{Name: "cache_control", Effect: Limited, Upstreams: "Anthropic, Vercel AI Gateway, OpenRouter", Why: retention, read: (*parser).cacheControl},
	{Name: "cache", Effect: Limited, Upstreams: "none: this gateway alone reads it", Why: retention, read: (*parser).cache},
	{Name: "modalities", Effect: Limited, Upstreams: "OpenAI, OpenRouter", Why: images, read: (*parser).modalities},
	{Name: "best_of", Effect: Limited, Upstreams: "OpenAI's older API, vLLM, Fireworks", Why: samples, read: onlyOne("best_of")},
	{Name: "candidate_count", Effect: Limited, Upstreams: "Google", Why: samples, read: onlyOne("candidate_count")},
	{Name: "num_return_sequences", Effect: Limited, Upstreams: "Hugging Face", Why: samples, read: onlyOne("num_return_sequences")},
	{Name: "use_beam_search", Effect: Limited, Upstreams: "vLLM", Why: samples, read: onlyOff("use_beam_search", samples)},
	{Name: "background", Effect: Limited, Upstreams: "OpenAI", Why: later, read: onlyOff("background", later)},
	{Name: "deferred", Effect: Limited, Upstreams: "xAI", Why: later, read: onlyOff("deferred", later)},
	{Name: "enable_search", Effect: Limited, Upstreams: "Alibaba", Why: search, read: onlyOff("enable_search", search)},
	{Name: "enable_code_interpreter", Effect: Limited, Upstreams: "Alibaba", Why: hosted, read: onlyOff("enable_code_interpreter", hosted)},
	{Name: "return_images", Effect: Evened, Upstreams: "Perplexity", Why: search, read: withoutImages},

	{Name: "audio", Effect: Refused, Upstreams: "OpenAI, Alibaba", Why: audio},
	{Name: "image_config", Effect: Refused, Upstreams: "OpenRouter", Why: images},
	{Name: "web_search", Effect: Refused, Upstreams: "Baidu, several proxies", Why: search},
	{Name: "search_parameters", Effect: Refused, Upstreams: "xAI", Why: search},
	{Name: "search_options", Effect: Refused, Upstreams: "Alibaba", Why: search},
	{Name: "search_settings", Effect: Refused, Upstreams: "Groq", Why: search},
	{Name: "compound_custom", Effect: Refused, Upstreams: "Groq", Why: hosted},
	{Name: "connectors", Effect: Refused, Upstreams: "Cohere", Why: hosted},
	{Name: "mcp_servers", Effect: Refused, Upstreams: "Anthropic", Why: hosted},
	{Name: "container", Effect: Refused, Upstreams: "Anthropic", Why: hosted},
	{Name: "context_management", Effect: Refused, Upstreams: "Anthropic, OpenAI", Why: hosted},
	{Name: "betas", Effect: Refused, Upstreams: "Anthropic", Why: features},
	{Name: "anthropic_beta", Effect: Refused, Upstreams: "Anthropic on other clouds", Why: features},
	{Name: "previous_response_id", Effect: Refused, Upstreams: "OpenAI, xAI", Why: hidden},
	{Name: "conversation", Effect: Refused, Upstreams: "OpenAI", Why: hidden},
	{Name: "prompt", Effect: Refused, Upstreams: "OpenAI, OpenRouter", Why: hidden},
	{Name: "cached_content", Effect: Refused, Upstreams: "Google", Why: hidden},
	{Name: "providerOptions", Effect: Refused, Upstreams: "Vercel AI Gateway", Why: routing},
	{Name: "provider_options", Effect: Refused, Upstreams: "Vercel AI Gateway's SDKs", Why: routing},
	{Name: "models", Effect: Refused, Upstreams: "OpenRouter, Vercel AI Gateway", Why: routing},
	{Name: "route", Effect: Refused, Upstreams: "OpenRouter", Why: routing},
	{Name: "provider", Effect: Refused, Upstreams: "OpenRouter", Why: routing},
	{Name: "preset", Effect: Refused, Upstreams: "OpenRouter, Perplexity", Why: routing},
	{Name: "transforms", Effect: Refused, Upstreams: "OpenRouter", Why: routing},
	{Name: "plugins", Effect: Refused, Upstreams: "OpenRouter", Why: "plugins are not priced by this gateway"},
	{Name: "fallbacks", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
	{Name: "context_window_fallbacks", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
	{Name: "api_base", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
	{Name: "base_url", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
	{Name: "api_key", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
	{Name: "custom_llm_provider", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
	{Name: "extra_body", Effect: Refused, Upstreams: "Google, LiteLLM", Why: "its members would be read behind this gateway's back; give them at the top"},
	{Name: "extra_headers", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
	{Name: "extra_query", Effect: Refused, Upstreams: "LiteLLM", Why: routing},
}

// names are those of the rules, in their order.
var names = func() *chat.Names {
	list := make([]string, len(rules))
	for i, r := range rules {
		list[i] = r.Name
	}
	return chat.NewNames(list...)
}()
