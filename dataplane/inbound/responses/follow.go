package responses

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Clamp bounds the answer; see chat.Dialect.
func (Responses) Clamp(r *chat.Request, most int64) *chat.Request {
	return r.Clamp(most, nil, "max_output_tokens")
}

// Follow follows the typed events of a response; see chat.Dialect.
func (Responses) Follow(*chat.Request) chat.Follower { return &follower{} }

// follower remembers the response as it would be told at its end, because the last event tells all of it once more.
type follower struct {
	response []byte // the object, as the first event told it
	sequence int64  // of the last event
	items    []*followed
}

// followed is one item of the output.
type followed struct {
	index int64
	raw   []byte // as it was added, or is done
	done  bool
	parts []*followedPart
	// written is what was streamed of a call's arguments.
	written strings.Builder
}

// followedPart is a part of a message, or of the summary of a reasoning item.
type followedPart struct {
	index   int64
	kind    string // output_text, refusal, summary_text
	raw     []byte
	done    bool
	written strings.Builder
}

// Event sees an event.
func (f *follower) Event(data []byte) {
	kind, _ := jsonscan.String(jsonscan.Field(data, "type"))
	if n, ok := jsonscan.Int(jsonscan.Field(data, "sequence_number")); ok {
		f.sequence = n
	}
	switch kind {
	case "response.created":
		f.response = slices.Clone(jsonscan.Field(data, "response"))
		return
	case "response.output_item.added", "response.output_item.done":
		item := f.item(data)
		item.raw, item.done = slices.Clone(jsonscan.Field(data, "item")), kind == "response.output_item.done"
		return
	case deltaArguments + ".delta", deltaInput + ".delta":
		f.item(data).written.WriteString(text(data, "delta"))
		return
	}
	f.partEvent(kind, data)
}

func (f *follower) partEvent(kind string, data []byte) {
	switch kind {
	case "response.content_part.added", "response.reasoning_summary_part.added", "response.content_part.done", "response.reasoning_summary_part.done":
		part := f.item(data).part(data)
		part.raw, part.done = slices.Clone(jsonscan.Field(data, "part")), strings.HasSuffix(kind, ".done")
		part.kind, _ = jsonscan.String(jsonscan.Field(part.raw, "type"))
	case deltaText + ".delta", deltaRefusal + ".delta", deltaReasoning + ".delta":
		f.item(data).part(data).written.WriteString(text(data, "delta"))
	}
}

// item is the one that an event speaks of.
func (f *follower) item(data []byte) *followed {
	index, _ := jsonscan.Int(jsonscan.Field(data, "output_index"))
	for _, i := range f.items {
		if i.index == index {
			return i
		}
	}
	f.items = append(f.items, &followed{index: index})
	return f.items[len(f.items)-1]
}

func (i *followed) part(data []byte) *followedPart {
	raw := jsonscan.Field(data, "content_index")
	if raw == nil {
		raw = jsonscan.Field(data, "summary_index")
	}
	index, _ := jsonscan.Int(raw)
	for _, p := range i.parts {
		if p.index == index {
			return p
		}
	}
	i.parts = append(i.parts, &followedPart{index: index})
	return i.parts[len(i.parts)-1]
}

// Stop closes the open items as incomplete and tells the response as one that reached its limit.
func (f *follower) Stop(dst []byte, t chat.Total) []byte {
	output := make([]json.RawMessage, 0, len(f.items))
	for _, i := range f.items {
		if !i.done && i.raw != nil {
			dst = f.close(dst, i)
		}
		if i.raw != nil {
			output = append(output, i.raw)
		}
	}
	const name = "response.incomplete"
	whole := f.response
	if whole == nil {
		whole = []byte(`{"object":"response"}`)
	}
	whole = set(whole, "status", "incomplete")
	whole = set(whole, "incomplete_details", incomplete{"max_output_tokens"})
	whole = set(whole, "output", output)
	whole = set(whole, "usage", usageOf(t))
	return event(dst, name, struct {
		Type     string          `json:"type"`
		Sequence int64           `json:"sequence_number"`
		Response json.RawMessage `json:"response"`
	}{name, f.next(), whole})
}

// close writes the ends of an item's parts and of the item itself.
func (f *follower) close(dst []byte, i *followed) []byte {
	kind, id := text(i.raw, "type"), text(i.raw, "id")
	list := make([]json.RawMessage, 0, len(i.parts))
	for _, p := range i.parts {
		if p.raw != nil {
			dst = f.closePart(dst, i, p, id)
			list = append(list, p.raw)
		}
	}
	switch kind {
	case "message":
		i.raw = set(i.raw, "content", list)
	case "reasoning":
		i.raw = set(i.raw, "summary", list)
	case "function_call":
		i.raw = set(i.raw, "arguments", i.written.String())
	case "custom_tool_call":
		i.raw = set(i.raw, "input", i.written.String())
	}
	if jsonscan.Field(i.raw, "status") != nil {
		i.raw = set(i.raw, "status", "incomplete")
	}
	i.done = true
	const name = "response.output_item.done"
	return event(dst, name, struct {
		Type     string          `json:"type"`
		Sequence int64           `json:"sequence_number"`
		Index    int64           `json:"output_index"`
		Item     json.RawMessage `json:"item"`
	}{name, f.next(), i.index, i.raw})
}

// partEnd is the end of a text, or of its part.
type partEnd struct {
	Type     string          `json:"type"`
	Sequence int64           `json:"sequence_number"`
	ItemID   string          `json:"item_id"`
	Index    int64           `json:"output_index"`
	Content  *int64          `json:"content_index,omitempty"`
	Summary  *int64          `json:"summary_index,omitempty"`
	Text     *string         `json:"text,omitempty"`
	Refusal  *string         `json:"refusal,omitempty"`
	Logprobs []any           `json:"logprobs,omitzero"`
	Part     json.RawMessage `json:"part,omitempty"`
}

func (f *follower) closePart(dst []byte, i *followed, p *followedPart, id string) []byte {
	if p.done {
		return dst
	}
	p.done = true
	written := p.written.String()
	end := partEnd{Type: deltaText + ".done", Sequence: f.next(), ItemID: id, Index: i.index, Content: &p.index, Text: &written, Logprobs: []any{}}
	part := partEnd{Type: "response.content_part.done", ItemID: id, Index: i.index, Content: &p.index}
	member := "text"
	switch p.kind {
	case "refusal":
		end.Type, end.Text, end.Refusal, end.Logprobs, member = deltaRefusal+".done", nil, &written, nil, "refusal"
	case "summary_text":
		end.Type, end.Content, end.Summary, end.Logprobs = deltaReasoning+".done", nil, &p.index, nil
		part.Type, part.Content, part.Summary = "response.reasoning_summary_part.done", nil, &p.index
	}
	p.raw = set(p.raw, member, written)
	part.Sequence, part.Part = f.next(), p.raw
	return event(event(dst, end.Type, end), part.Type, part)
}

func (f *follower) next() int64 {
	f.sequence++
	return f.sequence
}

// text is a member that is a string.
func text(object []byte, name string) string {
	s, _ := jsonscan.String(jsonscan.Field(object, name))
	return s
}

// set gives a member of an object another value, or adds it.
func set(object []byte, name string, v any) []byte {
	value, err := encode(v)
	fields, bad := jsonscan.Scan(object)
	if err != nil || bad != nil || len(fields) == 0 {
		return object
	}
	if m, ok := fields.Get(name); ok {
		return jsonscan.Splice(object, m.Replace(value))
	}
	return jsonscan.Splice(object, fields.Prepend(name, value))
}
