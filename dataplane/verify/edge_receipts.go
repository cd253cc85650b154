package verify

import (
	"context"
	"math/big"
	"net/http"
	"time"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// receiptTries bounds how long a receipt may be under way: the answer waits for it, but not for ever.
const (
	receiptTries = 20
	receiptWait  = 250 * time.Millisecond
)

type receipt struct {
	Object, Model, Transaction, Evidence string
	Status                               int
	Stream                               bool
	Tokens                               struct {
		Input      int64 `json:"input"`
		CacheRead  int64 `json:"cache_read"`
		CacheWrite int64 `json:"cache_write"`
		Long       int64 `json:"cache_write_1h"`
		Output     int64 `json:"output"`
	}
	Cost, Charge amount
}

// costs holds an answer's price to the receipt: in the usage, in the header, and in the ledger it is one and the same.
func costs(p client.Protocol, stream bool) func(context.Context, *gateway) error {
	return func(ctx context.Context, g *gateway) error {
		if err := g.free(); err != nil {
			return err
		}
		if stream && !g.model.has(canStream) {
			return skip{"the model does not have " + canStream}
		}
		a, got, err := g.ask(ctx, p, client.Ask{Model: g.model.id, Turns: user("Reply with the single word pong."), Limit: outputLimit, Stream: stream, Usage: stream})
		if err != nil {
			return err
		}
		if err := counted(a); err != nil {
			return err
		}
		told := decimal(string(a.Usage.Cost))
		if told == nil {
			return wrong("cost in usage, a number of US dollars", "%q", a.Usage.Cost)
		}
		r, err := g.receipt(ctx, got.header.Get("X-Layers-Request-Id"))
		if err != nil {
			return err
		}
		return first(r.matches(a.Usage, g.model.id, stream), r.priced(told, got.header, stream))
	}
}

// receipt waits for one.
func (g *gateway) receipt(ctx context.Context, id string) (*receipt, error) {
	if id == "" {
		return nil, wrong("the header X-Layers-Request-Id", "none")
	}
	for n := 0; ; n++ {
		var r receipt
		got, err := g.read(ctx, usagePath+id, &r)
		if err == nil || got == nil || got.status != http.StatusNotFound || n == receiptTries {
			return &r, err
		}
		g.options.Wait(ctx, receiptWait)
	}
}

// matches compares tokens: each is in the receipt once.
func (r *receipt) matches(u *client.Usage, model string, stream bool) error {
	t := r.Tokens
	if r.Object != "usage.receipt" || r.Model != model || r.Stream != stream || r.Status != http.StatusOK {
		return wrong("a receipt of this request", "%+v", *r)
	}
	if in := t.Input + t.CacheRead + t.CacheWrite + t.Long; in != u.Input || t.Output != u.Output || t.CacheRead != u.CacheRead {
		return wrong("a receipt with the answer's tokens", "%+v in the receipt, %+v in the answer", t, *u)
	}
	return nil
}

// priced compares amounts.
func (r *receipt) priced(told *big.Rat, h http.Header, stream bool) error {
	cost, charge, credits := decimal(r.Cost.USD), decimal(r.Charge.USD), decimal(r.Charge.Credits)
	if cost == nil || charge == nil || credits == nil || cost.Cmp(charge) != 0 || charge.Cmp(told) != 0 {
		return wrong("a receipt whose cost and charge are the answer's cost", "cost %q, charge %q, told %s USD", r.Cost.USD, r.Charge.USD, told.FloatString(9))
	}
	if charge.Sign() > 0 && r.Transaction == "" {
		return wrong("a charge with its transaction in the ledger", "none")
	}
	if stream {
		return nil // the headers went before the price was known
	}
	if header := decimal(h.Get("X-Layers-Cost")); header == nil || header.Cmp(credits) != 0 {
		return wrong("X-Layers-Cost as the receipt has it, "+r.Charge.Credits, "%q", h.Get("X-Layers-Cost"))
	}
	return nil
}

func noReceipt(ctx context.Context, g *gateway) error {
	got, err := g.patient(ctx, http.MethodGet, usagePath+"req_layers-verify", g.keyed(), nil)
	if err != nil {
		return err
	}
	return got.refused(client.Completions{}, http.StatusNotFound, refusal{kind: "invalid_request_error", code: "receipt_not_found"})
}
