package anthropic

import "strings"

// reasons says how a model reasons.
type reasons int

const (
	// never: before Claude 3.7.
	never reasons = iota
	// budgeted: thinking of type enabled with budget_tokens, off where nothing is said.
	budgeted
	// adaptive: thinking of type adaptive, with output_config.effort; it can be turned off.
	adaptive
	// always: adaptive, and type disabled is refused.
	always
)

// facts is what a request has to know of a model. The source of the list is the registry's quirks (forceAdaptiveThinking,
// supportsTemperature, supportsMidConvoSystemMessages, supportsStrictTools, reasoning_levels) and what the API answered on
// record.
type facts struct {
	reasons reasons
	// budgets says that an adaptive model takes a number of tokens, too, where the client says one: so do those of 4.6, on record.
	budgets bool
	// efforts are the values of output_config.effort, rising.
	efforts []string
	// sampling says that temperature, top_p and top_k are taken; oneOf that temperature and top_p exclude each other.
	sampling, oneOf bool
	// prefill says that a conversation may end with the beginning of the answer.
	prefill bool
	// midSystem says that messages may have the role system.
	midSystem bool
	// structured says that output_config.format and strict tools are there.
	structured bool
	// forcing says that tools can be forced while the model thinks.
	forcing bool
	// maxOutput is the most tokens that it writes.
	maxOutput int64
}

var (
	fourEfforts = []string{"low", "medium", "high", "max"}
	fiveEfforts = []string{"low", "medium", "high", "xhigh", "max"}
	// newest is what a model does that the table does not know.
	newest = facts{reasons: always, efforts: fiveEfforts, midSystem: true, structured: true, forcing: true, maxOutput: 128_000}
)

// models are by the beginning of their ids.
var models = map[string]facts{
	"claude-3":          {sampling: true, prefill: true, maxOutput: 4096},
	"claude-3-5":        {sampling: true, prefill: true, maxOutput: 8192},
	"claude-3-7-sonnet": {reasons: budgeted, sampling: true, prefill: true, maxOutput: 64_000},
	"claude-sonnet-4":   {reasons: budgeted, sampling: true, prefill: true, maxOutput: 64_000},
	"claude-sonnet-4-0": {reasons: budgeted, sampling: true, prefill: true, maxOutput: 64_000},
	"claude-opus-4":     {reasons: budgeted, sampling: true, prefill: true, maxOutput: 32_000},
	"claude-opus-4-0":   {reasons: budgeted, sampling: true, prefill: true, maxOutput: 32_000},
	"claude-opus-4-1":   {reasons: budgeted, sampling: true, oneOf: true, prefill: true, maxOutput: 32_000},
	"claude-haiku-4-5":  {reasons: budgeted, sampling: true, oneOf: true, prefill: true, structured: true, maxOutput: 64_000},
	"claude-sonnet-4-5": {reasons: budgeted, sampling: true, oneOf: true, prefill: true, structured: true, maxOutput: 64_000},
	"claude-opus-4-5":   {reasons: budgeted, sampling: true, oneOf: true, prefill: true, structured: true, maxOutput: 64_000},
	"claude-sonnet-4-6": {reasons: adaptive, budgets: true, efforts: fourEfforts, sampling: true, oneOf: true, structured: true, maxOutput: 128_000},
	"claude-opus-4-6":   {reasons: adaptive, budgets: true, efforts: fourEfforts, sampling: true, oneOf: true, structured: true, maxOutput: 128_000},
	"claude-opus-4-7":   {reasons: adaptive, efforts: fiveEfforts, structured: true, forcing: true, maxOutput: 128_000},
	"claude-opus-4-8":   {reasons: adaptive, efforts: fiveEfforts, midSystem: true, structured: true, forcing: true, maxOutput: 128_000},
	"claude-opus-5":     {reasons: adaptive, efforts: fiveEfforts, midSystem: true, structured: true, forcing: true, maxOutput: 128_000},
	"claude-sonnet-5":   {reasons: adaptive, efforts: fiveEfforts, structured: true, forcing: true, maxOutput: 128_000},
	"claude-sonnet-5-5": {reasons: adaptive, efforts: fiveEfforts, midSystem: true, structured: true, forcing: true, maxOutput: 128_000},
	"claude-opus-5-5":   newest,
	"claude-haiku-5-5":  newest,
	"claude-fable-5":    newest,
	"claude-fable-5-1":  newest,
	"claude-fable-5-2":  newest,
}

// factsOf finds a model by the longest beginning of its id that is known. A further number is another version and no variant:
// claude-opus-4 is not claude-opus-4-9, but it is claude-opus-4-20250514. An id may carry its maker (anthropic/claude-...), and
// dots in its version.
func factsOf(id string) facts {
	id = strings.ReplaceAll(strings.ToLower(id), ".", "-")
	if i := strings.LastIndex(id, "claude-"); i > 0 {
		id = id[i:]
	}
	found, best := newest, 0
	for prefix, f := range models {
		if len(prefix) > best && strings.HasPrefix(id, prefix) && variant(id[len(prefix):]) {
			found, best = f, len(prefix)
		}
	}
	return found
}

// variant says that what follows a known id is no other version: a date, a word, or nothing.
func variant(rest string) bool {
	if rest == "" {
		return true
	}
	if rest[0] >= '0' && rest[0] <= '9' || rest[0] >= 'a' && rest[0] <= 'z' {
		return false
	}
	next, _, _ := strings.Cut(rest[1:], "-")
	if next == "" || next[0] < '0' || next[0] > '9' {
		return true
	}
	return len(next) > 2
}
