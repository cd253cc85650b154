package crd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// fieldTests reads testdata/fields.yaml.
func fieldTests(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/fields.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := yaml.UnmarshalStrict(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// leaves are the paths of all leaf fields below a schema; the items of a list stand at the list's own path.
func leaves(p *apiextensionsv1.JSONSchemaProps, path string) []string {
	if p.Items != nil && p.Items.Schema != nil {
		return leaves(p.Items.Schema, path)
	}
	if len(p.Properties) == 0 {
		return []string{path}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.Properties)) {
		child := p.Properties[name]
		out = append(out, leaves(&child, path+"."+name)...)
	}
	return out
}

func allLeaves(t *testing.T) []string {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range all {
		root := d.Spec.Versions[0].Schema.OpenAPIV3Schema
		for _, part := range []string{"spec", "status"} {
			p := root.Properties[part]
			out = append(out, leaves(&p, d.Spec.Names.Kind+"."+part)...)
		}
	}
	return out
}

// entryOf is the entry that names the test of a field: its own, or one that stands for all below.
func entryOf(tests map[string]string, field string) string {
	if tests[field] != "" {
		return field
	}
	for path := field; strings.Contains(path, "."); {
		path = path[:strings.LastIndex(path, ".")]
		if tests[path+".*"] != "" {
			return path + ".*"
		}
	}
	return ""
}

// TestEveryFieldHasATest walks the leaf fields of every definition: a named test shows that each of them acts.
func TestEveryFieldHasATest(t *testing.T) {
	tests, used := fieldTests(t), map[string]bool{}
	sources := map[string]*source{}
	fields := allLeaves(t)
	if len(fields) < 100 {
		t.Errorf("only %d fields found", len(fields))
	}
	for _, field := range fields {
		entry := entryOf(tests, field)
		if entry == "" {
			t.Errorf("%s: testdata/fields.yaml names no test", field)
			continue
		}
		used[entry] = true
		dir, test, _ := strings.Cut(tests[entry], ".")
		if sources[tests[entry]] == nil {
			sources[tests[entry]] = readTest(t, dir, test)
		}
		if s := sources[tests[entry]]; !s.speaksOf(field) {
			t.Errorf("%s: %s does not speak of it", field, tests[entry])
		}
	}
	for entry := range tests {
		if !used[entry] {
			t.Errorf("testdata/fields.yaml: %s is no field", entry)
		}
	}
}

// source is the text of a test and of what it reads.
type source struct {
	// test is the function, more the package's other tests' helpers and its test data.
	test, more string
}

// readTest finds a test by parsing the test files of a folder.
func readTest(t *testing.T, dir, test string) *source {
	t.Helper()
	var s source
	root := filepath.Join("../..", filepath.FromSlash(dir))
	files, _ := filepath.Glob(filepath.Join(root, "*_test.go"))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, raw, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			text := string(raw[f.Pos()-1 : f.End()-1])
			switch {
			case f.Name.Name == test && f.Recv == nil:
				s.test = text
			case !strings.HasPrefix(f.Name.Name, "Test"):
				s.more += text
			}
		}
		// Specs of Ginkgo are run by one test and stand in variables.
		for _, d := range parsed.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				s.more += string(raw[g.Pos()-1 : g.End()-1])
			}
		}
	}
	if s.test == "" {
		t.Errorf("there is no %s in %s", test, dir)
	}
	data := filepath.Join(root, "testdata")
	if dir == "controllers/manifests" {
		data = "testdata/cel" // what its tests read
	}
	_ = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			raw, rerr := os.ReadFile(path)
			s.more += string(raw)
			return rerr
		}
		return nil
	})
	return &s
}

// speaksOf looks for the last two names of a field, as JSON or Go spells them; of the one before the last, any spelling.
func (s *source) speaksOf(field string) bool {
	names := strings.Split(field, ".")
	for _, name := range names[len(names)-2:] {
		if name == "spec" || name == "status" {
			continue
		}
		// Go's names of lists and of references may be in the singular or without their end.
		word := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(strings.TrimSuffix(name, "s")))
		if !word.MatchString(s.test) && !word.MatchString(s.more) {
			return false
		}
	}
	return true
}

// TestFieldWalkSees makes sure that the walk would notice a field without a test, and a test that speaks of something else.
func TestFieldWalkSees(t *testing.T) {
	if got := entryOf(map[string]string{"A.spec.b.*": "x.T", "A.spec.c": "x.T"}, "A.spec.d"); got != "" {
		t.Errorf("a field without an entry has %q", got)
	}
	if got := entryOf(map[string]string{"A.spec.b.*": "x.T"}, "A.spec.b.c.d"); got != "A.spec.b.*" {
		t.Errorf("got %q", got)
	}
	s := source{test: "func TestX() { limits.Burst }"}
	if !s.speaksOf("Tier.spec.limits.burst") || s.speaksOf("Tier.spec.limits.value") {
		t.Error("speaksOf does not tell what a test speaks of")
	}
}
