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
	down := l.Ran(s.End, l.To) < moment
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
	return !s.End.IsZero() && l.Ran(s.End, l.To) > moment
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
	return !x.finished(s, c, l) || x.lost(s) != kept
}
