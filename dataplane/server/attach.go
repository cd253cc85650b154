package server

import (
	"math"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// pageTokens is what a page of a PDF is thought to take: its text, and itself as an image.
const pageTokens = 3000

// shown estimates the tokens of what is attached: by the backend that makes most of it.
func (e *exchange) shown() (tokens int64) {
	for _, b := range e.backends {
		sum := int64(0)
		for _, a := range e.req.Attachments {
			sum += attachedTokens(e.x.Provider(b.Provider).Type, b.Model, a)
		}
		tokens = max(tokens, sum)
	}
	return tokens
}

// attachedTokens is the provider's own formula, as far as it has told one; of one that has not, the most of them.
func attachedTokens(kind snapshot.ProviderType, model string, a chat.Attachment) int64 {
	if a.Pages > 0 {
		return a.Pages * pageTokens
	}
	openAI, claude, gemini := openAITokens(model, a), claudeTokens(a), geminiTokens(a)
	switch kind {
	case snapshot.OpenAI:
		return openAI
	case snapshot.Anthropic:
		return claude
	case snapshot.Gemini:
		return gemini
	}
	return max(openAI, claude, gemini)
}

// openAITokens are 85 and, but for low detail, 170 for each tile of 512 pixels of the image made to fit 2048 by 2048 and then
// 768 on its shorter side. gpt-4o-mini counts 100/3 times as many, at a thirtieth of the price.
func openAITokens(model string, a chat.Attachment) int64 {
	tokens := int64(85)
	if !a.Low {
		w, h := shrunk(a.Width, a.Height, 2048, max(a.Width, a.Height))
		w, h = shrunk(w, h, 768, min(w, h))
		tokens += 170 * tiles(w, h, 512)
	}
	if strings.Contains(model, "gpt-4o-mini") {
		tokens = tokens * 100 / 3
	}
	return tokens
}

// claudeTokens are one for 750 pixels of the image made to fit 1568 by 1568, and at most 1600.
func claudeTokens(a chat.Attachment) int64 {
	w, h := shrunk(a.Width, a.Height, 1568, max(a.Width, a.Height))
	return min((w*h+749)/750, 1600)
}

// geminiTokens are 258 for each tile of 768 pixels, and for a small image as a whole.
func geminiTokens(a chat.Attachment) int64 { return 258 * tiles(a.Width, a.Height, 768) }

// shrunk makes an image smaller by as much as takes its side to most.
func shrunk(w, h, most, side int64) (int64, int64) {
	if side <= most {
		return w, h
	}
	return max(1, w*most/side), max(1, h*most/side)
}

func tiles(w, h, side int64) int64 { return ((w + side - 1) / side) * ((h + side - 1) / side) }

// readBytes is how large a text would be that takes about as many tokens of input as the body, where that can be told: attachments
// take as many as their size says, not as their bytes.
func (e *exchange) readBytes() int64 {
	return e.req.InputBytes - e.req.AttachedBytes + min(e.shown(), math.MaxInt32)*bytesPerToken
}

// sized says that all that makes the input opaque tells its size.
func (e *exchange) sized() bool {
	return !e.req.Opaque || !e.req.Unsized && len(e.req.Attachments) > 0
}
