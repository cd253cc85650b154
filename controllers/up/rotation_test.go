package up

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/controllers/compile"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// ends lists the rotations of the live rows and when they end, in seconds after start.
func (r rows) ends(t *testing.T, start time.Time) map[int64]int64 {
	t.Helper()
	have, err := r.ledger.KeysBySource(t.Context(), rowSource, rowOwner)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int64]int64{}
	for _, k := range have {
		out[k.Rotation] = 0
		if k.ExpiresAt > 0 {
			out[k.Rotation] = (k.ExpiresAt - start.UnixMicro()) / 1_000_000
		}
	}
	return out
}

// TestSyncRotation follows a key through two rotations: the end of an overlap is fixed when it begins.
func TestSyncRotation(t *testing.T) {
	r := newRows(t)
	start := time.Now()
	now := start
	r.now = func() time.Time { return now }
	rotated := func(n, overlap int64, more ...func(*compile.Key)) compile.Key {
		return key("g", append([]func(*compile.Key){generated, func(k *compile.Key) {
			k.Rotation, k.OverlapSeconds, k.ExpiresAt = n, overlap, start.Add(10*time.Hour).UnixMicro()
		}}, more...)...)
	}
	off := func(k *compile.Key) { k.Disabled = true }
	const spec = 36000 // the object's own end
	steps := []struct {
		name  string
		after time.Duration
		want  compile.Key
		ends  map[int64]int64
	}{
		{"made", 0, rotated(1, 60), map[int64]int64{1: spec}},
		{"rotated", 100 * time.Second, rotated(2, 60), map[int64]int64{1: 160, 2: spec}},
		{"again, with another overlap", 30 * time.Second, rotated(2, 3600), map[int64]int64{1: 160, 2: spec}},
		{"disabled", 0, rotated(2, 60, off), map[int64]int64{1: 160, 2: spec}},
		{"over", 31 * time.Second, rotated(2, 60), map[int64]int64{2: spec}},
		{"rotated twice", 0, rotated(4, 60), map[int64]int64{2: 221, 4: spec}},
		{"without an overlap", 0, rotated(5, 0), map[int64]int64{5: spec}},
	}
	for _, s := range steps {
		now = now.Add(s.after)
		if notes := r.mustSync(t, s.want); len(notes) > 0 {
			t.Errorf("%s: %v", s.name, notes)
		}
		if diff := cmp.Diff(s.ends, r.ends(t, start)); diff != "" {
			t.Errorf("%s: ends (-want +got):\n%s", s.name, diff)
		}
		have, err := r.ledger.KeysBySource(t.Context(), rowSource, rowOwner)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range have {
			if (row.State == ledger.KeyDisabled) != s.want.Disabled {
				t.Errorf("%s: the row of rotation %d is %s", s.name, row.Rotation, row.State)
			}
		}
	}
}

// TestSyncRotationInterrupted: between any two steps of a rotation it may end, and goes on.
func TestSyncRotationInterrupted(t *testing.T) {
	r := newRows(t)
	start := time.Now()
	r.now = func() time.Time { return start }
	k := func(n int64) compile.Key {
		return key("g", generated, func(k *compile.Key) { k.Rotation, k.OverlapSeconds = n, 60 })
	}
	r.mustSync(t, k(1))
	// The new key is in its file, and nothing of it in the ledger.
	if _, err := r.files.generate(secretOf(k(2))); err != nil {
		t.Fatal(err)
	}
	made, err := r.files.get(secretOf(k(2)))
	if err != nil {
		t.Fatal(err)
	}
	r.mustSync(t, k(2))
	if diff := cmp.Diff(map[int64]int64{1: 60, 2: 0}, r.ends(t, start)); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	if again, err := r.files.get(secretOf(k(2))); err != nil || again != made {
		t.Errorf("the key was made twice: %v", err)
	}
}

// TestSyncFields: what the object says of the key is in its row.
func TestSyncFields(t *testing.T) {
	r := newRows(t)
	ends := time.Now().Add(time.Hour).UnixMicro()
	want := key("a", func(k *compile.Key) {
		k.Scopes, k.Models, k.CapNano, k.CapPeriod, k.ExpiresAt = []string{"Inference"}, []string{"acme/small"}, 7, "Day", ends
	})
	r.mustSync(t, want)
	row, err := r.ledger.KeyByDigest(t.Context(), want.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{row.Scopes, row.Models, row.CapAmount, row.CapPeriod, row.ExpiresAt}
	if diff := cmp.Diff([]any{want.Scopes, want.Models, want.CapNano, want.CapPeriod, ends}, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}
