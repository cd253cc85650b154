package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// TestProject holds PROJECT to the truth: the kinds are those of the API, and the paths are there.
func TestProject(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "PROJECT"))
	if err != nil {
		t.Fatal(err)
	}
	var project struct {
		Domain, Repo, ProjectName, Version string
		Layout                             []string
		Resources                          []struct {
			API struct {
				CRDVersion string
				Namespaced bool
			}
			Controller                  bool
			Domain, Kind, Path, Version string
		}
	}
	if err := yaml.UnmarshalStrict(b, &project); err != nil {
		t.Fatal(err)
	}
	if project.Repo != module || project.Domain != v1alpha1.GroupVersion.Group {
		t.Errorf("repo %s, domain %s", project.Repo, project.Domain)
	}
	kinds := map[string]bool{}
	for _, r := range project.Resources {
		kinds[r.Kind] = true
		folder := strings.TrimPrefix(r.Path, module+"/")
		if _, err := os.Stat(filepath.Join(root, folder)); err != nil || !strings.HasSuffix(folder, "/"+r.Version) {
			t.Errorf("%s: path %s: %v", r.Kind, r.Path, err)
		}
	}
	if diff := cmp.Diff(sorted(apiKinds(t)), sorted(kinds)); diff != "" {
		t.Errorf("kinds (-api +PROJECT):\n%s", diff)
	}
}

// apiKinds are the kinds that the API registers, lists left out.
func apiKinds(t *testing.T) map[string]bool {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for kind, typ := range scheme.KnownTypes(v1alpha1.GroupVersion) {
		if strings.HasPrefix(typ.PkgPath(), module) && !strings.HasSuffix(kind, "List") {
			kinds[kind] = true
		}
	}
	return kinds
}
