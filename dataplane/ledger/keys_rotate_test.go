package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestRotateKey(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		n := newKey("k1")
		n.ExpiresAt = 0
		has := e.created(t, n)
		began := time.Now()
		before, after, err := e.RotateKey(t.Context(), has.Digest, digest("k2"), "lyr_live_new", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		wantBefore, wantAfter := has, has
		wantBefore.ExpiresAt, wantBefore.Version = before.ExpiresAt, before.Version
		newer(t, "rotated", began, has.Version, before.Version)
		newer(t, "the new key", began, 0, after.Version)
		wantAfter.Version = after.Version
		wantAfter.ID, wantAfter.Digest, wantAfter.Prefix, wantAfter.FirstDigest = after.ID, digest("k2"), "lyr_live_new", digest("k1")
		if diff := cmp.Diff([]ledger.Key{wantBefore, wantAfter}, []ledger.Key{before, after}); diff != "" || before.ID == after.ID {
			t.Errorf("rotated (-want +got):\n%s", diff)
		}
		if ends := time.UnixMicro(before.ExpiresAt); ends.Before(began.Add(time.Hour-time.Second)) || ends.After(time.Now().Add(time.Hour)) {
			t.Errorf("it ends at %s, began at %s", ends, began)
		}
		for _, k := range []ledger.Key{before, after} {
			if found, err := e.KeyByDigest(t.Context(), k.Digest); err != nil || !cmp.Equal(found, k) {
				t.Errorf("the row is %+v, %v; want %+v", found, err, k)
			}
		}
		if diff := cmp.Diff([]string{item("k1", "default/acme", "g1")}, e.outbox(t)); diff != "" {
			t.Error(diff)
		}
		againBefore, againAfter, err := e.RotateKey(t.Context(), has.Digest, digest("k2"), "lyr_live_new", 2*time.Hour)
		if err != nil || !cmp.Equal([]ledger.Key{before, after}, []ledger.Key{againBefore, againAfter}) || e.outbox(t) != nil {
			t.Errorf("the same again: %+v, %+v, %v", againBefore, againAfter, err)
		}
		if _, _, err := e.RotateKey(t.Context(), has.Digest, digest("k3"), "", time.Hour); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("rotated twice: %v", err)
		}
		if _, third, err := e.RotateKey(t.Context(), digest("k2"), digest("k3"), "", 0); err != nil || third.ExpiresAt != 0 {
			t.Errorf("the new key's rotation: %+v, %v", third, err)
		}
	})
}

func TestRotateKeyRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		expired, revoked := newKey("expired"), newKey("revoked")
		expired.ExpiresAt = 1
		e.created(t, newKey("k1"))
		e.created(t, expired)
		e.created(t, revoked)
		e.upserted(t, upsert("object"))
		if _, err := e.RevokeKey(t.Context(), revoked.Digest); err != nil {
			t.Fatal(err)
		}
		e.outbox(t)
		const versions = "SELECT SUM(version) FROM api_keys"
		was := e.number(t, versions)
		for name, c := range map[string]struct {
			from, to string
			overlap  time.Duration
			want     error
		}{
			"unknown":              {digest("none"), digest("new"), 0, ledger.ErrNotFound},
			"object's":             {digest("object"), digest("new"), 0, ledger.ErrOwned},
			"revoked":              {digest("revoked"), digest("new"), 0, ledger.ErrConflict},
			"expired":              {digest("expired"), digest("new"), 0, ledger.ErrConflict},
			"another key's digest": {digest("k1"), digest("object"), 0, ledger.ErrConflict},
			"its own digest":       {digest("k1"), digest("k1"), 0, ledger.ErrConflict},
			"plain key":            {digest("k1"), "lyr_live_abc", 0, nil},
			"negative overlap":     {digest("k1"), digest("new"), -1, nil},
		} {
			if _, _, err := e.RotateKey(t.Context(), c.from, c.to, "", c.overlap); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		if items := e.outbox(t); items != nil {
			t.Errorf("a refusal tells Redis of %v", items)
		}
		if n := e.number(t, versions); n != was {
			t.Errorf("a refusal changed versions: %d", n-was)
		}
	})
}

func TestRotateKeyConcurrently(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.created(t, newKey("k1"))
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := map[string]bool{}
		for i := range 12 {
			wg.Go(func() {
				next := digest(fmt.Sprintf("next%d", i%3))
				_, after, err := e.RotateKey(t.Context(), digest("k1"), next, "", time.Minute)
				if err != nil && !errors.Is(err, ledger.ErrConflict) {
					t.Error(err)
				}
				if mu.Lock(); err == nil {
					won[after.ID] = true
				}
				mu.Unlock()
			})
		}
		wg.Wait()
		if n := e.number(t, "SELECT COUNT(*) FROM api_keys"); n != 2 || len(won) != 1 {
			t.Errorf("%d rows, %d winners", n, len(won))
		}
		if diff := cmp.Diff([]string{item("k1", "default/acme", "g1")}, e.outbox(t)); diff != "" {
			t.Error(diff)
		}
	})
}
