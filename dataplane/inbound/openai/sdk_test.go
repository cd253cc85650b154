package openai

import (
	"encoding/json"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// The official client reads what is written, whole and streamed, as the same answer.
func TestOfficialClientReads(t *testing.T) {
	r := asked(t, `"stream":true,"stream_options":{"include_usage":true}`)
	total := chat.Total{Usage: pricing.Usage{Input: 5, CacheRead: 2, Output: 9, Reasoning: 4}, CostUSD: "0.1"}
	rapid.Check(t, func(t *rapid.T) {
		parts := drawTurn(t)
		body, err := Completions{}.Answer(r, &chat.Answer{Choices: []chat.Choice{stopped(parts...)}}, total)
		if err != nil {
			t.Fatal(err)
		}
		var whole sdk.ChatCompletion
		if err := json.Unmarshal(body, &whole); err != nil {
			t.Fatal(err)
		}
		w := Completions{}.Stream(r)
		var out []byte
		for _, p := range pieces(parts) {
			out = w.Write(out, &p)
		}
		lines := dataLines(w.End(out, total))
		acc := sdk.ChatCompletionAccumulator{}
		for _, line := range lines[:len(lines)-1] {
			var chunk sdk.ChatCompletionChunk
			if err := json.Unmarshal([]byte(line), &chunk); err != nil {
				t.Fatal(err)
			}
			if !acc.AddChunk(chunk) {
				t.Fatalf("the accumulator refuses %s", line)
			}
		}
		checkRead(t, parts, &whole)
		checkRead(t, parts, &acc.ChatCompletion)
		if acc.ID != whole.ID || acc.Model != "m" || acc.Choices[0].FinishReason != whole.Choices[0].FinishReason {
			t.Fatalf("%+v", acc.ChatCompletion)
		}
	})
}

func checkRead(t *rapid.T, parts []chat.Part, got *sdk.ChatCompletion) {
	content, calls := "", 0
	m := got.Choices[0].Message
	for _, p := range parts {
		switch p.Kind {
		case chat.PartText:
			content += p.Text
		case chat.PartCall:
			if calls >= len(m.ToolCalls) {
				t.Fatalf("%d calls", calls)
			}
			c := m.ToolCalls[calls]
			id, _, _ := uncarry(c.ID)
			if id != p.Call.ID || c.Type != "function" || c.Function.Name != p.Call.Name || c.Function.Arguments != p.Call.Arguments {
				t.Fatalf("call %d is %+v", calls, c)
			}
			calls++
		}
	}
	if m.Content != content || len(m.ToolCalls) != calls || m.Role != "assistant" {
		t.Fatalf("%+v", m)
	}
	u := got.Usage
	if u.PromptTokens != 7 || u.CompletionTokens != 9 || u.TotalTokens != 16 || u.PromptTokensDetails.CachedTokens != 2 || u.CompletionTokensDetails.ReasoningTokens != 4 {
		t.Fatalf("%+v", u)
	}
}
