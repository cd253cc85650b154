package ledger_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func upsert(plain string) ledger.KeyUpsert {
	return ledger.KeyUpsert{FirstGrant: 500, Key: ledger.Key{
		Digest: digest(plain), Prefix: "lyr_live_abc", Name: "default/dev", Account: "default/acme", Tier: "default/free", Policy: "default/prepaid",
		State: ledger.KeyActive, Source: "kubernetes", ClusterUID: "c1", GatewayUID: "g1", ObjectUID: "o1", ObjectName: "default/dev",
	}}
}

// upserted is the row after an upsert that must succeed.
func (e env) upserted(t *testing.T, u ledger.KeyUpsert) ledger.Key {
	t.Helper()
	k, err := e.UpsertKey(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	found, err := e.KeyByDigest(t.Context(), u.Digest)
	if err != nil || !cmp.Equal(found, k) {
		t.Fatalf("the row is %+v, %v; the answer was %+v", found, err, k)
	}
	return k
}

func TestUpsertKeyMakesRowAndAccount(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		want := upsert("k1").Key
		began := time.Now()
		first := e.upserted(t, upsert("k1"))
		if diff := cmp.Diff(want, first, cmpopts.IgnoreFields(ledger.Key{}, "ID", "Version")); diff != "" || !strings.HasPrefix(first.ID, "key_") {
			t.Fatalf("%s %s", first.ID, diff)
		}
		newer(t, "a new key", began, 0, first.Version)
		if again := e.upserted(t, upsert("k1")); !cmp.Equal(again, first) {
			t.Errorf("the same again: %s", cmp.Diff(first, again))
		}
		e.upserted(t, upsert("k2")) // a second key of the account
		acme := e.anAccount(t, "default/acme", 500)
		if got, err := e.Account(t.Context(), "default/acme"); err != nil || got != acme {
			t.Errorf("Account = %+v, %v; the first grant comes once", got, err)
		}
		if n := e.number(t, "SELECT COUNT(*) FROM ledger_tx WHERE idem_key = 'first:default/acme'"); n != 1 {
			t.Errorf("%d first grants", n)
		}
		e.sound(t)
	})
}

func TestNoFirstGrantToAnAccountThatIsThere(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.granted(t, "default/acme", 7)
		e.upserted(t, upsert("k1"))
		if got, err := e.Account(t.Context(), "default/acme"); err != nil || got.Balance != 7 {
			t.Errorf("Account = %+v, %v", got, err)
		}
	})
}

func TestFirstGrantExpires(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		u := upsert("k1")
		u.FirstGrantDays = 30
		e.upserted(t, u)
		grants, err := e.Grants(t.Context(), "default/acme")
		if err != nil || len(grants) != 1 {
			t.Fatalf("grants %+v, %v", grants, err)
		}
		if got := time.Duration(grants[0].ExpiresAt-grants[0].CreatedAt) * time.Microsecond; (got - 30*24*time.Hour).Abs() > time.Minute {
			t.Errorf("it lasts %s", got)
		}
		other := upsert("k2")
		other.Account = "default/other"
		e.upserted(t, other)
		if grants, err := e.Grants(t.Context(), "default/other"); err != nil || len(grants) != 1 || grants[0].ExpiresAt != 0 {
			t.Errorf("without days: %+v, %v", grants, err)
		}
	})
}

func TestUpsertKeyMovesVersion(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		u := upsert("k1")
		version := e.upserted(t, u).Version
		for _, c := range []struct {
			name   string
			change func(*ledger.KeyUpsert)
			moves  bool
		}{
			{"name", func(u *ledger.KeyUpsert) { u.Name = "default/other" }, false},
			{"prefix", func(u *ledger.KeyUpsert) { u.Prefix = "" }, false},
			{"gateway", func(u *ledger.KeyUpsert) { u.GatewayUID = "g2" }, true}, // where it was it is to be refused
			{"object made again", func(u *ledger.KeyUpsert) { u.ObjectUID = "o2" }, false},
			{"object renamed", func(u *ledger.KeyUpsert) { u.ObjectName = "default/renamed" }, false},
			{"tier", func(u *ledger.KeyUpsert) { u.Tier = "default/pro" }, true},
			{"policy", func(u *ledger.KeyUpsert) { u.Policy = "" }, true},
			{"account", func(u *ledger.KeyUpsert) { u.Account = "default/umbrella" }, true},
			{"disabled", func(u *ledger.KeyUpsert) { u.State = ledger.KeyDisabled }, true},
			{"active", func(u *ledger.KeyUpsert) { u.State = ledger.KeyActive }, true},
		} {
			c.change(&u)
			want := u.Key
			began := time.Now()
			got := e.upserted(t, u)
			if c.moves {
				newer(t, c.name, began, version, got.Version)
				version = got.Version
			}
			want.Version = version
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ledger.Key{}, "ID")); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
		active := map[ledger.KeyState]int64{ledger.KeyActive: 1, ledger.KeyDisabled: 0}
		for state, want := range active {
			u.State = state
			e.upserted(t, u)
			if n := e.number(t, "SELECT COUNT(*) FROM api_keys WHERE is_active"); n != want {
				t.Errorf("%s: is_active in %d rows", state, n)
			}
		}
	})
}

