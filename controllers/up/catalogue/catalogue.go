// Package catalogue is what `layers up` knows of real providers without being told by manifests: their models, where they
// are, and which variables hold their keys. It makes objects of it as a folder of manifests would.
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
	// Direct is "No" where the provider has it only on an API that this build cannot speak.
	Direct string `json:"direct,omitempty"`
	// Context and Output are limits in tokens.
	Context int64 `json:"context"`
	Output  int64 `json:"output"`
	// Can are its capabilities, USD its prices a million tokens.
	Can []v1alpha1.Capability `json:"can"`
	USD Price                 `json:"usd"`
}

// Price is a list price in USD a million tokens.
type Price struct {
	Input      v1alpha1.Decimal  `json:"input"`
	Output     v1alpha1.Decimal  `json:"output"`
	CacheRead  *v1alpha1.Decimal `json:"cacheRead,omitempty"`
	CacheWrite *v1alpha1.Decimal `json:"cacheWrite,omitempty"`
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
