package openai

import (
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestFit(t *testing.T) {
	protocols := []chat.Protocol{chat.Completions, chat.Responses, chat.Messages, chat.Embeddings, chat.CountTokens}
	for kind, want := range map[snapshot.ProviderType][5]chat.Fit{
		snapshot.OpenAI:           {chat.Passes, chat.Passes, chat.Translates, chat.Passes, chat.Unfit},
		snapshot.OpenAICompatible: {chat.Passes, chat.Translates, chat.Translates, chat.Passes, chat.Unfit},
		snapshot.Morph:            {chat.Passes, chat.Translates, chat.Translates, chat.Passes, chat.Unfit},
		snapshot.VercelAIGateway:  {chat.Passes, chat.Passes, chat.Translates, chat.Passes, chat.Unfit},
		snapshot.Anthropic:        {},
	} {
		for i, p := range protocols {
			if got := newUpstream(t).Fit(&snapshot.Provider{Type: kind}, p); got != want[i] {
				t.Errorf("%s, %s: got %d, want %d", kind, p, got, want[i])
			}
		}
	}
}

func TestBaseURL(t *testing.T) {
	for want, p := range map[string]snapshot.Provider{
		DefaultBaseURL:        {Type: snapshot.OpenAI},
		MorphBaseURL:          {Type: snapshot.Morph},
		VercelBaseURL:         {Type: snapshot.VercelAIGateway},
		"http://elsewhere/v1": {Type: snapshot.OpenAI, BaseURL: "http://elsewhere/v1"},
	} {
		if got := baseURL(&p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
