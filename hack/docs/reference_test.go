package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const crdText = `
metadata: {name: things.layers.dev}
spec:
  names: {kind: Thing, shortNames: [th]}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: |-
          Thing is
          a thing.
        properties:
          apiVersion: {type: string}
          spec:
            type: object
            required: [name]
            x-kubernetes-validations:
            - {rule: "true", message: be true}
            properties:
              name: {type: string, minLength: 1, maxLength: 63, description: name of it., pattern: "^a|b$"}
              mode: {type: string, enum: [Live, Demo], default: Live, description: mode says how.}
              parts:
                type: array
                maxItems: 3
                description: parts of it.
                items:
                  type: object
                  properties:
                    size: {type: integer, minimum: 0, maximum: 9, description: size of a part.}
          status:
            type: object
            properties:
              conditions: {type: array, items: {type: object, properties: {reason: {type: string}}}, description: "conditions: Ready."}
`

const want = `
## Thing

Thing is a thing.
Short name: ` + "`th`" + `.

| field | type | default | meaning |
|---|---|---|---|
| ` + "`spec.mode` | `Live`, `Demo` | `\"Live\"`" + ` | says how. |
| ` + "`spec.name` | string (1 to 63 characters) | required | of it. Pattern: `^a\\|b$`" + `. |
| ` + "`spec.parts`" + ` | list of object (at most 3 items) |  | of it. |
| ` + "`spec.parts[].size`" + ` | integer (0 to 9) |  | of a part. |
| ` + "`status.conditions`" + ` | list of object |  | conditions: Ready. |

Rules:

- ` + "`spec`" + `: be true
`

func TestReference(t *testing.T) {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict([]byte(crdText), &crd); err != nil {
		t.Fatal(err)
	}
	got, err := reference([]apiextensionsv1.CustomResourceDefinition{crd})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, strings.TrimPrefix(got, head)); diff != "" {
		t.Errorf("reference() (-want +got):\n%s", diff)
	}
}

func TestReferenceRefusesNoSchema(t *testing.T) {
	if _, err := reference(make([]apiextensionsv1.CustomResourceDefinition, 1)); err == nil {
		t.Error("a CRD without a version is taken")
	}
}

// TestRun writes the page of the six kinds of this repository, in the order in which people meet them.
func TestRun(t *testing.T) {
	root := t.TempDir()
	page := filepath.Join(root, "dataplane", "console", "docs", "reference.md")
	if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(root, "config"), os.DirFS("../../config")); err != nil {
		t.Fatal(err)
	}
	if err := run(root); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for line := range strings.Lines(string(got)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok {
			kinds = append(kinds, name)
		}
	}
	if diff := cmp.Diff([]string{"Provider", "Model", "AIGateway", "APIKey", "Tier", "CreditPolicy"}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}
