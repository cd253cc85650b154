package judge

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/provider"
)

const (
	// moment is how far clocks and records of one instant may be apart. written is how long after the end of an answer a gateway
	// surely has written it down: it tells the admission store first, and waits for that, and for the ledger instead.
	moment, written = time.Second, 3 * time.Second
	// reaped is how long after a gateway's end its holds are surely looked at: the lease, the reaper's pause, and room.
	reaped = 30 * time.Second
	// headRoom is how many tokens of input a request has beside its prompt, by its bytes.
	headRoom = 64
)

// Settled checks that what the providers served is settled once, for what it cost, or is in a declared class (P3), and that
// clients were told what was charged.
func (w *World) Settled() (out []Violation, n Counts) {
	x := w.index()
	n.Requests, n.Served, n.Settled, n.Fallbacks = len(w.Calls), len(x.billed), len(w.Rows), len(w.Fallbacks)
	for id, calls := range x.billed {
		out = append(out, x.served(id, calls, &n)...)
	}
	for _, r := range w.Rows {
		out = append(out, x.row(r)...)
		if r.Evidence == ledger.EvidenceOrphan {
			n.Orphans++
		}
		if r.Adjusted {
			n.Adjusted++
		}
	}
	for _, c := range w.Calls {
		n.answer(c)
		out = append(out, x.told(c)...)
		out = append(out, x.answered(c, &n)...)
	}
	return append(out, x.once(&n)...), n
}

// answer counts what a client heard.
func (n *Counts) answer(c Call) {
	switch {
	case c.Status >= http.StatusInternalServerError:
		n.Failed++
	case c.Status >= http.StatusBadRequest:
		n.Refused++
	case c.RequestID != "":
		n.Admitted++
	default:
		n.Unanswered++
	}
}

// served checks one request that a provider billed.
func (x *index) served(id string, calls []provider.Served, n *Counts) []Violation {
	s := calls[0]
	if len(calls) > 1 {
		return []Violation{wrong("P3", "", id, "two upstream calls were billed: %+v and %+v", calls[0], calls[1])}
	}
	r, settled := x.rows[id]
	if !settled {
		switch x.lost(s) {
		case lostHold:
			n.LostHolds++
		case lostSettlement:
			n.LostSettlements++
		default:
			c, _ := x.call(s)
			return []Violation{wrong("P3", c.Account, id, "the provider billed %d and %d tokens, and nothing is settled: served %+v, call %+v", s.Input, s.Output, s, c)}
		}
		return nil
	}
	if why := x.evidence(s, r); why != "" {
		c, _ := x.call(s)
		return []Violation{wrong("P3", r.Account, id, "%s: row %+v, served %+v, call %+v", why, r, s, c)}
	}
	return nil
}

// answered checks that an answer that nobody billed, because it was empty, is in the ledger, too.
func (x *index) answered(c Call, n *Counts) []Violation {
	_, settled := x.rows[c.RequestID]
	if settled || !c.Whole || c.Status != http.StatusOK || len(x.billed[c.RequestID]) > 0 {
		return nil
	}
	if x.lost(provider.Served{RequestID: c.RequestID, Nonce: c.Nonce, At: c.Sent, End: c.Ended, Whole: true}) != kept {
		n.LostSettlements++
		return nil
	}
	return []Violation{wrong("P3", c.Account, c.RequestID, "it was answered, and nothing is settled: call %+v", c)}
}

// evidence is why a row is not what the provider's record says; empty: it is.
func (x *index) evidence(s provider.Served, r Row) string {
	c, known := x.call(s)
	if known && r.Account != c.Account {
		return "another account's"
	}
	switch r.Evidence {
	case ledger.EvidenceReported:
		if r.Usage.Input != s.Input || r.Usage.Output != s.Output {
			return "reported usage is not what was billed"
		}
	case ledger.EvidenceEstimated:
		switch {
		case known && c.Whole && !c.Leaves && s.Reported && s.Sent == c.Seen && !(c.Stream && r.Charged > r.Held): // cut at its last word
			return "an estimate, though the usage was reported"
		case r.Usage.Output < c.Seen || r.Usage.Output > s.Sent:
			return "estimated output is not between what the client saw and what was sent"
		case r.Usage.Input <= 0 || r.Usage.Input > s.Input*provider.TokenBytes+headRoom:
			return "estimated input is not what was sent"
		case c.Leaves && s.Whole && s.Reported && !s.Stops && !x.usedUp(r): // it may have ended as its client left
			return "an estimate, though the stream was drained to its usage"
		}
	case ledger.EvidenceFree:
		if s.Whole && !(s.Stops && c.Leaves) || c.Seen > 0 {
			return "free, though it was answered"
		}
	case ledger.EvidenceOrphan:
		if !x.mayBeOrphan(s) {
			return "an orphan, though its gateway did not die of it"
		}
	}
	return ""
}

// row checks a row by itself: its cost by its usage, its charge by its cost.
func (x *index) row(r Row) (out []Violation) {
	bad := func(format string, args ...any) {
		out = append(out, wrong("P3", r.Account, r.RequestID, format+": row %+v", append(args, r)...))
	}
	a := x.accounts[r.Account]
	switch r.Evidence {
	case ledger.EvidenceFree:
		if r.Charged != 0 {
			bad("free, and charged")
		}
	case ledger.EvidenceOrphan:
		if want := ledger.Floor(r.OrphanCharge, r.Held, r.Cost); r.Charged != want || x.policy(a.Policy) != r.OrphanCharge {
			bad("an orphan by policy %s, whose floor is %d", a.Policy, want)
		}
		if len(x.billed[r.RequestID]) == 0 && !x.mayBeOrphaned(r) {
			bad("an orphan that no provider billed, though its gateway did not die of it")
		}
	default:
		cost, _, err := pricing.Cost(r.Usage, x.Price(r.Model, a.Tier))
		if err != nil || cost != r.Cost || cost != r.Charged {
			bad("its usage costs %d (%v)", cost, err)
		}
		if len(x.billed[r.RequestID]) == 0 {
			bad("charged, and no provider billed it")
		}
	}
	return append(out, x.over(r, a.Tier)...)
}

