package gemini

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
)

type generationConfig struct {
	Temperature        json.Number     `json:"temperature,omitempty"`
	TopP               json.Number     `json:"topP,omitempty"`
	TopK               *int64          `json:"topK,omitempty"`
	CandidateCount     int64           `json:"candidateCount,omitempty"`
	MaxOutputTokens    int64           `json:"maxOutputTokens,omitempty"`
	StopSequences      []string        `json:"stopSequences,omitempty"`
	PresencePenalty    json.Number     `json:"presencePenalty,omitempty"`
	FrequencyPenalty   json.Number     `json:"frequencyPenalty,omitempty"`
	Seed               *int64          `json:"seed,omitempty"`
	ResponseLogprobs   bool            `json:"responseLogprobs,omitempty"`
	Logprobs           int64           `json:"logprobs,omitempty"`
	ResponseMimeType   string          `json:"responseMimeType,omitempty"`
	ResponseJSONSchema json.RawMessage `json:"responseJsonSchema,omitempty"`
	ThinkingConfig     *thinkingConfig `json:"thinkingConfig,omitempty"`
}

// maxStops is how many stopSequences there may be.
const maxStops = 5

// generation says how the answer is made.
func (b *builder) generation() {
	p := b.prompt
	g := &generationConfig{
		Temperature: p.Temperature, TopP: p.TopP, TopK: p.TopK, MaxOutputTokens: p.MaxOutputTokens, Seed: seed(p.Seed),
		StopSequences: p.Stop, PresencePenalty: b.penalty("presence_penalty", p.PresencePenalty),
		FrequencyPenalty: b.penalty("frequency_penalty", p.FrequencyPenalty), ThinkingConfig: b.thinking(),
	}
	if p.Choices > 1 {
		g.CandidateCount = p.Choices
	}
	if len(p.Stop) > maxStops {
		g.StopSequences = p.Stop[:maxStops]
		b.drops.parameter(paramStop)
	}
	b.logprobs(g)
	b.format(g)
	b.out.GenerationConfig = g
}

// penalty leaves out what the later models answer with 400; an explicit zero asks for nothing.
func (b *builder) penalty(name string, n json.Number) json.Number {
	if n == "" || b.facts.penalties {
		return n
	}
	if v, err := n.Float64(); err != nil || v != 0 {
		b.drops.parameter(name)
	}
	return ""
}

// seed folds the client's 64 bits into the 32 that there are: the same seed stays the same.
func seed(n *int64) *int64 {
	if n == nil || int64(int32(*n)) == *n {
		return n
	}
	folded := int64(int32(*n ^ *n>>32))
	return &folded
}

// logprobs asks for log probabilities: streams and the later models answer with 400.
func (b *builder) logprobs(g *generationConfig) {
	if !b.prompt.Logprobs && b.prompt.TopLogprobs == 0 {
		return
	}
	if !b.facts.logprobs || b.call.Request.Stream {
		b.drops.parameter(paramLogprobs)
		return
	}
	g.ResponseLogprobs, g.Logprobs = true, b.prompt.TopLogprobs
}

// format asks for JSON, unless a function does.
func (b *builder) format(g *generationConfig) {
	f := b.prompt.Format
	if f == nil || b.moot || b.plan.jsonTool != "" {
		return
	}
	if b.facts.noInstruction {
		b.drops.parameter(paramFormat)
		return
	}
	g.ResponseMimeType, g.ResponseJSONSchema = "application/json", schema(f.Schema)
}

type thinkingConfig struct {
	IncludeThoughts bool   `json:"includeThoughts,omitempty"`
	ThinkingBudget  *int64 `json:"thinkingBudget,omitempty"`
	ThinkingLevel   string `json:"thinkingLevel,omitempty"`
}

// effortBudgets are the budgets that Google's own compatibility layer gives to efforts.
var effortBudgets = map[string]int64{"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 1 << 20, "max": 1 << 20}

// adaptive is the budget that lets the model decide; some do not think without it.
const adaptive = -1

// effortRank orders efforts and levels.
var effortRank = map[string]int{"none": 0, "minimal": 1, "low": 2, "medium": 3, "high": 4, "xhigh": 5, "max": 6}

// thinking says how much the model reasons and whether it shows that; nil: as it likes.
func (b *builder) thinking() *thinkingConfig {
	r := b.prompt.Reasoning
	if r == nil {
		return nil
	}
	off := r.Off || r.Effort == "none"
	if b.facts.levels == nil && b.facts.budgets == nil {
		if !off {
			b.drops.parameter(paramReasoning)
		}
		return nil
	}
	t := &thinkingConfig{IncludeThoughts: !off && b.shows(r)}
	switch {
	case b.facts.levels == nil:
		t.ThinkingBudget = b.budget(r, off)
	case off:
		t.ThinkingLevel = b.facts.levels[0]
	case r.Effort != "":
		t.ThinkingLevel = b.level(effortRank[r.Effort])
	case r.Budget > 0 && b.facts.budgets != nil:
		t.ThinkingBudget = b.budget(r, off)
	case r.Budget > 0:
		t.ThinkingLevel = b.level(rankOf(r.Budget))
	}
	if *t == (thinkingConfig{}) {
		return nil
	}
	return t
}

// shows says that the client wants to read the reasoning. Of the protocols only Responses has it asked for.
func (b *builder) shows(r *chat.Reasoning) bool {
	switch r.Summary {
	case "omitted":
		return false
	case "":
		return b.call.Request.Protocol != chat.Responses
	}
	return true
}

// budget is the budget for what the client asked; nil: as the model likes.
func (b *builder) budget(r *chat.Reasoning, off bool) *int64 {
	n := r.Budget
	if n == 0 {
		n = effortBudgets[r.Effort]
	}
	switch {
	case off:
		n = b.facts.budgets.off
	case n == 0 && r.Adaptive:
		n = adaptive
	case n == 0:
		return nil
	default:
		n = min(max(n, b.facts.budgets.min), b.facts.budgets.max)
	}
	return &n
}

// level is the highest of the model's levels that is not above rank, or the lowest.
func (b *builder) level(rank int) string {
	best := b.facts.levels[0]
	for _, l := range b.facts.levels {
		if effortRank[l] <= rank {
			best = l
		}
	}
	return best
}

// rankOf is the effort that a budget stands for.
func rankOf(budget int64) int {
	switch {
	case budget <= effortBudgets["low"]*2:
		return effortRank["low"]
	case budget <= effortBudgets["medium"]*2:
		return effortRank["medium"]
	}
	return effortRank["high"]
}
