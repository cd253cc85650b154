// Package crd embeds the CustomResourceDefinitions, generated from api/v1alpha1, so that `layers up` checks objects
// against the schemas that a cluster would have.
package crd

import (
	"embed"
	"fmt"
	"io/fs"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:embed bases/*.yaml
var bases embed.FS

// All reads the embedded definitions in the order of their file names.
func All() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := fs.Glob(bases, "bases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing embedded definitions: %w", err)
	}
	out := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(files))
	for _, file := range files {
		raw, err := bases.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading embedded %s: %w", file, err)
		}
		var d apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(raw, &d); err != nil {
			return nil, fmt.Errorf("decoding embedded %s: %w", file, err)
		}
		out = append(out, &d)
	}
	return out, nil
}
