package reap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

var errDown = errors.New("down")

// world is an admission store and a ledger whose failures are scripted.
type world struct {
	now       time.Time
	orphaned  []admit.Orphan
	at        int // where the pass is
	reserved  []ledger.Reservation
	posted    map[string]ledger.Settlement
	bad       map[string]bool // requests that the ledger refuses
	deaf      map[string]bool // accounts that are never confirmed
	confirmed []admit.Confirmation
	settles   int
	noRedis   bool
	noLedger  bool
	noRelease bool
	noConfirm bool
	between   func() // runs after a commit, before its answer
	log       strings.Builder
}

func newWorld() *world {
	return &world{now: time.UnixMicro(1_800_000_000_000_000), posted: map[string]ledger.Settlement{}, bad: map[string]bool{}, deaf: map[string]bool{}}
}

// Orphans answers all in turn, so many at once, whatever goes between.
func (w *world) Orphans(_ context.Context, _ *admit.Pass, most int) ([]admit.Orphan, bool, error) {
	if w.noRedis {
		return nil, false, errDown
	}
	at := min(w.at, len(w.orphaned))
	found := slices.Clone(w.orphaned[at:min(at+most, len(w.orphaned))])
	if w.at = at + len(found); w.at >= len(w.orphaned) {
		w.at = 0
		return found, false, nil
	}
	return found, true, nil
}

func (w *world) Accounts(context.Context, []string) ([]ledger.Account, error) { return nil, nil }

func (w *world) Ready(context.Context) error {
	if w.noLedger {
		return errDown
	}
	return nil
}

func (w *world) Settle(_ context.Context, rows []ledger.Settlement) ([]ledger.Settled, error) {
	w.settles++
	out := make([]ledger.Settled, len(rows))
	for i, r := range rows {
		if w.bad[r.RequestID] || w.noLedger {
			return nil, errDown
		}
		was, again := w.posted[r.RequestID]
		adjusted := again && was.Evidence == ledger.EvidenceOrphan && r.Evidence != ledger.EvidenceOrphan
		if !again || adjusted {
			w.posted[r.RequestID] = r
		}
		out[i] = ledger.Settled{RequestID: r.RequestID, Account: ledger.Account{ID: r.Account, Balance: -5, Overdraft: 12, Version: 9}, Duplicate: again && !adjusted, Adjusted: adjusted,
			Spends: []ledger.Spend{{Window: ledger.Window{Period: ledger.PeriodDay, Start: 86_400}, Spent: r.Charged}}}
		w.reserved = slices.DeleteFunc(w.reserved, func(v ledger.Reservation) bool { // one that is finished outlives an orphan
			return v.RequestID == r.RequestID && (!v.Finished || r.Evidence != ledger.EvidenceOrphan)
		})
	}
	if w.between != nil {
		w.between()
	}
	return out, nil
}

func (w *world) ExpiredReservations(_ context.Context, limit int) ([]ledger.Reservation, error) {
	return slices.Clone(w.reserved[:min(limit, len(w.reserved))]), nil
}

func (w *world) ReleaseReservation(_ context.Context, _, id string) error {
	if w.noRelease {
		return errDown
	}
	w.reserved = slices.DeleteFunc(w.reserved, func(v ledger.Reservation) bool { return v.RequestID == id })
	return nil
}

func (w *world) Confirm(_ context.Context, cs []admit.Confirmation) error {
	for _, c := range cs {
		if w.deaf[c.Account] || w.noConfirm {
			return errDown
		}
	}
	for _, c := range cs {
		w.confirmed = append(w.confirmed, c)
		w.orphaned = slices.DeleteFunc(w.orphaned, func(o admit.Orphan) bool { return o.RequestID == c.RequestID })
	}
	return nil
}

func (w *world) reaper(change ...func(*Options)) *Reaper {
	o := Options{
		Owner: w, Ledger: w, Confirmer: w, Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: func() time.Time { return w.now }, Grace: -1,
	}
	for _, c := range change {
		c(&o)
	}
	return New(o)
}

