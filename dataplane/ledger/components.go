package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// NewPriceVersion is all that a price consists of: a snapshot.Price as JSON. A markup is not part of it: that is the tier's, and
// stands in the lines of each bill.
func NewPriceVersion(p *snapshot.Price) (PriceVersion, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return PriceVersion{}, fmt.Errorf("writing price version %s: %w", p.Version, err)
	}
	return PriceVersion{p.Version, text}, nil
}

// Price is what a version consists of, without a markup: pricing.Cost with it is what a request of that version costs.
func (v PriceVersion) Price() (pricing.Price, error) {
	var p snapshot.Price
	if err := json.Unmarshal(v.Components, &p); err != nil {
		return pricing.Price{}, fmt.Errorf("reading price version %s: %w", v.Version, err)
	}
	if p.Version != v.Version {
		return pricing.Price{}, fmt.Errorf("reading price version %s: it says that it is %q", v.Version, p.Version)
	}
	return priceOf(&p), nil
}

// PricesOf are the versions of all prices that a snapshot has, of models and of what their providers ask, each once: what
// PutPriceVersions must have before requests are settled by them, so that their bills can be computed again.
func PricesOf(s *snapshot.Snapshot) ([]PriceVersion, error) {
	var out []PriceVersion
	seen := map[string]bool{"": true} // without a version nothing is settled by it
	for _, m := range s.Models {
		all := []*snapshot.Price{m.Price}
		for _, b := range m.Backends {
			all = append(all, b.Price)
		}
		for _, p := range all {
			if p == nil || seen[p.Version] {
				continue
			}
			v, err := NewPriceVersion(p)
			if err != nil {
				return nil, err
			}
			seen[p.Version] = true
			out = append(out, v)
		}
	}
	return out, nil
}

// priceOf is a snapshot's price without markup.
func priceOf(p *snapshot.Price) pricing.Price {
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
	return out
}
