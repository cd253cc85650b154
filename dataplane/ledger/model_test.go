package ledger_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// stopped is when all of the model happens: versions count on from there.
var stopped = time.UnixMicro(1_800_000_000_000_000)

// model is what the ledger must be, in plain maps.
type model struct {
	accounts map[string]ledger.Account
	grants   map[string]ledger.Grant
	requests map[string]bool
	keys     map[string]ledger.KeyState
	spent    map[string]map[ledger.Window]pricing.Nano // by key id
}

// add changes a balance.
func (m *model) add(id string, amount pricing.Nano) {
	m.touch(id)
	a := m.accounts[id]
	a.Balance, a.Version = a.Balance+amount, a.Version+1
	m.accounts[id] = a
}

// touch makes an account that is not there.
func (m *model) touch(id string) {
	if _, there := m.accounts[id]; !there {
		m.accounts[id] = ledger.Account{ID: id, Version: stopped.UnixMicro()}
	}
}

// fewer lets rapid make thirty checks unless a flag says how many: each is some thirty transactions on a disk.
func fewer(t *testing.T) {
	t.Helper()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("30"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLedgerIsItsModel does random operations, with ids that come again, on the ledger and on the model.
func TestLedgerIsItsModel(t *testing.T) {
	fewer(t)
	onEach(t, func(t *testing.T, e env) {
		l, err := ledger.Open(t.Context(), e.url, ledger.Options{Now: func() time.Time { return stopped }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		e.Ledger = l
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			m := &model{map[string]ledger.Account{}, map[string]ledger.Grant{}, map[string]bool{}, map[string]ledger.KeyState{}, map[string]map[ledger.Window]pricing.Nano{}}
			name := func(prefix string, n int) string {
				return fmt.Sprintf("%s%d-%d", prefix, run, rapid.IntRange(0, n).Draw(rt, prefix))
			}
			actions := map[string]func(*rapid.T){
				"grant":  func(*rapid.T) { m.grant(t, rt, e, name) },
				"settle": func(*rapid.T) { m.settle(t, rt, e, run, name) },
				"upsert": func(*rapid.T) { m.upsert(t, rt, e, name) },
				"revoke": func(*rapid.T) { m.revoke(t, rt, e, name) },
				"": func(rt *rapid.T) {
					for id, want := range m.accounts {
						if got, err := e.Account(t.Context(), id); err != nil || got != want {
							rt.Fatalf("Account = %+v, %v; want %+v", got, err, want)
						}
					}
					m.checkSpends(t, rt, e)
				},
			}
			rt.Repeat(actions)
		})
		e.sound(t)
	})
}

func (m *model) grant(t *testing.T, rt *rapid.T, e env, name func(string, int) string) {
	g := ledger.Grant{ID: name("grant", 5), Account: name("default/a", 2), Amount: rapid.Int64Range(1, 3).Draw(rt, "amount"), Kind: "promo"}
	_, err := e.Grant(t.Context(), g)
	posted, again := m.grants[g.ID]
	if !again {
		m.grants[g.ID] = g
		m.add(g.Account, g.Amount)
	}
	if conflict := again && posted != g; errors.Is(err, ledger.ErrConflict) != conflict || (err == nil) == conflict {
		rt.Fatalf("Grant(%+v) after %+v: %v", g, posted, err)
	}
}

func (m *model) settle(t *testing.T, rt *rapid.T, e env, run int, name func(string, int) string) {
	batch := make([]ledger.Settlement, rapid.IntRange(1, 6).Draw(rt, "size"))
	sums := map[string]pricing.Nano{}
	duplicate := make([]bool, len(batch))
	for i := range batch {
		s := settlement(name("req", 30), name("default/a", 2), rapid.Int64Range(0, 5).Draw(rt, "charged"))
		n := rapid.IntRange(0, 8).Draw(rt, "when")
		s.KeyID, s.FinishedAt = fmt.Sprintf("key%d-%d", run, n%3), finishes[n%len(finishes)].UnixMicro()
		if n == 8 {
			s.KeyID = ""
		}
		batch[i], duplicate[i] = s, m.requests[s.RequestID]
		m.touch(s.Account)
		if !duplicate[i] && s.Charged > 0 {
			sums[s.Account] -= s.Charged
			m.spend(s)
		}
		m.requests[s.RequestID] = true
	}
	for id, sum := range sums {
		m.add(id, sum)
	}
	got, err := e.Settle(t.Context(), batch)
	if err != nil {
		rt.Fatal(err)
	}
	for i, s := range batch {
		want := ledger.Settled{RequestID: s.RequestID, Account: m.accounts[s.Account], Duplicate: duplicate[i], Spends: m.spends(s)}
		if diff := cmp.Diff(want, got[i]); diff != "" {
			rt.Fatalf("settled (-want +got):\n%s", diff)
		}
	}
}

// finishes are instants around the ends of days and months.
var finishes = []time.Time{
	time.Date(2024, 2, 28, 23, 59, 59, 999_999_000, time.UTC), time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
	time.Date(2024, 2, 29, 23, 59, 59, 999_999_000, time.UTC), time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC),
	time.Date(2024, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2025, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(2025, 1, 31, 12, 0, 0, 0, time.UTC),
}

// windows are a settlement's, as the calendar says.
func windows(s ledger.Settlement) []ledger.Window {
	day := time.UnixMicro(s.FinishedAt).UTC().Truncate(24 * time.Hour)
	return []ledger.Window{{Period: "Day", Start: day.Unix()}, {Period: "Month", Start: day.AddDate(0, 0, 1-day.Day()).Unix()}}
}

// spend counts what a settlement charges.
func (m *model) spend(s ledger.Settlement) {
	if s.KeyID == "" {
		return
	}
	if m.spent[s.KeyID] == nil {
		m.spent[s.KeyID] = map[ledger.Window]pricing.Nano{}
	}
	for _, w := range windows(s) {
		m.spent[s.KeyID][w] += s.Charged
	}
}

// spends are what Settle must answer.
func (m *model) spends(s ledger.Settlement) (out []ledger.Spend) {
	if s.Charged == 0 || s.KeyID == "" {
		return nil
	}
	for _, w := range windows(s) {
		out = append(out, ledger.Spend{Window: w, Spent: m.spent[s.KeyID][w]})
	}
	return out
}

// checkSpends compares every window of every key, and one that nobody has spent in.
func (m *model) checkSpends(t *testing.T, rt *rapid.T, e env) {
	for key, spent := range m.spent {
		ask := append(slices.Collect(maps.Keys(spent)), ledger.Window{Period: "Day"})
		got, err := e.KeySpends(t.Context(), key, ask)
		if err != nil || len(got) != len(ask) {
			rt.Fatalf("KeySpends = %v, %v", got, err)
		}
		for i, w := range ask {
			if want := (ledger.Spend{Window: w, Spent: spent[w]}); got[i] != want {
				rt.Fatalf("%s spent %+v, want %+v", key, got[i], want)
			}
		}
	}
}

func (m *model) upsert(t *testing.T, rt *rapid.T, e env, name func(string, int) string) {
	plain := name("key", 3)
	u := upsert(plain)
	u.Account, u.FirstGrant = name("default/a", 2), rapid.Int64Range(0, 2).Draw(rt, "first")
	u.State = rapid.SampledFrom([]ledger.KeyState{ledger.KeyActive, ledger.KeyDisabled}).Draw(rt, "state")
	_, err := e.UpsertKey(t.Context(), u)
	if m.keys[plain] == ledger.KeyRevoked {
		if !errors.Is(err, ledger.ErrConflict) {
			rt.Fatalf("a revoked key came back: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	m.keys[plain] = u.State
	if _, there := m.accounts[u.Account]; !there {
		if m.touch(u.Account); u.FirstGrant > 0 {
			m.add(u.Account, u.FirstGrant)
		}
	}
}

func (m *model) revoke(t *testing.T, rt *rapid.T, e env, name func(string, int) string) {
	plain := name("key", 3)
	k, err := e.RevokeKey(t.Context(), digest(plain))
	if _, there := m.keys[plain]; !there {
		if !errors.Is(err, ledger.ErrNotFound) {
			rt.Fatalf("RevokeKey of no key: %v", err)
		}
		return
	}
	if m.keys[plain] = ledger.KeyRevoked; err != nil || k.State != ledger.KeyRevoked {
		rt.Fatalf("RevokeKey = %+v, %v", k, err)
	}
}
