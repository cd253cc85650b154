package manifests

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/layers-dev/layers/api/v1alpha1"
)

var (
	// firstCreation is when the first object of a folder is said to have been made; each further one a second later.
	firstCreation = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// uidSpace is the name space of the objects' UIDs (UUIDv5); a random constant.
	uidSpace = uuid.MustParse("5b1d9f0e-7c52-4c1b-9a86-2f7a4f0f2c63")
)

// loader gathers the objects of a folder.
type loader struct {
	schemas schemas
	set     Set
	report  Report
	// last is what was good before; its lists may be empty.
	last *Set
	// broken holds the files of which not everything could be told apart.
	broken map[string]bool
	// path is the file that is read.
	path string
	// youngest is what new objects are numbered from.
	youngest int
}

func newLoader(s schemas, last *Set) *loader {
	if last == nil {
		last = &Set{}
	}
	youngest := 0
	for _, age := range last.ages {
		youngest = max(youngest, age+1)
	}
	return &loader{schemas: s, last: last, youngest: youngest, broken: map[string]bool{}, set: Set{
		Secrets: map[types.NamespacedName]map[string][]byte{}, Namespaces: map[string]map[string]string{},
		Files: map[string]string{}, stored: map[string]stored{}, ages: map[string]int{},
	}}
}

// age numbers an object: as it was before, or after all that were there before.
func (l *loader) age(object string) int {
	age, there := l.last.ages[object]
	if !there {
		age = l.youngest + len(l.set.order)
	}
	l.set.ages[object] = age
	return age
}

func (l *loader) warn(object, format string, args ...any) {
	l.report.Warnings = append(l.report.Warnings, Finding{l.path, object, fmt.Sprintf(format, args...)})
}

// problem notes what is wrong; where the object is not known, whatever the file declared before may be meant.
func (l *loader) problem(object, format string, args ...any) {
	if object == "" {
		l.broken[l.path] = true
	}
	l.report.Problems = append(l.report.Problems, Finding{l.path, object, fmt.Sprintf(format, args...)})
}

// file takes one file, or that it could not be read.
func (l *loader) file(ctx context.Context, path string, raw []byte, err error) {
	l.path = path
	if err != nil {
		l.problem("", "%v", err)
		return
	}
	// Who writes a file may empty it first.
	if len(raw) == 0 && l.declared(path) {
		l.problem("", "the file is empty; remove it to remove what it declared")
		return
	}
	for _, doc := range documents(path, raw) {
		if doc.err != nil {
			l.problem("", "%v", doc.err)
			continue
		}
		obj, err := decode(doc.json)
		if err != nil {
			l.problem("", "%v", err)
			continue
		}
		l.object(ctx, obj, doc.json)
	}
}

// object takes one object, or the items of a list.
func (l *loader) object(ctx context.Context, obj map[string]any, doc []byte) {
	apiVersion, _ := obj["apiVersion"].(string)
	kind, _ := obj["kind"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	switch s := l.schemas[apiVersion+"/"+kind]; {
	case apiVersion == "" || kind == "":
		l.problem("", "apiVersion and kind are required")
	case s != nil:
		l.custom(ctx, s, kind, obj)
	case apiVersion == "v1" && kind == "Secret":
		l.secret(doc)
	case apiVersion == "v1" && kind == "Namespace":
		l.namespace(doc)
	case isList(apiVersion, kind):
		l.list(ctx, obj)
	case group == v1alpha1.GroupVersion.Group:
		l.problem("", "no matches for kind %q in version %q", kind, apiVersion)
	case group == "kustomize.config.k8s.io":
	default:
		l.warn(describe(kind, obj), "ignored, only Secrets, Namespaces and the kinds of %s are read", v1alpha1.GroupVersion.Group)
	}
}

// isList says whether an object is a list of others: v1 List, or a list of one of our kinds.
func isList(apiVersion, kind string) bool {
	return (apiVersion == "v1" || apiVersion == v1alpha1.GroupVersion.String()) && strings.HasSuffix(kind, "List")
}

func (l *loader) list(ctx context.Context, obj map[string]any) {
	items, _ := obj["items"].([]any)
	for i, item := range items {
		// Back to bytes: a Secret is decoded strictly from them.
		doc, err := json.Marshal(item)
		m, ok := item.(map[string]any)
		if err != nil || !ok {
			l.problem("", "items[%d]: not an object", i)
			continue
		}
		l.object(ctx, m, doc)
	}
}

// custom checks one object of our kinds and keeps it.
func (l *loader) custom(ctx context.Context, s *kindSchema, kind string, obj map[string]any) {
	object := describe(kind, obj)
	unknown, errs := s.admit(ctx, obj, l.last.stored[object].object)
	slices.Sort(unknown)
	for _, path := range slices.Compact(unknown) {
		l.warn(object, "unknown field %q", path)
	}
	if len(errs) > 0 {
		l.refuse(object, errs)
		return
	}
	if !l.claim(object) {
		return
	}
	l.keep(object, kind, obj)
}

// refuse leaves an object out, or goes on with the version before.
func (l *loader) refuse(object string, errs field.ErrorList) {
	for _, e := range errs {
		l.problem(object, "%v", oneLine(e))
	}
	l.keepLast(object)
}

// keep takes a good object.
func (l *loader) keep(object, kind string, obj map[string]any) {
	if err := l.add(kind, obj); err != nil {
		l.problem(object, "%v", oneLine(err))
		return
	}
	l.stored(object, stored{kind: kind, object: obj})
}

// claim refuses the second object of one name.
func (l *loader) claim(object string) bool {
	if first, twice := l.set.Files[object]; twice {
		l.problem(object, "declared twice, first in %s", first)
		return false
	}
	l.set.Files[object] = l.path
	return true
}

func (l *loader) add(kind string, obj map[string]any) error {
	switch kind {
	case "AIGateway":
		return add(l, kind, &l.set.Gateways, obj)
	case "Provider":
		return add(l, kind, &l.set.Providers, obj)
	case "Model":
		return add(l, kind, &l.set.Models, obj)
	case "Tier":
		return add(l, kind, &l.set.Tiers, obj)
	case "CreditPolicy":
		return add(l, kind, &l.set.CreditPolicies, obj)
	case "APIKey":
		return add(l, kind, &l.set.APIKeys, obj)
	}
	return fmt.Errorf("kind %s has a schema and no place", kind)
}

// add converts obj and gives it what the API server gives to a new object.
func add[T any, P interface {
	*T
	metav1.Object
}](l *loader, kind string, to *[]T, obj map[string]any) error {
	var v T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj, &v); err != nil {
		return fmt.Errorf("converting: %w", err)
	}
	m := P(&v)
	m.SetUID(types.UID(uuid.NewSHA1(uidSpace, []byte(kind+"/"+m.GetNamespace()+"/"+m.GetName())).String()))
	m.SetCreationTimestamp(metav1.NewTime(firstCreation.Add(time.Duration(l.age(kind+" "+m.GetNamespace()+"/"+m.GetName())) * time.Second)))
	m.SetGeneration(1)
	*to = append(*to, v)
	return nil
}

