package ledger_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func TestPriceVersionsNeverChange(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		one := ledger.PriceVersion{Version: "v1", Components: json.RawMessage(`{"input":"2.5"}`)}
		two := ledger.PriceVersion{Version: "v2", Components: json.RawMessage(`{"input":"3"}`)}
		for _, vs := range [][]ledger.PriceVersion{nil, {one}, {two, one}, {one, two}} {
			if err := e.PutPriceVersions(t.Context(), vs); err != nil {
				t.Fatal(err)
			}
		}
		other := ledger.PriceVersion{Version: "v1", Components: two.Components}
		if err := e.PutPriceVersions(t.Context(), []ledger.PriceVersion{{Version: "v3", Components: one.Components}, other}); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("another v1: %v", err)
		}
		got, err := e.PriceVersion(t.Context(), "v1")
		if diff := cmp.Diff(one, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if _, err := e.PriceVersion(t.Context(), "v3"); !errors.Is(err, ledger.ErrNotFound) {
			t.Error(err)
		}
		for _, sql := range []string{"UPDATE price_versions SET components = '{}'", "DELETE FROM price_versions", "UPDATE grant_draws SET amount = 1", "DELETE FROM grant_draws"} {
			if strings.Contains(sql, "draws") {
				e.granted(t, "default/a", 10)
				e.only(t, settlement("req_1", "default/a", 1))
			}
			if _, err := e.raw.ExecContext(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", sql, err)
			}
		}
		for _, bad := range []ledger.PriceVersion{{Components: one.Components}, {Version: "x", Components: json.RawMessage("{")}} {
			if err := e.PutPriceVersions(t.Context(), []ledger.PriceVersion{bad}); err == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
	})
}

func TestDailyUsage(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		a, b, c := settlement("req_1", "default/a", 5), settlement("req_2", "default/a", 7), settlement("req_3", "default/a", 9)
		a.ProviderCost, b.Model, c.FinishedAt = 4, "n", a.FinishedAt+86_400_000_000
		for range 2 {
			if _, err := e.Settle(t.Context(), []ledger.Settlement{a, b, c, settlement("req_4", "default/a", 1), settlement("req_5", "default/b", 1)}); err != nil {
				t.Fatal(err)
			}
		}
		day := ledger.Daily{Day: 1_699_920_000, Account: "default/a", KeyID: "key_1", Model: "m", Provider: "p", Requests: 2, InputTokens: 24, OutputTokens: 10, Cost: 6, Charged: 6, ProviderCost: 4}
		other, next := day, day
		other.Model, other.Requests, other.InputTokens, other.OutputTokens, other.Cost, other.Charged, other.ProviderCost = "n", 1, 12, 5, 7, 7, 0
		next.Day, next.Requests, next.InputTokens, next.OutputTokens, next.Cost, next.Charged, next.ProviderCost = 1_700_006_400, 1, 12, 5, 9, 9, 0
		got, err := e.DailyUsage(t.Context(), "default/a", 0, 1_800_000_000)
		if diff := cmp.Diff([]ledger.Daily{day, other, next}, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if got, err := e.DailyUsage(t.Context(), "default/a", 1_699_920_001, 1_700_006_400); err != nil || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
		e.sound(t)
	})
}

// TestMonths: partitions are made ahead, rows of no month wait and move, and what has a month goes into it.
func TestMonths(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		early := settlement("req_1", "default/a", 5) // its November was over when the ledger was migrated
		e.only(t, early)
		made, err := e.MakePartitions(t.Context(), 3) // November, December and January of the clock
		again, err2 := e.MakePartitions(t.Context(), 3)
		if err != nil || err2 != nil || again != 0 {
			t.Errorf("%v, %v, made %d again", err, err2, again)
		}
		for i, at := range []time.Time{time.Date(2023, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)} {
			s := settlement("req_x"+string(rune('0'+i)), "default/a", 1)
			s.FinishedAt = at.UnixMicro()
			e.only(t, s)
			if got := e.only(t, s); !got.Duplicate {
				t.Errorf("%+v", got)
			}
		}
		if e.dialect == "sqlite" {
			if made != 0 || e.number(t, "SELECT COUNT(*) FROM usage_logs") != 4 {
				t.Errorf("made %d", made)
			}
			return
		}
		if made != 3 {
			t.Errorf("made %d", made)
		}
		for table, want := range map[string]int64{"usage_logs": 4, "usage_logs_2023_11": 1, "usage_logs_2023_12": 1, "usage_logs_2024_01": 1, "usage_logs_default": 1} {
			if n := e.number(t, "SELECT COUNT(*) FROM "+table); n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
		ahead := "usage_logs_" + time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day()).AddDate(0, ledger.MonthsAhead-1, 0).Format("2006_01")
		if n := e.number(t, "SELECT COUNT(*) FROM "+ahead); n != 0 {
			t.Errorf("%s has %d rows", ahead, n)
		}
		if got := e.only(t, early); !got.Duplicate || got.Account.Balance != -8 {
			t.Errorf("%+v", got)
		}
		now.Store(time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
		if _, err := e.MakePartitions(t.Context(), 0); err == nil {
			t.Error("no months were made")
		}
		e.sound(t)
	})
}
