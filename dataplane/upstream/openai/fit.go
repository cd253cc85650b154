package openai

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// The providers' public addresses, for Providers that name no other.
const (
	DefaultBaseURL = "https://api.openai.com/v1"
	// MorphBaseURL and VercelBaseURL are documented by them; wire.md section 5.
	MorphBaseURL  = "https://api.morphllm.com/v1"
	VercelBaseURL = "https://ai-gateway.vercel.sh/v1"
)

// defaultBaseURLs by type; compatible upstreams have none.
var defaultBaseURLs = map[snapshot.ProviderType]string{
	snapshot.OpenAI: DefaultBaseURL, snapshot.Morph: MorphBaseURL, snapshot.VercelAIGateway: VercelBaseURL,
}

// fits says what each type of provider serves, and how. What it has no endpoint for is translated to chat completions, but
// for embeddings, which nothing stands for.
var fits = map[snapshot.ProviderType]map[chat.Protocol]chat.Fit{
	snapshot.OpenAI: {
		chat.Completions: chat.Passes, chat.Responses: chat.Passes, chat.Embeddings: chat.Passes, chat.Messages: chat.Translates,
	},
	snapshot.OpenAICompatible: {
		chat.Completions: chat.Passes, chat.Embeddings: chat.Passes, chat.Messages: chat.Translates, chat.Responses: chat.Translates,
	},
	snapshot.Morph: {
		chat.Completions: chat.Passes, chat.Embeddings: chat.Passes, chat.Messages: chat.Translates, chat.Responses: chat.Translates,
	},
	// Vercel has an endpoint of Anthropic's protocol, too; its chat completions carry everything that Messages has a word for.
	snapshot.VercelAIGateway: {
		chat.Completions: chat.Passes, chat.Responses: chat.Passes, chat.Embeddings: chat.Passes, chat.Messages: chat.Translates,
	},
}

// Fit says how the provider serves a protocol; see chat.Upstream.
func (u *Upstream) Fit(p *snapshot.Provider, protocol chat.Protocol) chat.Fit {
	return fits[p.Type][protocol]
}

// baseURL is where the provider is.
func baseURL(p *snapshot.Provider) string {
	if p.BaseURL != "" {
		return p.BaseURL
	}
	return defaultBaseURLs[p.Type]
}
