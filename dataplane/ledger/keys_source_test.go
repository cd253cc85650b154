package ledger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeysBySource(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		b := upsert("k1")
		b.ObjectName, b.ObjectUID = "default/b", "o2"
		e.upserted(t, b)
		e.upserted(t, upsert("k2"))
		revoked, foreign, console := upsert("k3"), upsert("k4"), upsert("k5")
		foreign.ClusterUID, console.Source = "c2", "console"
		e.upserted(t, revoked)
		e.upserted(t, foreign)
		e.upserted(t, console)
		if _, err := e.RevokeKey(t.Context(), revoked.Digest); err != nil {
			t.Fatal(err)
		}
		got, err := e.KeysBySource(t.Context(), "kubernetes", "c1")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, k := range got {
			names = append(names, k.ObjectName+" "+k.Digest[:8])
		}
		want := []string{"default/b " + digest("k1")[:8], "default/dev " + digest("k2")[:8]}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("live rows of the cluster (-want +got):\n%s", diff)
		}
	})
}
