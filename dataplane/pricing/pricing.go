// Package pricing turns usage into money: integers only, standard library only, one rounding a request.
//
// Money is int64 nano-USD (10^-9 USD). Prices are nano-USD per million units. One pure function, Cost, serves the hold,
// the estimate and the settlement.
package pricing

// Nano is an amount of money in nano-USD (10^-9 USD).
type Nano = int64

// Usage counts what one answer used, each unit in exactly one class: Input excludes cached tokens, Output includes
// reasoning (OpenAI's prompt_tokens includes cached_tokens: take them out before filling this in).
type Usage struct {
	Input      int64 `json:"input"`
	CacheRead  int64 `json:"cache_read,omitempty"`
	CacheWrite int64 `json:"cache_write,omitempty"`
	// CacheWrite1h are tokens written to a cache that is kept for an hour; CacheWrite excludes them.
	CacheWrite1h int64 `json:"cache_write_1h,omitempty"`
	Output       int64 `json:"output"`
	// Reasoning is the part of Output that was reasoning: for people, never priced again.
	Reasoning int64 `json:"reasoning,omitempty"`
	// Searches is how often the provider's web search was used.
	Searches int64 `json:"searches,omitempty"`
}

// Bound is the most that a request can use.
type Bound struct {
	// Input and Output are in tokens, Searches in uses.
	Input, Output, Searches int64
	// LongCache says that input may be written to a cache that is kept for an hour.
	LongCache bool
}

// Price holds nano-USD per million units. A nil optional price: charged as Input; but a nil CacheWrite1h as CacheWrite, and a
// nil Search as nothing, so that a caller refuses requests that would need them.
type Price struct {
	Version      string
	Input        Nano
	Output       Nano
	CacheRead    *Nano
	CacheWrite   *Nano
	CacheWrite1h *Nano
	// Search is for a million searches.
	Search *Nano
	// Steps reprice the whole request by how much input it has, in ascending order of Above. None: the prices here are for
	// every request.
	Steps []Step
	// Markup multiplies the sum of all lines before it is rounded; the zero Ratio is 1.
	Markup Ratio
}

// Step is what the tokens of a request cost, all of them, if its input (read from a cache, written to one, or neither) has
// more than Above tokens. Nil optional prices are as in Price: they fall back within the step, never on the price below it.
type Step struct {
	Above        int64
	Input        Nano
	Output       Nano
	CacheRead    *Nano
	CacheWrite   *Nano
	CacheWrite1h *Nano
}

// at is the price of a request with so many input tokens, without steps.
func (p Price) at(input int64) Price {
	for i := len(p.Steps) - 1; i >= 0; i-- {
		if input > p.Steps[i].Above {
			return p.step(i)
		}
	}
	p.Steps = nil
	return p
}

// step is the price in a step, without steps.
func (p Price) step(i int) Price {
	s := p.Steps[i]
	p.Input, p.Output, p.CacheRead, p.CacheWrite, p.CacheWrite1h = s.Input, s.Output, s.CacheRead, s.CacheWrite, s.CacheWrite1h
	p.Steps = nil
	return p
}

// Line is one row of a bill: Quantity units at UnitPrice nano-USD per million, times the markup. Amount is the line's share in
// nano-USD, rounded down; the total is rounded once, upwards, and may exceed the lines' sum by less than one nano-USD a
// line. The lines are all that LinesTotal needs to compute the bill again.
type Line struct {
	Kind      string `json:"kind"` // input, cache_read, cache_write, cache_write_1h, output, search
	Quantity  int64  `json:"quantity"`
	UnitPrice Nano   `json:"unit_price"` // per million
	Amount    Nano   `json:"amount"`
	// Markup is a decimal, the same in all lines of a bill; empty: 1.
	Markup string `json:"markup,omitempty"`
}