func TestUpsertKeyConflicts(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		has := e.upserted(t, upsert("k1"))
		for name, change := range map[string]func(*ledger.KeyUpsert){
			"another object":  func(u *ledger.KeyUpsert) { u.ObjectUID, u.ObjectName = "o2", "default/two" },
			"another cluster": func(u *ledger.KeyUpsert) { u.ClusterUID = "c2" },
			"another source":  func(u *ledger.KeyUpsert) { u.Source = "manifest" },
		} {
			u := upsert("k1")
			u.Account = "default/thief"
			change(&u)
			if _, err := e.UpsertKey(t.Context(), u); !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := e.Account(t.Context(), "default/thief"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a conflict left an account: %v", err)
		}
		if got, err := e.KeyByDigest(t.Context(), has.Digest); err != nil || !cmp.Equal(got, has) {
			t.Errorf("a conflict changed the row: %+v, %v", got, err)
		}
	})
}

func TestUpsertKeyRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		for name, change := range map[string]func(*ledger.KeyUpsert){
			"plain key":      func(u *ledger.KeyUpsert) { u.Digest = "lyr_live_abcdef" },
			"upper case":     func(u *ledger.KeyUpsert) { u.Digest = strings.ToUpper(u.Digest) },
			"short digest":   func(u *ledger.KeyUpsert) { u.Digest = u.Digest[:62] },
			"no account":     func(u *ledger.KeyUpsert) { u.Account = "" },
			"system account": func(u *ledger.KeyUpsert) { u.Account = "system/revenue" },
			"revoked":        func(u *ledger.KeyUpsert) { u.State = ledger.KeyRevoked },
			"no source":      func(u *ledger.KeyUpsert) { u.Source = "" },
			"no object":      func(u *ledger.KeyUpsert) { u.ObjectName = "" },
			"negative grant": func(u *ledger.KeyUpsert) { u.FirstGrant = -1 },
			"negative days":  func(u *ledger.KeyUpsert) { u.FirstGrantDays = -1 },
			"absurd days":    func(u *ledger.KeyUpsert) { u.FirstGrantDays = 3651 },
		} {
			u := upsert("k1")
			change(&u)
			_, err := e.UpsertKey(t.Context(), u)
			if err == nil {
				t.Errorf("%s: taken", name)
			} else if strings.Contains(err.Error(), "lyr_live_") {
				t.Errorf("%s: the error shows the key: %v", name, err)
			}
		}
		if n := e.number(t, "SELECT COUNT(*) FROM accounts"); n != 0 {
			t.Errorf("%d accounts", n)
		}
	})
}

func TestRevokedKeyNeverComesBack(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		want := e.upserted(t, upsert("k1"))
		began, before := time.Now(), want.Version
		for range 2 {
			got, err := e.RevokeKey(t.Context(), want.Digest)
			if want.State == ledger.KeyActive {
				newer(t, "revoked", began, before, got.Version)
				want.State, want.Version = ledger.KeyRevoked, got.Version
			}
			if err != nil || !cmp.Equal(got, want) {
				t.Fatalf("RevokeKey = %+v, %v", got, err)
			}
		}
		if got, err := e.KeyByDigest(t.Context(), want.Digest); err != nil || !cmp.Equal(got, want) {
			t.Errorf("KeyByDigest = %+v, %v", got, err)
		}
		if _, err := e.UpsertKey(t.Context(), upsert("k1")); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("UpsertKey of a revoked digest: %v", err)
		}
		if _, err := e.RevokeKey(t.Context(), digest("unknown")); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("RevokeKey of an unknown digest: %v", err)
		}
		if _, err := e.KeyByDigest(t.Context(), digest("unknown")); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("KeyByDigest of an unknown digest: %v", err)
		}
	})
}

func TestKeysByObject(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		first, second := e.upserted(t, upsert("k1")), e.upserted(t, upsert("k2"))
		other := upsert("k3")
		other.ObjectUID, other.ObjectName = "o3", "default/three"
		e.upserted(t, other)
		check := func(want ...ledger.Key) {
			t.Helper()
			got, err := e.KeysByObject(t.Context(), "kubernetes", "c1", "default/dev")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatal(diff)
			}
		}
		check(first, second)
		if _, err := e.RevokeKey(t.Context(), first.Digest); err != nil {
			t.Fatal(err)
		}
		check(second)
		if _, err := e.RevokeKey(t.Context(), second.Digest); err != nil {
			t.Fatal(err)
		}
		check()
		if got, err := e.KeysByObject(t.Context(), "kubernetes", "c2", "default/three"); err != nil || len(got) != 0 {
			t.Errorf("another cluster's: %v, %v", got, err)
		}
	})
}

func TestUpsertKeyConcurrently(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		ids := make([]string, 16)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				k, err := e.UpsertKey(t.Context(), upsert("k1"))
				if err != nil {
					t.Error(err)
				}
				ids[i] = k.ID
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("two rows: %v", ids)
			}
		}
		if got, err := e.Account(t.Context(), "default/acme"); err != nil || got.Balance != 500 {
			t.Errorf("Account = %+v, %v", got, err)
		}
		e.sound(t)
	})
}
