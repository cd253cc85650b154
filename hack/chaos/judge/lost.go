package judge

import (
	"time"

	"github.com/layers-dev/layers/hack/chaos/provider"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

// loss is how much of a request may be gone.
type loss int

const (
	kept loss = iota
	// lostHold: nobody finished it, its gateway was killed, and the admission store lost its hold before somebody reaped it.
	lostHold
	// lostSettlement: it had ended; its gateway was killed with its log, and the admission store lost its data, before the ledger
	// had it: the ledger was down until just before, or there was not a moment between.
	lostSettlement
)

// drained is how long after the ledger is back the settlements that waited are in it: the longest pause between two tries, and room.
const drained = 3 * time.Second

// lost says in which declared class a request may be that a provider served and that is not in the ledger.
func (x *index) lost(s provider.Served) loss {
	c, known := x.call(s)
	if !known || x.fallback[s.RequestID] { // the ledger itself had its hold
		return kept
	}
	l, ok := x.life(c)
	if !ok || !l.Killed || !within(x.DataLosses, s.At.Add(-moment), l.To.Add(x.reapedAfter(l))) {
		return kept
	}
	if !x.finished(s, c, l) {
		return lostHold
	}
	down := l.Ran(s.End, l.To) < written
	for _, o := range x.Outages {
		down = down || o.overlaps(l.To.Add(-drained), l.To) && !o.To.Before(s.End)
	}
	if l.LogLost && down {
		return lostSettlement
	}
	return kept
}

// reapedAfter is until when a dead gateway's holds may stand: nobody reaps while the ledger is away.
func (x *index) reapedAfter(l stores.Life) (d time.Duration) {
	d = reaped
	for _, o := range x.Outages {
		if o.overlaps(l.To, l.To.Add(d)) {
			d += o.To.Sub(o.From)
		}
	}
	return d
}

// finished says that the gateway surely had written down the end of a request before it was killed.
func (x *index) finished(s provider.Served, c Call, l stores.Life) bool {
	if c.Whole && !c.Ended.After(l.To) {
		return true
	}
	return !s.End.IsZero() && l.Ran(s.End, l.To) > written
}

// mayBeOrphan says that a request's gateway was killed before it had written down its end, or that what it had written is lost.
func (x *index) mayBeOrphan(s provider.Served) bool {
	c, known := x.call(s)
	if !known {
		return false
	}
	l, ok := x.life(c)
	if !ok || !l.Killed {
		return false
	}
	if !x.finished(s, c, l) || x.lost(s) != kept {
		return true
	}
	return x.fallback[s.RequestID] && x.logLostSoon(c.Gateway, s.End)
}

// logLostSoon says that the log that had an end was lost before it can have been worked off: with the life that wrote it, or
// with one that began after it and did not last. Where the ledger had the hold, an end that did not reach it then is only there.
func (x *index) logLostSoon(gateway int, end time.Time) bool {
	ran := time.Duration(0)
	for _, l := range x.Lives[gateway] {
		if !l.Killed || l.To.Before(end) {
			continue
		}
		from := l.From
		if from.Before(end) {
			from = end
		}
		if ran += l.Ran(from, l.To); ran > drained {
			return false
		}
		if l.LogLost {
			return true
		}
	}
	return false
}
