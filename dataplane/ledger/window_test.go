package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// TestCheckWindowFinds breaks a sound ledger of grants, an orphan and a reservation in ways that Check and CheckWindow know; a
// window beside it finds nothing, except of what has no time.
func TestCheckWindowFinds(t *testing.T) {
	inside := ledger.Span{From: 1_699_920_000_000_000, To: 1_700_006_400_000_000} // the clock's day
	beside := ledger.Span{From: 1_700_006_400_000_000, To: 1_800_000_000_000_000}
	for sql, want := range map[string]string{
		"UPDATE credit_grants SET remaining = 1":                                                             "grant grant:1: amount 100, but its draws and what remains are 6",
		"UPDATE credit_grants SET remaining = 0":                                                             "account default/a: 95 to spend, but 0 remains of its grants",
		"UPDATE accounts SET held = 8":                                                                       "account default/a: 8 held, but its reservations are 7",
		"DELETE FROM usage_logs WHERE request_id = 'req_1'":                                                  "settlement settle:req_1: it has 0 rows of usage, expected 1",
		"UPDATE usage_logs SET cost = 4 WHERE request_id = 'req_1'":                                          "request req_1: charged 2, but it costs 4",
		"UPDATE usage_logs SET cost = 4 WHERE request_id = 'req_4'":                                          "request req_4: charged 0, but it held 8 and costs something",
		"UPDATE usage_logs SET orphan_charge = 'None' WHERE request_id = 'req_2'":                            "orphan req_2: charged 3 of the 10 it held, which is not its policy's floor",
		"UPDATE usage_logs SET orphan_charge = 'Hold' WHERE request_id = 'req_5'":                            "orphan req_5: charged 0 of the 10 it held, which is not its policy's floor",
		"UPDATE usage_logs SET cost = 2 WHERE request_id = 'req_2'":                                          "orphan req_2: charged 3 of the 10 it held, which is not its policy's floor",
		"UPDATE usage_logs SET held = 1 WHERE request_id = 'req_2'":                                          "orphan req_2: charged 3 of the 1 it held, which is not its policy's floor",
		"UPDATE usage_logs SET request_id = 'req_9' WHERE request_id = 'req_1'":                              "request req_9: charged 2, but it has 0 settlements",
		"UPDATE usage_daily SET charged = 4":                                                                 "account and day default/a 1699920000: rolled up are 4, but its usage sums to 5",
		"INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES ('adjust:req_2', 'free', 0)":              "orphan req_2: charged 3, though it has 1 adjustments",
		"INSERT INTO ledger_entries (tx, account, amount) VALUES ('settle:req_0', 'system/x', 1)":            "transaction settle:req_0: an entry of 1, expected 0 entries",
		"INSERT INTO ledger_tx (idem_key, kind, created_at) VALUES ('adjust:x', 'adjust', 1700000000000000)": "adjustment adjust:x: 0 of 1 settlements",
	} {
		t.Run(want, func(t *testing.T) {
			onEach(t, func(t *testing.T, e env) {
				e, _ = e.at(t)
				e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
				free := settlement("req_0", "default/a", 0)
				free.Evidence = ledger.EvidenceFree
				e.only(t, free)
				e.only(t, settlement("req_1", "default/a", 2))
				e.only(t, orphan("req_2", 3))
				nothing := settlement("req_4", "default/a", 0)
				nothing.Held = 8
				e.only(t, nothing)
				e.only(t, orphan("req_5", 0))
				if _, err := e.Reserve(t.Context(), reservation("req_3", 7)); err != nil {
					t.Fatal(err)
				}
				if p, err := e.CheckWindow(t.Context(), inside, nil); err != nil || len(p) > 0 {
					t.Fatalf("%q, %v", p, err)
				}
				e.exec(t, sql)
				problems, err := e.CheckWindow(t.Context(), inside, nil)
				if err != nil || !strings.Contains(strings.Join(problems, "\n"), want) {
					t.Errorf("CheckWindow = %q, %v", problems, err)
				}
				problems, err = e.CheckWindow(t.Context(), beside, nil)
				if err != nil || len(problems) > 0 && !strings.Contains(sql, "held = 8") {
					t.Errorf("beside it: %q, %v", problems, err)
				}
			})
		})
	}
}

