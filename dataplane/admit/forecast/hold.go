package forecast

import (
	"fmt"
	"math"
	"sort"

	"github.com/layers-dev/layers/dataplane/pricing"
)

const (
	// healthyTimes and healthyLeast say when a balance is healthy: when it is so many times the worst case, and so much
	// (five dollars).
	healthyTimes               = 4
	healthyLeast  pricing.Nano = 5_000_000_000
	usefulTokens               = 256
	usefulThought              = 4096
	// SliceTokens is how many tokens of output a hold grows by where an answer gets longer than was held for. What an
	// account can be overspent by is one slice for each of its running requests.
	SliceTokens = 1024
)

// Mode says what a hold is for.
type Mode int

// Modes, from the one that needs most to the one that has least.
const (
	// Adaptive: the balance is healthy, and the answer can be stopped; the hold is the estimate, extended where the answer
	// gets longer.
	Adaptive Mode = iota
	// WorstCase: the hold is all that the request can cost.
	WorstCase
	// Clamped: the worst case does not fit, something useful does; the answer is cut to what the hold pays for (see Affordable).
	Clamped
	// TiedUp: what is missing is held by running requests: 429, and the same again later passes.
	TiedUp
	// Short: it is not there: 402.
	Short
)

// Admits says whether the request runs.
func (m Mode) Admits() bool { return m <= Clamped }

// Need is what a request asks of a balance, in nano-USD: Floor <= Estimate <= Worst, but for Ask.Sized (Ask.Need makes it so; Hold
// of other numbers is Hold of these put in order).
type Need struct {
	// Worst is the most that it can cost, Estimate what it is thought to cost, Floor what the least useful answer costs at
	// most: nothing is ever held below it.
	Worst, Estimate, Floor pricing.Nano
	// Strict refuses instead of cutting the answer (X-Layers-Strict).
	Strict bool
	// Unstoppable says that the answer comes as a whole, so that no hold can be extended on its way. It holds for the worst
	// case whatever the balance: many such answers at once, each longer than estimated, would otherwise overspend a balance
	// of ten dollars by as much again (hack/bench/holds, bursts).
	Unstoppable bool
}

// Verdict is what Hold decided. Hold is 0 where nothing runs.
type Verdict struct {
	Mode Mode
	Hold pricing.Nano
}

// Hold decides what to hold, out of the balance's copy and what is already held of it. More balance, or less held, never
// turns an admission into a refusal, and never makes the admitted answer shorter.
func Hold(spendable, reserved pricing.Nano, n Need) Verdict {
	n = n.ordered()
	available := minus(spendable, reserved)
	switch {
	case n.Healthy() > 0 && available >= n.Healthy():
		return Verdict{Adaptive, n.Estimate}
	case available >= n.Worst:
		return Verdict{WorstCase, n.Worst}
	case !n.Strict && available >= n.Floor:
		return Verdict{Clamped, available}
	case spendable >= n.Worst, !n.Strict && spendable >= n.Floor:
		return Verdict{Mode: TiedUp}
	}
	return Verdict{Mode: Short}
}

// Healthy is how much must be available for the estimate to be enough, at least Worst; 0: however much is there, it is not. It
// is admit.Request.Healthy, beside Hold: Worst, Expected: Estimate and Floor (0 with Strict) of an ask's Need.
func (n Need) Healthy() pricing.Nano {
	if n.Unstoppable || n.Worst > math.MaxInt64/healthyTimes {
		return 0
	}
	return max(healthyTimes*n.Worst, healthyLeast)
}

// minus is the difference, or the nearest amount that there is.
func minus(a, b pricing.Nano) pricing.Nano {
	d := a - b
	if (d < a) != (b > 0) { // it wrapped around
		if b > 0 {
			return -1 << 63
		}
		return 1<<63 - 1
	}
	return d
}

// ordered makes all amounts zero or more, and Floor <= Estimate <= Worst.
func (n Need) ordered() Need {
	n.Worst = max(n.Worst, 0)
	n.Floor = min(max(n.Floor, 0), n.Worst)
	n.Estimate = min(max(n.Estimate, n.Floor), n.Worst)
	return n
}

// Ask is a request as it is priced.
type Ask struct {
	Price pricing.Price
	// Bound is the most that it can use.
	Bound pricing.Bound
	// Input and Output are the estimates in tokens; above Bound they are Bound. Searches is how often it is thought to search.
	Input, Output, Searches int64
	// Reasoning says that the model thinks before it writes, so that few tokens are of no use. Least, if it is not 0, says how
	// many are.
	Reasoning bool
	Least     int64
	// Sized says that Bound.Input is no measure of the input, which has images or documents: the estimate, which knows their
	// size, may then be below the floor.
	Sized bool
	// Strict and Unstoppable are those of Need.
	Strict, Unstoppable bool
}

// Useful is how many tokens of output an answer must be allowed to be worth anything: Least, or that of the class; never more
// than the request itself allows.
func (a Ask) Useful() int64 {
	least := a.Least
	if least == 0 {
		least = Useful(a.Reasoning)
	}
	return min(least, a.Bound.Output)
}

// Useful is how many tokens of output make an answer worth anything, by the class of the model: 256, and 4096 where it reasons.
func Useful(reasoning bool) int64 {
	if reasoning {
		return usefulThought
	}
	return usefulTokens
}

// Need prices an ask. The floor is of all the input and the searches at their worst: only the answer's length is ours to
// cut. Errors are those of pricing.Worst.
func (a Ask) Need() (Need, error) {
	likely, least := a.Bound, a.Bound
	likely.Input, likely.Output = min(a.Input, a.Bound.Input), min(a.Output, a.Bound.Output)
	likely.Searches = min(a.Searches, a.Bound.Searches)
	least.Output = a.Useful()
	likely.Output = max(likely.Output, least.Output)
	n := Need{Strict: a.Strict, Unstoppable: a.Unstoppable}
	for _, p := range []struct {
		bound pricing.Bound
		into  *pricing.Nano
	}{{a.Bound, &n.Worst}, {likely, &n.Estimate}, {least, &n.Floor}} {
		cost, err := pricing.Worst(p.bound, a.Price)
		if err != nil {
			return Need{}, fmt.Errorf("pricing a hold: %w", err)
		}
		*p.into = cost
	}
	estimate := n.Estimate
	if n = n.ordered(); a.Sized {
		n.Estimate = min(n.Estimate, estimate)
	}
	return n, nil
}

// Affordable is how many tokens of output an amount pays for at most, up to the ask's bound, its input and searches at
// their worst; -1 where it does not even pay for those. It is what the upstream's limit is cut to, and what a 402 tells as
// affordable_max_tokens.
func (a Ask) Affordable(amount pricing.Nano) int64 {
	tooMuch := sort.Search(int(a.Bound.Output)+1, func(out int) bool {
		b := a.Bound
		b.Output = int64(out)
		cost, err := pricing.Worst(b, a.Price)
		return err != nil || cost > amount
	})
	return int64(tooMuch) - 1
}

// Slice is how many more tokens of output to hold for when the answer has reached what is held for; 0 at the bound, where
// there is nothing to extend.
func (a Ask) Slice(held int64) int64 {
	return max(0, min(SliceTokens, a.Bound.Output-held))
}
