package compile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// priceField is one price as it is declared, and where it goes.
type priceField struct {
	name string
	text *v1alpha1.Decimal
	read func(string) (pricing.Nano, error)
	set  func(int64)
}

// priceReader reads prices one after the other and makes their version, a hash of what was read. It keeps the first error.
type priceReader struct {
	path string
	sum  hash.Hash
	err  error
}

func (r *priceReader) read(prefix string, fields []priceField) {
	for _, f := range fields {
		if f.text == nil || r.err != nil {
			continue
		}
		n, err := f.read(string(*f.text))
		if err != nil {
			r.err = fmt.Errorf("%s.%s%s: %w", r.path, prefix, f.name, err)
			return
		}
		f.set(n)
		_, _ = fmt.Fprintf(r.sum, "%s%s=%d\n", prefix, f.name, n) // a hash never fails
	}
}

// parsePrice reads a price list, which is at path in its object.
func parsePrice(p *v1alpha1.ModelPricing, path string) (*snapshot.Price, error) {
	var out snapshot.Price
	r := priceReader{path: path, sum: sha256.New()}
	million := pricing.ParseUSDPerMillion
	r.read("", []priceField{
		{"inputPerMillion", &p.InputPerMillion, million, func(n int64) { out.InputPerMillion = n }},
		{"outputPerMillion", &p.OutputPerMillion, million, func(n int64) { out.OutputPerMillion = n }},
		{"cacheReadPerMillion", p.CacheReadPerMillion, million, func(n int64) { out.CacheReadPerMillion = &n }},
		{"cacheWritePerMillion", p.CacheWritePerMillion, million, func(n int64) { out.CacheWritePerMillion = &n }},
		{"cacheWrite1hPerMillion", p.CacheWrite1hPerMillion, million, func(n int64) { out.CacheWrite1hPerMillion = &n }},
		{"searchPerThousand", p.SearchPerThousand, pricing.ParseUSDPerThousand, func(n int64) { out.SearchPerMillion = &n }},
	})
	steps := slices.Clone(p.Steps)
	slices.SortStableFunc(steps, func(a, b v1alpha1.PricingStep) int { return cmp.Compare(a.AboveInputTokens, b.AboveInputTokens) })
	for i, s := range steps {
		if s.AboveInputTokens < 1 || i > 0 && s.AboveInputTokens == steps[i-1].AboveInputTokens {
			return nil, fmt.Errorf("%s.steps: %d input tokens are no step, or are there twice", path, s.AboveInputTokens)
		}
		out.Steps = append(out.Steps, r.step(s))
	}
	if r.err != nil {
		return nil, r.err
	}
	out.Version = hex.EncodeToString(r.sum.Sum(nil))[:16]
	return &out, nil
}

func (r *priceReader) step(s v1alpha1.PricingStep) snapshot.PriceStep {
	out := snapshot.PriceStep{AboveInput: s.AboveInputTokens}
	million := pricing.ParseUSDPerMillion
	r.read(fmt.Sprintf("steps[%d].", s.AboveInputTokens), []priceField{
		{"inputPerMillion", &s.InputPerMillion, million, func(n int64) { out.InputPerMillion = n }},
		{"outputPerMillion", &s.OutputPerMillion, million, func(n int64) { out.OutputPerMillion = n }},
		{"cacheReadPerMillion", s.CacheReadPerMillion, million, func(n int64) { out.CacheReadPerMillion = &n }},
		{"cacheWritePerMillion", s.CacheWritePerMillion, million, func(n int64) { out.CacheWritePerMillion = &n }},
		{"cacheWrite1hPerMillion", s.CacheWrite1hPerMillion, million, func(n int64) { out.CacheWrite1hPerMillion = &n }},
	})
	return out
}

// asked is what a backend's provider asks; nil where nothing is said, or what is said is wrong: then the Model is not priced
// and is not served.
func asked(p *v1alpha1.ModelPricing) *snapshot.Price {
	if p == nil {
		return nil
	}
	out, err := parsePrice(p, "pricing")
	if err != nil {
		return nil
	}
	return out
}
