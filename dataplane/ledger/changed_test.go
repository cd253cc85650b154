package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// changed takes everything that a gateway is to hear, and answers it as "account", each with the account's present version.
func (e env) changed(t *testing.T, gateway string) (out []string) {
	t.Helper()
	items, err := e.ChangedAccounts(t.Context(), gateway, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range items {
		a, err := e.Account(t.Context(), c.Account)
		if err != nil || a.Version != c.Version || c.GatewayUID != gateway {
			t.Errorf("%+v, %v; the gateway is to hear of %+v", a, err, c)
		}
		if err := e.DoneAccount(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c.Account)
	}
	return out
}

// Whatever changes what may be spent and is no settlement is told to every gateway that has keys of the account, or had until the day
// before, and to no other.
func TestChangedAccounts(t *testing.T) {
	const account = "default/acme"
	hour := time.Now().Add(time.Hour).UnixMicro()
	for name, c := range map[string]struct {
		change func(e env, t *testing.T) error
		silent bool
	}{
		"a grant": {change: func(e env, t *testing.T) error {
			_, err := e.Grant(t.Context(), ledger.Grant{ID: "g", Account: account, Amount: 5, Kind: ledger.GrantManual, Reason: "r"})
			return err
		}},
		"a grant that begins later": {change: func(e env, t *testing.T) error {
			_, err := e.Grant(t.Context(), ledger.Grant{ID: "g", Account: account, Amount: 5, Kind: ledger.GrantManual, EffectiveAt: hour})
			return err
		}},
		"a correction": {change: func(e env, t *testing.T) error {
			_, err := e.Adjust(t.Context(), ledger.Adjustment{ID: "c", Account: account, Amount: -5, Reason: "r"})
			return err
		}},
		"an overdraft": {change: func(e env, t *testing.T) error {
			_, err := e.SetOverdraft(t.Context(), account, 7)
			return err
		}},
		"a suspension": {change: func(e env, t *testing.T) error {
			_, err := e.SetAccountStatus(t.Context(), account, ledger.AccountSuspended, "r")
			return err
		}},
		"a status that it has": {silent: true, change: func(e env, t *testing.T) error {
			_, err := e.SetAccountStatus(t.Context(), account, ledger.AccountActive, "r")
			return err
		}},
		"a reservation that is settled": {change: func(e env, t *testing.T) error {
			_, err := e.Reserve(t.Context(), ledger.Reservation{RequestID: "req_1", Account: account, Amount: 5, Owner: "o", ExpiresAt: hour})
			e.only(t, settlement("req_1", account, 5))
			return err
		}},
		"a settlement": {silent: true, change: func(e env, t *testing.T) error {
			e.only(t, settlement("req_1", account, 5))
			return nil
		}},
		"a read": {silent: true, change: func(e env, t *testing.T) error {
			_, _, err := e.Current(t.Context(), account)
			return err
		}},
		"a correction that was made": {silent: true, change: func(e env, t *testing.T) error {
			_, err := e.Adjust(t.Context(), ledger.Adjustment{ID: "made", Account: account, Amount: 5, Reason: "r"})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e env) {
				gone, elsewhere, revoked, old := upsert("k2"), upsert("k3"), upsert("k4"), upsert("k5")
				gone.GatewayUID, gone.ObjectName = "g2", "default/two"
				elsewhere.GatewayUID, elsewhere.ObjectName, elsewhere.Account = "g3", "default/three", "default/other"
				revoked.GatewayUID, revoked.ObjectName = "g4", "default/four"
				old.GatewayUID, old.ObjectName = "g5", "default/five"
				for _, u := range []ledger.KeyUpsert{upsert("k1"), gone, elsewhere, revoked, old} {
					e.upserted(t, u)
				}
				for _, k := range []string{"k4", "k5"} {
					if _, err := e.RevokeKey(t.Context(), digest(k)); err != nil {
						t.Fatal(err)
					}
				}
				e.exec(t, fmt.Sprintf("UPDATE api_keys SET updated_at = %d WHERE gateway_uid = 'g5'", time.Now().Add(-25*time.Hour).UnixMicro()))
				if _, err := e.Adjust(t.Context(), ledger.Adjustment{ID: "made", Account: account, Amount: 5, Reason: "r"}); err != nil {
					t.Fatal(err)
				}
				for _, g := range []string{"g1", "g2", "g3", "g4"} {
					e.changed(t, g)
				}
				if err := c.change(e, t); err != nil {
					t.Fatal(err)
				}
				want := []string{account}
				if c.silent {
					want = nil
				}
				for gateway, want := range map[string][]string{"g1": want, "g2": want, "g3": nil, "g4": want, "g5": nil, "": nil} {
					if diff := cmp.Diff(want, e.changed(t, gateway)); diff != "" {
						t.Errorf("gateway %q: %s", gateway, diff)
					}
				}
				e.sound(t)
			})
		})
	}
}

// What changes again while it is told is told again, and many are read in parts.
func TestChangedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		for i := range 3 {
			u := upsert(fmt.Sprint(i))
			u.Account, u.ObjectName = fmt.Sprint("default/", i), fmt.Sprint("default/", i)
			e.upserted(t, u)
		}
		overdraft := func(account string, n int64) {
			t.Helper()
			if _, err := e.SetOverdraft(t.Context(), account, n); err != nil {
				t.Fatal(err)
			}
		}
		for i := range int64(3) {
			overdraft(fmt.Sprint("default/", i), 1)
		}
		first, err := e.ChangedAccounts(t.Context(), "g1", "", 2)
		if err != nil || len(first) != 2 || first[1].Account != "default/1" {
			t.Fatalf("%+v, %v", first, err)
		}
		rest, err := e.ChangedAccounts(t.Context(), "g1", first[1].Account, 2)
		if err != nil || len(rest) != 1 || rest[0].Account != "default/2" {
			t.Fatalf("%+v, %v", rest, err)
		}
		overdraft("default/0", 2)
		for range 2 { // more than once is once
			for _, c := range append(first, rest...) {
				if err := e.DoneAccount(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff([]string{"default/0"}, e.changed(t, "g1")); diff != "" {
			t.Error(diff)
		}
	})
}

// A key that moves to another gateway is told to both: the one that had it must not take it any more.
func TestKeyMovesToAnotherGateway(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		has := e.upserted(t, upsert("k1"))
		e.outbox(t)
		moved := upsert("k1")
		moved.GatewayUID = "g2"
		now := e.upserted(t, moved)
		if now.Version <= has.Version || now.GatewayUID != "g2" {
			t.Errorf("%+v after %+v", now, has)
		}
		if diff := cmp.Diff([]string{item("k1", "default/acme", "g1"), item("k1", "default/acme", "g2")}, e.outbox(t)); diff != "" {
			t.Errorf("the outbox (-want +got):\n%s", diff)
		}
		moved.GatewayUID, moved.Account = "g3", "default/other"
		e.upserted(t, moved)
		if diff := cmp.Diff([]string{item("k1", "default/acme", "g2"), item("k1", "default/other", "g3")}, e.outbox(t)); diff != "" {
			t.Errorf("with its account (-want +got):\n%s", diff)
		}
	})
}
