package admit

import "github.com/layers-dev/layers/dataplane/snapshot"

// What another Admitter needs so that it decides by the same numbers as the scripts.

// Valid says whether a request can be put to an admission store; else ErrRange.
func (q Request) Valid() error { return q.check() }

// Valid says whether an extension can be put to an admission store; else ErrRange.
func (e Extension) Valid() error { return e.check() }

// Measured answers where a rate stands, by what lua/span.lua counts: a bucket's debt in microseconds and picoseconds below a
// million, or a day's count and how long the day lasts in microseconds. used is what is taken of it, which a burst above
// the value hides from Remaining.
func Measured(unit snapshot.Unit, value, burst, us, ps int64) (l Limit, used int64) {
	return measured(unit, value, burst, us, ps)
}

// Tighter is the limit with the least remaining; of two with the same, the one that is there again later.
func Tighter(a, b Limit) Limit { return tighter(a, b) }
