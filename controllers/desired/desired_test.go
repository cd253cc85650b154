package desired

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/settle/wal"
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
			facts := Facts{Image: "example.test/layers:v1", OperatorNamespace: "layers-system"}
			objects := []any{
				ServiceAccount(gw), Role(gw), RoleBinding(gw), Service(gw), NetworkPolicy(gw, facts), PodDisruptionBudget(gw),
				HorizontalPodAutoscaler(gw),
			}
			if gw.Spec.Ledger != nil {
				facts.Migrated = MigrationName(gw, facts, "postgres:5432/layers")
				objects = append(objects, Migration(gw, facts, facts.Migrated))
			}
			got := render(t, append(objects, Deployment(gw, facts))...)
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
		if reflect.ValueOf(o).IsNil() {
			continue // it is not to be there
		}
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
	gw.Spec.TLS = &v1alpha1.GatewayTLS{SecretRef: v1alpha1.LocalRef{Name: "certificate"}}
	if got, want := Address(gw), strings.Replace(want, "http:", "https:", 1); got != want {
		t.Errorf("Address() = %q, want %q", got, want)
	}
}

func TestMigrationName(t *testing.T) {
	gw := load(t, "testdata/live.in.yaml")
	first := MigrationName(gw, Facts{Image: "a"}, "db")
	if !strings.HasPrefix(first, "main-migrate-") || len(first) > 63 || first != MigrationName(gw, Facts{Image: "a"}, "db") {
		t.Errorf("MigrationName() = %q", first)
	}
	for name, other := range map[string]string{
		"another image":    MigrationName(gw, Facts{Image: "b"}, "db"),
		"another database": MigrationName(gw, Facts{Image: "a"}, "db2"),
		"a shifted border": MigrationName(gw, Facts{Image: "ad"}, "b"),
	} {
		if other == first {
			t.Errorf("%s has the same name", name)
		}
	}
	gw.Spec.Deployment.Image = "c"
	if MigrationName(gw, Facts{Image: "a"}, "db") != MigrationName(gw, Facts{Image: "b"}, "db") {
		t.Error("the spec's image is what counts")
	}
}

func TestStorePortsOfEgress(t *testing.T) {
	gw := load(t, "testdata/full.in.yaml")
	for name, tc := range map[string]struct {
		ports []int32
		want  []int32
	}{
		"the usual ones": {nil, []int32{5432, 6379}},
		"those of URLs":  {[]int32{6543, 6380, 6543}, []int32{6380, 6543}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int32
			for _, p := range storePorts(gw, Facts{StorePorts: tc.ports}) {
				got = append(got, p.Port.IntVal)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	number := func(n int32) *int32 { return &n }
	for name, tc := range map[string]struct {
		replicas, most *int32
		want           bool
	}{
		"by default":              {nil, nil, true},
		"one":                     {number(1), nil, false},
		"two":                     {number(2), nil, true},
		"one that may be ten":     {number(1), number(10), true},
		"one that stays one":      {number(1), number(1), false},
		"none, autoscaling rests": {number(0), number(10), false},
	} {
		t.Run(name, func(t *testing.T) {
			gw := &v1alpha1.AIGateway{}
			gw.Spec.Deployment.Replicas, gw.Spec.Deployment.MaxReplicas = tc.replicas, tc.most
			if got := PodDisruptionBudget(gw) != nil; got != tc.want {
				t.Errorf("a budget: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestProviderPortsOfEgress(t *testing.T) {
	gw := load(t, "testdata/full.in.yaml")
	var got []int32
	for _, p := range NetworkPolicy(gw, Facts{ProviderPorts: []int32{8000, 80, 443, 8000}}).Spec.Egress[1].Ports {
		got = append(got, p.Port.IntVal)
	}
	if diff := cmp.Diff([]int32{80, 443, 8000}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOperatorOutsideOfTheCluster(t *testing.T) {
	gw := load(t, "testdata/live.in.yaml")
	if from := NetworkPolicy(gw, Facts{}).Spec.Ingress[1].From; from != nil {
		t.Errorf("an operator without pods is asked to be %v", from)
	}
}

func TestReplicasOfAnAutoscaledDeployment(t *testing.T) {
	gw := load(t, "testdata/full.in.yaml")
	if got := Deployment(gw, Facts{}).Spec.Replicas; got != nil {
		t.Errorf("names %d replicas, which are the autoscaler's", *got)
	}
	if got := Deployment(gw, Facts{Unscaled: true}).Spec.Replicas; got == nil || *got != 3 {
		t.Errorf("a new Deployment begins with %v replicas, want 3", got)
	}
	if got := Handover(gw, 7).Spec.Replicas; got == nil || *got != 7 {
		t.Errorf("hands %v replicas over, want 7", got)
	}
}

// The folder of the write-ahead log has room for all that the log may take, and no variable of the template hides the pod's UID.
func TestWriteAheadLog(t *testing.T) {
	gw := load(t, "testdata/live.in.yaml")
	gw.Spec.Deployment.Template = &v1alpha1.GatewayPodTemplate{ExtraEnv: []v1alpha1.GatewayEnv{{Name: podUID, Value: "mine"}, {Name: "A", Value: "b"}}}
	spec := Deployment(gw, Facts{}).Spec.Template.Spec
	room := int64(0)
	for _, v := range spec.Volumes {
		if *v.Name == "wal" {
			room = v.EmptyDir.SizeLimit.Value()
		}
	}
	if most := int64(wal.DefaultMaxBytes + wal.DefaultSegmentBytes); room < most {
		t.Errorf("the volume has %d bytes, the log takes up to %d", room, most)
	}
	var names []string
	for _, e := range spec.Containers[0].Env {
		names = append(names, *e.Name)
		if *e.Name == podUID && e.ValueFrom == nil {
			t.Error("the pod's UID is the template's")
		}
	}
	if diff := cmp.Diff([]string{"A", podUID}, names); diff != "" {
		t.Error(diff)
	}
	if got := *spec.TerminationGracePeriodSeconds; got != 5+60+graceSeconds {
		t.Errorf("grace of %d s", got)
	}
}
