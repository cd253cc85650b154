package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/provider"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

const account = "chaos/small-00"

var (
	start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	price = pricing.Price{Version: "v", Input: 1_000_000_000, Output: 2_000_000_000} // 1000 and 2000 nano-USD a token
)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// sound is a world in which one stream of 10 and 5 tokens was served, settled and told.
func sound() *World {
	told := pricing.Nano(20_000)
	return &World{
		Calls: []Call{{
			Nonce: 1, Account: account, Model: "m", Gateway: 0, Stream: true, Usage: true, Input: 10, MaxTokens: 100, Sent: at(10), Ended: at(12),
			RequestID: "req_1", Status: 200, Whole: true, Seen: 5, Told: &told,
		}},
		Served: []provider.Served{{
			ID: "chaos-1", RequestID: "req_1", Nonce: 1, Stream: true, At: at(10), End: at(12), Billed: true, Input: 10, Output: 5, Sent: 5, Reported: true, Whole: true,
		}},
		Rows: []Row{{
			RequestID: "req_1", Account: account, Model: "m", Usage: pricing.Usage{Input: 10, Output: 5}, Cost: 20_000, Charged: 20_000, Held: 30_000,
			Evidence: ledger.EvidenceReported, Started: at(10), Finished: at(12), Settled: at(12),
		}},
		Lives:    [][]stores.Life{{{From: at(0)}}},
		Accounts: []plan.Account{{ID: account, Class: plan.Small, Policy: plan.PolicyInput}, {ID: "chaos/hot-00", Class: plan.Hot}},
		Balances: []Balance{{account, at(0), 50_000}, {account, at(12), 30_000}},
		Price:    func(string, string) pricing.Price { return price },
		Slice:    func(string, string) pricing.Nano { return 1000 },
	}
}

// untold has the client not ask for its usage, and so not be told what it cost.
func (w *World) untold() *World {
	w.Calls[0].Told, w.Calls[0].Usage = nil, false
	return w
}

// emptied has the admission store lose its data at an instant, the only request's hold among them.
func (w *World) emptied(when time.Time) *World {
	w.Losses = append(w.Losses, Loss{What: "flush", At: when, Holds: []Hold{{RequestID: "req_1", Account: account, Amount: 30_000}}, Gone: true})
	return w
}

// killed has the gateway die at an instant, its log maybe with it.
func (w *World) killed(when time.Time, logLost bool) *World {
	w.Lives[0] = []stores.Life{{From: at(0), To: when, Killed: true, LogLost: logLost}, {From: when.Add(time.Second)}}
	return w
}

// all runs every check of a world.
func all(w *World) []Violation {
	out, _ := w.Settled()
	more, _ := w.Overspend()
	return append(append(append(out, more...), w.Expired()...), w.Rich()...)
}

// want fails the test unless the rules that were broken, one violation each, are these.
func want(t *testing.T, got []Violation, rules ...string) {
	t.Helper()
	var found []string
	for _, v := range got {
		found = append(found, v.Rule)
	}
	if strings.Join(found, " ") != strings.Join(rules, " ") {
		t.Errorf("found %q, want %q:\n%v", found, rules, got)
	}
}

func TestASoundWorldHasNoViolations(t *testing.T) { want(t, all(sound())) }

