package judge

import (
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
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

// slowestMost bounds by how much a busy machine excuses what was not done in time.
const slowestMost = 10 * time.Second

// slowest is how long it took at worst until an end was in the ledger, while nothing was wrong: with a gateway that ran on and a
// ledger that was there. On a busy machine that is longer than it should be, and so is the time in which an end is lost with its log.
func (x *index) slowest() (d time.Duration) {
	for id, calls := range x.billed {
		s, r := calls[0], x.rows[id]
		c, known := x.call(s)
		if !known || r.Evidence != ledger.EvidenceReported || r.Adjusted || s.End.IsZero() {
			continue
		}
		l, ok := x.life(c)
		if ok && orLater(l.To).After(r.Settled) {
			d = max(d, x.ranWithLedger(l, s.End, r.Settled))
		}
	}
	return min(d+moment, slowestMost)
}

// ranWithLedger is how long a life ran between two instants while the ledger could be reached.
func (x *index) ranWithLedger(l stores.Life, from, to time.Time) time.Duration {
	idle := make([]Span, 0, len(l.Stopped)+len(x.Outages))
	for _, s := range l.Stopped {
		idle = append(idle, Span{s[0], s[1]})
	}
	idle = append(idle, x.Outages...)
	slices.SortFunc(idle, func(a, b Span) int { return a.From.Compare(b.From) })
	d := time.Duration(0)
	for _, s := range idle { // from moves on: what two have in common counts once
		if s.From.After(from) && s.From.Before(to) {
			d += s.From.Sub(from)
		}
		if s.overlaps(from, to) && s.To.After(from) {
			from = s.To
		}
	}
	return d + max(0, to.Sub(from))
}

// lost says in which declared class a request may be that a provider served and that is not in the ledger.
func (x *index) lost(s provider.Served) loss {
	c, known := x.call(s)
	if !known || x.fallback[s.RequestID] { // the ledger itself had its hold
		return kept
	}
	l, ok := x.life(c)
	if !ok || !l.Killed || !x.taken(s.RequestID, s.At.Add(-moment), l.To.Add(x.reapedAfter(l))) {
		return kept
	}
	if !x.finished(s, c, l) {
		return lostHold
	}
	down := l.Ran(s.End, l.To) < x.written
	for _, o := range x.Outages {
		down = down || o.overlaps(l.To.Add(-x.drained), l.To) && !o.To.Before(s.End)
	}
	if l.LogLost && down {
		return lostSettlement
	}
	return kept
}

// taken says that the admission store lost the request's hold between two instants: it was among those that were read before the
// fault, and so in the bound that was computed then.
func (x *index) taken(id string, from, to time.Time) bool {
	return slices.ContainsFunc(x.Losses, func(l Loss) bool {
		return l.Gone && !l.At.Before(from) && !l.At.After(to) && slices.ContainsFunc(l.Holds, func(h Hold) bool { return h.RequestID == id })
	})
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

// finished says that the gateway surely had written down the end of a request before it was killed: what its client has heard is
// in its log, and a moment later in the admission store, which is what counts where the log is lost.
func (x *index) finished(s provider.Served, c Call, l stores.Life) bool {
	if c.Whole && !c.Ended.After(l.To) && (!l.LogLost || l.Ran(c.Ended, l.To) > moment) {
		return true
	}
	return !s.End.IsZero() && l.Ran(s.End, l.To) > x.written
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

// mayBeOrphaned is mayBeOrphan of a request that no provider billed. Where its client heard no id, it is one of those that a
// gateway which was killed had from its account then.
func (x *index) mayBeOrphaned(r Row) bool {
	if c, known := x.calls[r.RequestID]; known {
		return x.mayBeOrphan(provider.Served{RequestID: r.RequestID, Nonce: c.Nonce, At: c.Sent, End: c.Ended})
	}
	return slices.ContainsFunc(x.Calls, func(c Call) bool {
		l, ok := x.life(c)
		return c.RequestID == "" && c.Account == r.Account && (Span{c.Sent.Add(-moment), c.Ended.Add(moment)}).overlaps(r.Started, r.Started) && ok && l.Killed
	})
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
		if ran += x.ranWithLedger(l, from, l.To); ran > x.drained {
			return false
		}
		if l.LogLost {
			return true
		}
	}
	return false
}
