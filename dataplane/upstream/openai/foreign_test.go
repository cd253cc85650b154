package openai

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// What a model has signed goes back to its maker's models alone, also where the bytes pass.
func TestForeignThoughts(t *testing.T) {
	const (
		claude = `{"type":"reasoning.text","text":"c","signature":"s","format":"anthropic-claude-v1","index":0}`
		gemini = `{"type":"reasoning.encrypted","data":"g","format":"google-gemini-v1","index":1}`
		gpt    = `{"type":"reasoning.encrypted","data":"o","id":"rs_1","format":"openai-responses-v1","index":2}`
		grok   = `{"type":"reasoning.encrypted","data":"x","format":"xai-responses-v1","index":3}`
		plain  = `{"type":"reasoning.text","text":"p"}`
		blocks = `,"thinking_blocks":[{"type":"thinking","thinking":"c","signature":"s"}]`
		extra  = `,"extra_content":{"google":{"thought_signature":"g"}}`
		all    = claude + "," + gemini + "," + gpt + "," + grok + "," + plain
	)
	body := func(details, blocks, extra string) string {
		if details != "" {
			details = `,"reasoning_details":[` + details + `]`
		}
		return `{"model":"m","messages":[{"role":"assistant","content":null` + details + blocks + `,"tool_calls":[{"id":"a"` + extra + `}]}]}`
	}
	for name, c := range map[string]struct {
		kind     snapshot.ProviderType
		model    string
		in, want string
		dropped  []string
	}{
		"Claude on Vercel":    {vercel, "anthropic/claude-opus-5", body(all, blocks, extra), body(claude+","+grok+","+plain, blocks, ""), []string{"reasoning_details", "extra_content"}},
		"Gemini on Vercel":    {vercel, "google/gemini-3.5-flash", body(all, blocks, extra), body(gemini+","+grok+","+plain, "", extra), []string{"reasoning_details", "thinking_blocks"}},
		"another on Vercel":   {vercel, "xai/grok-5", body(all, blocks, extra), body(grok+","+plain, "", ""), []string{"reasoning_details", "thinking_blocks", "extra_content"}},
		"Claude elsewhere":    {compatible, "anthropic/claude-sonnet-5", body(all, blocks, extra), body(claude+","+grok+","+plain, blocks, ""), []string{"reasoning_details", "extra_content"}},
		"Gemini elsewhere":    {compatible, "gemini-3.5-flash", body(gemini, "", extra), body(gemini, "", extra), nil},
		"OpenAI's elsewhere":  {compatible, "openai/gpt-5.1", body(gpt+","+claude, "", ""), body(gpt, "", ""), []string{"reasoning_details"}},
		"nothing of its own":  {snapshot.Morph, "morph-x", body(claude, blocks, extra), body("", "", ""), []string{"reasoning_details", "thinking_blocks", "extra_content"}},
		"no makers":           {compatible, "m1", body(plain, "", ""), body(plain, "", ""), nil},
		"names in a text":     {compatible, "m1", `{"model":"m","messages":[ {"role":"user","content":"\"thinking_blocks\""} ]}`, `{"model":"m","messages":[ {"role":"user","content":"\"thinking_blocks\""} ]}`, nil},
		"null and not a list": {compatible, "m1", `{"model":"m","messages":[{"role":"assistant","thinking_blocks":null,"reasoning_details":"x","tool_calls":[{"extra_content":"y"}]}]}`, `{"model":"m","messages":[{"role":"assistant","thinking_blocks":null,"reasoning_details":"x","tool_calls":[{"extra_content":"y"}]}]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			call := passing(t, c.kind, chat.Completions, "m", c.in)
			call.Model, call.Strict = c.model, true
			pieces, dropped, err := rewrite(call)
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Replace([]byte(c.want), []byte(`"model":"m"`), []byte(`"model":"`+c.model+`"`), 1)
			if d := cmp.Diff(string(want), string(bytes.Join(pieces, nil))); d != "" {
				t.Error(d)
			}
			if !slices.Equal(dropped, c.dropped) {
				t.Errorf("dropped %v", dropped)
			}
		})
	}
}
