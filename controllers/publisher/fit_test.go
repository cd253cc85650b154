package publisher

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// noise does not compress, so that sizes are what they look like.
func noise(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n/2)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

func withModels(t *testing.T, n int) *snapshot.Snapshot {
	t.Helper()
	s := &snapshot.Snapshot{Gateway: "ai/main", Mode: snapshot.Live}
	for i := range n {
		name := fmt.Sprintf("m%02d", i)
		// The first by name is the youngest.
		s.Models = append(s.Models, snapshot.Model{Object: "ai/" + name, PublicName: noise(t, 2000), Created: int64(1000 - i)})
		s.Objects = append(s.Objects, snapshot.Object{Kind: compile.KindModel, Namespace: "ai", Name: name, Generation: 1})
	}
	s.Objects = append(s.Objects, snapshot.Object{Kind: compile.KindTier, Namespace: "ai", Name: "m00", Generation: 1})
	return s
}

func TestFit(t *testing.T) {
	s := withModels(t, 20)
	whole, left, err := fit(s, 1<<20)
	if err != nil || len(left) != 0 || len(s.Models) != 20 {
		t.Fatalf("fit() left %d of %d, %v; all fit", len(left), len(s.Models), err)
	}
	limit := len(whole) / 2
	encoded, left, err := fit(s, limit)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > limit {
		t.Errorf("%d bytes, the limit is %d", len(encoded), limit)
	}
	if len(left) == 0 || len(left)+len(s.Models) != 20 {
		t.Fatalf("%d left out, %d stay", len(left), len(s.Models))
	}
	if got := len(s.Objects); got != len(s.Models)+1 {
		t.Errorf("%d objects with %d models: a Tier of the same name stays, left out models go", got, len(s.Models))
	}
	for _, m := range left {
		for _, kept := range s.Models {
			if m.Created < kept.Created {
				t.Errorf("%s is left out, the younger %s stays", m.Object, kept.Object)
			}
		}
	}
	got, err := snapshot.Decode(encoded)
	if err != nil || len(got.Models) != len(s.Models) {
		t.Errorf("encoded has %v models, %v", got, err)
	}
	if _, more, err := fit(withOneMore(s, left[0]), limit); err != nil || len(more) == 0 {
		t.Errorf("one more fitted: %v, %v", more, err)
	}
}

func withOneMore(s *snapshot.Snapshot, m snapshot.Model) *snapshot.Snapshot {
	out := *s
	out.Models = append(append([]snapshot.Model(nil), s.Models...), m)
	return &out
}

func TestFitWithoutModels(t *testing.T) {
	s := withModels(t, 2)
	s.Tiers = []snapshot.Tier{{Name: noise(t, 4000)}}
	if _, _, err := fit(s, 1000); !errors.Is(err, errTooLarge) {
		t.Errorf("fit() = %v, want errTooLarge", err)
	}
}