func TestCheckWindowRecosts(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		cost, lines, err := pricing.Cost(pricing.Usage{Input: 1000, Output: 7}, pricing.Price{Input: 2_500_000, Output: 10_000_001, Markup: pricing.Ratio{Num: 12, Den: 10}})
		if err != nil {
			t.Fatal(err)
		}
		provider, _, err := pricing.Cost(pricing.Usage{Input: 1000, Output: 7}, pricing.Price{Input: 2_500_000, Output: 10_000_001})
		if err != nil {
			t.Fatal(err)
		}
		right := settlement("req_1", "default/a", cost)
		right.Lines, right.ProviderCost = lines, provider
		e.only(t, right)
		span := ledger.Span{To: 1 << 62}
		if p, err := e.CheckWindow(t.Context(), span, ledger.FromLines); err != nil || len(p) > 0 {
			t.Errorf("%q, %v", p, err)
		}
		r, err := e.Receipt(t.Context(), "default/a", "req_1")
		if err != nil || r.ProviderCost != provider {
			t.Errorf("%+v, %v", r, err)
		}
		wrong, lacking, unknown := right, right, right
		wrong.RequestID, wrong.ProviderCost = "req_2", provider+1
		lacking.RequestID, lacking.ProviderCost, lacking.Cost, lacking.Charged, lacking.Held = "req_3", 0, cost+1, 0, 0
		unknown.RequestID, unknown.Lines = "req_4", []pricing.Line{{Quantity: -1}}
		for _, s := range []ledger.Settlement{wrong, lacking, unknown} {
			e.only(t, s)
		}
		p, err := e.CheckWindow(t.Context(), span, ledger.FromLines)
		if err != nil || len(p) != 3 || !strings.HasPrefix(p[0], "request req_2: its row says that its provider asks") ||
			!strings.HasPrefix(p[1], "request req_3: its row says that it costs") || !strings.HasPrefix(p[2], "request req_4: what it should cost is not known") {
			t.Errorf("%q, %v", p, err)
		}
		if _, err := e.CheckWindow(t.Context(), ledger.Span{From: 2, To: 1}, nil); err == nil {
			t.Error("a window that ends before it begins")
		}
	})
}

