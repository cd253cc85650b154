// Package manifests is a folder of YAML as a source of objects. Each object passes what the API server would do to it:
// strict decoding, pruning, structural defaulting, the OpenAPI schema, list types and CEL rules, from the same
// CustomResourceDefinitions. A folder that is read again is an update: rules that look at what was before hold too.
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
// UIDs are made of kind, namespace and name, so that both are the same at each start. Of a folder that is read again, what
// was there before is older than what is new, wherever that stands: it takes nobody's name.
type Set struct {
	Gateways       []v1alpha1.AIGateway
	Providers      []v1alpha1.Provider
	Models         []v1alpha1.Model
	Tiers          []v1alpha1.Tier
	CreditPolicies []v1alpha1.CreditPolicy
	APIKeys        []v1alpha1.APIKey
	// Secrets holds the data of v1 Secrets, stringData merged in.
	Secrets map[types.NamespacedName]map[string][]byte
	// Namespaces holds the labels of v1 Namespaces.
	Namespaces map[string]map[string]string
	// Files holds the file of each object by "Kind namespace/name".
	Files map[string]string

	// stored holds each object as the API server would, by the same name; order has those names as they were taken.
	stored map[string]stored
	order  []string
	// ages number the objects of our kinds, by the same name, from the oldest.
	ages map[string]int
}

// stored is one good object.
type stored struct {
	kind string
	// object is nil for what is none of our kinds; data is then what the Set holds.
	object map[string]any
	data   any
}

// Len counts the objects, Secrets and Namespaces included.
func (s *Set) Len() int {
	return len(s.Gateways) + len(s.Providers) + len(s.Models) + len(s.Tiers) + len(s.CreditPolicies) + len(s.APIKeys) + len(s.Secrets) + len(s.Namespaces)
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
	return read(ctx, os.DirFS(dir), dir, nil)
}

// LoadFS is Load for a folder that need not be on disk; dir is what the report calls it.
func LoadFS(ctx context.Context, folder fs.FS, dir string) (Set, Report, error) {
	return read(ctx, folder, dir, nil)
}

// Reload is Load for a folder that was read before. Of an object that is bad now the version of last goes on, and so does
// all that a file declared that cannot be read any more; the report says so. An object that no file has is gone.
func Reload(ctx context.Context, dir string, last *Set) (Set, Report, error) {
	return read(ctx, os.DirFS(dir), dir, last)
}

func read(ctx context.Context, folder fs.FS, dir string, last *Set) (Set, Report, error) {
	files, err := list(folder)
	if err != nil {
		return Set{}, Report{}, fmt.Errorf("reading the manifests in %s: %w", dir, err)
	}
	schemas, err := newSchemas()
	if err != nil {
		return Set{}, Report{}, err
	}
	l := newLoader(schemas, last)
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return Set{}, Report{}, fmt.Errorf("reading the manifests in %s: %w", dir, err)
		}
		raw, err := fs.ReadFile(folder, name)
		l.file(ctx, filepath.Join(dir, name), raw, err)
	}
	l.keepBroken()
	return l.set, l.report, nil
}
