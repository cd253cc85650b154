package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// components is the form of PriceVersion.Components: nano-USD per million units; what is not there falls back as
// pricing.Price says. No markup: that is the tier's, and stands in the lines of each bill.
type components struct {
	Input        pricing.Nano  `json:"input"`
	Output       pricing.Nano  `json:"output"`
	CacheRead    *pricing.Nano `json:"cache_read,omitempty"`
	CacheWrite   *pricing.Nano `json:"cache_write,omitempty"`
	CacheWrite1h *pricing.Nano `json:"cache_write_1h,omitempty"`
	Search       *pricing.Nano `json:"search,omitempty"`
	Steps        []step        `json:"steps,omitempty"`
}

// step is what all tokens cost of a request with more input than Above.
type step struct {
	Above        int64         `json:"above"`
	Input        pricing.Nano  `json:"input"`
	Output       pricing.Nano  `json:"output"`
	CacheRead    *pricing.Nano `json:"cache_read,omitempty"`
	CacheWrite   *pricing.Nano `json:"cache_write,omitempty"`
	CacheWrite1h *pricing.Nano `json:"cache_write_1h,omitempty"`
}

// NewPriceVersion is all that a price consists of but its markup, which is not part of a version.
func NewPriceVersion(p pricing.Price) (PriceVersion, error) {
	c := components{p.Input, p.Output, p.CacheRead, p.CacheWrite, p.CacheWrite1h, p.Search, nil}
	for _, s := range p.Steps {
		c.Steps = append(c.Steps, step(s))
	}
	text, err := json.Marshal(c)
	if err != nil {
		return PriceVersion{}, fmt.Errorf("writing price version %s: %w", p.Version, err)
	}
	return PriceVersion{p.Version, text}, nil
}

// Price is what a version consists of, without a markup: pricing.Cost with it is what a request of that version costs.
func (v PriceVersion) Price() (pricing.Price, error) {
	var c components
	if err := json.Unmarshal(v.Components, &c); err != nil {
		return pricing.Price{}, fmt.Errorf("reading price version %s: %w", v.Version, err)
	}
	p := pricing.Price{Version: v.Version, Input: c.Input, Output: c.Output, CacheRead: c.CacheRead, CacheWrite: c.CacheWrite, CacheWrite1h: c.CacheWrite1h, Search: c.Search}
	for _, s := range c.Steps {
		p.Steps = append(p.Steps, pricing.Step(s))
	}
	return p, nil
}

// PricesOf are the versions of all prices that a snapshot has, of models and of what their providers ask, each once: what
// PutPriceVersions must have before requests are settled by them, so that their bills can be computed again.
func PricesOf(s *snapshot.Snapshot) ([]PriceVersion, error) {
	var out []PriceVersion
	for _, m := range s.Models {
		all := []*snapshot.Price{m.Price}
		for _, b := range m.Backends {
			all = append(all, b.Price)
		}
		for _, p := range all {
			if p == nil {
				continue
			}
			v, err := NewPriceVersion(priceOf(p))
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b PriceVersion) int { return cmp.Compare(a.Version, b.Version) })
	return slices.CompactFunc(out, func(a, b PriceVersion) bool { return a.Version == b.Version }), nil
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
