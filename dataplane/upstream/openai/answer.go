package openai

import (
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// maxTokens is more than any answer uses; a larger count is nonsense and counts as not reported.
const maxTokens = 1_000_000_000_000

// usage reads a usage object; nil: there is none, or it does not say both counts. An explicit zero is reported.
//
// prompt_tokens includes tokens read from and written to a cache, so those are taken out. Their names differ: OpenAI and
// OpenRouter say prompt_tokens_details.{cached_tokens,cache_write_tokens}, DeepSeek prompt_cache_hit_tokens, Vercel
// cache_creation_input_tokens.
func usage(raw []byte) *pricing.Usage {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	prompt, ok := count(raw, "prompt_tokens")
	completion, ok2 := count(raw, "completion_tokens")
	if !ok || !ok2 {
		return nil
	}
	in, out := jsonscan.Field(raw, "prompt_tokens_details"), jsonscan.Field(raw, "completion_tokens_details")
	read := firstCount(in, "cached_tokens", raw, "prompt_cache_hit_tokens", raw, "cache_read_input_tokens")
	write := firstCount(in, "cache_write_tokens", in, "cache_creation_tokens", raw, "cache_creation_input_tokens")
	reasoning := firstCount(out, "reasoning_tokens")
	u := &pricing.Usage{Output: completion, Reasoning: reasoning}
	if total, ok := count(raw, "total_tokens"); reasoning > completion || ok && reasoning > 0 && total == prompt+completion+reasoning {
		// Some count reasoning beside completion_tokens and bill both: xAI, as its total shows; Vercel AI Gateway for Gemini,
		// whose recorded cost is that of the sum.
		u.Output += reasoning
	}
	u.Searches = reportedSearches(raw)
	u.CacheRead = min(read, prompt)
	u.CacheWrite = min(write, prompt-u.CacheRead)
	u.Input = prompt - u.CacheRead - u.CacheWrite
	return u
}

// count reads a count of tokens that makes sense.
func count(object []byte, name string) (int64, bool) {
	n, ok := jsonscan.Int(jsonscan.Field(object, name))
	return n, ok && n >= 0 && n <= maxTokens
}

// firstCount returns the first positive count among pairs of an object ([]byte) and a name (string); 0: none.
func firstCount(pairs ...any) int64 {
	for i := 0; i+1 < len(pairs); i += 2 {
		object, _ := pairs[i].([]byte)
		name, _ := pairs[i+1].(string)
		if n, ok := count(object, name); ok && n > 0 {
			return n
		}
	}
	return 0
}

// contentBytes counts text, reasoning, refusals and tool calls of a message or a delta, and one for images and for audio. Reasoning that an upstream repeats
// under several names counts once.
func contentBytes(message []byte) int64 {
	var n, reasoning int
	for name, value := range jsonscan.Members(message) {
		switch name {
		case "content":
			n += textLen(value)
		case "refusal":
			n += jsonscan.StringLen(value)
		case "reasoning", "reasoning_content", "reasoning_details":
			reasoning = max(reasoning, textLen(value))
		case "tool_calls":
			for call := range jsonscan.Elements(value) {
				n += functionLen(jsonscan.Field(call, "function")) + functionLen(jsonscan.Field(call, "custom"))
			}
		case "function_call":
			n += functionLen(value)
		case "images", "audio":
			// An answer that is made of them is not empty. Their bytes say nothing about tokens.
			if present(value) {
				n++
			}
		}
	}
	return int64(n + reasoning)
}

// present says that there is something in a member.
func present(value []byte) bool {
	switch string(value) {
	case "null", "[]", "{}", `""`, "false":
		return false
	}
	return true
}

// textLen is the length of a string, or of the texts in an array of parts.
func textLen(raw []byte) int {
	n := jsonscan.StringLen(raw)
	for part := range jsonscan.Elements(raw) {
		for name, value := range jsonscan.Members(part) {
			switch name {
			case "text", "summary", "data":
				n += jsonscan.StringLen(value)
			}
		}
	}
	return n
}

func functionLen(raw []byte) int {
	n := 0
	for name, value := range jsonscan.Members(raw) {
		switch name {
		case "name", "arguments", "input":
			n += jsonscan.StringLen(value)
		}
	}
	return n
}

// hasContent says that a delta carries a tool call, be it without a name yet.
func hasContent(delta []byte) bool {
	for range jsonscan.Elements(jsonscan.Field(delta, "tool_calls")) {
		return true
	}
	return false
}
