package verify

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/layers-dev/layers/controllers/manifests"
)

// pages are the README and the manual.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "dataplane", "console", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 6 {
		t.Fatalf("only %d pages", len(names))
	}
	all := map[string]string{}
	for _, name := range append(names, filepath.Join(root, "README.md")) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
	}
	return all
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// TestExamplesLoad reads every example of the manual as `layers up` and the API server would.
func TestExamplesLoad(t *testing.T) {
	examples := fstest.MapFS{}
	for name, text := range pages(t) {
		for i, block := range yamlBlock.FindAllStringSubmatch(text, -1) {
			examples[fmt.Sprintf("%s-%d.yaml", filepath.Base(name), i)] = &fstest.MapFile{Data: []byte(block[1])}
		}
	}
	if len(examples) < 4 {
		t.Fatalf("only %d examples", len(examples))
	}
	for name := range examples {
		one := fstest.MapFS{name: examples[name]}
		set, report, err := manifests.LoadFS(t.Context(), one, "docs")
		if err != nil {
			t.Fatal(err)
		}
		if set.Len() == 0 {
			t.Errorf("%s has no object", name)
		}
		for _, f := range append(report.Problems, report.Warnings...) {
			t.Error(f)
		}
	}
}

// link is a link to a file; code is what only looks like one.
var (
	code = regexp.MustCompile("`[^`\n]*`")
	link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// TestLinksLead follows every link to a file.
func TestLinksLead(t *testing.T) {
	seen := 0
	for name, text := range pages(t) {
		for _, l := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), l[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if seen < 6 {
		t.Errorf("only %d links", seen)
	}
}

// elsewhere are what no file of the project names: where packages are fetched from is each machine's own matter, and so
// is where the project is checked out.
var elsewhere = regexp.MustCompile(`registry\.npmjs|pypi\.org|files\.pythonhosted|proxy\.golang|sum\.golang|deb\.debian|/(roo[t]|wor[k])/`)

// TestNoMachine looks for machines' paths and registries' hosts in everything that is committed.
func TestNoMachine(t *testing.T) {
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := relative(t, name)
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "node_modules" || rel == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		if rel == ".git" { // of a worktree
			return nil
		}
		if strings.HasSuffix(rel, "_test.go") || strings.HasSuffix(rel, ".sum") {
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if found := elsewhere.Find(b); found != nil {
			t.Errorf("%s names %s", rel, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var direct = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // a requirement without "// indirect"

// TestDependenciesHaveReasons finds every direct dependency in the README's table.
func TestDependenciesHaveReasons(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(readme), "\n## Dependencies\n")
	if !ok {
		t.Fatal("the README has no dependencies")
	}
	for _, m := range direct.FindAllStringSubmatch(string(mod), -1) {
		name := regexp.MustCompile(`/v\d+$`).ReplaceAllString(m[1], "")
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("the README does not say why %s is there", m[1])
		}
	}
}
