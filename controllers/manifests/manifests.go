// Package manifests is a folder of YAML as a source of objects. Each object passes what the API server would do to it:
// strict decoding, pruning, structural defaulting, the OpenAPI schema, list types and CEL rules, from the same
// CustomResourceDefinitions.
package manifests

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// DefaultNamespace is the namespace of objects that name none, as kubectl's is by default.
const DefaultNamespace = "default"

// Set holds the good objects of a folder. Times of creation grow in the order of the files and of the objects in them;
// UIDs are made of kind, namespace and name, so that both are the same at each start.
type Set struct {
	Gateways       []v1alpha1.AIGateway
	Providers      []v1alpha1.Provider
	Models         []v1alpha1.Model
	Tiers          []v1alpha1.Tier
	CreditPolicies []v1alpha1.CreditPolicy
	APIKeys        []v1alpha1.APIKey
	// Secrets holds the data of v1 Secrets, stringData merged in.
	Secrets map[types.NamespacedName]map[string][]byte
	// Files holds the file of each object by "Kind namespace/name".
	Files map[string]string
}

// Len counts the objects, Secrets included.
func (s *Set) Len() int {
	return len(s.Gateways) + len(s.Providers) + len(s.Models) + len(s.Tiers) + len(s.CreditPolicies) + len(s.APIKeys) + len(s.Secrets)
}

// Finding is something to tell a person about one file.
type Finding struct {
	// File is the file's path, Object "Kind namespace/name" or empty where that is not known.
	File, Object string
	// Message names the field where there is one. It never quotes the data of a Secret.
	Message string
}

// String is one line: file, object, message.
func (f Finding) String() string {
	if f.Object == "" {
		return f.File + ": " + f.Message
	}
	return f.File + ": " + f.Object + ": " + f.Message
}

// Report says what Load noticed.
type Report struct {
	// Warnings are about objects that were taken all the same, or that are none of ours.
	Warnings []Finding
	// Problems are about objects that were left out.
	Problems []Finding
}

// Load reads the *.yaml, *.yml and *.json files of a folder, sorted by name, without its subfolders (as `kubectl apply
// -f DIR` does). A bad object never blocks the rest: it is left out and stands in the report. The error is about the
// folder itself.
func Load(ctx context.Context, dir string) (Set, Report, error) {
	return LoadFS(ctx, os.DirFS(dir), dir)
}

// LoadFS is Load for a folder that need not be on disk; dir is what the report calls it.
func LoadFS(ctx context.Context, folder fs.FS, dir string) (Set, Report, error) {
	files, err := list(folder)
	if err != nil {
		return Set{}, Report{}, fmt.Errorf("reading the manifests in %s: %w", dir, err)
	}
	schemas, err := newSchemas()
	if err != nil {
		return Set{}, Report{}, err
	}
	l := newLoader(schemas)
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return Set{}, Report{}, fmt.Errorf("reading the manifests in %s: %w", dir, err)
		}
		raw, err := fs.ReadFile(folder, name)
		l.file(ctx, filepath.Join(dir, name), raw, err)
	}
	return l.set, l.report, nil
}
