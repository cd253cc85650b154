package crd

import (
	"io/fs"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
)

// maxBytes keeps a definition well under the 256 KiB of annotations that `kubectl apply` copies it into.
const maxBytes = 200_000

// TestAPIServerAccepts runs the API server's own validation, with its limits on the cost of CEL rules.
func TestAPIServerAccepts(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, d := range all {
		kinds[d.Spec.Names.Kind] = true
		if errs := validate(t, d); len(errs) > 0 {
			t.Errorf("%s: %v", d.Name, errs)
		}
	}
	for _, kind := range []string{"AIGateway", "Provider", "Model", "Tier", "CreditPolicy", "APIKey"} {
		if !kinds[kind] {
			t.Errorf("there is no definition of %s", kind)
		}
	}
}

// TestValidationSeesCost makes sure that the check above would notice a rule over the cost budget.
func TestValidationSeesCost(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	d := all[0].DeepCopy()
	spec := d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	spec.Properties["unbounded"] = apiextensionsv1.JSONSchemaProps{
		Type: "string", XValidations: apiextensionsv1.ValidationRules{{Rule: "url(self).getHostname().matches('^(a+)+$')"}},
	}
	d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = spec
	if errs := validate(t, d); len(errs) == 0 {
		t.Error("a rule without a bound passed")
	}
}

func validate(t *testing.T, d *apiextensionsv1.CustomResourceDefinition) []string {
	t.Helper()
	d = d.DeepCopy()
	apiextensionsv1.SetDefaults_CustomResourceDefinition(d)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&d.Spec)
	// The API server keeps the versions that it has stored; a definition that is made has the one.
	d.Status.StoredVersions = []string{d.Spec.Versions[0].Name}
	var internal apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(d, &internal, nil); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range validation.ValidateCustomResourceDefinition(t.Context(), &internal) {
		out = append(out, e.Error())
	}
	return out
}

func TestSize(t *testing.T) {
	files, err := fs.Glob(bases, "bases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions: %v", err)
	}
	for _, file := range files {
		raw, err := bases.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > maxBytes {
			t.Errorf("%s has %d bytes, more than %d", file, len(raw), maxBytes)
		}
	}
}
