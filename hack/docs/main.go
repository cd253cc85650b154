// Command docs writes those pages of the manual in dataplane/console/docs that are made of something else: reference.md
// from the CRDs (every field with its type, default and bounds, and every rule), commands.md from the commands and their
// flags. `make generate` runs it after controller-gen.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// run generates into the manual of the repository at root.
func run(root string) error {
	crds, err := read(filepath.Join(root, "config", "crd", "bases"))
	if err != nil {
		return err
	}
	text, err := reference(crds)
	if err != nil {
		return err
	}
	docs := filepath.Join(root, "dataplane", "console", "docs")
	if err := os.WriteFile(filepath.Join(docs, "reference.md"), []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "commands.md"), []byte(commands(program())), 0o644)
}

// order is how people meet the kinds: what serves a model first, then what sells it. Others follow by name.
var order = map[string]int{"Provider": 1, "Model": 2, "AIGateway": 3, "APIKey": 4, "Tier": 5, "CreditPolicy": 6}

// read reads the CRDs of a folder, in the order of the manual.
func read(dir string) ([]apiextensionsv1.CustomResourceDefinition, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no CRDs in %s", dir)
	}
	crds := make([]apiextensionsv1.CustomResourceDefinition, len(names))
	for i, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(b, &crds[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	rank := func(i int) int {
		if r, ok := order[crds[i].Spec.Names.Kind]; ok {
			return r
		}
		return len(order) + 1
	}
	sort.SliceStable(crds, func(i, j int) bool { return rank(i) < rank(j) })
	return crds, nil
}
