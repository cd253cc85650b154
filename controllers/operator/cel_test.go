package operator_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const (
	celFolder    = "../../config/crd/testdata/cel"
	sampleFolder = "../../config/samples"
)

var _ = Describe("The API server", func() {
	It("accepts and refuses what the rules' files say", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		files, err := filepath.Glob(celFolder + "/*/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		Expect(len(files)).To(BeNumerically(">", 20))
		for _, file := range files {
			if strings.HasSuffix(file, ".new.yaml") {
				continue
			}
			By(file)
			checkRule(ctx, ns, file)
		}
	})

	It("accepts the samples", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		Expect(c.Delete(ctx, &corev1.Secret{ObjectMeta: objectMeta(ns, "stores")})).To(Succeed())
		seen := map[string]bool{}
		for _, obj := range objectsIn(sampleFolder) {
			obj.SetNamespace(ns)
			Expect(c.Create(ctx, obj, client.FieldValidation("Strict"))).To(Succeed())
			seen[obj.GetKind()] = true
		}
		Expect(seen).To(HaveLen(7), "the six kinds and Secret")
	})
})

// checkRule creates the object of a file, then updates it if the file is the first of a pair.
func checkRule(ctx context.Context, ns, file string) {
	GinkgoHelper()
	obj, want := rule(ns, file)
	next, pair := strings.CutSuffix(file, ".old.yaml")
	err := c.Create(ctx, obj, client.FieldValidation("Strict"))
	if pair {
		Expect(err).NotTo(HaveOccurred())
		changed, wanted := rule(ns, next+".new.yaml")
		want = wanted
		err = retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the operator writes its status meanwhile
			if err := c.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
				return err
			}
			next := changed.DeepCopy()
			next.SetResourceVersion(obj.GetResourceVersion())
			return c.Update(ctx, next, client.FieldValidation("Strict"))
		})
	}
	if strings.Contains(filepath.Base(file), "-accepted.") {
		Expect(err).NotTo(HaveOccurred())
		return
	}
	Expect(want).NotTo(BeEmpty(), "a refused file says what it wants")
	Expect(err).To(MatchError(ContainSubstring(want)))
}

func rule(ns, file string) (obj *unstructured.Unstructured, want string) {
	GinkgoHelper()
	raw, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	first, _, _ := strings.Cut(string(raw), "\n")
	if text, found := strings.CutPrefix(first, "# want: "); found {
		want = strings.TrimSpace(text)
	}
	obj = decode(string(raw))
	obj.SetNamespace(ns)
	return obj, want
}

// objectsIn are the objects of a folder's YAML files, but for kustomize's own.
func objectsIn(folder string) []*unstructured.Unstructured {
	GinkgoHelper()
	files, err := filepath.Glob(folder + "/*.yaml")
	Expect(err).NotTo(HaveOccurred())
	var out []*unstructured.Unstructured
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		raw, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		for _, doc := range strings.Split(string(raw), "\n---\n") {
			if doc = strings.TrimPrefix(doc, "---\n"); strings.TrimSpace(doc) != "" {
				out = append(out, decode(doc))
			}
		}
	}
	return out
}

func decode(doc string) *unstructured.Unstructured {
	GinkgoHelper()
	obj := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal([]byte(doc), &obj.Object)).To(Succeed())
	return obj
}
