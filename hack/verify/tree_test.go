package verify

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the import path of this repository.
const module = "github.com/layers-dev/layers"

// root is the repository, seen from this package.
const root = "../.."

// source is one parsed Go file.
type source struct {
	path  string // slash-separated, relative to root
	pkg   string // import path of its folder
	test  bool
	lines int
	file  *ast.File
	fset  *token.FileSet
}

// position is where a node stands, relative to the root.
func (s source) position(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// imports are the import paths of the file.
func (s source) imports() []string {
	paths := make([]string, 0, len(s.file.Imports))
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

// generated says whether the file is generated.
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// sources parses every Go file of the module, in the order of their paths. Nested modules are not part of it.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := relative(t, name)
		if d.IsDir() {
			return skip(rel, d.Name())
		}
		if strings.HasSuffix(name, ".go") {
			all = append(all, parse(t, name, rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d Go files under %s: the walk is wrong", len(all), root)
	}
	return all
}

// skip leaves out folders that are no part of the module.
func skip(rel, name string) error {
	if rel == "hack/tools" || rel == "bin" || name == "testdata" || name == "node_modules" ||
		(strings.HasPrefix(name, ".") && rel != ".") {
		return fs.SkipDir
	}
	return nil
}

func relative(t *testing.T, name string) string {
	t.Helper()
	rel, err := filepath.Rel(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(rel)
}

func parse(t *testing.T, name, rel string) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return source{
		path:  rel,
		pkg:   path.Join(module, path.Dir(rel)),
		test:  strings.HasSuffix(rel, "_test.go"),
		lines: fset.File(file.Pos()).LineCount(),
		file:  file,
		fset:  fset,
	}
}

// sorted answers the keys of a set in order; never nil.
func sorted(set map[string]bool) []string {
	return slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(set))))
}
