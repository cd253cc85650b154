package ledger_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func newKey(plain string) ledger.NewKey {
	return ledger.NewKey{
		Digest: digest(plain), Prefix: "lyr_live_abc", Name: "laptop", Account: "default/acme", Tier: "default/pro", Policy: "default/prepaid",
		UserID: "u1", Scopes: []string{ledger.ScopeInference}, Models: []string{"a", `b,"c`}, CapAmount: 7, CapPeriod: ledger.PeriodDay,
		ExpiresAt: time.Now().Add(time.Hour).UnixMicro(), Source: ledger.SourceCLI, GatewayUID: "g1",
	}
}

// created is the row of a new key, which must be made.
func (e env) created(t *testing.T, n ledger.NewKey) ledger.Key {
	t.Helper()
	k, err := e.CreateKey(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// outbox takes everything out of the outbox and answers it as "digest's first eight account gateway".
func (e env) outbox(t *testing.T) (out []string) {
	t.Helper()
	items, err := e.PendingOutbox(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var ids []int64
	for _, i := range items {
		ids = append(ids, i.ID)
		out = append(out, i.Digest[:8]+" "+i.Account+" "+i.GatewayUID)
	}
	if err := e.DoneOutbox(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	return out
}

func item(plain, account, gateway string) string {
	return digest(plain)[:8] + " " + account + " " + gateway
}

func TestCreateKey(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		n := newKey("k1")
		want := ledger.Key{
			Digest: n.Digest, Prefix: n.Prefix, Name: n.Name, Account: n.Account, Tier: n.Tier, Policy: n.Policy, UserID: n.UserID,
			Scopes: n.Scopes, Models: n.Models, CapAmount: n.CapAmount, CapPeriod: n.CapPeriod, ExpiresAt: n.ExpiresAt,
			State: ledger.KeyActive, Source: "cli", GatewayUID: "g1",
		}
		began := time.Now()
		got := e.created(t, n)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ledger.Key{}, "ID", "Version")); diff != "" || got.Owned() {
			t.Fatal(diff)
		}
		newer(t, "a new key", began, 0, got.Version)
		if again := e.created(t, n); !cmp.Equal(again, got) {
			t.Errorf("the same again: %s", cmp.Diff(got, again))
		}
		byID, errID := e.KeyByID(t.Context(), got.ID)
		byDigest, errDigest := e.KeyByDigest(t.Context(), got.Digest)
		if errID != nil || errDigest != nil || !cmp.Equal(byID, got) || !cmp.Equal(byDigest, got) {
			t.Errorf("found %+v %v, %+v %v", byID, errID, byDigest, errDigest)
		}
		if _, err := e.KeyByID(t.Context(), "key_none"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("KeyByID of no key: %v", err)
		}
		if a, err := e.Account(t.Context(), "default/acme"); err != nil || a.Balance != 0 {
			t.Errorf("Account = %+v, %v", a, err)
		}
		if n := e.number(t, "SELECT COUNT(*) FROM users WHERE id = 'u1'"); n != 1 {
			t.Errorf("%d users", n)
		}
		if items := e.outbox(t); items != nil {
			t.Errorf("Redis is told of a key that it cannot know: %v", items)
		}
	})
}

func TestCreateKeyRefused(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.created(t, newKey("k1"))
		e.upserted(t, upsert("object"))
		for name, c := range map[string]struct {
			change func(*ledger.NewKey)
			want   error
		}{
			"another key's digest": {func(n *ledger.NewKey) { n.Digest, n.Name = digest("k1"), "other" }, ledger.ErrConflict},
			"an object's digest":   {func(n *ledger.NewKey) { n.Digest = digest("object") }, ledger.ErrConflict},
			"an object's source":   {func(n *ledger.NewKey) { n.Source = "kubernetes" }, ledger.ErrOwned},
			"a manifest's source":  {func(n *ledger.NewKey) { n.Source = "manifest" }, ledger.ErrOwned},
			"plain key":            {func(n *ledger.NewKey) { n.Digest = "lyr_live_abcdef" }, nil},
			"no account":           {func(n *ledger.NewKey) { n.Account = "" }, nil},
			"system account":       {func(n *ledger.NewKey) { n.Account = "system/revenue" }, nil},
			"negative cap":         {func(n *ledger.NewKey) { n.CapAmount = -1 }, nil},
			"cap without a period": {func(n *ledger.NewKey) { n.CapPeriod = "" }, nil},
			"unknown period":       {func(n *ledger.NewKey) { n.CapPeriod = "Week" }, nil},
			"unknown scope":        {func(n *ledger.NewKey) { n.Scopes = []string{"Admin"} }, nil},
			"nameless model":       {func(n *ledger.NewKey) { n.Models = []string{""} }, nil},
			"negative expiry":      {func(n *ledger.NewKey) { n.ExpiresAt = -1 }, nil},
		} {
			n := newKey("k2")
			c.change(&n)
			_, err := e.CreateKey(t.Context(), n)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			} else if strings.Contains(err.Error(), "lyr_live_") {
				t.Errorf("%s: the error shows the key: %v", name, err)
			}
		}
		if n := e.number(t, "SELECT COUNT(*) FROM api_keys"); n != 2 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestListKeysAndSweepRows(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		other, object, elsewhere := newKey("k2"), upsert("o1"), upsert("o2")
		other.Account = "default/umbrella"
		elsewhere.GatewayUID, elsewhere.ObjectName = "g2", "default/else"
		keys := []ledger.Key{e.created(t, newKey("k1")), e.created(t, other), e.upserted(t, object), e.upserted(t, elsewhere)}
		revoked, err := e.RevokeKey(t.Context(), digest("k1"))
		if err != nil {
			t.Fatal(err)
		}
		keys[0] = revoked
		for account, want := range map[string][]ledger.Key{
			"default/acme": {keys[0], keys[2], keys[3]}, "default/umbrella": {keys[1]}, "default/none": nil, "": keys,
		} {
			got, err := e.ListKeys(t.Context(), account)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("keys of %q: %v\n%s", account, err, diff)
			}
		}
		if uids, err := e.Gateways(t.Context()); err != nil || !slices.Equal(uids, []string{"g1", "g2"}) {
			t.Errorf("Gateways = %v, %v", uids, err)
		}
		for gateway, want := range map[string][]ledger.Key{"g1": {keys[2]}, "g2": {keys[3]}, "": nil} {
			got, err := e.SweepRows(t.Context(), "kubernetes", "c1", gateway)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("rows of %q: %v\n%s", gateway, err, diff)
			}
		}
	})
}

