package openai

import "github.com/layers-dev/layers/dataplane/chat"

// Types of reasoning_details, as OpenRouter and Vercel AI Gateway write them.
const (
	detailText      = "reasoning.text"
	detailSummary   = "reasoning.summary"
	detailEncrypted = "reasoning.encrypted"
)

// contentID is the id of a detail whose data is Gemini's signature of the content, not of a call.
const contentID = "content"

// detailObject is one of the reasoning_details. Index counts thoughts: details of one thought have the same.
type detailObject struct {
	Type      string `json:"type"`
	Text      string `json:"text,omitempty"`
	Summary   string `json:"summary,omitempty"`
	Data      string `json:"data,omitempty"`
	Signature string `json:"signature,omitempty"`
	ID        string `json:"id,omitempty"`
	Format    string `json:"format,omitempty"`
	Index     int    `json:"index"`
}

// details writes one whole thought. OpenAI's has its summary beside what is encrypted.
func details(t *chat.Thought, index int) []detailObject {
	text := detailObject{Type: detailText, Text: t.Text, Signature: t.Signature, ID: t.ID, Format: t.Format, Index: index}
	if t.Format == chat.FormatOpenAI {
		text = detailObject{Type: detailSummary, Summary: t.Text, Signature: t.Signature, ID: t.ID, Format: t.Format, Index: index}
	}
	if t.Encrypted == "" {
		return []detailObject{text}
	}
	encrypted := detailObject{Type: detailEncrypted, Data: t.Encrypted, ID: t.ID, Format: t.Format, Index: index}
	if t.Text == "" {
		return []detailObject{encrypted}
	}
	return []detailObject{text, encrypted}
}

// ofContent is Gemini's signature of a text as a thought, which is how ids carry it: one without words.
func ofContent(signature string) chat.Thought {
	return chat.Thought{Signature: signature, Format: chat.FormatGemini}
}

// isOfContent knows such a thought.
func isOfContent(t *chat.Thought) bool {
	return t.Text == "" && t.Signature != "" && t.Format == chat.FormatGemini
}

// contentSignature writes Gemini's signature of a text.
func contentSignature(signature string, index int) detailObject {
	return detailObject{Type: detailEncrypted, Data: signature, ID: contentID, Format: chat.FormatGemini, Index: index}
}
