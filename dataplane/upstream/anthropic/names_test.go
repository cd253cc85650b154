package anthropic

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// What is left out is told in the client's own words.
func TestNames(t *testing.T) {
	for protocol, want := range map[chat.Protocol][]string{
		chat.Completions: {"logprobs", "reasoning_details", "verbosity", "web_search_options.search_context_size"},
		chat.Responses:   {"input.reasoning", "text.verbosity", "tools.web_search.search_context_size", "top_logprobs"},
	} {
		p := hello()
		p.Logprobs, p.Verbosity, p.Search = true, "low", &chat.Search{ContextSize: "high"}
		p.Messages = append(p.Messages, chat.Message{Role: chat.Assistant, Parts: []chat.Part{
			{Kind: chat.PartThought, Thought: &chat.Thought{Encrypted: "x", Format: chat.FormatOpenAI}}, {Kind: chat.PartText, Text: "yes"},
		}}, says(chat.User, "so?"))
		c := translated(t, "", p, false)
		request := *c.Request
		request.Protocol, c.Request = protocol, &request
		_, _, dropped, err := build(c, p)
		if d := cmp.Diff(want, dropped); d != "" || err != nil {
			t.Error(protocol, d, err)
		}
	}
}

// What Gemini signed is no thought of its own: it goes nowhere, and is named.
func TestGeminisSignatures(t *testing.T) {
	for name, part := range map[string]chat.Part{
		"text": {Kind: chat.PartText, Text: "yes", Signature: "g"},
		"call": {Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c", Name: "f", Signature: "g"}},
	} {
		p := hello()
		p.Messages = append(p.Messages, chat.Message{Role: chat.Assistant, Parts: []chat.Part{part}}, gives(words("so?")))
		if name == "call" {
			p.Messages[len(p.Messages)-1] = gives(result("c", "r"))
		}
		_, _, dropped, err := build(translated(t, "", p, false), p)
		if d := cmp.Diff([]string{"reasoning_details"}, dropped); d != "" || err != nil {
			t.Error(name, d, err)
		}
	}
}
