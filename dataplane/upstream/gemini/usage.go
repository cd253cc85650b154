package gemini

import (
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// maxTokens is more than any answer uses; a larger count is nonsense and counts as none.
const maxTokens = 1_000_000_000_000

// counts are what a usageMetadata says. Each chunk of a stream repeats it for all so far.
type counts struct {
	usage pricing.Usage
	// some says that there is the object at all, prompt that it counts the prompt, output that it counts output: the early
	// chunks of a stream leave that out, and so does an answer without any.
	some, prompt, output bool
}

// readUsage reads usageMetadata. promptTokenCount includes what was read from a cache and excludes toolUsePromptTokenCount;
// candidatesTokenCount excludes thoughtsTokenCount: in all recorded answers the four make totalTokenCount.
func readUsage(raw []byte) counts {
	if len(raw) == 0 || raw[0] != '{' {
		return counts{}
	}
	c := counts{some: true}
	var prompt, results, cached, candidates int64
	for name, value := range jsonscan.Members(raw) {
		n, ok := jsonscan.Int(value)
		if !ok || n < 0 || n > maxTokens {
			continue
		}
		switch name {
		case "promptTokenCount":
			prompt, c.prompt = n, true
		case "toolUsePromptTokenCount":
			results = n
		case "cachedContentTokenCount":
			cached = n
		case "candidatesTokenCount":
			candidates, c.output = n, true
		case "thoughtsTokenCount":
			c.usage.Reasoning, c.output = n, true
		}
	}
	c.usage.CacheRead = min(cached, prompt+results)
	c.usage.Input = prompt + results - c.usage.CacheRead
	c.usage.Output = candidates + c.usage.Reasoning
	return c
}
