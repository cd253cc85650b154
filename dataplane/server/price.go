package server

import (
	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// priceOf is a snapshot's price list as it is charged, with a tier's markup; no tier: none.
func priceOf(p *snapshot.Price, tier *snapshot.Tier) pricing.Price {
	out := pricing.Price{
		Version: p.Version, Input: p.InputPerMillion, Output: p.OutputPerMillion, CacheRead: p.CacheReadPerMillion,
		CacheWrite: p.CacheWritePerMillion, CacheWrite1h: p.CacheWrite1hPerMillion, Search: p.SearchPerMillion,
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, pricing.Step{
			Above: s.AboveInput, Input: s.InputPerMillion, Output: s.OutputPerMillion, CacheRead: s.CacheReadPerMillion,
			CacheWrite: s.CacheWritePerMillion, CacheWrite1h: s.CacheWrite1hPerMillion,
		})
	}
	if tier != nil && tier.Markup != nil {
		out.Markup = pricing.Ratio{Num: tier.Markup.Num, Den: tier.Markup.Den}
	}
	return out
}

// info is what the caller sees of a model, at its own tier's prices.
func (c *caller) info(m *snapshot.Model) openai.ModelInfo {
	out := openai.Info(m)
	if m.Price != nil {
		out.Markup = priceOf(m.Price, c.tier).Markup.String()
	}
	return out
}

// worstCase prices the request under the terms that are known now, and pins that price: what it is admitted with, it is
// settled with. Without a price there is nothing to do.
func (e *exchange) worstCase() error {
	if e.price == nil {
		return nil
	}
	price := priceOf(e.target.Price, e.tier)
	asked, err := e.stakes(price)
	if err != nil || asked.need.Worst > admit.MaxNano {
		return errRequest("max_tokens_too_large", e.maxTokensParam(), "This request may cost more than any account can hold.")
	}
	e.price, e.worst, e.stake = &price, asked.need.Worst, asked
	return nil
}

// providerCost is what the provider of the last attempt asks for usage: its backend's price where it has one, else the
// model's, without markup. 0 where that cannot be told.
func (e *exchange) providerCost(u pricing.Usage) pricing.Nano {
	if e.price == nil {
		return 0
	}
	list := e.target.Price
	if p := e.backendPrice(); p != nil {
		list = p
	}
	cost, _, err := pricing.Cost(u, priceOf(list, nil))
	if err != nil || cost > admit.MaxNano {
		return 0
	}
	return cost
}

// backendPrice is what the provider of the last attempt asks where that is not the model's price; nil: it is.
func (e *exchange) backendPrice() *snapshot.Price {
	for i := range e.backends {
		if b := &e.backends[i]; b.Name == e.rec.Backend {
			return b.Price
		}
	}
	return nil
}
