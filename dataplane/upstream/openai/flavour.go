package openai

import (
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// flavour is how a provider's chat completions differ from each other's, where a request is translated to them. (What passes
// is in the client's words.)
type flavour struct {
	model model
	// official is OpenAI itself; router sends to others' models by ids like creator/model, and has reasoning_details.
	official, router bool
	// creator is the model's, where the provider is a router: anthropic, google, openai, ...
	creator string
	// morph is Morph.
	morph bool
}

func flavourOf(c chat.Call) flavour {
	f := flavour{model: modelOf(c.Model), official: official(c), morph: c.Provider.Type == snapshot.Morph}
	if creator, _, found := strings.Cut(c.Model, "/"); found {
		f.creator = creator
	}
	f.router = c.Provider.Type == snapshot.VercelAIGateway
	return f
}

// thoughts is the format of signed thoughts that the model takes back; empty: none.
func (f flavour) thoughts() string {
	if !f.router {
		return ""
	}
	return map[string]string{"anthropic": chat.FormatAnthropic, "google": chat.FormatGemini, "openai": chat.FormatOpenAI}[f.creator]
}

// plainThoughts says that the model wants its reasoning back, as reasoning_content, with the calls that it led to. DeepSeek
// refuses a tool loop without it, and others reason worse.
func (f flavour) plainThoughts() bool {
	return !f.official && !f.router && named(f.model.id, "deepseek", "kimi", "glm", "minimax", "qwen", "mimo")
}

// google says that Google's own compatible endpoint, or one like it, serves one of its models: calls keep their signatures.
func (f flavour) google() bool { return !f.router && !f.official && named(f.model.id, "gemini") }

// marks says that cache breakpoints are of use.
func (f flavour) marks() bool { return f.router && f.creator == "anthropic" }

// arrays says that content is taken as an array where it has several texts; not every compatible upstream can.
func (f flavour) arrays() bool { return f.official || f.router }

func named(id string, names ...string) bool {
	id = strings.ToLower(id)
	for _, n := range names {
		if strings.Contains(id, n) {
			return true
		}
	}
	return false
}
