package anthropic

import (
	"net/url"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// Thoughts of other makers than Anthropic travel through an Anthropic client in the signature of a thinking block, which
// clients send back as they got it:
//
//	FORMAT:KIND:ID:VALUE
//
// FORMAT is whose it is (chat.FormatGemini, chat.FormatOpenAI, ...; "unknown"), KIND what VALUE was, ID the id of an OpenAI
// reasoning item, escaped as in a query. Anthropic's own signatures are base64, which has no colon.
const (
	// carrySignature is Thought.Signature, carryEncrypted Thought.Encrypted.
	carrySignature = "signature"
	carryEncrypted = "encrypted"
	// carryCall is the Signature of the tool call that follows, carryText that of the text that follows; the block is empty.
	carryCall = "call"
	carryText = "text"
)

// unknownFormat stands for an empty Format.
const unknownFormat = "unknown"

// carrier is a signature that has something of another maker in it.
type carrier struct{ format, kind, id, value string }

func (c carrier) String() string {
	if c.format == "" {
		c.format = unknownFormat
	}
	return c.format + ":" + c.kind + ":" + url.QueryEscape(c.id) + ":" + c.value
}

// carried reads a signature that String has written.
func carried(signature string) (carrier, bool) {
	f := strings.SplitN(signature, ":", 4)
	if len(f) != 4 || f[0] == "" {
		return carrier{}, false
	}
	id, err := url.QueryUnescape(f[2])
	if err != nil {
		return carrier{}, false
	}
	c := carrier{format: f[0], kind: f[1], id: id, value: f[3]}
	if c.format == unknownFormat {
		c.format = ""
	}
	switch c.kind {
	case carrySignature, carryEncrypted, carryCall, carryText:
		return c, true
	}
	return carrier{}, false
}

// signatureOf is what a thinking block has for a thought.
func signatureOf(t *chat.Thought) string {
	switch {
	case t.Signature != "" && t.Format == chat.FormatAnthropic:
		return t.Signature
	case t.Signature != "":
		return carrier{t.Format, carrySignature, t.ID, t.Signature}.String()
	case t.Encrypted != "":
		return carrier{t.Format, carryEncrypted, t.ID, t.Encrypted}.String()
	}
	return ""
}

// redacted says that a thought is Anthropic's redacted_thinking, which has no text.
func redacted(t *chat.Thought) bool {
	return t.Encrypted != "" && t.Format == chat.FormatAnthropic
}

// callSignature is the signature of a thinking block that stands for a call's own; only Gemini signs calls.
func callSignature(signature string) string {
	return carrier{format: chat.FormatGemini, kind: carryCall, value: signature}.String()
}

// textSignature does so for a text's own; where there is no text, it is a thought without words.
func textSignature(p *chat.Part) string {
	c := carrier{format: chat.FormatGemini, kind: carryText, value: p.Signature}
	if p.Text == "" {
		c.kind = carrySignature
	}
	return c.String()
}

// foreign says that a signature is none of Anthropic's: its API refuses the block.
func foreign(signature string) bool {
	_, ours := carried(signature)
	return ours || signature == ""
}
