package publisher

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// maxSnapshotBytes is the most that a Secret's data may hold (core/v1, MaxSecretSize).
const maxSnapshotBytes = 1 << 20

// errTooLarge says that a snapshot does not fit even without a single model.
var errTooLarge = fmt.Errorf("the snapshot without models is larger than %d bytes", maxSnapshotBytes)

// fit encodes s within limit bytes. What is too large loses its youngest models, which are answered: the older ones go
// on being served, and every run decides the same.
func fit(s *snapshot.Snapshot, limit int) (encoded []byte, left []snapshot.Model, err error) {
	encoded, err = snapshot.Encode(s)
	if err != nil || len(encoded) <= limit {
		return encoded, nil, err
	}
	byAge := slices.Clone(s.Models)
	slices.SortFunc(byAge, func(a, b snapshot.Model) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Object, b.Object))
	})
	whole := *s
	// The first count that no longer fits, and so the most that do.
	keep := sort.Search(len(byAge), func(n int) bool {
		trimmed := without(&whole, byAge[n+1:])
		b, encodeErr := snapshot.Encode(trimmed)
		return encodeErr != nil || len(b) > limit
	})
	*s = *without(&whole, byAge[keep:])
	if encoded, err = snapshot.Encode(s); err != nil {
		return nil, nil, err
	}
	if len(encoded) > limit {
		return nil, nil, errTooLarge
	}
	return encoded, byAge[keep:], nil
}

// without is a copy of s that lacks some models.
func without(s *snapshot.Snapshot, models []snapshot.Model) *snapshot.Snapshot {
	gone := map[string]bool{}
	for _, m := range models {
		gone[m.Object] = true
	}
	out := *s
	out.Models, out.Objects = nil, nil
	for _, m := range s.Models {
		if !gone[m.Object] {
			out.Models = append(out.Models, m)
		}
	}
	for _, o := range s.Objects {
		if o.Kind != compile.KindModel || !gone[o.Namespace+"/"+o.Name] {
			out.Objects = append(out.Objects, o)
		}
	}
	return &out
}
