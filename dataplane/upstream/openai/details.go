package openai

import "github.com/layers-dev/layers/dataplane/chat"

// Types of reasoning_details, of OpenRouter and Vercel AI Gateway.
const (
	detailText      = "reasoning.text"
	detailSummary   = "reasoning.summary"
	detailEncrypted = "reasoning.encrypted"
)

// detailValue is one of the reasoning_details.
type detailValue struct {
	Type      string `json:"type"`
	Text      string `json:"text,omitempty"`
	Summary   string `json:"summary,omitempty"`
	Data      string `json:"data,omitempty"`
	Signature string `json:"signature,omitempty"`
	ID        string `json:"id,omitempty"`
	Format    string `json:"format,omitempty"`
	Index     int    `json:"index"`
}

// detailsOf writes one thought. OpenAI's has a summary beside what is encrypted.
func detailsOf(t *chat.Thought, index int) []detailValue {
	text := detailValue{Type: detailText, Text: t.Text, Signature: t.Signature, ID: t.ID, Format: t.Format, Index: index}
	if t.Format == chat.FormatOpenAI {
		text.Type, text.Text, text.Summary = detailSummary, "", t.Text
	}
	if t.Encrypted == "" {
		return []detailValue{text}
	}
	encrypted := detailValue{Type: detailEncrypted, Data: t.Encrypted, ID: t.ID, Format: t.Format, Index: index}
	if t.Text == "" {
		return []detailValue{encrypted}
	}
	return []detailValue{text, encrypted}
}
