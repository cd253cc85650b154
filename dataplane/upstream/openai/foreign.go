package openai

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// thoughtFormat is the format of the signed thoughts that a model takes back: its maker's. Clients send whole messages on,
// whichever model they are from, and what another maker's model has signed never goes along. What has no maker's format, or
// one that is not known here, is the upstream's own affair.
type thoughtFormat string

// ownThoughts finds the format by the model's maker: in a router's id, or else by its name.
func ownThoughts(f flavour) thoughtFormat {
	format := f.thoughts()
	switch {
	case f.router:
	case named(f.model.id, "claude"):
		format = chat.FormatAnthropic
	case named(f.model.id, "gemini"):
		format = chat.FormatGemini
	case f.creator == "openai", f.model.version > 0, named(f.model.id, "gpt-"):
		format = chat.FormatOpenAI
	}
	return thoughtFormat(format)
}

// foreign says that a format is another maker's.
func (t thoughtFormat) foreign(format string) bool {
	switch format {
	case chat.FormatAnthropic, chat.FormatGemini, chat.FormatOpenAI:
		return format != string(t)
	}
	return false
}

// message changes a member of a message; see shape.
func (t thoughtFormat) message(name string, value []byte) []byte {
	switch {
	case name == "thinking_blocks" && !jsonscan.IsNull(value) && t.foreign(chat.FormatAnthropic):
		return []byte{}
	case name == "reasoning_details":
		return t.details(value)
	}
	return bareIDs(name, value)
}

// call changes a member of a call.
func (t thoughtFormat) call(name string, value []byte) []byte {
	signature := jsonscan.Field(jsonscan.Field(value, "google"), "thought_signature")
	if name == "extra_content" && !jsonscan.IsNull(signature) && t.foreign(chat.FormatGemini) {
		return []byte{}
	}
	return bareIDs(name, value)
}

// details leaves out the reasoning_details of other makers; nil: there are none.
func (t thoughtFormat) details(value []byte) []byte {
	out, changed := []byte{'['}, false
	for d := range jsonscan.Elements(value) {
		if t.foreign(text(d, "format")) {
			changed = true
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, d...)
	}
	switch {
	case !changed:
		return nil
	case len(out) == 1:
		return []byte{}
	}
	return append(out, ']')
}
