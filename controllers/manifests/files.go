package manifests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Content writes the names and contents of a folder's manifests to w, so that two states of it can be told apart. The
// error is about the folder itself, or w's.
func Content(dir string, w io.Writer) error {
	folder := os.DirFS(dir)
	files, err := list(folder)
	if err != nil {
		return fmt.Errorf("reading the manifests in %s: %w", dir, err)
	}
	for _, name := range files {
		raw, err := fs.ReadFile(folder, name)
		if err != nil {
			raw = []byte(err.Error())
		}
		if _, err := fmt.Fprintf(w, "%q %d\n%s\n", name, len(raw), raw); err != nil {
			return err
		}
	}
	return nil
}

// list names the manifests of a folder, sorted.
func list(folder fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".yaml", ".yml", ".json":
		default:
			continue
		}
		// What editors leave beside a file that is being edited.
		if strings.HasPrefix(e.Name(), ".") || isKustomization(e.Name()) {
			continue
		}
		// A link counts as what it leads to: a mounted ConfigMap is a folder of links. One that leads nowhere is a file that
		// cannot be read.
		if info, err := fs.Stat(folder, e.Name()); err != nil || info.Mode().IsRegular() {
			files = append(files, e.Name())
		}
	}
	slices.Sort(files)
	return files, nil
}

func isKustomization(name string) bool {
	return name == "kustomization.yaml" || name == "kustomization.yml"
}

// document is one document of a file as JSON, or what is wrong with it.
type document struct {
	json []byte
	err  error
}

// documents splits a file; empty documents are left out. A bad one does not block those after it, as far as they can be
// told apart.
func documents(file string, raw []byte) []document {
	if strings.EqualFold(filepath.Ext(file), ".json") {
		return jsonDocuments(raw)
	}
	var out []document
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for n := 1; ; n++ {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			return append(out, document{err: fmt.Errorf("document %d: %w", n, err)})
		}
		// Strict: of two equal keys neither may win silently.
		j, err := yaml.YAMLToJSONStrict(doc)
		switch {
		case err != nil:
			out = append(out, document{err: fmt.Errorf("document %d: %w", n, unquoted(err))})
		case string(j) != "null":
			out = append(out, document{json: j})
		}
	}
}

func jsonDocuments(raw []byte) []document {
	var out []document
	d := json.NewDecoder(bytes.NewReader(raw))
	for {
		var doc json.RawMessage
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			// Where the next one begins is not known.
			return append(out, document{err: err})
		}
		out = append(out, document{json: doc})
	}
}

// decode reads one document as the API server reads JSON: integers stay integers. Duplicate fields are an error.
func decode(doc []byte) (map[string]any, error) {
	var v any
	strict, err := kjson.UnmarshalStrict(doc, &v, kjson.DisallowDuplicateFields)
	if err == nil {
		err = errors.Join(strict...)
	}
	if err != nil {
		return nil, oneLine(err)
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	return obj, nil
}

// yamlLine is where a YAML error says that it is.
var yamlLine = regexp.MustCompile(`line \d+: `)

// unquoted says what is wrong with a document that is no YAML, and in which of its lines, without what stands there: it
// may be the data of a Secret. Of the parser's text it keeps what comes before the first quotation.
func unquoted(err error) error {
	text := oneLine(err).Error()
	if strings.Contains(text, "already set in map") {
		return fmt.Errorf("not YAML: %sa key is given twice", yamlLine.FindString(text))
	}
	_, text, _ = strings.Cut(text, "yaml: ")
	line := yamlLine.FindString(text)
	text = strings.TrimPrefix(text, line)
	if cut := strings.IndexAny(text, "'\"`:"); cut >= 0 {
		text = text[:cut]
	}
	return fmt.Errorf("not YAML: %s%s", line, strings.TrimSpace(text))
}

// oneLine folds an error of several lines, so that a finding stays one.
func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
