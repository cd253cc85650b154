package verify

import (
	"go/ast"
	"strings"
	"testing"
)

// maxLines is the longest that a file may be without a reason.
const maxLines = 400

// longFiles may be longer, each for its reason.
var longFiles = map[string]string{}

func TestFilesAreShort(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.generated() || s.lines <= maxLines {
			continue
		}
		seen[s.path] = true
		if longFiles[s.path] == "" {
			t.Errorf("%s has %d lines, more than %d: split it, or list it with its reason", s.path, s.lines, maxLines)
		}
	}
	for path := range longFiles {
		if !seen[path] {
			t.Errorf("%s is listed as long and is not: take it off the list", path)
		}
	}
}

func TestPackagesHaveDocs(t *testing.T) {
	documented, packages := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.file.Name.Name, "_test") {
			continue
		}
		packages[s.pkg] = true
		if good(s.file.Doc, s.file.Name.Name) {
			documented[s.pkg] = true
		}
	}
	for _, p := range sorted(packages) {
		if !documented[p] {
			t.Errorf("%s has no doc comment (// Package NAME ..., or // Command NAME ...)", p)
		}
	}
}

// good says whether a comment documents a package in the usual form.
func good(doc *ast.CommentGroup, name string) bool {
	text := doc.Text()
	return strings.HasPrefix(text, "Package "+name+" ") || (name == "main" && strings.HasPrefix(text, "Command "))
}
