package openai

import (
	"slices"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/sse"
)

// Clamp bounds the answer in whichever of its two fields the client said it; in max_tokens where it did not, which all
// upstreams know or have renamed for them.
func (Completions) Clamp(r *chat.Request, most int64) *chat.Request {
	return r.Clamp(most, nil, "max_tokens", "max_completion_tokens")
}

// Follow follows chat.completion.chunk objects; see chat.Dialect.
func (Completions) Follow(r *chat.Request) chat.Follower { return &follower{request: r} }

// follower remembers the chunk that all others are like, and which choices are not finished.
type follower struct {
	request *chat.Request
	head    completion
	open    []int64
	closed  []int64
}

// Event sees a chunk.
func (f *follower) Event(data []byte) {
	if f.head.ID == "" {
		f.head.ID, _ = jsonscan.String(jsonscan.Field(data, "id"))
		f.head.Model, _ = jsonscan.String(jsonscan.Field(data, "model"))
		f.head.Created, _ = jsonscan.Int(jsonscan.Field(data, "created"))
	}
	for choice := range jsonscan.Elements(jsonscan.Field(data, "choices")) {
		index, _ := jsonscan.Int(jsonscan.Field(choice, "index"))
		if index < 0 || index >= maxStreamChoices {
			continue
		}
		if !slices.Contains(f.open, index) {
			f.open = append(f.open, index)
		}
		if !jsonscan.IsNull(jsonscan.Field(choice, "finish_reason")) && !slices.Contains(f.closed, index) {
			f.closed = append(f.closed, index)
		}
	}
}

// Stop finishes each open choice for its length.
func (f *follower) Stop(dst []byte, t chat.Total) []byte {
	if len(f.open) == 0 {
		f.open = append(f.open, 0)
	}
	length := "length"
	for _, index := range f.open {
		if !slices.Contains(f.closed, index) {
			dst = f.chunk(dst, completion{Choices: []choiceObject{{Index: index, Delta: &deltaObject{}, FinishReason: &length}}})
		}
	}
	if f.request.IncludeUsage {
		dst = f.chunk(dst, completion{Choices: []choiceObject{}, Usage: usageOf(t)})
	}
	return sse.Append(dst, "", []byte("[DONE]"))
}

func (f *follower) chunk(dst []byte, o completion) []byte {
	o.ID, o.Object, o.Created, o.Model = f.head.ID, "chat.completion.chunk", f.head.Created, f.head.Model
	if o.Usage == nil && f.request.IncludeUsage {
		o.Usage = jsonNull
	}
	body, err := encode(o)
	if err != nil {
		return dst // what the package writes always encodes
	}
	return sse.Append(dst, "", body)
}
