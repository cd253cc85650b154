package perplexity

import (
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

// A call that Gemini signed keeps its signature for Google's models alone.
func TestSignaturesGoToTheirMaker(t *testing.T) {
	for model, want := range map[string]bool{"google/gemini-3.5-flash": true, "openai/gpt-5.6-sol": false, "sonar": false, "high": false} {
		p := hi()
		p.Messages = append(p.Messages,
			chat.Message{Role: chat.Assistant, Parts: []chat.Part{{Kind: chat.PartCall, Call: &chat.ToolCall{ID: "c", Name: "f", Signature: "sig"}}}},
			chat.Message{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartResult, Result: &chat.Result{ID: "c", Name: "f"}}}})
		body, dropped, err := prepare(call("", model, p, false))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(body), `"thought_signature":"sig"`); got != want || len(dropped) > 0 == want {
			t.Errorf("%s: sent %v, dropped %v", model, got, dropped)
		}
	}
}
