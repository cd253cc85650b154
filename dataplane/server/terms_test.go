package server

import (
	"net/http"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/keys"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// A key that has a new tier or policy goes on although this replica remembers the one before, which is gone.
func TestTierOfKeyIsReplaced(t *testing.T) {
	for name, old := range map[string]func(*ledger.Key){
		"tier":   func(k *ledger.Key) { k.Tier = "ns/old" },
		"policy": func(k *ledger.Key) { k.Policy = "ns/old" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(_ *Options, x *snapshot.Snapshot) {
				x.Tiers = append(x.Tiers, snapshot.Tier{Name: "ns/old", MaxBodyBytes: 4096})
				x.Policies = append(x.Policies, snapshot.CreditPolicy{Name: "ns/old"})
			})
			w.serve(answers(1, 1))
			w.key(goodKey, usd, old)
			if got := w.chat(hello); got.status != http.StatusOK {
				t.Fatalf("before: %d %s", got.status, got.body)
			}
			if err := w.memory.Publish(config()); err != nil {
				t.Fatal(err)
			}
			w.key(goodKey, usd)
			for _, got := range []reply{w.chat(hello), w.do(http.MethodGet, "/v1/models", goodKey, "")} {
				if got.status != http.StatusOK {
					t.Errorf("after: %d %s", got.status, got.body)
				}
			}
		})
	}
}

// A key that moved to another account goes on, and the new account pays.
func TestKeyMoves(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(answers(1, 1))
	if got := w.chat(hello); got.status != http.StatusOK {
		t.Fatalf("before: %d %s", got.status, got.body)
	}
	before := w.balance()
	w.key(goodKey, usd, func(k *ledger.Key) { k.Account = "ns/heir" })
	if _, err := keys.Deliver(t.Context(), w.books, w.redis, w.redis, "up"); err != nil {
		t.Fatal(err)
	}
	got := w.chat(hello)
	if got.status != http.StatusOK {
		t.Fatalf("after: %d %s", got.status, got.body)
	}
	if heir, err := w.books.Account(t.Context(), "ns/heir"); err != nil || heir.Balance >= usd || w.balance() != before {
		t.Errorf("the heir has %d, %v; the one before %d of %d", heir.Balance, err, w.balance(), before)
	}
}

// A revocation that ended after its first step is one: the tombstone refuses the key, though the ledger has not heard of it.
func TestTombstoneAlone(t *testing.T) {
	w := newWorld(t)
	row := w.key(goodKey, usd)
	w.serve(answers(1, 1))
	if got := w.chat(hello); got.status != http.StatusOK {
		t.Fatalf("before: %d %s", got.status, got.body)
	}
	if err := w.redis.LoadKey(t.Context(), row.Account, keys.Digest(goodKey), admit.KeyRevoked, row.Version+1); err != nil {
		t.Fatal(err)
	}
	for _, got := range []reply{w.chat(hello), w.do(http.MethodGet, "/v1/models", goodKey, "")} {
		if e := got.failure(t); got.status != http.StatusUnauthorized || e["code"] != "key_revoked" {
			t.Errorf("%d %v", got.status, e)
		}
	}
}
