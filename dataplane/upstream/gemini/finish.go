package gemini

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// reasons maps finishReason. What is not here is a stop whose own word is kept: MALFORMED_FUNCTION_CALL,
// UNEXPECTED_TOOL_CALL, OTHER and all that may come.
var reasons = map[string]chat.FinishReason{
	"STOP":       chat.FinishStop,
	"MAX_TOKENS": chat.FinishLength,
	// The limit of one request is reached, though maxOutputTokens is not (Gemini 4). To go on is another request, which bills
	// the prompt again: nothing is held for that, so the client decides.
	"CONTINUATION":             chat.FinishLength,
	"SAFETY":                   chat.FinishFilter,
	"RECITATION":               chat.FinishFilter,
	"BLOCKLIST":                chat.FinishFilter,
	"PROHIBITED_CONTENT":       chat.FinishFilter,
	"SPII":                     chat.FinishFilter,
	"MODEL_ARMOR":              chat.FinishFilter,
	"IMAGE_SAFETY":             chat.FinishFilter,
	"IMAGE_PROHIBITED_CONTENT": chat.FinishFilter,
	"IMAGE_RECITATION":         chat.FinishFilter,
}

// Some of Vertex AI's encodings have numbers for enums: these are their words, in the order of Vertex AI's.
var (
	finishNumbers = map[string]string{
		"1": "STOP", "2": "MAX_TOKENS", "3": "SAFETY", "4": "RECITATION", "5": "OTHER", "6": "BLOCKLIST", "7": "PROHIBITED_CONTENT", "8": "SPII",
		"9": "MALFORMED_FUNCTION_CALL", "10": "MODEL_ARMOR",
	}
	blockNumbers = map[string]string{"1": "SAFETY", "2": "OTHER", "3": "BLOCKLIST", "4": "PROHIBITED_CONTENT", "5": "MODEL_ARMOR", "6": "JAILBREAK"}
)

// word reads an enum, by name or by number; empty: none, or not specified.
func word(raw []byte, numbers map[string]string) string {
	if jsonscan.IsNull(raw) {
		return ""
	}
	if s, ok := jsonscan.String(raw); ok {
		return s
	}
	if s := numbers[string(raw)]; s != "" {
		return s
	}
	if s := string(raw); s != "0" {
		return s
	}
	return ""
}

// finish says why a candidate ended. message is for people.
func finish(native, message string, calls bool) chat.Finish {
	f := chat.Finish{Reason: reasons[native], Native: native}
	if f.Reason == "" {
		f.Reason = chat.FinishStop
	}
	if f.Reason == chat.FinishStop && calls {
		f.Reason = chat.FinishTools // STOP is all that Gemini says
	}
	if f.Reason == chat.FinishFilter {
		f.Explanation = message
	}
	return f
}

// blocked says that the prompt was not let through; ok is false where it was. Reasons that are not known block as well.
func blocked(feedback []byte) (chat.Finish, bool) {
	reason := word(jsonscan.Field(feedback, "blockReason"), blockNumbers)
	if reason == "" || reason == "BLOCK_REASON_UNSPECIFIED" || reason == "BLOCKED_REASON_UNSPECIFIED" {
		return chat.Finish{}, false
	}
	f := chat.Finish{Reason: chat.FinishFilter, Native: reason}
	f.Explanation, _ = jsonscan.String(jsonscan.Field(feedback, "blockReasonMessage"))
	return f, true
}