func TestRotationNeverProlongs(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		has := e.created(t, newKey("k1")) // for an hour
		before, after, err := e.RotateKey(t.Context(), has.Digest, digest("k2"), "", 2*time.Hour)
		if err != nil || before.ExpiresAt != has.ExpiresAt || after.ExpiresAt != has.ExpiresAt {
			t.Errorf("%+v, %+v, %v", before, after, err)
		}
	})
}

func TestOutboxHearsWhatMatters(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		u := upsert("k1")
		e.upserted(t, u)
		own := []string{item("k1", "default/acme", "g1")}
		for _, c := range []struct {
			name   string
			change func(*ledger.KeyUpsert)
			want   []string
		}{
			{"made", func(*ledger.KeyUpsert) {}, nil},
			{"name", func(u *ledger.KeyUpsert) { u.Name = "default/other" }, nil},
			{"rotation", func(u *ledger.KeyUpsert) { u.Rotation = 3 }, nil},
			{"expiry", func(u *ledger.KeyUpsert) { u.ExpiresAt = 5 }, own},
			{"scopes", func(u *ledger.KeyUpsert) { u.Scopes = []string{ledger.ScopeUsage} }, own},
			{"models", func(u *ledger.KeyUpsert) { u.Models = []string{"m"} }, own},
			{"cap", func(u *ledger.KeyUpsert) { u.CapAmount, u.CapPeriod = 5, "Month" }, own},
			{"disabled", func(u *ledger.KeyUpsert) { u.State = ledger.KeyDisabled }, own},
			{"active", func(u *ledger.KeyUpsert) { u.State = ledger.KeyActive }, own},
			{"account", func(u *ledger.KeyUpsert) { u.Account = "default/two" }, []string{own[0], item("k1", "default/two", "g1")}},
		} {
			c.change(&u)
			e.upserted(t, u)
			if diff := cmp.Diff(c.want, e.outbox(t)); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
		for _, want := range [][]string{{item("k1", "default/two", "g1")}, nil} {
			if _, err := e.RevokeKey(t.Context(), digest("k1")); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, e.outbox(t)); diff != "" {
				t.Errorf("revoked: %s", diff)
			}
		}
	})
}

func TestOutboxIsOfOneGateway(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		for plain, gateway := range map[string]string{"k1": "g1", "k2": "g2", "k3": ""} {
			n := newKey(plain)
			n.GatewayUID = gateway
			e.created(t, n)
		}
		for _, plain := range []string{"k1", "k2", "k3"} {
			if _, err := e.RevokeKey(t.Context(), digest(plain)); err != nil {
				t.Fatal(err)
			}
		}
		ask := func(gateway string, limit int) (out []string) {
			t.Helper()
			items, err := e.PendingOutbox(t.Context(), gateway, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				out = append(out, i.Digest)
			}
			return out
		}
		one, two, three := digest("k1"), digest("k2"), digest("k3")
		for _, c := range []struct {
			gateway string
			limit   int
			want    []string
		}{{"", 9, []string{one, two, three}}, {"g1", 9, []string{one, three}}, {"g2", 9, []string{two, three}}, {"g3", 9, []string{three}}, {"", 2, []string{one, two}}} {
			if diff := cmp.Diff(c.want, ask(c.gateway, c.limit)); diff != "" {
				t.Errorf("%s at most %d: %s", c.gateway, c.limit, diff)
			}
		}
		if err := e.DoneOutbox(t.Context(), []int64{-1}); err != nil {
			t.Error(err)
		}
		if e.outbox(t); ask("", 9) != nil {
			t.Error("done items are still there")
		}
	})
}

// TestOutboxForgetsAfterADay: what nobody came for does not wait for ever.
func TestOutboxForgetsAfterADay(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		now := time.Now()
		l, err := ledger.Open(t.Context(), e.url, ledger.Options{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		pending := func() (out []string) {
			items, err := l.PendingOutbox(t.Context(), "", 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range items {
				out = append(out, i.Digest)
			}
			return out
		}
		revoke := func(plain string) {
			e.created(t, newKey(plain))
			if _, err := l.RevokeKey(t.Context(), digest(plain)); err != nil {
				t.Fatal(err)
			}
		}
		revoke("k1")
		now = now.Add(24*time.Hour - time.Second)
		revoke("k2")
		if diff := cmp.Diff([]string{digest("k1"), digest("k2")}, pending()); diff != "" {
			t.Errorf("within a day: %s", diff)
		}
		now = now.Add(2 * time.Second)
		revoke("k3")
		if diff := cmp.Diff([]string{digest("k2"), digest("k3")}, pending()); diff != "" {
			t.Errorf("after a day: %s", diff)
		}
	})
}