// unfinished is what is known of a request at its admission: input that costs 30.
func unfinished(id, policy string) ledger.Settlement {
	return ledger.Settlement{
		RequestID: id, Account: "ns/a", KeyID: "key_1", Model: "m", Provider: "ns/p", PriceVersion: "v1", Cost: 30, Evidence: ledger.EvidenceOrphan, OrphanCharge: policy,
		StartedAt: 1_799_999_999_000_000,
	}
}

func finished(id string) ledger.Settlement {
	return ledger.Settlement{
		RequestID: id, Account: "ns/a", KeyID: "key_1", Model: "m", PriceVersion: "v1", Cost: 41, Charged: 41, Held: 100, Evidence: ledger.EvidenceReported,
		Status: 200, StartedAt: 1_799_999_999_000_000, FinishedAt: 1_799_999_999_500_000,
	}
}

func encoded(t *testing.T, e ledger.Settlement) []byte {
	t.Helper()
	record, err := ledger.EncodeRecord(e)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func (w *world) orphan(id string, finished bool, record []byte) {
	w.orphaned = append(w.orphaned, admit.Orphan{
		Owner: "dead.1", Account: "ns/a", RequestID: id, KeyDigest: "digest", Amount: 100, Finished: finished, Record: record, At: time.UnixMicro(1_799_999_999_000_000),
	})
}

// What is posted of what is left, from both stores.
func TestWhatIsPosted(t *testing.T) {
	now := int64(1_800_000_000_000_000)
	charged := func(policy string, amount int64) ledger.Settlement {
		e := unfinished("r", policy)
		e.Held, e.Charged, e.FinishedAt = 100, amount, now
		return e
	}
	nothing := ledger.Settlement{
		RequestID: "r", Account: "ns/a", Evidence: ledger.EvidenceOrphan, OrphanCharge: ledger.OrphanNone, Held: 100, StartedAt: 1_799_999_999_000_000, FinishedAt: now,
	}
	other := finished("r")
	other.Account = "ns/other"
	for name, c := range map[string]struct {
		finished bool
		record   *ledger.Settlement
		broken   bool
		want     ledger.Settlement
		kind     string
	}{
		"finished":                 {true, new(finished("r")), false, finished("r"), kindFinished},
		"nothing is charged":       {false, new(unfinished("r", ledger.OrphanNone)), false, charged(ledger.OrphanNone, 0), kindOrphan},
		"the input":                {false, new(unfinished("r", ledger.OrphanInput)), false, charged(ledger.OrphanInput, 30), kindOrphan},
		"the hold":                 {false, new(unfinished("r", ledger.OrphanHold)), false, charged(ledger.OrphanHold, 100), kindOrphan},
		"no policy":                {false, new(unfinished("r", "")), false, charged(ledger.OrphanNone, 0), kindOrphan},
		"no record":                {false, nil, false, nothing, kindUnreadable},
		"finished without record":  {true, nil, false, nothing, kindUnreadable},
		"a broken record":          {false, nil, true, nothing, kindUnreadable},
		"finished, broken":         {true, nil, true, nothing, kindUnreadable},
		"another request's record": {true, new(finished("other")), false, nothing, kindUnreadable},
		"another account's record": {true, &other, false, nothing, kindUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			var record []byte
			switch {
			case c.broken:
				record = []byte("{not a record")
			case c.record != nil:
				record = encoded(t, *c.record)
			}
			w.orphan("r", c.finished, record)
			r := w.reaper()
			r.Round(t.Context())
			w.now = w.now.Add(DefaultPatience) // what cannot be read is left to others for so long
			if n := r.Round(t.Context()) + len(w.posted); n == 0 {
				t.Fatal("nothing is posted")
			}
			if c.want.Evidence == ledger.EvidenceOrphan && c.kind == kindUnreadable {
				c.want.FinishedAt = w.posted["r"].FinishedAt
			}
			if diff := cmp.Diff(c.want, w.posted["r"]); diff != "" {
				t.Error(diff)
			}
			want := []admit.Confirmation{{RequestID: "r", Account: "ns/a", Balance: 7, Version: 9, KeyDigest: "digest",
				Spends: []admit.Spend{{Period: "Day", Window: 86_400, Spent: c.want.Charged}}}}
			if diff := cmp.Diff(want, w.confirmed); diff != "" {
				t.Errorf("confirmed: %s", diff)
			}
			if got := r.stats.reaped[c.kind]; got != 1 {
				t.Errorf("counted %v, want one %s", r.stats.reaped, c.kind)
			}
			if said := strings.Contains(w.log.String(), "level=ERROR"); said != (c.kind == kindUnreadable) {
				t.Errorf("log: %s", w.log.String())
			}
		})
	}
}

