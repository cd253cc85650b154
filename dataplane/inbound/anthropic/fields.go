package anthropic

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
	// Refused is refused by name, with any value but null.
	Refused Effect = "refused"
)

// Field is a top-level field of a request that an upstream's bill, or its choice of model, depends on. Fields that are not
// listed pass through untouched: they change neither.
type Field struct {
	Name   string
	Effect Effect
	// Why it is refused or limited, for people.
	Why string

	// read looks at the value; nil: the field is known only so that it stands once and in its exact spelling.
	read func(p *parser, raw []byte) error
}

// Fields lists the fields that change what a request costs, in the order in which they are judged.
func Fields() []Field { return append([]Field(nil), rules...) }

// Reasons, as people read them behind "Unsupported parameter: 'x': ".
const (
	routing  = "the gateway's administrator decides where a model is served"
	hosted   = "what runs at the provider beside the model is not priced by this gateway"
	faster   = "this gateway prices the standard speed only"
	region   = "regions with a price of their own are chosen by the gateway's administrator"
	account  = "whose account a provider charges is for the gateway's administrator to say"
	features = "betas are named in the header anthropic-beta"
	summing  = "a summary that the provider makes is not priced by this gateway"
	state    = "this gateway keeps no conversations; send the whole of it"
)

// rules are the fields that decide what a request needs or costs: those of Anthropic's API and of its betas (the types
// MessageCreateParams of its SDKs), and those by which proxies that speak it choose a model. A field of these that stands
// twice or in another case is refused, because an upstream may read the other one: what is priced is what is forwarded.
var rules = []Field{
	{Name: "thread", Effect: Refused, Why: state, read: (*parser).thread},
	{Name: "model", Effect: Needed, read: (*parser).model},
	{Name: "max_tokens", Effect: Bounded, read: (*parser).maxTokens},
	{Name: "messages", Effect: Needed, read: (*parser).messages},
	{Name: "system", Effect: Needed, read: (*parser).system},
	{Name: "stream", Effect: Needed, read: (*parser).stream},
	{Name: "tools", Effect: Limited, Why: hosted, read: (*parser).tools},
	{Name: "tool_choice", Effect: Needed, read: object("tool_choice")},
	{Name: "thinking", Effect: Bounded, read: (*parser).thinking},
	{Name: "output_config", Effect: Needed, read: (*parser).outputConfig},
	{Name: "output_format", Effect: Needed, read: (*parser).outputFormat},
	{Name: "cache_control", Effect: Bounded, read: (*parser).cacheControl},
	{Name: "context_management", Effect: Limited, Why: summing, read: (*parser).contextManagement},
	{Name: "service_tier", Effect: Limited, Why: faster, read: onlyText("service_tier", faster, "auto", "standard_only")},
	{Name: "speed", Effect: Limited, Why: faster, read: onlyText("speed", faster, "standard")},
	{Name: "inference_geo", Effect: Limited, Why: region, read: onlyText("inference_geo", region, "global")},
	{Name: "container", Effect: Refused, Why: hosted},
	{Name: "mcp_servers", Effect: Refused, Why: hosted},
	{Name: "compaction", Effect: Refused, Why: summing},
	{Name: "fallbacks", Effect: Refused, Why: routing},
	{Name: "fallback_credit_token", Effect: Refused, Why: account},
	{Name: "billing_policy", Effect: Refused, Why: account},
	{Name: "user_profile_id", Effect: Refused, Why: account},
	{Name: "workspace_id", Effect: Refused, Why: account},
	{Name: "betas", Effect: Refused, Why: features},
	{Name: "anthropic_beta", Effect: Refused, Why: features},
	{Name: "providerOptions", Effect: Refused, Why: routing},
	{Name: "provider_options", Effect: Refused, Why: routing},
	{Name: "models", Effect: Refused, Why: routing},
	{Name: "route", Effect: Refused, Why: routing},
	{Name: "provider", Effect: Refused, Why: routing},
	{Name: "preset", Effect: Refused, Why: routing},
	{Name: "transforms", Effect: Refused, Why: routing},
	{Name: "plugins", Effect: Refused, Why: hosted},
	{Name: "api_base", Effect: Refused, Why: routing},
	{Name: "base_url", Effect: Refused, Why: routing},
	{Name: "api_key", Effect: Refused, Why: routing},
	{Name: "custom_llm_provider", Effect: Refused, Why: routing},
	{Name: "extra_body", Effect: Refused, Why: "its members would be read behind this gateway's back; give them at the top"},
	{Name: "extra_headers", Effect: Refused, Why: routing},
	{Name: "extra_query", Effect: Refused, Why: routing},
}

// names are those of the rules, in their order.
var names = func() *chat.Names {
	list := make([]string, len(rules))
	for i, r := range rules {
		list[i] = r.Name
	}
	return chat.NewNames(list...)
}()
