// Command models writes config/models and config/models-vercel: Providers and Models as objects, made of the catalogue that `layers up` serves from.
// `make generate` runs it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/layers-dev/layers/controllers/up/catalogue"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "models:", err)
		os.Exit(1)
	}
}

// run generates into the repository at root. What it wrote before and does not write now is removed.
func run(root string) error {
	groups, err := catalogue.Groups()
	if err != nil {
		return err
	}
	files, err := render(groups)
	if err != nil {
		return err
	}
	for _, dir := range []string{base, overlay} {
		if err := sweep(filepath.Join(root, filepath.FromSlash(dir))); err != nil {
			return err
		}
	}
	for _, f := range files {
		name := filepath.Join(root, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes the files of a folder, of which every one is generated.
func sweep(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}