// What the ledger itself holds is settled in the same way, but for what this process holds there.
func TestReservations(t *testing.T) {
	w := newWorld()
	reserve := func(owner, id string, done bool) {
		v := ledger.Reservation{RequestID: id, Account: "ns/a", Amount: 100, Owner: owner, ExpiresAt: w.now.UnixMicro() - 1, KeyDigest: "digest", Finished: done}
		if v.Orphan = new(unfinished(id, ledger.OrphanInput)); done {
			v.Record = new(finished(id))
		}
		w.reserved = append(w.reserved, v)
	}
	reserve("dead", "a", false)
	reserve("dead", "b", true)
	reserve("me", "mine", false)
	reserve("me", "mine too", true)
	r := w.reaper(func(o *Options) { o.Self = "me" })
	if n := r.Round(t.Context()); n != 2 {
		t.Errorf("%d are settled", n)
	}
	if got := fmt.Sprint(slices.Sorted(maps.Keys(w.posted))); got != "[a b]" || w.posted["a"].Charged != 30 || w.posted["b"].Charged != 41 {
		t.Errorf("posted %v", w.posted)
	}
	if len(w.confirmed) != 2 || w.confirmed[0].KeyDigest != "digest" || w.confirmed[0].RequestID != "" || w.confirmed[1].RequestID != "" {
		t.Errorf("confirmed %v", w.confirmed)
	}
}

// An owner may only seem dead after an outage: what it did not finish is charged when it has been dead for a while. What it
// finished is as it is.
func TestGrace(t *testing.T) {
	w := newWorld()
	w.orphan("running", false, encoded(t, unfinished("running", ledger.OrphanHold)))
	w.orphan("ended", true, encoded(t, finished("ended")))
	r := w.reaper(func(o *Options) { o.Grace = 15 * time.Second })
	r.Round(t.Context())
	if _, there := w.posted["ended"]; len(w.posted) != 1 || !there {
		t.Errorf("at once: %v", w.posted)
	}
	w.now = w.now.Add(14 * time.Second)
	if n := r.Round(t.Context()); n != 0 {
		t.Error("charged within the grace")
	}
	w.now = w.now.Add(2 * time.Second)
	if n := r.Round(t.Context()); n != 1 || w.posted["running"].Charged != 100 {
		t.Errorf("after the grace: %v", w.posted)
	}
}

// A record that this build cannot read is left to a newer replica for a while, and holds up nobody.
func TestPatience(t *testing.T) {
	w := newWorld()
	w.orphan("newer", true, []byte{200, 1, 2})
	w.orphan("ended", true, encoded(t, finished("ended")))
	r := w.reaper()
	for range 2 {
		r.Round(t.Context())
		w.now = w.now.Add(DefaultPatience / 2)
	}
	if len(w.posted) != 1 || len(w.orphaned) != 1 {
		t.Fatalf("posted %v", w.posted)
	}
	r.Round(t.Context())
	if e := w.posted["newer"]; e.Evidence != ledger.EvidenceOrphan || e.Charged != 0 || len(w.orphaned) != 0 {
		t.Errorf("posted %v", w.posted)
	}
}

