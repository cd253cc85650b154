package anthropic

import (
	"fmt"
	"slices"
)

// Budgets of thinking, in tokens. The API takes no fewer than minBudget.
const minBudget = 1024

var budgets = map[string]int64{"minimal": minBudget, "low": minBudget, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}

// scale are the efforts, rising.
var scale = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// reason writes how much the model shall think, in the words that it takes.
func (b *builder) reason() error {
	r := b.prompt.Reasoning
	if r == nil {
		return nil
	}
	if r.Effort != "" && !slices.Contains(scale, r.Effort) {
		return invalid("reasoning_effort", fmt.Sprintf("'%s' is no effort of reasoning; there are none, minimal, low, medium, high, xhigh and max.", clip(r.Effort)))
	}
	off := r.Off || r.Effort == "none"
	switch {
	case b.facts.reasons == never && !off:
		b.lack("reasoning_effort")
	case b.facts.reasons == never:
	case off && b.facts.reasons != always:
		b.out.Thinking = &thinking{Type: "disabled"}
	case b.facts.reasons == budgeted, b.facts.budgets && r.Budget > 0 && r.Effort == "":
		b.budget()
	default:
		b.adapt(off)
	}
	return nil
}

// budget is for models that take a number of tokens. They refuse to think where a tool is forced, and where a turn goes on that
// began without their thinking.
func (b *builder) budget() {
	r := b.prompt.Reasoning
	n := r.Budget
	if n == 0 {
		n = budgets[r.Effort]
	}
	if n == 0 && r.Adaptive {
		n = budgets["medium"]
	}
	if n == 0 {
		return
	}
	if b.out.ToolChoice.forced() || b.unthought() {
		b.leave("reasoning_effort")
		return
	}
	if n = max(n, minBudget); n >= b.out.MaxTokens {
		n = b.raise(n)
	}
	if n >= b.out.MaxTokens {
		b.leave("reasoning_effort")
		return
	}
	b.out.Thinking = &thinking{Type: "enabled", BudgetTokens: n}
	if r.Summary == "omitted" {
		b.out.Thinking.Display = r.Summary // all that take a budget show their thoughts otherwise
	}
}

// raise makes room for a budget, which is a part of max_tokens: what the client asked for is left to the answer. Where the model
// does not go as far, it is halves.
func (b *builder) raise(budget int64) int64 {
	want := budget + b.out.MaxTokens
	b.out.MaxTokens = min(want, max(b.most(), b.out.MaxTokens))
	if b.out.MaxTokens < want {
		return max(b.out.MaxTokens/2, minBudget)
	}
	return budget
}

// most is the most that the model writes: what the Model says, or what is known of it.
func (b *builder) most() int64 {
	if b.call.MaxOutputTokens > 0 {
		return b.call.MaxOutputTokens
	}
	return b.facts.maxOutput
}

// display is for adaptive models, which show nothing of their thoughts unless they are asked.
func (b *builder) display() string {
	if b.prompt.Reasoning.Summary == "omitted" {
		return "omitted"
	}
	return "summarized"
}

// unthought says that the turn which goes on, from the last words of the user on, began with a tool call and without thinking.
func (b *builder) unthought() bool {
	turns := b.out.Messages
	first := -1
	for i := len(turns) - 1; i >= 0; i-- {
		if turns[i].Role == "assistant" {
			first = i
		}
		if turns[i].Role == "user" && !hasResult(turns[i].Content) {
			break
		}
	}
	return first >= 0 && !turns[first].Content[0].thought()
}

func hasResult(content []block) bool {
	return slices.ContainsFunc(content, func(c block) bool { return c.Type == "tool_result" })
}

// adapt is for models that decide themselves how much they think, with an effort for a hint; off: for those that cannot be
// turned off.
func (b *builder) adapt(off bool) {
	r := b.prompt.Reasoning
	if b.out.ToolChoice.forced() && !b.facts.forcing {
		b.leave("reasoning_effort")
		return
	}
	b.out.Thinking = &thinking{Type: "adaptive", Display: b.display()}
	effort := r.Effort
	switch {
	case off:
		effort = "low"
	case effort == "" && r.Budget > 0:
		effort = effortOf(r.Budget)
	}
	if effort != "" {
		b.config().Effort = b.nearest(effort)
	}
}

// effortOf is the effort that a budget speaks of.
func effortOf(budget int64) string {
	switch {
	case budget <= 4096:
		return "low"
	case budget <= 16384:
		return "medium"
	}
	return "high"
}

// nearest is the model's highest effort that is not above the one asked for, or its lowest.
func (b *builder) nearest(effort string) string {
	best := b.facts.efforts[0]
	for _, e := range b.facts.efforts {
		if slices.Index(scale, e) <= slices.Index(scale, effort) {
			best = e
		}
	}
	return best
}

func (b *builder) config() *outputConfig {
	if b.out.OutputConfig == nil {
		b.out.OutputConfig = &outputConfig{}
	}
	return b.out.OutputConfig
}
