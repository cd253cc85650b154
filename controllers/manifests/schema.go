package manifests

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/layers-dev/layers/config/crd"
)

// kindSchema checks the objects of one kind, in the order of the API server (apiextensions-apiserver,
// pkg/apiserver/customresource_handler.go and pkg/registry/customresource/strategy.go).
type kindSchema struct {
	structural *schema.Structural
	openapi    validation.SchemaValidator
	rules      *cel.Validator
}

// schemas are the kinds by "apiVersion/kind".
type schemas map[string]*kindSchema

func newSchemas() (schemas, error) {
	all, err := crd.All()
	if err != nil {
		return nil, err
	}
	out := schemas{}
	for _, d := range all {
		for _, v := range d.Spec.Versions {
			s, err := newKindSchema(v.Schema)
			if err != nil {
				return nil, fmt.Errorf("reading the schema of %s: %w", d.Name, err)
			}
			out[d.Spec.Group+"/"+v.Name+"/"+d.Spec.Names.Kind] = s
		}
	}
	return out, nil
}

func newKindSchema(v *apiextensionsv1.CustomResourceValidation) (*kindSchema, error) {
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v, &internal, nil); err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	openapi, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &kindSchema{
		structural: structural,
		openapi:    openapi,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}

// admit defaults and prunes obj in place and answers the paths of its unknown fields and what is wrong with it, as an
// update of old (nil: as a new object).
func (k *kindSchema) admit(ctx context.Context, obj, old map[string]any) (unknown []string, errs field.ErrorList) {
	unknown, err := k.coerce(obj)
	if err != nil {
		return unknown, field.ErrorList{err}
	}
	return unknown, k.validate(ctx, obj, old)
}

// coerce is what the API server does while it decodes.
func (k *kindSchema) coerce(obj map[string]any) ([]string, *field.Error) {
	meta, _, unknown, err := objectmeta.GetObjectMetaWithOptions(obj, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, field.Invalid(field.NewPath("metadata"), "", err.Error())
	}
	defaulting.Default(obj, k.structural)
	opts := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	unknown = append(unknown, pruning.PruneWithOptions(obj, k.structural, true, opts)...)
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, k.structural)
	ferr, more := objectmeta.CoerceWithOptions(nil, obj, k.structural, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	unknown = append(unknown, more...)
	if ferr != nil {
		return unknown, ferr
	}
	if meta == nil {
		meta = &metav1.ObjectMeta{}
	}
	if meta.Namespace == "" {
		meta.Namespace = DefaultNamespace
	}
	if err := objectmeta.SetObjectMeta(obj, meta); err != nil {
		return unknown, field.Invalid(field.NewPath("metadata"), "", err.Error())
	}
	// Status is a subresource: whoever creates an object cannot set it.
	delete(obj, "status")
	return unknown, nil
}

func (k *kindSchema) validate(ctx context.Context, obj, old map[string]any) field.ErrorList {
	errs := validateMeta(obj)
	errs = append(errs, validation.ValidateCustomResource(nil, obj, k.openapi)...)
	errs = append(errs, objectmeta.Validate(ctx, nil, obj, k.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, k.structural, obj)...)
	// Rules may rely on types, lengths and required fields.
	if blocks(errs) {
		return errs
	}
	var before any // an interface that holds a nil map is not nil
	if old != nil {
		before = old
	}
	more, _ := k.rules.Validate(ctx, nil, k.structural, obj, before, celconfig.RuntimeCELCostBudget)
	return append(errs, more...)
}

// validateMeta checks name, namespace, labels and annotations.
func validateMeta(obj map[string]any) field.ErrorList {
	path := field.NewPath("metadata")
	meta, _, err := objectmeta.GetObjectMeta(obj, false)
	if err != nil {
		return field.ErrorList{field.Invalid(path, "", err.Error())}
	}
	if meta.Name == "" && meta.GenerateName != "" {
		return field.ErrorList{field.Required(path.Child("name"), "generateName needs an API server")}
	}
	return metavalidation.ValidateObjectMeta(meta, true, metavalidation.NameIsDNSSubdomain, path)
}

// blocks says whether the object is too wrong for rules (hasBlockingErr of the API server).
func blocks(errs field.ErrorList) bool {
	for _, e := range errs {
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}