// A reservation whose record is damaged keeps nobody from the others; it is told at once, charged nothing in the end, and goes.
func TestDamagedReservation(t *testing.T) {
	damage := errors.New("damaged")
	for _, ended := range []bool{false, true} {
		w := newWorld()
		w.noRelease = true
		w.reserved = []ledger.Reservation{
			{RequestID: "damaged", Account: "ns/a", Amount: 100, Owner: "dead", Finished: ended, Unread: damage},
			{RequestID: "sound", Account: "ns/a", Amount: 41, Owner: "dead", Finished: true, Record: new(finished("sound"))},
		}
		r := w.reaper()
		for range 2 { // it is told once
			if r.Round(t.Context()); w.posted["sound"].Charged != 41 || len(w.reserved) != 1 || r.stats.failures["ledger"] != 1 {
				t.Fatalf("posted %v, left %v, %v", w.posted, w.reserved, r.stats.failures)
			}
			w.now = w.now.Add(DefaultPatience / 2)
		}
		r.Round(t.Context())
		if e := w.posted["damaged"]; e.Evidence != ledger.EvidenceOrphan || e.Charged != 0 || (len(w.reserved) == 1) != ended || r.stats.reaped[kindUnreadable] != 1 {
			t.Errorf("posted %v, left %v", w.posted, w.reserved)
		}
		w.noRelease = false
		if r.Round(t.Context()); len(w.reserved) != 0 {
			t.Errorf("left %v", w.reserved)
		}
		if n := r.Round(t.Context()); n != 0 {
			t.Errorf("%d more are settled", n)
		}
	}
}

// More than fit into one batch go in one round, and the round ends.
func TestManyInOneRound(t *testing.T) {
	w := newWorld()
	for i := range 3*batch + 7 {
		id := fmt.Sprint(i)
		w.orphan(id, true, encoded(t, finished(id)))
	}
	if n := w.reaper().Round(t.Context()); n != 3*batch+7 || w.settles != 4 {
		t.Errorf("%d settled in %d transactions", n, w.settles)
	}
}

// Run makes rounds until it is told to stop, after pauses that are not the same for all replicas.
func TestRun(t *testing.T) {
	w := newWorld()
	w.orphan("a", true, encoded(t, finished("a")))
	rounds := make(chan time.Duration)
	r := w.reaper(func(o *Options) {
		o.Every = 3 * time.Second
		o.Jitter = func(every time.Duration) time.Duration {
			rounds <- every
			return time.Microsecond
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	for range 3 {
		if every := <-rounds; every != 3*time.Second {
			t.Errorf("every %v", every)
		}
	}
	cancel()
	for ended := false; !ended; {
		select {
		case <-rounds:
		case <-done:
			ended = true
		}
	}
	if len(w.posted) != 1 || len(w.orphaned) != 0 {
		t.Errorf("posted %v", w.posted)
	}
	spread := map[bool]bool{}
	for range 100 {
		d := Options{}.withDefaults().Jitter(time.Second)
		if d < time.Second/2 || d >= time.Second*3/2 {
			t.Fatalf("a pause of %v", d)
		}
		spread[d > time.Second] = true
	}
	if len(spread) != 2 {
		t.Error("all pauses are alike")
	}
}

// What was seen long ago is forgotten.
func TestSightingsEnd(t *testing.T) {
	w := newWorld()
	w.orphan("a", false, encoded(t, unfinished("a", ledger.OrphanInput)))
	r := w.reaper(func(o *Options) { o.Grace = time.Minute })
	r.Round(t.Context())
	w.orphaned = nil
	w.now = w.now.Add(10*DefaultPatience - time.Second)
	if r.Round(t.Context()); len(r.seen) != 1 {
		t.Errorf("seen %v", r.seen)
	}
	w.now = w.now.Add(2 * time.Second)
	if r.Round(t.Context()); len(r.seen) != 0 {
		t.Errorf("seen %v", r.seen)
	}
}
