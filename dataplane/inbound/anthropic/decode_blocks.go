package anthropic

import (
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// turn reads the blocks of one message, or of one tool's result.
type turn struct {
	*decoder
	role chat.Role
	// depth is 0 for a message's own blocks, more for those of a tool's result and of a document.
	depth int
	parts []chat.Part
	// callSignature belongs to the next call, textSignature to the next text.
	callSignature, textSignature string
	// found is what searches of the provider's have found, in words, for a turn that says nothing else.
	found []string
}

// read reads an array of blocks.
func (t *turn) read(place string, raw []byte) ([]chat.Part, error) {
	i := 0
	for b := range jsonscan.Elements(raw) {
		if err := t.block(under(place, i), b); err != nil {
			return nil, err
		}
		i++
	}
	return t.end(), nil
}

// only is the one role in whose messages blocks of a type may stand.
var only = map[string]chat.Role{
	"image": chat.User, "document": chat.User, "search_result": chat.User, "tool_result": chat.User,
	"tool_use": chat.Assistant, "thinking": chat.Assistant, "redacted_thinking": chat.Assistant,
	"tool_addition": chat.System, "tool_removal": chat.System,
}

// block reads one block and adds what it says.
func (t *turn) block(place string, raw []byte) error {
	m, err := members(place, raw)
	if err != nil {
		return err
	}
	kind, err := text(place+".type", m["type"])
	if err != nil {
		return err
	}
	read, ok := blocks[kind]
	switch {
	case !ok && strings.HasSuffix(kind, hostedResult):
		// What other tools of the provider's found is of use to its models alone.
		return nil
	case !ok:
		return unsupported(place, "'%s' of the type '%s': the model that serves this request does not know it", place, clip(kind))
	}
	if role, ok := only[kind]; ok && role != t.role {
		return invalid(place, "`%s` blocks can only be in `%s` messages", kind, role)
	}
	before := len(t.parts)
	if err := read(t, place, m); err != nil {
		return err
	}
	mark, err := cacheTime(place+".cache_control", m["cache_control"])
	if n := len(t.parts); mark != "" && n > before {
		t.parts[n-1].Cache = mark
	}
	return err
}

// end gives the parts. A turn in which the provider only searched is told in words: it must not be lost.
func (t *turn) end() []chat.Part {
	spoken := slices.ContainsFunc(t.parts, func(p chat.Part) bool { return p.Kind != chat.PartThought })
	if !spoken && len(t.found) > 0 {
		t.add(chat.Part{Kind: chat.PartText, Text: strings.Join(t.found, "\n\n")})
	}
	return t.parts
}

func (t *turn) add(p chat.Part) { t.parts = append(t.parts, p) }

// hostedResult ends the types of the blocks in which the provider's own tools tell what they found.
const hostedResult = "_tool_result"

// blocks are the readers by type.
var blocks map[string]func(t *turn, place string, m map[string][]byte) error

func init() {
	blocks = map[string]func(t *turn, place string, m map[string][]byte) error{
		"text":                   (*turn).text,
		"image":                  (*turn).image,
		"document":               (*turn).document,
		"search_result":          (*turn).searchResult,
		"thinking":               (*turn).thinking,
		"redacted_thinking":      (*turn).redacted,
		"tool_use":               (*turn).call,
		"tool_result":            (*turn).toolResult,
		"tool_reference":         (*turn).reference,
		"server_tool_use":        (*turn).passed,
		"mcp_tool_use":           (*turn).passed,
		"web_search_tool_result": (*turn).searched,
		"fallback":               (*turn).passed,
		"compaction":             (*turn).compaction,
		"tool_addition":          (*turn).toolAddition,
		"tool_removal":           (*turn).toolRemoval,
	}
}

// passed leaves a block out.
func (t *turn) passed(string, map[string][]byte) error { return nil }

func (t *turn) text(place string, m map[string][]byte) error {
	s, err := text(place+".text", m["text"])
	if err == nil && s != "" {
		t.add(chat.Part{Kind: chat.PartText, Text: s, Signature: t.textSignature, Citations: citations(m["citations"])})
		t.textSignature = ""
	}
	return err
}

// citations keeps where a text was found, as far as it is on the web.
func citations(raw []byte) []chat.Citation {
	var out []chat.Citation
	for c := range jsonscan.Elements(raw) {
		url, _ := jsonscan.String(jsonscan.Field(c, "url"))
		if url == "" {
			continue
		}
		title, _ := jsonscan.String(jsonscan.Field(c, "title"))
		quote, _ := jsonscan.String(jsonscan.Field(c, "cited_text"))
		out = append(out, chat.Citation{URL: url, Title: title, Quote: quote})
	}
	return out
}

// thinking reads a thought, or what another maker's signature carries; see carrier.
func (t *turn) thinking(place string, m map[string][]byte) error {
	words, err := text(place+".thinking", m["thinking"])
	if err != nil {
		return err
	}
	signature, err := optional(place+".signature", m["signature"])
	if err != nil {
		return err
	}
	thought := chat.Thought{Text: words}
	c, ok := carried(signature)
	switch {
	case !ok && signature != "":
		thought.Signature, thought.Format = signature, chat.FormatAnthropic
	case c.kind == carryCall:
		t.callSignature = c.value
	case c.kind == carryText:
		t.textSignature = c.value
	case c.kind == carrySignature:
		thought.Signature, thought.Format, thought.ID = c.value, c.format, c.id
	case c.kind == carryEncrypted:
		thought.Encrypted, thought.Format, thought.ID = c.value, c.format, c.id
	}
	if thought != (chat.Thought{}) {
		t.add(chat.Part{Kind: chat.PartThought, Thought: &thought})
	}
	return nil
}

func (t *turn) redacted(place string, m map[string][]byte) error {
	data, err := text(place+".data", m["data"])
	if err == nil && data != "" {
		t.add(chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Encrypted: data, Format: chat.FormatAnthropic}})
	}
	return err
}

