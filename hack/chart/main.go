// Command chart writes what charts/layers holds of other files: the CRDs, the operator's roles, the alert rules and the
// providers' models as templates, and values.schema.json from the comments of values.yaml. `make generate` runs it after controller-gen.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// run generates into the chart of the repository at root.
func run(root string) error {
	chart := filepath.Join(root, "charts", "layers")
	if err := writeCRDs(filepath.Join(root, "config", "crd", "bases"), filepath.Join(chart, "templates")); err != nil {
		return err
	}
	if err := writeModels(filepath.Join(root, "config"), filepath.Join(chart, "templates")); err != nil {
		return err
	}
	err := rewrite(filepath.Join(root, "config", "rbac", "role.yaml"), filepath.Join(chart, "templates", "role.yaml"), roleTemplate)
	if err != nil {
		return err
	}
	err = rewrite(filepath.Join(root, "config", "prometheus", "rules.yaml"), filepath.Join(chart, "templates", "prometheusrule.yaml"), alertsTemplate)
	if err != nil {
		return err
	}
	return rewrite(filepath.Join(chart, "values.yaml"), filepath.Join(chart, "values.schema.json"), schemaOf)
}

// writeCRDs makes one template of each CRD in from, and removes templates whose CRD went.
func writeCRDs(from, to string) error {
	crds, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil {
		return err
	}
	if len(crds) == 0 {
		return fmt.Errorf("no CRDs in %s", from)
	}
	old, err := filepath.Glob(filepath.Join(to, "crd-*.yaml"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for _, name := range crds {
		short := strings.TrimPrefix(filepath.Base(name), "layers.dev_")
		if err := rewrite(name, filepath.Join(to, "crd-"+short), crdTemplate); err != nil {
			return err
		}
	}
	return nil
}

// rewrite writes what convert makes of one file into another.
func rewrite(from, to string, convert func([]byte) ([]byte, error)) error {
	in, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	out, err := convert(in)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return os.WriteFile(to, out, 0o644)
}