// Each of these plants one thing that must not be.
func TestPlanted(t *testing.T) {
	row := func(w *World) *Row { return &w.Rows[0] }
	call := func(w *World) *Call { return &w.Calls[0] }
	for name, c := range map[string]struct {
		plant func(w *World)
		rules []string
	}{
		"lost settlement":              {func(w *World) { w.untold().Rows = nil }, []string{"P3"}},
		"lost settlement, told":        {func(w *World) { w.Rows = nil }, []string{"P3", "told"}},
		"an empty answer, not settled": {func(w *World) { w.untold().Rows, w.Served, call(w).Seen = nil, nil, 0 }, []string{"P3"}},
		"charge without service":       {func(w *World) { w.Served = nil }, []string{"P3"}},
		"double service":               {func(w *World) { w.Served = append(w.Served, w.Served[0]) }, []string{"P3"}},
		"another usage": {func(w *World) {
			row(w).Usage.Output, row(w).Cost, row(w).Charged = 4, 18_000, 18_000
			*call(w).Told = 18_000
		}, []string{"P3"}},
		"another cost":             {func(w *World) { row(w).Charged, *call(w).Told = 21_000, 21_000 }, []string{"P3"}},
		"another account":          {func(w *World) { row(w).Account = "chaos/hot-00" }, []string{"P3"}},
		"told otherwise":           {func(w *World) { *call(w).Told = 19_000 }, []string{"told"}},
		"free, though answered":    {func(w *World) { row(w).Evidence, row(w).Charged, *call(w).Told = ledger.EvidenceFree, 0, 0 }, []string{"P3"}},
		"free, and charged":        {func(w *World) { w.Served[0].Whole, call(w).Seen, row(w).Evidence = false, 0, ledger.EvidenceFree }, []string{"P3"}},
		"an estimate for a report": {func(w *World) { row(w).Evidence = ledger.EvidenceEstimated }, []string{"P3"}},
		"an estimate for a report of a stream that was not cut": {func(w *World) { row(w).Evidence, row(w).Held = ledger.EvidenceEstimated, 20_000 }, []string{"P3"}},
		"an orphan of the living": {func(w *World) {
			w.untold()
			row(w).Evidence, row(w).OrphanCharge, row(w).Cost, row(w).Charged = ledger.EvidenceOrphan, ledger.OrphanInput, 10_000, 10_000
		}, []string{"P3"}},
		"an orphan of the living that no provider billed": {func(w *World) {
			w.untold().Served, w.Calls[0].Status, w.Calls[0].Seen = nil, 502, 0
			row(w).Evidence, row(w).OrphanCharge, row(w).Cost, row(w).Charged = ledger.EvidenceOrphan, ledger.OrphanInput, 10_000, 10_000
		}, []string{"P3"}},
		"an orphan of nobody": {func(w *World) {
			w.Served, w.Calls = nil, nil
			row(w).Evidence, row(w).OrphanCharge, row(w).Cost, row(w).Charged = ledger.EvidenceOrphan, ledger.OrphanInput, 10_000, 10_000
		}, []string{"P3"}},
		"a stream that asked, not told": {func(w *World) { call(w).Told = nil }, []string{"told"}},
		"an answer, not told":           {func(w *World) { w.untold().Calls[0].Stream = false }, []string{"told"}},
		"an orphan's other floor": {func(w *World) {
			w.killed(at(11), false).Served[0].End = at(11)
			call(w).Whole, call(w).Told, call(w).Seen = false, nil, 2
			row(w).Evidence, row(w).OrphanCharge, row(w).Charged = ledger.EvidenceOrphan, ledger.OrphanInput, 30_000
		}, []string{"P3"}},
		"overspend":                        {func(w *World) { w.Balances = append(w.Balances, Balance{account, at(13), -1}) }, []string{"P4"}},
		"more than a slice above the hold": {func(w *World) { row(w).Held = 18_999 }, []string{"P4"}},
		"an expiry of too much":            {func(w *World) { w.Expiries = []Expiry{{"g", account, at(5), at(5), 60, 100, 41}} }, []string{"P7"}},
		"a rich account refused": {func(w *World) {
			w.Calls = append(w.Calls, Call{Nonce: 2, Account: "chaos/hot-00", Status: 402, Code: "insufficient_credits"})
		}, []string{"P10"}},
		"a key served twice": {func(w *World) {
			w.Calls[0].Key, w.Calls = true, append(w.Calls, w.Calls[0])
			w.Calls[1].RequestID, w.Calls[1].Told, w.Calls[1].Usage, w.Calls[1].Attempt, w.Calls[0].Key = "req_2", nil, false, 1, true
			w.Served, w.Rows = append(w.Served, w.Served[0]), append(w.Rows, w.Rows[0])
			w.Served[1].RequestID, w.Rows[1].RequestID = "req_2", "req_2"
		}, []string{"idempotency"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := sound()
			c.plant(w)
			want(t, all(w), c.rules...)
		})
	}
}

