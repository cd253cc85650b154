package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// spent settles a request of a key and answers what the ledger tells of its windows.
func (e env) spent(t *testing.T, id string, k ledger.Key, charged int64) []ledger.Spend {
	t.Helper()
	s := settlement(id, k.Account, charged)
	s.KeyID = k.ID
	return e.only(t, s).Spends
}

// isSpent fails unless each of the keys is said to have spent so much.
func (e env) isSpent(t *testing.T, want int64, keys ...ledger.Key) {
	t.Helper()
	for _, k := range keys {
		got, err := e.KeySpends(t.Context(), k.ID, []ledger.Window{spends(0)[0].Window, spends(0)[1].Window})
		if diff := cmp.Diff(spends(want), got); err != nil || diff != "" {
			t.Errorf("key %s (-want +got): %v\n%s", k.Name, err, diff)
		}
	}
}

// All keys of an object are one key to its cap, whichever of them is used, in an overlap and after it; another object's are not.
func TestKeysOfOneObjectSpendTogether(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		old, next, other := upsert("old"), upsert("next"), upsert("other")
		next.Rotation, other.ObjectName, other.ObjectUID = 2, "default/other", "o2"
		a, b, c := e.upserted(t, old), e.upserted(t, next), e.upserted(t, other)
		if a.Meter() != b.Meter() || a.Meter() == c.Meter() || len(a.Meter()) != len(a.Digest) || a.Meter() == a.Digest {
			t.Fatalf("meters %s, %s, %s", a.Meter(), b.Meter(), c.Meter())
		}
		for i, step := range []struct {
			key  ledger.Key
			want int64
		}{{a, 10}, {b, 20}, {a, 30}, {c, 10}} {
			if diff := cmp.Diff(spends(step.want), e.spent(t, fmt.Sprint("req_", i), step.key, 10)); diff != "" {
				t.Errorf("request %d (-want +got):\n%s", i, diff)
			}
		}
		if _, err := e.RevokeKey(t.Context(), a.Digest); err != nil {
			t.Fatal(err)
		}
		e.isSpent(t, 30, a, b)
		e.isSpent(t, 10, c)
		// Again, and in one batch with what is new: a duplicate tells what is, too.
		again, late := settlement("req_0", a.Account, 10), settlement("req_9", b.Account, 5)
		again.KeyID, late.KeyID = a.ID, b.ID
		out, err := e.Settle(t.Context(), []ledger.Settlement{again, late})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]ledger.Spend{spends(35), spends(35)}, [][]ledger.Spend{out[0].Spends, out[1].Spends}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		e.sound(t)
	})
}

// A key that no object declares, and those that it is rotated to, one after the other, spend together.
func TestRotatedKeysSpendTogether(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		first, alone := e.created(t, newKey("k1")), e.created(t, newKey("alone"))
		_, second, err := e.RotateKey(t.Context(), first.Digest, digest("k2"), "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		_, third, err := e.RotateKey(t.Context(), second.Digest, digest("k3"), "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []ledger.Key{first, second, third} {
			if k.Meter() != first.Digest {
				t.Errorf("key %s counts under %s", k.ID, k.Meter())
			}
		}
		e.spent(t, "req_1", first, 1)
		e.spent(t, "req_2", second, 2)
		e.spent(t, "req_3", third, 4)
		e.spent(t, "req_4", alone, 8)
		e.isSpent(t, 7, first, second, third)
		e.isSpent(t, 8, alone)
		e.sound(t)
	})
}

// A key that was rotated before keys were counted together is, too.
func TestUpgradeOfRotatedKeys(t *testing.T) {
	onEachEmpty(t, func(t *testing.T, e env) {
		e.third(t)
		e.exec(t, "INSERT INTO accounts (id, created_at) VALUES ('default/a', 0)")
		for i, from := range []string{"NULL", "'key_0'", "'key_1'"} {
			e.exec(t, fmt.Sprintf("INSERT INTO api_keys (id, digest, key_prefix, name, account, tier, policy, state, version, source, cluster_uid, gateway_uid, object_uid, object_name, created_at, "+
				"updated_at, rotated_from) VALUES ('key_%d', '%s', 'p', 'n', 'default/a', '', '', 'active', 1, 'cli', '', 'g', '', '', 0, 0, %s)", i, digest(fmt.Sprint(i)), from))
		}
		if err := e.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			k, err := e.KeyByID(t.Context(), fmt.Sprint("key_", i))
			if err != nil || k.Meter() != digest("0") {
				t.Errorf("key %d counts under %s: %v", i, k.Meter(), err)
			}
		}
	})
}
