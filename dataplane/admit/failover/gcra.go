package failover

import (
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// The arithmetic of the package admit's scripts, number by number (lua/span.lua, lua/admit.lua and lua/finish.lua), so that
// limits and headers mean the same on both sides. twin_test.go compares them.

// forever is 126 years in microseconds: more counts as that.
const forever int64 = 4_000_000_000_000_000

const (
	microsecond int64 = 1_000_000 // picoseconds
	minute      int64 = 60_000_000
	day         int64 = 86_400
)

// span is microseconds, and picoseconds below a million: a token of a billion a minute takes 60 ns.
type span struct{ us, ps int64 }

func newSpan(us, ps int64) span {
	carry := ps / microsecond
	if ps%microsecond < 0 {
		carry--
	}
	us, ps = us+carry, ps-carry*microsecond
	if us >= forever {
		return span{forever, 0}
	}
	return span{us, ps}
}

// interval is the time that one of value a minute takes, rounded up: never more than the limit.
func interval(value int64) span {
	return newSpan(minute/value, (minute%value*microsecond+value-1)/value)
}

func (s span) times(n int64) span    { return newSpan(n*s.us, n*s.ps) }
func (s span) plus(o span) span      { return newSpan(s.us+o.us, s.ps+o.ps) }
func (s span) longer(than span) bool { return s.us > than.us || s.us == than.us && s.ps > than.ps }
func (s span) shorterOr(o span) span { // the shorter one
	if s.longer(o) {
		return o
	}
	return s
}

// minus is at least nothing.
func (s span) minus(o span) span {
	if o.longer(s) {
		return span{}
	}
	return newSpan(s.us-o.us, s.ps-o.ps)
}

// state is a rate of a key: of a bucket, when it will be full, in microseconds since the epoch and more; of a day, its start
// in Unix seconds and its count.
type state struct{ at, more int64 }

// debt is what a bucket owes now; it is full when it owes nothing.
func (s state) debt(now int64) span {
	if s.at < now {
		return span{}
	}
	return newSpan(s.at-now, s.more)
}

// owing is the bucket that owes so much now.
func owing(now int64, debt span) state { return state{now + debt.us, debt.ps} }

// measure is a rate before and after a request, and how long the request is too early.
type measure struct {
	rate          admit.Rate
	next          state
	before, after admit.Limit
	used          int64 // before
	wait          time.Duration
}

// measured says what a request takes of a rate; a request larger than the whole room takes all of it, or it could never pass.
func measured(r admit.Rate, s state, now time.Time) measure {
	if r.Unit == snapshot.RequestsPerDay {
		r.Cost = min(r.Cost, r.Value)
		return daily(r, s, now)
	}
	r.Cost = min(r.Cost, r.Burst)
	m := measure{rate: r}
	owed, one := s.debt(now.UnixMicro()), interval(r.Value)
	next, full := owed.plus(one.times(r.Cost)), one.times(r.Burst)
	if next.longer(full) {
		wait := next.us - full.us
		if next.ps > full.ps {
			wait++
		}
		m.wait = time.Duration(min(wait, int64(1<<63-1)/1000)) * time.Microsecond
	}
	m.next = owing(now.UnixMicro(), next)
	m.before, m.used = admit.Measured(r.Unit, r.Value, r.Burst, owed.us, owed.ps)
	m.after, _ = admit.Measured(r.Unit, r.Value, r.Burst, next.us, next.ps)
	m.used = max(m.before.Limit-m.before.Remaining, m.used)
	return m
}

func daily(r admit.Rate, s state, now time.Time) measure {
	// After a clock was set back over midnight, the later day goes on.
	today := max(now.Unix()/day*day, s.at)
	left := (today+day)*microsecond - now.UnixMicro()
	count := int64(0)
	if s.at == today {
		count = s.more
	}
	m := measure{rate: r, next: state{today, count + r.Cost}}
	if count+r.Cost > r.Value {
		m.wait = time.Duration(left) * time.Microsecond
	}
	m.before, m.used = admit.Measured(r.Unit, r.Value, 0, count, left)
	m.after, _ = admit.Measured(r.Unit, r.Value, 0, count+r.Cost, left)
	return m
}

// undone is a rate without what a request that was refused after all took of it.
func undone(r admit.Rate, s state) state {
	if r.Unit == snapshot.RequestsPerDay {
		return state{s.at, max(0, s.more-r.Cost)}
	}
	cost := interval(r.Value).times(r.Cost)
	return owing(0, span{s.at, s.more}.minus(cost))
}

// corrected is a bucket that gets back what was estimated too much, or gives what was estimated too little, below empty,
// too: at most a minute's worth, as lua/finish.lua says.
func corrected(r admit.Rate, s state, used int64, now int64) state {
	one := interval(r.Value)
	most := one.times(r.Burst).plus(span{minute, 0})
	owed := s.debt(now)
	if used < r.Cost {
		return owing(now, owed.minus(one.times(r.Cost-used)))
	}
	if !owed.longer(most) { // it may owe more already, from a larger burst before
		owed = owed.plus(one.times(used - r.Cost)).shorterOr(most)
	}
	return owing(now, owed)
}