// What was lost is allowed where everything that had it is gone, and nowhere else.
func TestDeclaredClasses(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(w *World)
		rules []string
		want  Counts
	}{
		"unfinished, its hold lost":                           {func(w *World) { w.killed(at(11), false).emptied(at(13)) }, nil, Counts{LostHolds: 1}},
		"unfinished, its hold not among those that were lost": {func(w *World) { w.killed(at(11), false).emptied(at(13)).Losses[0].Holds[0].RequestID = "x" }, []string{"P3"}, Counts{}},
		"unfinished, its hold hidden and kept":                {func(w *World) { w.killed(at(11), false).emptied(at(13)).Losses[0].Gone = false }, []string{"P3"}, Counts{}},
		"unfinished, its hold kept":                           {func(w *World) { w.killed(at(11), false) }, []string{"P3"}, Counts{}},
		"finished, all lost at once": {func(w *World) {
			w.killed(at(20), true).emptied(at(21)).Outages = []Span{{at(11), at(30)}}
			w.Served[0].End, w.Calls[0].Whole = at(12), true
		}, nil, Counts{LostSettlements: 1}},
		"finished, the ledger back for long": {func(w *World) {
			w.killed(at(20), true).emptied(at(21)).Outages = []Span{{at(11), at(16)}}
			w.Served[0].End, w.Calls[0].Whole = at(12), true
		}, []string{"P3"}, Counts{}},
		"stopped at its end, then killed": {func(w *World) {
			w.killed(at(20), false).emptied(at(21))
			w.Lives[0][0].Stopped = [][2]time.Time{{at(11), at(20)}}
		}, nil, Counts{LostHolds: 1}},
		"finished, its log kept": {func(w *World) {
			w.killed(at(20), false).emptied(at(21)).Outages = []Span{{at(11), at(30)}}
			w.Served[0].End, w.Calls[0].Whole = at(12), true
		}, []string{"P3"}, Counts{}},
		"finished, the ledger up": {func(w *World) {
			w.killed(at(20), true).emptied(at(21))
			w.Served[0].End, w.Calls[0].Whole = at(12), true
		}, []string{"P3"}, Counts{}},
		"held by the ledger": {func(w *World) {
			w.killed(at(11), false).emptied(at(13))
			w.Fallbacks = []Fallback{{"req_1", account, 30_000, at(10)}}
		}, []string{"P3"}, Counts{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := sound()
			w.untold().Rows = nil
			w.Served[0].End, w.Calls[0].Whole, w.Calls[0].Ended = at(11), false, at(11)
			c.set(w)
			got, n := w.Settled()
			want(t, got, c.rules...)
			if n.LostHolds != c.want.LostHolds || n.LostSettlements != c.want.LostSettlements {
				t.Errorf("counted %+v", n)
			}
		})
	}
}

