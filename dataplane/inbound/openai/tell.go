package openai

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// WithUsage adds a usage object to a chat.completion that has none; see chat.UsageTeller.
func (Completions) WithUsage(body []byte, t chat.Total) (out []byte, ok bool) {
	fields, err := jsonscan.Scan(body)
	if err != nil || len(fields) == 0 {
		return body, false
	}
	usage, err := encode(usageOf(t))
	if err != nil {
		return body, false
	}
	if m, found := fields.Get("usage"); found {
		if !jsonscan.IsNull(body[m.ValueStart:m.ValueEnd]) {
			return body, false
		}
		return jsonscan.Splice(body, m.Replace(usage)), true
	}
	end := fields[len(fields)-1].ValueEnd
	return jsonscan.Splice(body, jsonscan.Edit{Start: end, End: end, Text: append([]byte(`,"usage":`), usage...)}), true
}

// UsageEvent is the chunk that OpenAI ends a stream with whose client asked for its usage.
func (Completions) UsageEvent(like []byte, t chat.Total) []byte {
	f := &follower{request: &chat.Request{IncludeUsage: true}}
	f.Event(like)
	return f.chunk(nil, completion{Choices: []choiceObject{}, Usage: usageOf(t)})
}
