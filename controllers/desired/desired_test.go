package desired

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, in := range inputs {
		t.Run(filepath.Base(in), func(t *testing.T) {
			gw := load(t, in)
			facts := Facts{Image: "example.test/layers:v1"}
			got := render(t, ServiceAccount(gw), Role(gw), RoleBinding(gw), Service(gw), Deployment(gw, facts))
			golden := strings.TrimSuffix(in, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("run with -update if this is meant (-want +got):\n%s", diff)
			}
		})
	}
}

func load(t *testing.T, file string) *v1alpha1.AIGateway {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gw := &v1alpha1.AIGateway{}
	if err := yaml.UnmarshalStrict(raw, gw); err != nil {
		t.Fatal(err)
	}
	return gw
}

func render(t *testing.T, objects ...any) string {
	t.Helper()
	var docs []string
	for _, o := range objects {
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(raw))
	}
	return strings.Join(docs, "---\n")
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a.very-long-name", 8)
	for name, tc := range map[string]struct{ gateway, want string }{
		"plain":           {"main", "main-gateway"},
		"longest plain":   {strings.Repeat("x", maxBase), strings.Repeat("x", maxBase) + "-gateway"},
		"dots":            {"a.b", "g-a-b-2e7336dc-gateway"},
		"begins in digit": {"1st", "g-1st-e01ddf65-gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Name(tc.gateway); got != tc.want {
				t.Errorf("Name(%q) = %q, want %q", tc.gateway, got, tc.want)
			}
		})
	}
	for _, name := range []string{Name(long), SnapshotName(long)} {
		if len(name) > 63 || !dnsLabel.MatchString(name) {
			t.Errorf("%q is not a Service's name", name)
		}
	}
	if Name(long) == Name(long+"x") {
		t.Error("two gateways share a name")
	}
}

func TestAddressIsTheService(t *testing.T) {
	gw := load(t, "testdata/live.in.yaml")
	want := "http://" + *Service(gw).Name + "." + *Service(gw).Namespace + ".svc"
	if got := Address(gw); got != want {
		t.Errorf("Address() = %q, want %q", got, want)
	}
}