func TestAnOrphanOfADeadGatewayIsAllowed(t *testing.T) {
	w := sound().killed(at(11), false)
	w.Served[0].End, w.Served[0].Whole, w.Calls[0].Whole, w.Calls[0].Seen = at(11), false, false, 5
	r := &w.Rows[0]
	r.Evidence, r.OrphanCharge, r.Cost, r.Charged = ledger.EvidenceOrphan, ledger.OrphanInput, 10_000, 10_000
	got, n := w.Settled()
	if want(t, got); n.Orphans != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestAnEstimateIsBetweenWhatWasSentAndSeen(t *testing.T) {
	for out, rules := range map[int64][]string{1: {"P3"}, 2: nil, 3: nil, 4: {"P3"}} {
		w := sound()
		w.Served[0].Sent, w.Served[0].Output, w.Served[0].Whole, w.Served[0].Reported = 3, 3, false, false
		w.Calls[0].Whole, w.Calls[0].Seen, w.Calls[0].Told = false, 2, nil
		w.Rows[0].Usage.Output, w.Rows[0].Evidence = out, ledger.EvidenceEstimated
		w.Rows[0].Cost = 10_000 + 2000*out
		w.Rows[0].Charged = w.Rows[0].Cost
		want(t, all(w), rules...)
	}
}

// A stream that went beyond its hold may have been cut when all of it but the report had passed.
func TestAStreamCutAtItsLastWord(t *testing.T) {
	w := sound()
	w.Rows[0].Evidence, w.Rows[0].Held = ledger.EvidenceEstimated, 19_500
	want(t, all(w))
	w.Calls[0].Stream, w.Calls[0].Leaves = false, false
	if got := all(w); len(got) == 0 || !strings.Contains(got[0].Text, "an estimate") {
		t.Errorf("an answer in one piece is not cut: %v", got)
	}
}

// Who served a request whose client heard no id is the call that was under way then.
func TestWhichCallWasServed(t *testing.T) {
	call := func(attempt, gateway, sent, ended int) Call {
		return Call{Nonce: 1, Attempt: attempt, Account: account, Gateway: gateway, Sent: at(sent), Ended: at(ended)}
	}
	dead, alive := []stores.Life{{From: at(0), To: at(30), Killed: true}}, []stores.Life{{From: at(0)}}
	for name, c := range map[string]struct {
		calls []Call
		lives [][]stores.Life
		want  int
	}{
		"the first could not be sent":   {[]Call{call(0, 0, 10, 10), call(1, 1, 11, 20)}, [][]stores.Life{alive, dead}, 1},
		"the second came later":         {[]Call{call(0, 0, 10, 20), call(1, 1, 13, 20)}, [][]stores.Life{dead, dead}, 0},
		"both ran, the first one died":  {[]Call{call(0, 0, 10, 20), call(1, 1, 11, 20)}, [][]stores.Life{dead, alive}, 0},
		"both ran, the second one died": {[]Call{call(0, 0, 10, 20), call(1, 1, 11, 20)}, [][]stores.Life{alive, dead}, 1},
	} {
		w := &World{Calls: c.calls, Lives: c.lives}
		if got, ok := w.index().call(provider.Served{RequestID: "req_1", Nonce: 1, At: at(12)}); !ok || got.Attempt != c.want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

// An end that was in a log alone is lost with it; one that was there for long is not.
func TestAnOrphanOfALostLog(t *testing.T) {
	for name, c := range map[string]struct {
		lost  int // when the log was
		held  bool
		away  []Span
		rules []string
	}{
		"at once":                     {13, true, nil, nil},
		"much later":                  {40, true, nil, []string{"P3"}},
		"much later, the ledger away": {40, true, []Span{{at(13), at(30)}, {at(29), at(39)}}, nil},
		"the ledger away, and there":  {40, true, []Span{{at(13), at(30)}}, []string{"P3"}},
		"held by the store":           {13, false, nil, []string{"P3"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := sound()
			w.Lives[0] = []stores.Life{{From: at(0), To: at(12), Killed: true}, {From: at(12), To: at(c.lost), Killed: true, LogLost: true}, {From: at(c.lost)}}
			w.untold().Calls[0].Ended = at(12)
			w.Outages = c.away
			if c.held {
				w.Fallbacks = []Fallback{{"req_1", account, 30_000, at(10)}}
			}
			r := &w.Rows[0]
			r.Evidence, r.OrphanCharge, r.Cost, r.Charged = ledger.EvidenceOrphan, ledger.OrphanInput, 10_000, 10_000
			got, _ := w.Settled()
			want(t, got, c.rules...)
		})
	}
}

// A key may be served twice where the ledger had given it to a replica that could not reach the admission store, and was away then.
func TestAKeyThatTheLedgerGave(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *World)
		rules []string
	}{
		"so":                              {func(*World) {}, nil},
		"the ledger had not given it":     {func(w *World) { w.Claimed = nil }, []string{"idempotency"}},
		"the ledger was there":            {func(w *World) { w.Outages = nil }, []string{"idempotency"}},
		"nobody had noticed yet":          {func(w *World) { w.Calls[1].Degraded = "" }, nil},
		"the first one had Redis alone":   {func(w *World) { w.Calls[1].Degraded = "redis" }, []string{"idempotency"}},
		"the admission store was there":   {func(w *World) { w.Calls[2].Degraded = "" }, []string{"idempotency"}},
		"to another replica it was not":   {func(w *World) { w.Calls[2].Gateway = 1 }, []string{"idempotency"}},
		"it was away, but long before it": {func(w *World) { w.Calls[2].Sent, w.Calls[2].Ended = at(1), at(2) }, []string{"idempotency"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := sound()
			w.Lives = append(w.Lives, w.Lives[0])
			w.Calls[0].Key, w.Outages, w.Claimed = true, []Span{{at(13), at(15)}}, map[string]bool{"req_1": true}
			again := w.Calls[0]
			again.RequestID, again.Told, again.Usage, again.Attempt, again.Degraded, again.Sent, again.Ended = "req_2", nil, false, 1, "ledger", at(13), at(14)
			beside := Call{Nonce: 2, Account: account, Sent: at(9), Ended: at(10), Status: 402, Degraded: "redis"}
			served, row := w.Served[0], w.Rows[0]
			served.RequestID, served.At, served.End, row.RequestID = "req_2", at(13), at(14), "req_2"
			w.Calls, w.Served, w.Rows = append(w.Calls, again, beside), append(w.Served, served), append(w.Rows, row)
			c.spoil(w)
			got, _ := w.Settled()
			want(t, got, c.rules...)
		})
	}
}

// A key may be served twice where each replica could ask one store alone, and the other one had not heard of it.
func TestAKeyBetweenTwoStores(t *testing.T) {
	for name, c := range map[string]struct {
		outage   Span
		degraded string
		rules    []string
	}{
		"one each":           {Span{at(8), at(11)}, "redis", nil},
		"the ledger was up":  {Span{at(2), at(3)}, "redis", []string{"idempotency"}},
		"both stores were":   {Span{at(8), at(11)}, "", []string{"idempotency"}},
		"long after the end": {Span{at(8), at(10)}, "redis", []string{"idempotency"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := sound()
			w.Calls[0].Key, w.Outages = true, []Span{c.outage}
			again := w.Calls[0]
			again.RequestID, again.Told, again.Usage, again.Attempt, again.Degraded, again.Sent = "req_2", nil, false, 1, c.degraded, at(13)
			served, row := w.Served[0], w.Rows[0]
			served.RequestID, served.At, served.End, row.RequestID = "req_2", at(13), at(14), "req_2"
			w.Calls, w.Served, w.Rows = append(w.Calls, again), append(w.Served, served), append(w.Rows, row)
			got, _ := w.Settled()
			want(t, got, c.rules...)
		})
	}
}