// usedUp says that a request may have been ended because its hold paid no more: then its charge is of what was let through, which
// is within a slice of the hold.
func (x *index) usedUp(r Row) bool {
	a := x.accounts[r.Account]
	return r.Charged+x.Slice(r.Model, a.Tier) >= r.Held
}

// policy is what api/v1alpha1 calls what a policy of the plan charges orphans.
func (*index) policy(name string) string {
	return map[string]string{"chaos/input": ledger.OrphanInput, "chaos/none": ledger.OrphanNone, "chaos/hold": ledger.OrphanHold}[name]
}

// over checks that a request cost no more than it may above its hold: a stream one slice; an answer in one piece what it asked.
func (x *index) over(r Row, tier string) []Violation {
	c, known := x.calls[r.RequestID]
	if !known || r.Charged <= r.Held {
		return nil
	}
	allowed := x.Slice(r.Model, tier)
	if !c.Stream {
		worst, err := pricing.Worst(pricing.Bound{Input: c.Input*provider.TokenBytes + headRoom, Output: x.most(c)}, x.Price(r.Model, tier))
		if err != nil {
			return []Violation{wrong("P4", r.Account, r.RequestID, "its worst case is no number: %v", err)}
		}
		allowed = worst - r.Held
	}
	if r.Charged-r.Held > allowed {
		return []Violation{wrong("P4", r.Account, r.RequestID, "it held %d and was charged %d, %d more than it may: call %+v", r.Held, r.Charged, r.Charged-r.Held-allowed, c)}
	}
	return nil
}

// most is how many tokens an answer may have.
func (x *index) most(c Call) int64 {
	if c.MaxTokens > 0 {
		return c.MaxTokens
	}
	return MaxOutput
}

// MaxOutput is the most that the models of a run write.
const MaxOutput = 4096

// told checks that a client was told what was charged.
func (x *index) told(c Call) []Violation {
	if c.Told == nil {
		if c.Status == http.StatusOK && c.Whole && c.Code == "" && (c.Usage || !c.Stream) {
			return []Violation{wrong("told", c.Account, c.RequestID, "the client was not told what it cost: call %+v", c)}
		}
		return nil
	}
	r, settled := x.rows[c.RequestID]
	if settled && r.Charged == *c.Told {
		return nil
	}
	for _, s := range x.billed[c.RequestID] {
		orphan := r.Evidence == ledger.EvidenceOrphan && x.mayBeOrphan(s) // it was told the cost, and its gateway died before the end
		if orphan || x.lost(s) != kept {
			return nil
		}
	}
	if !settled && *c.Told == 0 && len(x.billed[c.RequestID]) == 0 {
		return nil
	}
	return []Violation{wrong("told", c.Account, c.RequestID, "the client was told %d and is charged %d: row %+v, call %+v", *c.Told, r.Charged, r, c)}
}

// apart says that the first claim was where the second one could not ask. Either it was made while the ledger was away, in the
// admission store alone, and the second came before the ledger had heard of it, from a replica that had the ledger alone. Or it is
// in the ledger, given to a replica that could not reach the admission store just then, and the second came while the ledger
// was away.
func (x *index) apart(billed []provider.Served) bool {
	first, _ := x.call(billed[0])
	second, _ := x.call(billed[1])
	if second.Degraded == "redis" {
		return slices.ContainsFunc(x.Outages, func(o Span) bool {
			return o.overlaps(billed[0].At.Add(-x.written), billed[0].At) && billed[1].At.Before(o.To.Add(x.drained))
		})
	}
	away := slices.ContainsFunc(x.Outages, func(o Span) bool { return o.overlaps(second.Sent, billed[1].At) })
	return away && x.Claimed[billed[0].RequestID] && slices.ContainsFunc(x.Calls, func(c Call) bool {
		apart := c.Degraded == "redis" || c.Status == http.StatusServiceUnavailable
		return c.Gateway == first.Gateway && apart && (Span{c.Sent, c.Ended}).overlaps(billed[0].At.Add(-x.written), billed[0].At)
	})
}

// once checks that no Idempotency-Key was served twice, unless the claim was lost with the admission store's data, or was where
// the second one could not ask.
func (x *index) once(n *Counts) (out []Violation) {
	for nonce, calls := range x.nonces {
		if len(calls) < 2 || !calls[0].Key {
			continue
		}
		var billed []provider.Served
		for _, s := range x.Served {
			if s.Nonce == nonce && s.Billed {
				billed = append(billed, s)
			}
		}
		if len(billed) < 2 {
			continue
		}
		if n.Twice++; !within(x.dataLosses, calls[0].Sent, billed[1].At) && !x.apart(billed) {
			out = append(out, wrong("idempotency", calls[0].Account, billed[1].RequestID, "request %d was served twice: %s", nonce, x.story(billed)))
		}
	}
	return out
}

// story is who served what, in short.
func (x *index) story(billed []provider.Served) string {
	var out []string
	for _, s := range billed {
		c, _ := x.call(s)
		out = append(out, fmt.Sprintf("%s by gateway %d, sent %s, served %s to %s, degraded %q, status %d, whole %v", s.RequestID, c.Gateway,
			c.Sent.Format(clock), s.At.Format(clock), s.End.Format(clock), c.Degraded, c.Status, c.Whole))
	}
	return strings.Join(out, "; then ")
}

const clock = "15:04:05.000"