// secret reads a v1 Secret. Unknown fields are warnings, as everywhere.
func (l *loader) secret(doc []byte) {
	var s corev1.Secret
	strict, err := kjson.UnmarshalStrict(doc, &s)
	if s.Namespace == "" {
		s.Namespace = DefaultNamespace
	}
	object := "Secret " + s.Namespace + "/" + s.Name
	if err != nil {
		l.problem(object, "%v", oneLine(err))
		l.keepLast(object)
		return
	}
	for _, e := range strict {
		l.warn(object, "%v", e)
	}
	if errs := metavalidation.ValidateObjectMeta(&s.ObjectMeta, true, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata")); len(errs) > 0 {
		l.refuse(object, errs)
		return
	}
	if !l.claim(object) {
		return
	}
	data := s.Data
	if data == nil {
		data = map[string][]byte{}
	}
	for k, v := range s.StringData {
		data[k] = []byte(v)
	}
	l.keepSecret(object, types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, data)
}

// stored notes that a good object is in the set.
func (l *loader) stored(object string, s stored) {
	l.set.stored[object] = s
	l.set.order = append(l.set.order, object)
}

func (l *loader) keepSecret(object string, name types.NamespacedName, data map[string][]byte) {
	l.set.Secrets[name] = data
	l.stored(object, stored{kind: "Secret", data: data})
}

// namespace reads a v1 Namespace: its labels are what selectors of namespaces look at.
func (l *loader) namespace(doc []byte) {
	var n corev1.Namespace
	strict, err := kjson.UnmarshalStrict(doc, &n)
	n.Namespace = ""
	object := "Namespace " + n.Name
	if err != nil {
		l.problem(object, "%v", oneLine(err))
		l.keepLast(object)
		return
	}
	for _, e := range strict {
		l.warn(object, "%v", e)
	}
	if errs := metavalidation.ValidateObjectMeta(&n.ObjectMeta, false, metavalidation.ValidateNamespaceName, field.NewPath("metadata")); len(errs) > 0 {
		l.refuse(object, errs)
		return
	}
	if l.claim(object) {
		l.keepNamespace(object, n.Name, n.Labels)
	}
}

func (l *loader) keepNamespace(object, name string, labels map[string]string) {
	if labels == nil {
		labels = map[string]string{}
	}
	// Each namespace of a cluster has it.
	labels[corev1.LabelMetadataName] = name
	l.set.Namespaces[name] = labels
	l.stored(object, stored{kind: "Namespace", data: labels})
}

// describe names an object as well as its metadata allow.
func describe(kind string, obj map[string]any) string {
	meta, _ := obj["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	if namespace == "" {
		namespace = DefaultNamespace
	}
	return kind + " " + namespace + "/" + name
}
