package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// finishTimeout bounds how long an answer waits for the admission store to hear of its end.
const finishTimeout = time.Second

// bytesPerToken estimates tokens where an upstream reported none.
const bytesPerToken = 4

// tally is what an attempt has produced so far.
type tally struct {
	usage       *pricing.Usage // the last report; reports are cumulative
	outputBytes int64
	content     bool
	upstreamID  string
	// sinceReport is the part of outputBytes that came after the last usage report; whole says that the answer came to its end.
	sinceReport int64
	whole       bool
	// like is the data of a stream's first event, kept where the stream's usage may have to be told by us.
	like []byte
	// most, if it is not 0, is how many tokens of output are charged at most: the answer was ended there, whatever its
	// provider wrote on.
	most int64
}

// bill is what a tally costs.
type bill struct {
	usage         pricing.Usage
	evidence      ledger.Evidence
	cost, charged pricing.Nano
	provider      pricing.Nano // what the provider asks
	lines         []pricing.Line
}

// empty says that the provider produced nothing: no content, and no reasoning either. Reasoning that used up the token
// limit before the first word is billed by the provider, and so by us.
func (t tally) empty() bool {
	return !t.content && (t.usage == nil || t.usage.Reasoning == 0)
}

// bill prices the tally as it is: nothing for an empty answer, what was reported, else an estimate.
func (e *exchange) bill() bill {
	b := bill{evidence: ledger.EvidenceReported}
	switch {
	case e.tally.usage != nil:
		b.usage = *e.tally.usage
		if !e.tally.whole && e.tally.sinceReport > 0 {
			// Anthropic reports a token of output when an answer begins; where it breaks off, nobody tells the rest.
			if out := e.estimate().Output; out > b.usage.Output {
				b.usage.Output, b.evidence = out, ledger.EvidenceEstimated
			}
		}
	case e.tally.content:
		b.usage, b.evidence = e.estimate(), ledger.EvidenceEstimated
	}
	if most := e.tally.most; most > 0 && b.usage.Output > most {
		b.usage.Output, b.usage.Reasoning, b.evidence = most, min(b.usage.Reasoning, most), ledger.EvidenceEstimated
	}
	if e.price != nil {
		cost, lines, err := pricing.Cost(b.usage, *e.price)
		if err == nil && cost > admit.MaxNano {
			err = fmt.Errorf("%d nano-USD: %w", cost, admit.ErrRange)
		}
		if err != nil { // what was reported is absurd
			e.s.o.Log.Error("Reported usage cannot be priced, charging an estimate", "requestID", e.rec.ID, "error", err)
			b.usage, b.evidence = e.estimate(), ledger.EvidenceEstimated
			if cost, lines, err = pricing.Cost(b.usage, *e.price); err != nil {
				cost, lines = e.worst, nil
			}
		}
		b.cost, b.lines, b.provider = cost, lines, e.providerCost(b.usage)
	}
	if e.tally.empty() {
		b.evidence = ledger.EvidenceFree
	} else if !e.unmetered {
		b.charged = b.cost
	}
	return b
}

// estimate is never more than what the hold was computed from: an upstream may send more bytes than we asked for tokens.
func (e *exchange) estimate() pricing.Usage {
	tokens := func(bytes int64) int64 { return (bytes + bytesPerToken - 1) / bytesPerToken }
	in := tokens(e.readBytes())
	if e.inBound > 0 {
		in = min(in, e.inBound)
	}
	return pricing.Usage{Input: in, Output: min(tokens(e.tally.outputBytes), e.outBound)}
}

// end settles the exchange, once. It waits, for a bounded time, until the ledger has the charge, so that an answer that
// was given is a charge that is kept. status is what the client was told.
func (e *exchange) end(status int) {
	if e.ended {
		return
	}
	e.ended = true
	b := e.bill()
	row := e.settlement(b, status)
	e.rec.UpstreamID = e.tally.upstreamID
	e.learn(b)
	if !e.reached || e.demo() {
		e.finish(b, row)
		if e.reached {
			e.rec.Usage, e.rec.Evidence = b.usage, string(b.evidence)
		}
		e.release(status)
		return
	}
	e.rec.Usage, e.rec.Evidence, e.rec.Cost, e.rec.Charged = b.usage, string(b.evidence), b.cost, b.charged
	if e.tally.whole || b.evidence != ledger.EvidenceFree { // answered, or charged
		e.keep()
	}
	wait, err := e.s.o.Settler.Submit(row, e.key.Meter()) // before finish: who is killed while that waits finds it in the log
	e.finish(b, row)
	if err != nil {
		e.s.o.Log.Error("Settlement is lost", "requestID", e.rec.ID, "chargedNano", b.charged, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.r.Context()), e.s.o.CommitWait)
	defer cancel()
	_ = wait(ctx) // the settler goes on trying, and says so
}

// finish tells the admission store what the exchange really took, so that its slot is free, the token limits are put
// right, and its hold is no more than its cost. Where it cannot be told, the hold stands until the settlement is confirmed.
func (e *exchange) finish(b bill, row ledger.Settlement) {
	record, err := ledger.EncodeRecord(row)
	if err != nil { // then only the log has it
		e.s.o.Log.Error("Settlement does not fit into its hold", "requestID", e.rec.ID, "error", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.r.Context()), min(finishTimeout, e.s.o.StoreTimeout))
	defer cancel()
	err = e.s.o.Admitter.Finish(ctx, admit.Finish{
		RequestID: e.rec.ID, Account: e.key.Account, KeyDigest: e.key.Meter(), Actual: b.charged,
		InputTokens: b.usage.Input + b.usage.CacheWrite + b.usage.CacheWrite1h, OutputTokens: b.usage.Output,
		Record: record,
	})
	if err != nil {
		e.s.o.Log.Warn("Request is not finished in the admission store", "requestID", e.rec.ID, "error", err)
	}
}

// learn remembers how long the answer was and how many tokens its input, as its provider reported: not where something cut
// it, and not of an input that was cached or is no text.
func (e *exchange) learn(b bill) {
	if b.evidence != ledger.EvidenceReported || e.req.Protocol == chat.Embeddings || e.req.Protocol == chat.CountTokens {
		return
	}
	u := b.usage
	if e.tally.whole && e.stake.cut == nil {
		e.s.o.Book.Saw(e.series(), u.Output/max(e.req.Choices, 1))
	}
	if u.CacheRead+u.CacheWrite+u.CacheWrite1h+u.Searches == 0 && !e.req.Opaque && !slices.Contains(e.req.Needs, "Vision") {
		e.s.o.Book.SawInput(e.target.PublicName, e.req.InputBytes, u.Input)
	}
}
