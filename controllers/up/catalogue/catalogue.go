// Package catalogue is what Layers knows of real providers without being told by manifests: their models and prices, and which
// variables hold their keys. It makes objects of it: for `layers up`, and for config/models.
package catalogue

import (
	_ "embed"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
)

//go:embed models.yaml
var models []byte

// file is models.yaml.
type file struct {
	Models  []Model   `json:"models"`
	LeftOut []LeftOut `json:"leftOut"`
}

// Model is one model of the catalogue.
type Model struct {
	// Name is what clients send: "provider/model".
	Name v1alpha1.PublicName `json:"name"`
	// ID is the provider's own, Vercel what Vercel AI Gateway calls it (empty: it does not have it).
	ID     string `json:"id"`
	Vercel string `json:"vercel,omitempty"`
	// Aliases are further names that clients may send, besides the ID.
	Aliases []v1alpha1.PublicName `json:"aliases,omitempty"`
	// Direct is "No" where the provider has it only on an endpoint that chat completions do not reach.
	Direct string `json:"direct,omitempty"`
	// Context and Output are limits in tokens. A request with more than Step input tokens is at the prices of Above, all of it; 0:
	// none is.
	Context int64 `json:"context"`
	Output  int64 `json:"output"`
	Step    int64 `json:"step,omitempty"`
	// Can are its capabilities, USD its prices.
	Can []v1alpha1.Capability `json:"can"`
	USD Price                 `json:"usd"`
	// Above has prices of tokens only.
	Above *Price `json:"above,omitempty"`
}

// Price is a list price in USD a million tokens, Search in USD a thousand searches.
type Price struct {
	Input        v1alpha1.Decimal  `json:"input"`
	Output       v1alpha1.Decimal  `json:"output"`
	CacheRead    *v1alpha1.Decimal `json:"cacheRead,omitempty"`
	CacheWrite   *v1alpha1.Decimal `json:"cacheWrite,omitempty"`
	CacheWrite1h *v1alpha1.Decimal `json:"cacheWrite1h,omitempty"`
	Search       *v1alpha1.Decimal `json:"search,omitempty"`
}

// LeftOut is a model that the catalogue knows and does not have.
type LeftOut struct {
	Name    string `json:"name"`
	Because string `json:"because"`
}

func read() (file, error) {
	var f file
	if err := yaml.UnmarshalStrict(models, &f); err != nil {
		return file{}, fmt.Errorf("reading the catalogue of models: %w", err)
	}
	return f, nil
}
