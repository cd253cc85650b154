package compile_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

var update = flag.Bool("update", false, "write testdata/*.out.yaml anew")

// result is an Output as it stands in a golden file.
type result struct {
	Snapshot   *snapshot.Snapshot  `json:"snapshot"`
	Keys       []compile.Key       `json:"keys,omitempty"`
	Conditions map[string][]string `json:"conditions"`
	Foreign    []string            `json:"foreign,omitempty"`
}

func render(t interface {
	Helper()
	Fatal(...any)
}, out compile.Output) []byte {
	t.Helper()
	res := result{Snapshot: out.Snapshot, Keys: out.Keys, Conditions: map[string][]string{}}
	for k, conds := range out.Conditions {
		for _, c := range conds {
			line := c.Type + "=" + string(c.Status) + " " + c.Reason + ": " + c.Message
			res.Conditions[name(k)] = append(res.Conditions[name(k)], line)
		}
	}
	for k := range out.Foreign {
		res.Foreign = append(res.Foreign, name(k))
	}
	slices.Sort(res.Foreign)
	b, err := yaml.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func name(k compile.ObjectKey) string { return k.Kind + " " + k.Namespace + "/" + k.Name }

// TestGolden compiles each testdata/*.in.yaml and compares with its *.out.yaml; -update writes them.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test data: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			got := render(t, compile.Compile(read(t, file)))
			golden := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s differs (-want +got); -update writes it anew:\n%s", golden, diff)
			}
		})
	}
}

// TestServable holds what every gateway will ask of a snapshot against every golden input.
func TestServable(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in.yaml")
	for _, file := range files {
		if err := snapshot.Validate(compile.Compile(read(t, file)).Snapshot); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestOrderDoesNotMatter permutes every list of an input: the bytes stay.
func TestOrderDoesNotMatter(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in.yaml")
	rapid.Check(t, func(rt *rapid.T) {
		file := rapid.SampledFrom(files).Draw(rt, "file")
		want := render(rt, compile.Compile(read(t, file)))
		in := read(t, file)
		seed := rapid.Uint64().Draw(rt, "seed")
		permute(in, rand.New(rand.NewPCG(seed, 0)))
		if diff := cmp.Diff(string(want), string(render(rt, compile.Compile(in)))); diff != "" {
			rt.Fatalf("order changes the output of %s (-want +got):\n%s", file, diff)
		}
		before := read(t, file)
		permute(before, rand.New(rand.NewPCG(seed, 0)))
		if diff := cmp.Diff(before, in); diff != "" {
			rt.Fatalf("compiling changed its input (-before +after):\n%s", diff)
		}
	})
}

func permute(in compile.Input, rng *rand.Rand) {
	shuffle(rng, in.Gateways)
	shuffle(rng, in.Providers)
	shuffle(rng, in.Models)
	shuffle(rng, in.Tiers)
	shuffle(rng, in.CreditPolicies)
	shuffle(rng, in.APIKeys)
	for i := range in.Models {
		shuffle(rng, in.Models[i].Spec.Backends)
		shuffle(rng, in.Models[i].Spec.Aliases)
		shuffle(rng, in.Models[i].Spec.Capabilities)
		shuffle(rng, in.Models[i].Spec.GatewayRefs)
	}
	for i := range in.Tiers {
		shuffle(rng, in.Tiers[i].Spec.Limits)
		if in.Tiers[i].Spec.Models != nil {
			shuffle(rng, in.Tiers[i].Spec.Models.Names)
		}
	}
	for i := range in.APIKeys {
		shuffle(rng, in.APIKeys[i].Spec.Scopes)
		shuffle(rng, in.APIKeys[i].Spec.Models)
	}
	for i := range in.Providers {
		shuffle(rng, in.Providers[i].Spec.Headers)
	}
}

func shuffle[T any](rng *rand.Rand, s []T) {
	rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

// TestEveryConditionIsSet holds the list of conditions in each kind's status against what Compile sets.
func TestEveryConditionIsSet(t *testing.T) {
	want := map[string][]string{
		compile.KindAIGateway:    {"Accepted", "ResolvedRefs"},
		compile.KindProvider:     {"Accepted", "CredentialsResolved"},
		compile.KindModel:        {"Accepted", "ResolvedRefs", "Priced"},
		compile.KindTier:         {"Accepted"},
		compile.KindCreditPolicy: {"Accepted"},
		compile.KindAPIKey:       {"Accepted", "ResolvedRefs"},
	}
	files, _ := filepath.Glob("testdata/*.in.yaml")
	for _, file := range files {
		for k, conds := range compile.Compile(read(t, file)).Conditions {
			var types []string
			for _, c := range conds {
				types = append(types, c.Type)
				if c.Reason == "" || !strings.HasSuffix(c.Message, ".") || c.Status == metav1.ConditionStatus("") {
					t.Errorf("%s: %s: %+v is not complete", file, name(k), c)
				}
			}
			if diff := cmp.Diff(want[k.Kind], types); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", file, name(k), diff)
			}
		}
	}
}

// TestNoSecretInConditions: a credential stands in the snapshot and nowhere else.
func TestNoSecretInConditions(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.in.yaml")
	for _, file := range files {
		in := read(t, file)
		for k, conds := range compile.Compile(in).Conditions {
			for _, c := range conds {
				for _, data := range in.Secrets {
					for _, v := range data {
						if s := strings.TrimSpace(string(v)); s != "" && strings.Contains(c.Message, s) {
							t.Errorf("%s: %s: %s quotes a credential", file, name(k), c.Type)
						}
					}
				}
			}
		}
	}
}
