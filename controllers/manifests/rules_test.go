package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/layers-dev/layers/config/crd"
)

const rulesDir = "../../config/crd/testdata/cel"

func ruleFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rulesDir, "*", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files like %s: %v", pattern, err)
	}
	return files
}

// wanted is the text after "# want: " in a file's first line.
func wanted(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	want, ok := strings.CutPrefix(first, "# want: ")
	if !ok || want == "" {
		t.Fatalf("%s does not say what it wants", file)
	}
	return want
}

// loadFile runs one file through Load.
func loadFile(t *testing.T, file string) (Set, Report) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return load(t, map[string]string{"object.yaml": string(raw)})
}

func TestAcceptedFiles(t *testing.T) {
	files := append(ruleFiles(t, "*-accepted.yaml"), ruleFiles(t, "*.old.yaml")...)
	for _, file := range append(files, ruleFiles(t, "*-accepted.new.yaml")...) {
		set, report := loadFile(t, file)
		if set.Len() != 1 || len(report.Warnings)+len(report.Problems) > 0 {
			t.Errorf("%s: %d objects, %v", file, set.Len(), report)
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, file := range ruleFiles(t, "*-refused.yaml") {
		set, report := loadFile(t, file)
		if set.Len() != 0 || len(report.Problems) != 1 {
			t.Errorf("%s: %d objects, want none, and one problem: %v", file, set.Len(), report)
			continue
		}
		if got := report.Problems[0].Message; !strings.Contains(got, wanted(t, file)) {
			t.Errorf("%s: %q does not contain %q", file, got, wanted(t, file))
		}
	}
}

// TestTransitions runs the rules that look at oldSelf, which only an update has.
func TestTransitions(t *testing.T) {
	all, err := newSchemas()
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range ruleFiles(t, "*.old.yaml") {
		next := strings.TrimSuffix(old, ".old.yaml") + ".new.yaml"
		before, after := object(t, all, old), object(t, all, next)
		s := all[after["apiVersion"].(string)+"/"+after["kind"].(string)]
		errs, _ := s.rules.Validate(t.Context(), nil, s.structural, after, before, celconfig.RuntimeCELCostBudget)
		if strings.HasSuffix(old, "-accepted.old.yaml") {
			if len(errs) > 0 {
				t.Errorf("%s: %v", next, errs)
			}
			continue
		}
		if len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), wanted(t, next)) {
			t.Errorf("%s: %v does not contain %q", next, errs, wanted(t, next))
		}
	}
}

// object reads one object as it would be stored.
func object(t *testing.T, all schemas, file string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	docs := documents(file, raw)
	if len(docs) != 1 || docs[0].err != nil {
		t.Fatalf("%s: %v", file, docs)
	}
	obj, err := decode(docs[0].json)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	s := all[obj["apiVersion"].(string)+"/"+obj["kind"].(string)]
	if s == nil {
		t.Fatalf("%s: unknown kind", file)
	}
	if _, err := s.coerce(obj); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return obj
}

// TestEveryRuleHasFiles walks the definitions: each message is wanted by a refused file of its kind, and each refused
// file has an accepted twin.
func TestEveryRuleHasFiles(t *testing.T) {
	all, err := crd.All()
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, d := range all {
		kind := strings.ToLower(d.Spec.Names.Kind)
		var wants []string
		for _, pattern := range []string{"*-refused.yaml", "*-refused.new.yaml"} {
			files, _ := filepath.Glob(filepath.Join(rulesDir, kind, pattern))
			for _, file := range files {
				wants = append(wants, wanted(t, file))
				twin := strings.Replace(file, "-refused.", "-accepted.", 1)
				if _, err := os.Stat(twin); err != nil {
					t.Errorf("%s has no accepted twin", file)
				}
			}
		}
		for _, message := range messages(d.Spec.Versions[0].Schema.OpenAPIV3Schema) {
			rules++
			found := false
			for _, want := range wants {
				found = found || strings.Contains(message, want)
			}
			if !found {
				t.Errorf("%s: no refused file wants %q", kind, message)
			}
		}
	}
	if rules < 15 {
		t.Errorf("only %d rules found", rules)
	}
}

func messages(p *apiextensionsv1.JSONSchemaProps) []string {
	if p == nil {
		return nil
	}
	var out []string
	for _, r := range p.XValidations {
		out = append(out, r.Message)
	}
	for _, child := range p.Properties {
		out = append(out, messages(&child)...)
	}
	if p.Items != nil {
		out = append(out, messages(p.Items.Schema)...)
	}
	if p.AdditionalProperties != nil {
		out = append(out, messages(p.AdditionalProperties.Schema)...)
	}
	return out
}
