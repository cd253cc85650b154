package openai

import (
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// thoughts puts the thoughts of an earlier answer where they were: before what it said, or between its calls.
type thoughts struct {
	calls []call
	said  []chat.Part
	// before[i] stand before call i; before[0] before everything.
	before [][]chat.Thought
}

// read finds the thoughts. What is signed wins over what is not, and what the client says over what its ids carry.
func (t *thoughts) read(param string, f messageFields) error {
	t.before = make([][]chat.Thought, max(1, len(t.calls)))
	explicit, err := t.explicit(param, f)
	if err != nil {
		return err
	}
	if anySigned(explicit) || !t.takeCarried() {
		t.place(explicit)
	}
	return nil
}

// explicit are the thoughts that a client says in fields of its own: the first of those that say anything.
func (t *thoughts) explicit(param string, f messageFields) ([]chat.Thought, error) {
	if f.details != nil {
		out, signatures, err := readDetails(param+".reasoning_details", f.details)
		if err != nil {
			return nil, err
		}
		out = append(out, t.sign(signatures)...)
		if len(out) > 0 {
			return out, nil
		}
	}
	if f.blocks != nil {
		out, err := readBlocks(param+".thinking_blocks", f.blocks)
		if err != nil || len(out) > 0 {
			return out, err
		}
	}
	if out := t.fromContent(); len(out) > 0 {
		return out, nil
	}
	for _, raw := range [][]byte{f.reasoning, f.reasoning2} {
		if text, _ := jsonscan.String(raw); text != "" {
			return []chat.Thought{{Text: text}}, nil
		}
	}
	return nil, nil
}

// fromContent takes the thoughts out of what was said: clients of Anthropic's shape have them among the parts.
func (t *thoughts) fromContent() []chat.Thought {
	var out []chat.Thought
	rest := t.said[:0:0]
	for _, p := range t.said {
		if p.Kind == chat.PartThought {
			out = append(out, *p.Thought)
			continue
		}
		rest = append(rest, p)
	}
	t.said = rest
	return out
}

func anySigned(all []chat.Thought) bool {
	for i := range all {
		if signed(&all[i]) {
			return true
		}
	}
	return false
}

// takeCarried takes the thoughts that the ids carry, and says whether there was any but the signature of a text.
func (t *thoughts) takeCarried() bool {
	found := false
	for i := range t.calls {
		for _, c := range t.calls[i].carried.Thoughts {
			if thought := c.thought(); !t.signText(&thought) {
				t.before[i] = append(t.before[i], thought)
				found = true
			}
		}
	}
	return found
}

// signText gives Gemini's signature of a text to the first text that has none, unless one has it already.
func (t *thoughts) signText(thought *chat.Thought) bool {
	if !isOfContent(thought) {
		return false
	}
	var free *chat.Part
	for i := range t.said {
		p := &t.said[i]
		if p.Kind == chat.PartText && p.Signature == thought.Signature {
			return true
		}
		if p.Kind == chat.PartText && p.Signature == "" && free == nil {
			free = p
		}
	}
	if free != nil {
		free.Signature = thought.Signature
	}
	return free != nil
}

// place puts each thought before the call whose id carries it too; others before the next that is known, those behind the
// last known one with it.
func (t *thoughts) place(all []chat.Thought) {
	where := make([]int, len(all))
	next := -1
	for i := len(all) - 1; i >= 0; i-- {
		if at, text := t.carriedAt(&all[i]); at >= 0 {
			// Clients that do not join the pieces of a stream keep the last: the signature without its text.
			next, all[i].Text = at, text
		}
		where[i] = next
	}
	last := 0
	for i := range all {
		if t.signText(&all[i]) {
			continue
		}
		// The order of the thoughts stays, whatever a client made of its ids.
		last = max(last, where[i])
		t.before[last] = append(t.before[last], all[i])
	}
}

// carriedAt is the call whose id carries the thought, and the text that was signed; -1: none.
func (t *thoughts) carriedAt(thought *chat.Thought) (at int, text string) {
	if !signed(thought) {
		return -1, ""
	}
	for i := range t.calls {
		for _, c := range t.calls[i].carried.Thoughts {
			if c.Signature == thought.Signature && c.Encrypted == thought.Encrypted {
				return i, c.Text
			}
		}
	}
	return -1, ""
}

// sign gives Gemini's signatures from the details to the calls or the text that they belong to: to the call that the id
// names, to the content, or else to the first call, or the text where there is no call. What is left stays a thought.
func (t *thoughts) sign(signatures []detail) []chat.Thought {
	var left []chat.Thought
	for _, s := range signatures {
		if p := t.signedPart(s); p == nil {
			left = append(left, chat.Thought{Encrypted: s.Data, Format: s.Format, ID: s.ID})
		} else if p.Kind == chat.PartCall {
			p.Call.Signature = s.Data
		} else {
			p.Signature = s.Data
		}
	}
	return dropKnown(left, t.calls)
}

func (t *thoughts) signedPart(s detail) *chat.Part {
	bare, _, _ := uncarry(s.ID)
	var first *chat.Part
	taken := false
	for i := range t.calls {
		c := &t.calls[i]
		if c.part.Call.Signature != "" {
			taken = true
			continue
		}
		if s.ID != "" && c.client == bare {
			return &c.part
		}
		if first == nil {
			first = &c.part
		}
	}
	if s.ID != contentID && first != nil && !taken {
		return first
	}
	if s.ID != contentID && len(t.calls) > 0 {
		return nil
	}
	for i := len(t.said) - 1; i >= 0; i-- {
		if p := &t.said[i]; p.Kind == chat.PartText && p.Signature == "" {
			return p
		}
	}
	return nil
}

// dropKnown leaves out the signatures that a call has already.
func dropKnown(left []chat.Thought, calls []call) []chat.Thought {
	var out []chat.Thought
	for _, th := range left {
		known := false
		for i := range calls {
			known = known || calls[i].part.Call.Signature == th.Encrypted
		}
		if !known {
			out = append(out, th)
		}
	}
	return out
}

// parts are the answer's: thoughts, text, calls.
func (t *thoughts) parts() []chat.Part {
	parts := thoughtParts(nil, t.before[0])
	for _, p := range t.said {
		if p.Kind != chat.PartThought {
			parts = append(parts, p)
		}
	}
	for i := range t.calls {
		if i > 0 {
			parts = thoughtParts(parts, t.before[i])
		}
		parts = append(parts, t.calls[i].part)
	}
	return parts
}

func thoughtParts(parts []chat.Part, all []chat.Thought) []chat.Part {
	for i := range all {
		parts = append(parts, chat.Part{Kind: chat.PartThought, Thought: &all[i]})
	}
	return parts
}
