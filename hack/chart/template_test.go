package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCRDTemplate(t *testing.T) {
	const crd = `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  annotations:
    controller-gen.kubebuilder.io/version: v0.0.0
  name: things.layers.dev
spec:
  description: use {{ braces }}
`
	const want = marker + `{{- if .Values.crds.install }}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  labels:
    {{- include "layers.labels" . | nindent 4 }}
  annotations:
    {{- if .Values.crds.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    controller-gen.kubebuilder.io/version: v0.0.0
  name: things.layers.dev
spec:
  description: use {{` + "`{{`" + `}} braces {{` + "`}}`" + `}}
{{- end }}
`
	got, err := crdTemplate([]byte(crd))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("crdTemplate() (-want +got):\n%s", diff)
	}
}

func TestRoleTemplate(t *testing.T) {
	const roles = `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: layers-operator
rules:
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: layers-operator
  namespace: layers-system
rules:
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get]
`
	const want = marker + `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ include "layers.fullname" . }}-operator
  labels:
    {{- include "layers.labels" . | nindent 4 }}
rules:
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ include "layers.fullname" . }}-operator
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "layers.labels" . | nindent 4 }}
rules:
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get]
`
	got, err := roleTemplate([]byte(roles))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("roleTemplate() (-want +got):\n%s", diff)
	}
}

func TestTemplatesRefuse(t *testing.T) {
	tests := map[string]struct {
		convert func([]byte) ([]byte, error)
		in      string
	}{
		"CRD without annotations": {crdTemplate, "kind: CustomResourceDefinition\nmetadata:\n  name: x\n"},
		"a binding":               {roleTemplate, "\nkind: RoleBinding\nmetadata: {}\nrules:\n- verbs: [get]\n"},
		"no rules":                {roleTemplate, "\nkind: ClusterRole\nmetadata: {}\n"},
		"another kind of rule":    {alertsTemplate, "\nkind: Rule\nspec:\n  groups: []\n"},
		"no spec of alerts":       {alertsTemplate, "\nkind: PrometheusRule\nmetadata: {}\n"},
		"values without comments": {schemaOf, "a: 1\n"},
		"a value without a type":  {schemaOf, "# A.\na: null\n"},
		"a broken schema comment": {schemaOf, "# A.\n# @schema {\na: 1\n"},
		"values that are a list":  {schemaOf, "- a\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if out, err := tc.convert([]byte(tc.in)); err == nil {
				t.Errorf("taken: %s", out)
			}
		})
	}
}

func TestSchemaOf(t *testing.T) {
	const values = `# The image.
image:
  # The tag
  # of it.
  # @schema {"enum": ["a", "b"]}
  tag: a
# Labels.
labels: {}
# Port.
port: 80
# Whether.
on: true
# Some.
list: []
`
	const want = `{
  "$schema": "https://json-schema.org/draft-07/schema#",
  "additionalProperties": false,
  "properties": {
    "global": {
      "description": "values of a parent chart; not used",
      "type": "object"
    },
    "image": {
      "additionalProperties": false,
      "description": "The image.",
      "properties": {
        "tag": {
          "description": "The tag of it.",
          "enum": [
            "a",
            "b"
          ],
          "type": "string"
        }
      },
      "type": "object"
    },
    "labels": {
      "description": "Labels.",
      "type": "object"
    },
    "list": {
      "description": "Some.",
      "type": "array"
    },
    "on": {
      "description": "Whether.",
      "type": "boolean"
    },
    "port": {
      "description": "Port.",
      "type": "integer"
    }
  },
  "type": "object"
}
`
	got, err := schemaOf([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("schemaOf() (-want +got):\n%s", diff)
	}
}
