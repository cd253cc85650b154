package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// third brings the database to version 3, as that release did.
func (e env) third(t *testing.T) {
	t.Helper()
	e.exec(t, "CREATE TABLE schema_version (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)")
	scripts, err := filepath.Glob(filepath.Join("internal", "sqldb", "migrations", e.dialect, "*.sql"))
	if err != nil || len(scripts) < 3 {
		t.Fatal(scripts, err)
	}
	slices.Sort(scripts)
	for i, name := range scripts[:3] {
		script, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		e.exec(t, string(script))
		e.exec(t, fmt.Sprintf("INSERT INTO schema_version VALUES (%d, 0)", i+1))
	}
}

// grantAsThird writes what the release of version 3 wrote for a grant.
func (e env) grantAsThird(t *testing.T, id, kind string, amount int64) {
	t.Helper()
	key := "grant:" + id
	e.exec(t, "INSERT INTO accounts (id, version, created_at) VALUES ('default/a', 1, 0) ON CONFLICT DO NOTHING")
	e.exec(t, "INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES ('"+key+"', 'grant', 0)")
	e.exec(t, fmt.Sprintf("INSERT INTO credit_grants (idem_key, account, kind, amount, reason, created_at) VALUES ('%s', 'default/a', '%s', %d, 'r', 0)", key, kind, amount))
	e.move(t, key, "system/"+kind, amount)
}

func (e env) move(t *testing.T, key, other string, amount int64) {
	t.Helper()
	e.exec(t, fmt.Sprintf("INSERT INTO ledger_entries (tx, account, amount) VALUES ('%s', 'default/a', %d), ('%s', '%s', %d)", key, amount, key, other, -amount))
	e.exec(t, fmt.Sprintf("UPDATE accounts SET balance = balance + %d, version = version + 1 WHERE id = 'default/a'", amount))
}

// settleAsThird writes what the release of version 3 wrote for a request: nothing but a row for one that was free. Rows that
// are there already it leaves alone.
func (e env) settleAsThird(t *testing.T, s ledger.Settlement) {
	t.Helper()
	u := s.Usage
	res, err := e.raw.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO usage_logs (request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, "+
		"output_tokens, reasoning_tokens, searches, lines, price_version, cost, charged, held, evidence, status, stream, started_at, finished_at, rolled_up) "+
		"VALUES ('%s', '%s', '%s', 'm', 'p', 'b', 'up', %d, %d, %d, %d, %d, %d, %d, '[]', 'v', %d, %d, %d, '%s', 200, TRUE, 0, %d, TRUE) ON CONFLICT DO NOTHING",
		s.RequestID, s.Account, s.KeyID, u.Input, u.CacheRead, u.CacheWrite, u.CacheWrite1h, u.Output, u.Reasoning, u.Searches, s.Cost, s.Charged, s.Held, s.Evidence, s.FinishedAt))
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := res.RowsAffected(); err != nil || fresh == 0 || s.Charged == 0 {
		return
	}
	res, err = e.raw.ExecContext(t.Context(), "INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES ('settle:"+s.RequestID+"', 'settle', 0) ON CONFLICT DO NOTHING")
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := res.RowsAffected(); err != nil || fresh == 0 {
		return
	}
	e.move(t, "settle:"+s.RequestID, "system/revenue", -s.Charged)
	for period, w := range map[string][2]int64{"Day": {1_699_920_000, 1_700_006_400}, "Month": {1_698_796_800, 1_701_388_800}} {
		e.exec(t, fmt.Sprintf("INSERT INTO key_windows (key_id, period, start, ends, spent) VALUES ('%s', '%s', %d, %d, %d) "+
			"ON CONFLICT (key_id, period, start) DO UPDATE SET spent = key_windows.spent + excluded.spent", s.KeyID, period, w[0], w[1], s.Charged))
	}
}

// TestUpgradeFromThree brings a database of the release before this one up, with every class of token, free answers and a month
// of the past, while replicas of that release go on; each request stays charged once, whichever of the two says it again.
func TestUpgradeFromThree(t *testing.T) {
	onEachEmpty(t, func(t *testing.T, e env) {
		e.third(t)
		e.grantAsThird(t, "1", "promo", 10)
		e.grantAsThird(t, "2", "manual", 100)
		free := settlement("req_free", "default/a", 0)
		free.Evidence, free.Cost = ledger.EvidenceFree, 9
		for _, s := range []ledger.Settlement{settlement("req_1", "default/a", 20), settlement("req_2", "default/a", 15), free} {
			e.settleAsThird(t, s)
		}
		if err := e.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.sound(t)
		if r, err := e.Receipt(t.Context(), "default/a", "req_1"); err != nil || r.Usage != settlement("", "", 0).Usage || r.Charged != 20 || r.ProviderCost != 20 {
			t.Errorf("%+v, %v", r, err)
		}
		charged := pricing.Nano(35)
		if e.dialect == "postgres" { // on SQLite no other process settles while this one migrates
			later := settlement("req_3", "default/a", 6)
			late := free
			late.RequestID = "req_free_too"
			for range 2 {
				e.settleAsThird(t, later)
				e.settleAsThird(t, settlement("req_1", "default/a", 20))
				e.settleAsThird(t, late)
			}
			e.grantAsThird(t, "3", "manual", 5)
			charged += 6
			e.sound(t)
			for _, s := range []ledger.Settlement{later, late} {
				if got := e.only(t, s); !got.Duplicate {
					t.Errorf("%+v", got)
				}
			}
			e.sound(t)
		}
		for _, s := range []ledger.Settlement{settlement("req_1", "default/a", 20), free} {
			if got := e.only(t, s); !got.Duplicate {
				t.Errorf("%+v", got)
			}
		}
		e.only(t, settlement("req_4", "default/a", 4))
		charged += 4
		if e.dialect == "postgres" {
			e.settleAsThird(t, settlement("req_4", "default/a", 4)) // it was tried by both
		}
		spent, err := e.KeySpends(t.Context(), "key_1", []ledger.Window{spends(0)[0].Window, spends(0)[1].Window})
		if diff := cmp.Diff(spends(charged), spent); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
		e.sound(t)
		problems, err := e.CheckWindow(t.Context(), ledger.Span{From: 0, To: 1 << 62}, nil)
		if err != nil || len(problems) > 0 {
			t.Errorf("%q, %v", problems, err)
		}
	})
}
