// Package route says in which order a model's backends are tried: by priority, and within one priority at random by
// weight, so that the first place is shared as the weights say.
package route

import (
	"slices"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Order answers the backends in the order in which to try them. A backend of weight 0 takes none and is not in it.
// intN(n) answers a random number in [0, n), as math/rand/v2.Int64N does. backends is not changed.
func Order(backends []snapshot.Backend, intN func(n int64) int64) []snapshot.Backend {
	out := make([]snapshot.Backend, 0, len(backends))
	for _, b := range backends {
		if b.Weight > 0 {
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b snapshot.Backend) int { return int(a.Priority) - int(b.Priority) })
	for start := 0; start < len(out); {
		end := start + 1
		for end < len(out) && out[end].Priority == out[start].Priority {
			end++
		}
		shuffle(out[start:end], intN)
		start = end
	}
	return out
}

// shuffle draws without replacement: each place goes to one of the rest, as likely as its weight says.
func shuffle(group []snapshot.Backend, intN func(int64) int64) {
	for ; len(group) > 1; group = group[1:] {
		var total int64
		for _, b := range group {
			total += int64(b.Weight)
		}
		n, i := intN(total), 0
		for ; n >= int64(group[i].Weight); i++ {
			n -= int64(group[i].Weight)
		}
		// The drawn one moves to the front, the others keep their order.
		drawn := group[i]
		copy(group[1:i+1], group[:i])
		group[0] = drawn
	}
}
