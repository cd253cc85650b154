package route

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

func backend(name string, priority, weight int32) snapshot.Backend {
	return snapshot.Backend{Name: name, Priority: priority, Weight: weight}
}

func names(backends []snapshot.Backend) []string {
	out := []string{}
	for _, b := range backends {
		out = append(out, b.Name)
	}
	return out
}

func TestOrder(t *testing.T) {
	three := []snapshot.Backend{backend("a", 0, 1), backend("b", 0, 2), backend("c", 0, 1)}
	cases := map[string]struct {
		in    []snapshot.Backend
		draws []int64
		want  []string
	}{
		"none":              {nil, nil, []string{}},
		"one":               {[]snapshot.Backend{backend("a", 3, 1)}, nil, []string{"a"}},
		"weight 0":          {[]snapshot.Backend{backend("a", 0, 0), backend("b", 1, 1)}, nil, []string{"b"}},
		"by priority":       {[]snapshot.Backend{backend("late", 2, 9), backend("first", 0, 1), backend("mid", 1, 1)}, nil, []string{"first", "mid", "late"}},
		"first drawn":       {three, []int64{0, 0}, []string{"a", "b", "c"}},
		"edge of a weight":  {three, []int64{1, 0}, []string{"b", "a", "c"}},
		"last of a weight":  {three, []int64{2, 1}, []string{"b", "c", "a"}},
		"last drawn":        {three, []int64{3, 2}, []string{"c", "b", "a"}},
		"each group by its": {[]snapshot.Backend{backend("a", 0, 1), backend("b", 0, 1), backend("c", 1, 1), backend("d", 1, 1)}, []int64{1, 0}, []string{"b", "a", "c", "d"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.in)
			got := Order(c.in, func(int64) int64 {
				n := c.draws[0]
				c.draws = c.draws[1:]
				return n
			})
			if diff := cmp.Diff(c.want, names(got)); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, c.in); diff != "" {
				t.Errorf("input changed:\n%s", diff)
			}
		})
	}
}

func TestOrderShares(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	in := []snapshot.Backend{backend("a", 0, 1), backend("b", 0, 3)}
	first := map[string]int{}
	for range 10000 {
		first[Order(in, r.Int64N)[0].Name]++
	}
	if n := first["b"]; n < 7300 || n > 7700 {
		t.Errorf("b was first %d times of 10000, want about 7500", n)
	}
}

func TestOrderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) snapshot.Backend {
			return backend(rapid.StringN(1, 3, 3).Draw(t, "name"), rapid.Int32Range(0, 3).Draw(t, "priority"), rapid.Int32Range(0, 1000000).Draw(t, "weight"))
		}), 0, 16).Draw(t, "in")
		got := Order(in, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Int64N)
		var want []string
		for _, b := range in {
			if b.Weight > 0 {
				want = append(want, b.Name)
			}
		}
		have := names(got)
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			t.Fatalf("backends %v, want %v", have, want)
		}
		if !slices.IsSortedFunc(got, func(a, b snapshot.Backend) int { return int(a.Priority) - int(b.Priority) }) {
			t.Fatalf("priorities out of order: %v", got)
		}
	})
}
