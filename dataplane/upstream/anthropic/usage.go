package anthropic

import (
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// maxTokens is more than any answer uses; a larger count is nonsense and counts as not reported.
const maxTokens = 1_000_000_000_000

// meter follows the usage of one answer. A stream tells it in message_start and again in message_delta, as a total and not as
// what came since: what is there overwrites, what is not there stays.
type meter struct {
	main counts
	// beside are iterations that the totals leave out: compaction, and a consulted second model.
	beside counts
	// input and output say that the counts were reported.
	input, output bool
	oneHour       int64
	searches      int64
}

// counts are token counts by Anthropic's names; in excludes tokens of the cache.
type counts struct {
	in, read, created, out, thinking int64
}

// take reads a usage object.
func (m *meter) take(raw []byte) {
	for name, value := range jsonscan.Members(raw) {
		switch name {
		case "input_tokens":
			m.input = set(&m.main.in, value) || m.input
		case "output_tokens":
			m.output = set(&m.main.out, value) || m.output
		case "cache_read_input_tokens":
			set(&m.main.read, value)
		case "cache_creation_input_tokens":
			set(&m.main.created, value)
		case "cache_creation":
			set(&m.oneHour, jsonscan.Field(value, "ephemeral_1h_input_tokens"))
		case "output_tokens_details":
			set(&m.main.thinking, jsonscan.Field(value, "thinking_tokens"))
		case "server_tool_use":
			set(&m.searches, jsonscan.Field(value, "web_search_requests"))
		case "iterations":
			m.iterations(value)
		}
	}
}

// iterations reads the samplings that one request was made of. Those of type message are in the totals; a compaction and an
// advisor's message are billed and are not.
func (m *meter) iterations(raw []byte) {
	m.beside = counts{}
	for one := range jsonscan.Elements(raw) {
		switch kind, _ := jsonscan.String(jsonscan.Field(one, "type")); kind {
		case "compaction", "advisor_message":
			var c counts
			set(&c.in, jsonscan.Field(one, "input_tokens"))
			set(&c.out, jsonscan.Field(one, "output_tokens"))
			set(&c.read, jsonscan.Field(one, "cache_read_input_tokens"))
			set(&c.created, jsonscan.Field(one, "cache_creation_input_tokens"))
			m.beside.in += c.in
			m.beside.out += c.out
			m.beside.read += c.read
			m.beside.created += c.created
		}
	}
}

// usage is what was reported so far; nil: not both input and output.
func (m *meter) usage() *pricing.Usage {
	if !m.input || !m.output {
		return nil
	}
	created := m.main.created
	oneHour := min(m.oneHour, created)
	return &pricing.Usage{
		Input: m.main.in + m.beside.in, CacheRead: m.main.read + m.beside.read,
		CacheWrite: created - oneHour + m.beside.created, CacheWrite1h: oneHour,
		Output: m.main.out + m.beside.out, Reasoning: min(m.main.thinking, m.main.out), Searches: m.searches,
	}
}

// set takes over a count that makes sense.
func set(to *int64, raw []byte) bool {
	n, ok := jsonscan.Int(raw)
	if !ok || n < 0 || n > maxTokens {
		return false
	}
	*to = n
	return true
}

// usageOf reads the usage of a unary answer.
func usageOf(raw []byte) *pricing.Usage {
	var m meter
	m.take(raw)
	return m.usage()
}

// blockBytes counts the model's own output in a content block or a delta of one: text, reasoning, names and arguments of tools,
// the provider's own tools among them. content says that it is something of an answer, be it opaque or empty yet.
func blockBytes(block []byte) (n int64, content bool) {
	for name, value := range jsonscan.Members(block) {
		switch name {
		case "text", "thinking", "partial_json":
			n += int64(jsonscan.StringLen(value))
		case "signature", "data":
			content = content || jsonscan.StringLen(value) > 0
		case "name":
			n += int64(jsonscan.StringLen(value))
		case "input":
			if string(value) != "{}" && !jsonscan.IsNull(value) {
				n += int64(len(value))
			}
		}
	}
	return n, content || n > 0
}
