package verify

import (
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// provider is one that can be asked directly.
type provider struct {
	name string
	kind snapshot.ProviderType
	// variables hold its key; the first that is set counts.
	variables []string
	// model is asked where none is named, and vectors for embeddings; empty: it has none.
	model   model
	vectors string
}

// providers in the order of the report. Their models are small ones of the catalogue that have most capabilities. Gemini's
// caches by itself and promises no hit, and Vercel's searches where the provider behind it does.
var providers = []provider{
	{"openai", snapshot.OpenAI, []string{"OPENAI_API_KEY"},
		model{"gpt-5-mini", []string{canText, canStream, canSee, canTools, canJSON, canThink, canSearch, canCache}}, "text-embedding-3-small"},
	{"anthropic", snapshot.Anthropic, []string{"ANTHROPIC_API_KEY"},
		model{"claude-haiku-4-5", []string{canText, canStream, canSee, canTools, canJSON, canThink, canSearch, canCache}}, ""},
	{"gemini", snapshot.Gemini, []string{"GEMINI_API_KEY"},
		model{"gemini-2.5-flash", []string{canText, canStream, canSee, canTools, canJSON, canThink, canSearch}}, ""},
	{"perplexity", snapshot.Perplexity, []string{"PERPLEXITY_API_KEY"},
		model{"perplexity/sonar", []string{canText, canStream, canSearch}}, ""},
	{"morph", snapshot.Morph, []string{"MORPH_API_KEY"},
		model{"morph-v3-fast", []string{canText, canStream}}, ""},
	{"vercel", snapshot.VercelAIGateway, []string{"AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_KEY"},
		model{"anthropic/claude-haiku-4.5", []string{canText, canStream, canSee, canTools, canJSON, canThink, canCache}}, ""},
}

func providerNames() string {
	names := make([]string, 0, len(providers))
	for _, p := range providers {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// providerOf finds one by its name; false: there is none.
func providerOf(name string) (provider, bool) {
	i := slices.IndexFunc(providers, func(p provider) bool { return p.name == name })
	if i < 0 {
		return provider{}, false
	}
	return providers[i], true
}

// key is the value of the first variable that is set; empty: none is.
func (p provider) key(getenv func(string) string) string {
	for _, v := range p.variables {
		if value := strings.TrimSpace(getenv(v)); value != "" {
			return value
		}
	}
	return ""
}
