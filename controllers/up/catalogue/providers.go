package catalogue

import (
	"strings"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Provider is one real provider.
type Provider struct {
	// Name is the object's, Title for people.
	Name, Title string
	// Variables hold its key; the first that is set counts.
	Variables []string
	Type      v1alpha1.ProviderType
}

// vercel is the Provider that has models of the others.
const vercel = "vercel"

// Providers by the first part of their models' names, and Vercel AI Gateway, which has models of all.
var Providers = []Provider{
	{Name: "openai", Title: "OpenAI", Variables: []string{"OPENAI_API_KEY"}, Type: v1alpha1.ProviderOpenAI},
	{Name: "anthropic", Title: "Anthropic", Variables: []string{"ANTHROPIC_API_KEY"}, Type: v1alpha1.ProviderAnthropic},
	{Name: "google", Title: "Google", Variables: []string{"GEMINI_API_KEY"}, Type: v1alpha1.ProviderGemini},
	{Name: "perplexity", Title: "Perplexity", Variables: []string{"PERPLEXITY_API_KEY"}, Type: v1alpha1.ProviderPerplexity},
	{Name: "morph", Title: "Morph", Variables: []string{"MORPH_API_KEY"}, Type: v1alpha1.ProviderMorph},
	{Name: vercel, Title: "Vercel AI Gateway", Variables: []string{"AI_GATEWAY_API_KEY", "VERCEL_AI_GATEWAY_KEY"}, Type: v1alpha1.ProviderVercelAIGateway},
}

// find answers a provider by its name; the zero Provider: there is none.
func find(name string) Provider {
	for _, p := range Providers {
		if p.Name == name {
			return p
		}
	}
	return Provider{}
}

// key is the value of the first variable that is set, and can be a key; unfit are those before it that cannot, such as a
// placeholder with a character that no header can carry.
func (p Provider) key(getenv func(string) string) (key string, unfit []string) {
	for _, v := range p.Variables {
		value := strings.TrimSpace(getenv(v))
		switch {
		case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }):
			unfit = append(unfit, v)
		case value != "":
			return value, unfit
		}
	}
	return "", unfit
}
