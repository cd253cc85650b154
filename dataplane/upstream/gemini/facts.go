package gemini

import "strings"

// facts are what differs between models. Sources: wire.md section 3 (recorded traffic), the model list of Google's thinking
// guide, @ai-sdk/google's google-model-catalog.
type facts struct {
	// levels are the thinkingLevels that it takes, the lowest first; nil: it has none.
	levels []string
	// budgets bounds thinkingBudget; nil: it has none. A model with both is never sent both: that is a 400.
	budgets *budgets
	// signed models refuse a conversation whose functionCalls have no thoughtSignature, and give their calls ids.
	signed bool
	// resultMedia says that a functionResponse may have images in it.
	resultMedia bool
	// mixed says that googleSearch may stand beside functions, and JSON mode too.
	mixed bool
	// penalties and logprobs are 400s on the later models ("Penalty is not enabled", "Logprobs is not enabled").
	penalties, logprobs bool
	// search says that there is googleSearch; perQuery that each query is paid for, and not the answer.
	search, perQuery bool
	// noInstruction models have no systemInstruction, functions and JSON mode are theirs by word only.
	noInstruction bool
}

type budgets struct {
	// off is what comes nearest to none.
	off, min, max int64
}

var (
	fromMinimal = []string{"minimal", "low", "medium", "high"}
	fromLow     = []string{"low", "medium", "high"}
	// accepted is what models with levels take of budgets, which their documentation calls outdated.
	accepted = &budgets{off: 128, min: 128, max: 32768}
)

// newest is for models that the table does not know.
var newest = facts{levels: fromLow, signed: true, resultMedia: true, mixed: true, search: true, perQuery: true}

func third(levels []string, b *budgets) facts {
	f := newest
	f.levels, f.budgets = levels, b
	return f
}

func second(b *budgets) facts { return facts{budgets: b, search: true} }

// table has the facts by the beginning of the model's id; the longest one counts.
var table = map[string]facts{
	"gemma-":                   {noInstruction: true},
	"gemini-1":                 {logprobs: true},
	"gemini-2":                 {search: true, penalties: true, logprobs: true},
	"gemini-2.5":               second(&budgets{off: 0, min: 1, max: 24576}),
	"gemini-2.5-pro":           second(&budgets{off: 128, min: 128, max: 32768}),
	"gemini-2.5-flash-lite":    second(&budgets{off: 0, min: 512, max: 24576}),
	"gemini-robotics-er-1.5":   second(&budgets{off: 0, min: 1, max: 24576}),
	"gemini-3-pro":             third(fromLow, accepted),
	"gemini-3.1-pro":           third(fromLow, accepted),
	"gemini-3-flash":           third(fromMinimal, accepted),
	"gemini-3.1-flash":         third(fromMinimal, accepted),
	"gemini-3.5-flash":         third(fromMinimal, accepted),
	"gemini-3.6-flash":         third(fromMinimal, accepted),
	"gemini-flash-latest":      third(fromLow, accepted),
	"gemini-flash-lite-latest": third(fromMinimal, accepted),
	"gemini-pro-latest":        third(fromLow, accepted),
	"gemini-4-hydrogen":        third([]string{"low", "medium", "high", "xhigh"}, nil),
}

// factsOf finds the facts of a model by its id, which may have a collection before it.
func factsOf(model string) facts {
	id := strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])
	best, found := "", newest
	for prefix, f := range table {
		if len(prefix) > len(best) && strings.HasPrefix(id, prefix) {
			best, found = prefix, f
		}
	}
	return found
}
