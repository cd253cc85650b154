package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// first brings the database to version 1, as that release did.
func (e env) first(t *testing.T) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("internal", "sqldb", "migrations", e.dialect, "0001_ledger.sql"))
	if err != nil {
		t.Fatal(err)
	}
	e.exec(t, "CREATE TABLE schema_version (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)")
	e.exec(t, string(script))
	e.exec(t, "INSERT INTO schema_version VALUES (1, 0)")
}

func (e env) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := e.raw.ExecContext(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// settleAsFirst writes what the release of version 1 wrote for a request.
func (e env) settleAsFirst(t *testing.T, id, key, finished string) {
	t.Helper()
	e.exec(t, "INSERT INTO usage_logs (request_id, account, key_id, model, provider, backend, upstream_id, input_tokens, cache_read_tokens, "+
		"cache_write_tokens, output_tokens, reasoning_tokens, lines, price_version, cost, charged, held, evidence, status, stream, started_at, finished_at) "+
		"VALUES ('"+id+"', 'default/a', '"+key+"', 'm', 'p', 'b', '', 1, 0, 0, 1, 0, '[]', 'v', 5, 5, 5, 'reported', 200, FALSE, 0, "+finished+")")
	e.exec(t, "INSERT INTO ledger_tx VALUES ('settle:"+id+"', 'settle', 0)")
	e.exec(t, "INSERT INTO ledger_entries VALUES ('settle:"+id+"', 'default/a', -5), ('settle:"+id+"', 'system/revenue', 5)")
	e.exec(t, "UPDATE accounts SET balance = balance - 5, version = version + 1 WHERE id = 'default/a'")
}

const (
	leapDay  = "1709164800000000" // 29 February 2024, 00:00
	dayAfter = "1709251200000000" // 1 March 2024, 00:00
)

// TestUpgrade brings a database with rows of version 1 up: keys stay as they are, what was charged is counted, and what a
// replica of version 1 still charges afterwards is no problem.
func TestUpgrade(t *testing.T) {
	onEachEmpty(t, func(t *testing.T, e env) {
		e.first(t)
		e.exec(t, "INSERT INTO accounts (id, created_at) VALUES ('default/a', 0)")
		e.exec(t, "INSERT INTO api_keys (id, digest, key_prefix, name, account, tier, policy, state, version, source, cluster_uid, gateway_uid, "+
			"object_uid, object_name, created_at, updated_at) VALUES ('key_1', '"+digest("k1")+"', 'p', 'n', 'default/a', '', '', 'active', 4, 'kubernetes', 'c', 'g', 'o', 'default/n', 0, 0)")
		e.settleAsFirst(t, "req_1", "key_1", leapDay)
		e.settleAsFirst(t, "req_2", "key_1", leapDay)
		e.settleAsFirst(t, "req_3", "key_1", dayAfter)
		e.settleAsFirst(t, "req_4", "", dayAfter)
		if err := e.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.sound(t)
		k, err := e.KeyByDigest(t.Context(), digest("k1"))
		want := ledger.Key{
			ID: "key_1", Digest: digest("k1"), Prefix: "p", Name: "n", Account: "default/a", State: ledger.KeyActive, Version: 4,
			Source: "kubernetes", ClusterUID: "c", GatewayUID: "g", ObjectUID: "o", ObjectName: "default/n",
		}
		if diff := cmp.Diff(want, k); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
		day, february := ledger.Window{Period: "Day", Start: 1709164800}, ledger.Window{Period: "Month", Start: 1706745600}
		march := ledger.Window{Period: "Month", Start: 1709251200}
		got, err := e.KeySpends(t.Context(), "key_1", []ledger.Window{day, february, march})
		if diff := cmp.Diff([]ledger.Spend{{Window: day, Spent: 10}, {Window: february, Spent: 10}, {Window: march, Spent: 5}}, got); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
		if e.dialect == "postgres" { // on SQLite no other process settles while this one migrates
			e.settleAsFirst(t, "req_5", "key_1", dayAfter)
			e.sound(t)
		}
		e.only(t, settlement("req_6", "default/a", 3))
		e.sound(t)
	})
}

// TestUpgradeOfGrants: what was granted and spent by a version that knew no draws is drawn when the account changes next, also
// where replicas of that version go on beside this one.
func TestUpgradeOfGrants(t *testing.T) {
	onEachEmpty(t, func(t *testing.T, e env) {
		e.first(t)
		grantAsFirst := func(id, kind string, amount int) {
			e.exec(t, fmt.Sprintf("INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES ('grant:%s', 'grant', 0)", id))
			e.exec(t, fmt.Sprintf("INSERT INTO ledger_entries VALUES ('grant:%s', 'default/a', %d), ('grant:%s', 'system/%s', -%d)", id, amount, id, kind, amount))
			e.exec(t, fmt.Sprintf("INSERT INTO credit_grants (idem_key, account, kind, amount, reason, created_at) VALUES ('grant:%s', 'default/a', '%s', %d, 'r', 0)", id, kind, amount))
			e.exec(t, fmt.Sprintf("UPDATE accounts SET balance = balance + %d, version = version + 1 WHERE id = 'default/a'", amount))
		}
		e.exec(t, "INSERT INTO accounts (id, created_at) VALUES ('default/a', 0)")
		grantAsFirst("1", "promo", 8)
		grantAsFirst("2", "manual", 20)
		e.settleAsFirst(t, "req_1", "key_1", leapDay)
		e.settleAsFirst(t, "req_2", "key_1", leapDay)
		e.exec(t, "INSERT INTO usage_logs SELECT 'req_0', account, key_id, model, provider, backend, '', 1, 0, 0, 1, 0, '[]', 'v', 0, 0, 5, 'free', 502, stream, 0, finished_at FROM usage_logs WHERE request_id = 'req_1'")
		if err := e.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.is(t, 18, left{"1", 8}, left{"2", 20})
		if e.dialect == "postgres" {
			if n := e.number(t, "SELECT COUNT(*) FROM usage_logs_2024_02"); n != 3 {
				t.Errorf("February has %d rows", n)
			}
			e.settleAsFirst(t, "req_3", "key_1", dayAfter)
			grantAsFirst("3", "manual", 5)
			e.sound(t)
		}
		paid := settlement("req_4", "default/a", 3)
		e.only(t, paid)
		if e.dialect == "postgres" {
			e.is(t, 15, left{"1", 0}, left{"2", 10}, left{"3", 5})
		} else {
			e.is(t, 15, left{"1", 0}, left{"2", 15})
		}
		if n := e.number(t, "SELECT SUM(amount) FROM grant_draws WHERE tx = 'settle:req_4'"); n != 3 {
			t.Errorf("req_4 drew %d", n)
		}
		again := settlement("req_0", "default/a", 9)
		if got := e.only(t, again); !got.Duplicate {
			t.Errorf("what was free was charged: %+v", got)
		}
		if got := e.only(t, settlement("req_1", "default/a", 5)); !got.Duplicate {
			t.Errorf("%+v", got)
		}
		days, err := e.DailyUsage(t.Context(), "default/a", 1709164800, 1709164801)
		if err != nil || len(days) != 1 || days[0].Requests != 3 || days[0].Charged != 10 || days[0].ProviderCost != 10 {
			t.Errorf("%+v, %v", days, err)
		}
		r, err := e.Receipt(t.Context(), "default/a", "req_1")
		if err != nil || r.Usage.Input != 1 || r.ProviderCost != 5 || r.TxID != "settle:req_1" {
			t.Errorf("%+v, %v", r, err)
		}
		e.sound(t)
	})
}

// TestPeoplesOwnSQL: what people ask of the tables themselves works as they write it.
func TestPeoplesOwnSQL(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e.exec(t, "INSERT INTO users (id, email, name, created_at) VALUES ('u1', 'dev@example.com', 'Dev', 0), ('u2', 'two@example.com', 'Two', 0)")
		mine, gone, other := newKey("k1"), newKey("k2"), newKey("k3")
		gone.Name, other.UserID = "gone", "u2"
		for _, n := range []ledger.NewKey{mine, gone, other} {
			e.created(t, n)
		}
		if _, err := e.RevokeKey(t.Context(), gone.Digest); err != nil {
			t.Fatal(err)
		}
		e.granted(t, "default/acme", 100)
		e.only(t, settlement("req_1", "default/acme", 30))

		rows, err := e.raw.QueryContext(t.Context(), "SELECT key_prefix || '...' AS key, name, is_active FROM api_keys WHERE user_id = 'u1' AND is_active")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var got []string
		for rows.Next() {
			var key, name string
			var active any
			if err := rows.Scan(&key, &name, &active); err != nil {
				t.Fatal(err)
			}
			if b, ok := active.(bool); e.dialect == "postgres" && !(ok && b) {
				t.Errorf("is_active is %T %v, no boolean", active, active)
			}
			got = append(got, key+" "+name)
		}
		if diff := cmp.Diff([]string{"lyr_live_abc... laptop"}, got); diff != "" || rows.Err() != nil {
			t.Errorf("%v, %s", rows.Err(), diff)
		}
		for sql, want := range map[string]int64{
			"SELECT COUNT(*) FROM api_keys k JOIN users u ON u.id = k.user_id WHERE u.email = 'two@example.com'":                          1,
			"SELECT balance FROM balances WHERE account = 'default/acme'":                                                                 70,
			"SELECT SUM(charged) FROM usage_logs l JOIN api_keys k ON k.account = l.account WHERE k.name = 'laptop' AND k.user_id = 'u1'": 30,
		} {
			if n := e.number(t, sql); n != want {
				t.Errorf("%s answers %d, want %d", sql, n, want)
			}
		}
		if _, err := e.raw.ExecContext(t.Context(), "INSERT INTO users (id, email, created_at) VALUES ('u3', 'dev@example.com', 0)"); err == nil || !strings.Contains(strings.ToLower(err.Error()), "unique") {
			t.Errorf("two users with one address: %v", err)
		}
	})
}
