package verify

import (
	"context"
	"encoding/json"
	"math/big"
	"strings"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// moneyChecks are of credits, prices and limits.
func moneyChecks() []edge {
	out := []edge{
		{name: "estimate", run: estimate},
		{name: "prices as listed", run: prices},
		{name: "balance", run: balance},
		{name: "rate limits", run: rateLimits},
	}
	for _, p := range client.All() {
		out = append(out, edge{protocol: p.Name(), name: "cost and receipt", run: costs(p, false)}, edge{protocol: p.Name(), name: "cost and receipt, streamed", run: costs(p, true)})
	}
	return append(out, edge{name: "nobody else's receipt", run: noReceipt})
}

// amount is money twice.
type amount struct{ Credits, USD string }

// decimal reads one; nil: it is none.
func decimal(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/_xX") {
		return nil
	}
	return r
}

func estimate(ctx context.Context, g *gateway) error {
	if g.model.id == "" {
		return skip{noModel}
	}
	p := client.Completions{}
	got, err := g.post(ctx, estimatePath, pong(p, g.model.id))
	if err != nil {
		return err
	}
	if err := got.good(p, "application/json"); err != nil {
		return err
	}
	var e struct {
		Object, Model string
		Route         []json.RawMessage
		Cost          amount `json:"estimated_cost"`
		Hold          amount
		Unmetered     *bool
		Admitted      *bool
	}
	if unmarshal(got.body, &e) != nil || e.Object != "estimate" || e.Model != g.model.id || len(e.Route) == 0 || e.Unmetered == nil || e.Admitted == nil {
		return wrong("an estimate with model, route, unmetered and admitted", "%s", got.body)
	}
	g.unmetered = *e.Unmetered
	cost, hold := decimal(e.Cost.USD), decimal(e.Hold.USD)
	if cost == nil || hold == nil || !g.unmetered && hold.Cmp(cost) < 0 {
		return wrong("a hold that covers the estimated cost", "hold %q, cost %q", e.Hold.USD, e.Cost.USD)
	}
	if !*e.Admitted {
		return wrong("a request that would be admitted: later checks need it", "%s", got.body)
	}
	return nil
}

// prices holds the list to what an estimate counts with.
func prices(ctx context.Context, g *gateway) error {
	switch {
	case g.model.id == "":
		return skip{noModel}
	case g.demo:
		return skip{inDemo}
	}
	var list struct {
		Data []struct {
			ID     string
			Prices *struct{ Input, Output json.Number } `json:"pricing_per_million"`
		}
	}
	if _, err := g.read(ctx, modelsPath, &list); err != nil {
		return err
	}
	p := client.Completions{}
	got, err := g.post(ctx, estimatePath, pong(p, g.model.id))
	if err != nil {
		return err
	}
	var e struct {
		Price *struct {
			Input  string `json:"input_usd_per_million"`
			Output string `json:"output_usd_per_million"`
		}
	}
	if err := first(got.good(p, "application/json"), unmarshal(got.body, &e)); err != nil {
		return err
	}
	for _, m := range list.Data {
		switch {
		case m.ID != g.model.id:
		case e.Price == nil && m.Prices == nil:
			return skip{"nothing is charged, and no price is listed"}
		case e.Price == nil || m.Prices == nil || !same(m.Prices.Input, e.Price.Input) || !same(m.Prices.Output, e.Price.Output):
			return wrong("the prices in the list and in an estimate to be the same", "%+v and %+v", m.Prices, e.Price)
		}
	}
	return nil
}

// same compares two decimals, which may be written in two ways.
func same(a json.Number, b string) bool {
	x, y := decimal(string(a)), decimal(b)
	return x != nil && y != nil && x.Cmp(y) == 0
}

// inDemo is why amounts are not looked at.
const inDemo = "demo mode charges nothing"

// free says why there is nothing to charge; nil: there is.
func (g *gateway) free() error {
	switch {
	case g.model.id == "":
		return skip{noModel}
	case g.demo:
		return skip{inDemo}
	case g.unmetered:
		return skip{"the key's credit policy charges nothing"}
	}
	return nil
}

func balance(ctx context.Context, g *gateway) error {
	if err := g.free(); err != nil {
		return err
	}
	p := client.Completions{}
	got, err := g.post(ctx, p.Path(), pong(p, g.model.id))
	if err != nil {
		return err
	}
	if err := got.good(p, "application/json"); err != nil {
		return err
	}
	has, cost := decimal(got.header.Get("X-Layers-Balance")), decimal(got.header.Get("X-Layers-Cost"))
	if has == nil || has.Sign() < 0 || cost == nil || cost.Cmp(has) > 0 {
		return wrong("X-Layers-Balance and X-Layers-Cost, in credits, the cost within the balance", "%q and %q", got.header.Get("X-Layers-Balance"), got.header.Get("X-Layers-Cost"))
	}
	return nil
}
