package admit

import (
	"math/big"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// minutePS is a minute in picoseconds.
const minutePS = int64(time.Minute/time.Microsecond) * 1_000_000

// foreverPS is what the scripts count as for ever: 4e15 us, in picoseconds.
var foreverPS = new(big.Int).Mul(big.NewInt(4_000_000_000_000_000), big.NewInt(1_000_000))

// interval is how long one of value a minute takes, in picoseconds, rounded up: never more than the limit.
func interval(value int64) int64 { return (minutePS + value - 1) / value }

// measured answers the numbers of a rate from what the script says: a bucket's debt in us and ps, or a day's count and
// how long it lasts in us.
func measured(unit snapshot.Unit, value, burst, us, ps int64) Limit {
	if unit == snapshot.RequestsPerDay {
		return Limit{Limit: value, Remaining: max(0, value-us), Reset: micros(ps)}
	}
	if value < 1 {
		return Limit{} // the reply is broken, and refused as such
	}
	one := big.NewInt(interval(value))
	room := new(big.Int).Mul(one, big.NewInt(burst))
	if room.Cmp(foreverPS) > 0 {
		room.Set(foreverPS)
	}
	debt := new(big.Int).Mul(big.NewInt(us), big.NewInt(1_000_000))
	room.Sub(room, debt.Add(debt, big.NewInt(ps)))
	left := int64(0)
	if room.Sign() > 0 {
		left = min(value, room.Div(room, one).Int64())
	}
	if ps > 0 {
		us++
	}
	return Limit{Limit: value, Remaining: left, Reset: micros(us)}
}

// micros is a span of the scripts; the longest that a Duration has where that is shorter.
func micros(us int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Microsecond)
	return time.Duration(min(us, most)) * time.Microsecond
}

// tighter is the limit with the least remaining; of two with the same, the one that is there again later.
func tighter(a, b Limit) Limit {
	if a.Limit == 0 || b.Limit > 0 && (b.Remaining < a.Remaining || b.Remaining == a.Remaining && b.Reset > a.Reset) {
		return b
	}
	return a
}