func (t *turn) call(place string, m map[string][]byte) error {
	id, err := text(place+".id", m["id"])
	if err != nil {
		return err
	}
	name, err := text(place+".name", m["name"])
	if err != nil {
		return err
	}
	input := m["input"]
	if len(input) == 0 || input[0] != '{' {
		return invalid(place+".input", "Input should be an object")
	}
	t.names[id] = name
	t.add(chat.Part{Kind: chat.PartCall, Call: &chat.ToolCall{ID: id, Name: name, Arguments: string(input), Signature: t.callSignature}})
	t.callSignature = ""
	return nil
}

func (t *turn) toolResult(place string, m map[string][]byte) error {
	if t.depth > 0 {
		return invalid(place, "`tool_result` blocks cannot be in other blocks")
	}
	id, err := text(place+".tool_use_id", m["tool_use_id"])
	if err != nil {
		return err
	}
	name, ok := t.names[id]
	if !ok {
		return invalid(place, "unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message", clip(id))
	}
	failed, err := flag(place+".is_error", m["is_error"])
	if err != nil {
		return err
	}
	r := &chat.Result{ID: id, Name: name, Failed: failed != nil && *failed}
	if c := m["content"]; !jsonscan.IsNull(c) {
		if r.Parts, err = t.resultParts(place+".content", c); err != nil {
			return err
		}
	}
	t.add(chat.Part{Kind: chat.PartResult, Result: r})
	return nil
}

// maxInner is how deep blocks are in each other: a document's in a tool's result.
const maxInner = 2

// resultParts reads a string or blocks.
func (t *turn) resultParts(place string, raw []byte) ([]chat.Part, error) {
	if len(raw) == 0 || raw[0] != '[' {
		return t.content(place, chat.User, raw)
	}
	if t.depth >= maxInner {
		return nil, invalid(place, "blocks are nested too deeply")
	}
	inner := turn{decoder: t.decoder, role: chat.User, depth: t.depth + 1}
	return inner.read(place, raw)
}
