package server

import (
	"cmp"
	"strings"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// settlement is the end of the exchange as the ledger has it. status is what the client was told.
func (e *exchange) settlement(b bill, status int) ledger.Settlement {
	row := e.row()
	row.Provider, row.Backend, row.UpstreamID = e.rec.Provider, e.rec.Backend, storable(e.tally.upstreamID)
	row.Usage, row.Lines, row.Evidence, row.Status = b.usage, b.lines, b.evidence, status
	row.Cost, row.Charged, row.ProviderCost, row.Held = b.cost, b.charged, b.provider, e.stake.held
	row.Disconnect, _ = e.disconnect.Load().(string)
	if p := e.backendPrice(); p != nil {
		row.ProviderPrice = p.Version
	}
	return row
}

// orphan is what becomes of the exchange if nobody finishes it: its input, of which the policy says whether it is charged.
// Whoever reaps it knows what was held.
func (e *exchange) orphan() ledger.Settlement {
	row := e.row()
	row.Evidence, row.OrphanCharge = ledger.EvidenceOrphan, ledger.OrphanInput
	if e.policy != nil {
		row.OrphanCharge = cmp.Or(e.policy.OrphanCharge, ledger.OrphanInput)
	}
	if e.unmetered {
		row.OrphanCharge = ledger.OrphanNone
	}
	if e.price == nil {
		return row
	}
	usage := pricing.Usage{Input: e.stake.ask.Input}
	if cost, lines, err := pricing.Cost(usage, *e.price); err == nil && cost <= admit.MaxNano {
		row.Usage, row.Cost, row.Lines = usage, cost, lines
	}
	return row
}

// row is what is known of the exchange from its beginning.
func (e *exchange) row() ledger.Settlement {
	row := ledger.Settlement{
		RequestID: e.rec.ID, Account: e.key.Account, KeyID: e.key.ID, Model: e.target.PublicName, Stream: e.req.Stream,
		StartedAt: e.rec.Start.UnixMicro(), FinishedAt: e.s.o.Now().UnixMicro(),
	}
	if e.price != nil {
		row.PriceVersion = e.price.Version
	}
	return row
}

// storable makes a text that an upstream chose fit for every database.
func storable(s string) string {
	return clip(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), ""), 256)
}