// TestCheckWindowRecostsByStoredPrices: a bill is computed again from its usage, the versions of its prices and its markup,
// with steps and with a provider that has prices of its own; what its lines hide, prices tell.
func TestCheckWindowRecostsByStoredPrices(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		cached, dear := pricing.Nano(250_000), pricing.Nano(900_000_000_001)
		price := pricing.Price{Version: "v1", Input: 2_500_000, Output: 10_000_001, CacheRead: &cached, Search: &dear, Steps: []pricing.Step{{Above: 1999, Input: 5_000_000, Output: 20_000_003, CacheWrite: &cached}}}
		asked := pricing.Price{Version: "v2", Input: 1_000_001, Output: 3}
		at := func(id string, u pricing.Usage, provider *pricing.Price) ledger.Settlement {
			s := settlement(id, "default/a", 1)
			charged := price
			charged.Markup = pricing.Ratio{Num: 12, Den: 10}
			var err, err2 error
			s.Usage, s.PriceVersion = u, price.Version
			s.Cost, s.Lines, err = pricing.Cost(u, charged)
			if provider == nil {
				provider = &price
			} else {
				s.ProviderPrice = provider.Version
			}
			s.ProviderCost, _, err2 = pricing.Cost(u, *provider)
			s.Charged = s.Cost
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			return s
		}
		small, large := pricing.Usage{Input: 1500, CacheRead: 499, Output: 7, Searches: 1}, pricing.Usage{Input: 1500, CacheRead: 499, CacheWrite: 1, Output: 7}
		for i, s := range []ledger.Settlement{at("", small, nil), at("", large, nil), at("", small, &asked), at("", large, &asked), at("", pricing.Usage{}, nil)} {
			s.RequestID = "req_right_" + string(rune('0'+i))
			e.only(t, s)
		}
		elsewhere := at("req_older", small, nil)
		elsewhere.PriceVersion = "never stored"
		e.only(t, elsewhere)
		snap := &snapshot.Snapshot{Models: []snapshot.Model{{
			Price: &snapshot.Price{Version: "v1", InputPerMillion: 2_500_000, OutputPerMillion: 10_000_001, CacheReadPerMillion: &cached, SearchPerMillion: &dear,
				Steps: []snapshot.PriceStep{{AboveInput: 1999, InputPerMillion: 5_000_000, OutputPerMillion: 20_000_003, CacheWritePerMillion: &cached}}},
			Backends: []snapshot.Backend{{}, {Price: &snapshot.Price{Version: "v2", InputPerMillion: 1_000_001, OutputPerMillion: 3}}},
		}, {Price: &snapshot.Price{Version: "v2", InputPerMillion: 1_000_001, OutputPerMillion: 3}}, {}}}
		versions, err := ledger.PricesOf(snap)
		if err != nil || len(versions) != 2 {
			t.Fatalf("%s, %v", versions, err)
		}
		if err := e.PutPriceVersions(t.Context(), versions); err != nil {
			t.Fatal(err)
		}
		recost, err := ledger.StoredPrices(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		span := ledger.Span{To: 1 << 62}
		if p, err := e.CheckWindow(t.Context(), span, recost); err != nil || len(p) > 0 {
			t.Errorf("%q, %v", p, err)
		}
		if p, err := e.CheckWindow(t.Context(), span, ledger.FromLines); err != nil || len(p) > 0 {
			t.Errorf("by lines: %q, %v", p, err)
		}
		// Lines and cost that agree with one another, at a price that is not the version's; usage that is not the lines'; a
		// provider that asks more.
		lied, other, provider := at("req_lied", small, &asked), at("req_other", small, nil), at("req_provider", large, &asked)
		lied.Lines[0].UnitPrice /= 2
		if lied.Cost, err = pricing.LinesTotal(lied.Lines); err != nil {
			t.Fatal(err)
		}
		lied.Charged = lied.Cost
		other.Usage.Output++
		provider.ProviderCost++
		for _, s := range []ledger.Settlement{lied, other, provider} {
			e.only(t, s)
		}
		if p, err := e.CheckWindow(t.Context(), span, ledger.FromLines); err != nil || len(p) > 0 {
			t.Errorf("by lines: %q, %v", p, err)
		}
		p, err := e.CheckWindow(t.Context(), span, recost)
		if all := strings.Join(p, "\n"); err != nil || len(p) != 3 || !strings.Contains(all, "req_lied: what it should cost is not known: its lines come to") ||
			!strings.Contains(all, "req_other: what it should cost is not known: its lines come to") || !strings.Contains(all, "req_provider: its row says that its provider asks") {
			t.Errorf("%q, %v", p, err)
		}
		if err := e.PutPriceVersions(t.Context(), []ledger.PriceVersion{{Version: "never stored", Components: []byte(`{"inputPerMillion":"dear"}`)}}); err != nil {
			t.Fatal(err)
		}
		if recost, err = ledger.StoredPrices(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if more, err := e.CheckWindow(t.Context(), span, recost); err != nil || len(more) != 4 || !strings.Contains(strings.Join(more, "\n"), "req_older: what it should cost is not known: reading price version") {
			t.Errorf("with a version that cannot be read: %q, %v", more, err)
		}
		want := map[string]int{"account": 0, "adjustment": 0, "grant": 0, "key": 0, "orphan": 0, "request": 3, "settlement": 0, "transaction": 0}
		if diff := cmp.Diff(want, ledger.Drift(p)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEntriesAndProviderUsage(t *testing.T) {
	onEach(t, func(t *testing.T, e env) {
		e, now := e.at(t)
		e.grant(t, ledger.Grant{ID: "1", Amount: 100, Kind: ledger.GrantPromo})
		began := now.Add(10)
		s := settlement("req_1", "default/a", 5)
		s.ProviderCost = 4
		e.only(t, s)
		if _, err := e.Adjust(t.Context(), ledger.Adjustment{ID: "x", Account: "default/a", Amount: -1, Reason: "why"}); err != nil {
			t.Fatal(err)
		}
		read := func(w ledger.Span) (out []ledger.Entry) {
			if err := e.Entries(t.Context(), w, func(x ledger.Entry) error { out = append(out, x); return nil }); err != nil {
				t.Fatal(err)
			}
			return out
		}
		want := []ledger.Entry{
			{"grant:1", "grant", "default/a", 100, "test", began - 10}, {"grant:1", "grant", "system/promo", -100, "test", began - 10},
			{"correction:x", "correction", "default/a", -1, "why", began}, {"correction:x", "correction", "system/correction", 1, "why", began},
			{"settle:req_1", "settle", "default/a", -5, "", began}, {"settle:req_1", "settle", "system/revenue", 5, "", began},
		}
		if diff := cmp.Diff(want, read(ledger.Span{To: began + 1})); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want[:2], read(ledger.Span{To: began})); diff != "" {
			t.Error(diff)
		}
		row := ledger.ProviderRow{RequestID: "req_1", UpstreamID: "chatcmpl-1", Provider: "p", Model: "m", InputTokens: 12, OutputTokens: 5, Cost: 4, FinishedAt: s.FinishedAt}
		for provider, want := range map[string][]ledger.ProviderRow{"": {row}, "p": {row}, "q": nil} {
			var got []ledger.ProviderRow
			err := e.ProviderUsage(t.Context(), provider, ledger.Span{From: s.FinishedAt, To: s.FinishedAt + 1}, func(r ledger.ProviderRow) error { got = append(got, r); return nil })
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		}
		own := settlement("req_2", "default/b", 5) // its provider asks nothing, which is not to say nothing
		own.Provider, own.ProviderPrice = "own", "nothing"
		e.only(t, own)
		err := e.ProviderUsage(t.Context(), "own", ledger.Span{From: own.FinishedAt, To: own.FinishedAt + 1}, func(r ledger.ProviderRow) error {
			if r.Cost != 0 {
				t.Errorf("it asks %d", r.Cost)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		stop := errors.New("stop")
		if err := e.Entries(t.Context(), ledger.Span{To: 1 << 62}, func(ledger.Entry) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
	})
}
