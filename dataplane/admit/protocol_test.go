package admit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// served is one request that was admitted, as the world knows it.
type served struct {
	Request
	held, cost, input int64
	finished          bool
	told              bool // its end reached a store
	died              bool // its process did not live to settle it
	exposed           bool // the store has lost data since it was admitted
	adopted           bool // the fallback admitted it
}

// pod is a replica: what it runs, and the log of what it has to settle.
type pod struct {
	*store
	running, log []*served
	dead         bool
}

// protocol is a world of replicas, a store that fails, and a ledger that does.
type protocol struct {
	tb     tester
	draw   func(n int) int
	out    without
	mini   *miniredis.Miniredis
	now    time.Time
	books  *books
	pods   []*pod
	serial int
	all    []*served
	unsent []Confirmation
	hooks  []*given // grants that somebody will tell the ledger of, some twice
	older  photo
	bound  int64 // of overspend: what was held when data were lost, or out of sight
	client *Redis
	newest int64 // version of the account that the store has been told of

	storeAway, ledgerAway bool
	gaveUp                map[string]int64 // admissions that nobody heard of, and what their input costs
	policy                int              // of orphans: None, Input, Hold
	faulty                bool             // data may be lost
}

func newProtocol(tb tester, out without, draw func(int) int) *protocol {
	w := &protocol{tb: tb, draw: draw, out: out, mini: miniredis.NewMiniRedis(), now: time.UnixMicro(1_800_000_000_000_000).UTC(), gaveUp: map[string]int64{}}
	must(tb, w.mini.Start())
	tb.Cleanup(w.mini.Close)
	w.mini.SetTime(w.now)
	w.books = newBooks(out, int64(200+draw(800)), func() time.Time { return w.now })
	w.client = open(tb, "redis://"+w.mini.Addr())
	w.client.driver.ForceSingleClient = true
	w.policy, w.faulty = draw(3), draw(2) == 0
	for range 3 {
		w.pods = append(w.pods, w.newPod())
	}
	return w
}

func (w *protocol) newPod() *pod {
	w.serial++
	owner := fmt.Sprint("pod", w.serial)
	if w.out.lease {
		owner = ""
	}
	r, err := NewRedis(Options{URL: "redis://" + w.mini.Addr(), Timeout: 20 * time.Second, Owner: owner, Lease: time.Minute, KeyAge: 1000 * time.Hour})
	must(w.tb, err)
	client, err := w.client.connect(context.Background())
	must(w.tb, err)
	r.client = client
	r.epoch.clock = func() time.Time { return w.now }
	if r.owner != nil {
		r.owner.clock = r.epoch.clock
	}
	return &pod{store: &store{tb: w.tb, Redis: r, mini: w.mini}}
}

// fenced is the version under which a row is told.
func (w *protocol) fenced(version int64) int64 {
	if w.out.fence {
		w.serial++
		return 1_000_000 + int64(w.serial)
	}
	return version
}

func (w *protocol) pod() *pod { return w.pods[w.draw(len(w.pods))] }

// well says that a call worked; while the store is away none does.
func (w *protocol) well(err error) bool {
	if !w.storeAway {
		must(w.tb, err)
	} else if err == nil {
		w.tb.Fatal("a store that is away answers")
	}
	return err == nil
}

// outstanding is what is held of requests that are not settled.
func (w *protocol) outstanding(which func(*served) bool) (sum int64) {
	for _, s := range w.all {
		if _, done := w.books.settled[s.ID]; !done && (which == nil || which(s)) {
			sum += s.held
		}
	}
	return sum
}

// due posts what has expired. Requests that run may have been let in on it; so may any where admission has not heard of it.
func (w *protocol) due() {
	for _, g := range w.books.grants {
		if !g.done && !g.told && !g.expires.IsZero() && !w.now.Before(g.expires) {
			w.bound += g.remaining
		}
	}
	held := w.outstanding(nil)
	w.bound += min(held, w.books.due())
}

// load does what ReloadAccount asks for.
func (w *protocol) load(p *pod) {
	w.due()
	c := Copy{Account: "ns/acme", Spendable: w.books.balance, Version: w.fenced(w.books.version), Next: w.books.next()}
	if w.out.next {
		c.Next = 0
	}
	version := w.books.version
	if w.well(p.LoadAccount(context.Background(), c)) {
		w.copied(version)
		for _, g := range w.books.grants {
			g.told = true
		}
	}
}

// copied looks at the copy after the store has been told of a version: it is the newest that it has been told of (the half of P5
// that holds at any time).
func (w *protocol) copied(version int64) {
	if w.newest = max(w.newest, version); w.newest == 0 {
		return
	}
	if want, known := w.books.at(w.newest); known {
		same(w.tb, "P5: the copy", w.mini.HGet(accountKey("ns/acme"), "b"), decimal(want))
	}
}

// expired looks at an admission (P4): nothing that has gone by the clock lets anybody in, once admission has heard of it.
func (w *protocol) expired() {
	for _, g := range w.books.grants {
		if v := w.newest; g.told && g.expired > 0 && g.version <= v && v < g.doneAt {
			w.tb.Fatalf("P4: somebody is let in on %d, which have expired", g.expired)
		}
	}
}

// request draws one, with what is to be posted if nobody ends it.
func (w *protocol) request() (Request, int64) {
	input := int64(w.draw(50))
	return request(int64(50+w.draw(300)), func(q *Request) {
		q.Record = fmt.Appendf(nil, "orphan %d", input)
		if w.draw(4) == 0 {
			q.Floor = 50
		}
	}), input
}

// admit asks as a server does, and reads again what it is told to. A call in ten is given up and runs all the same.
func (w *protocol) admit() {
	p := w.pod()
	q, input := w.request()
	if w.storeAway {
		w.fallback(p, q, input)
		return
	}
	q.LedgerAway = w.ledgerAway
	lost := w.draw(10) == 0
	for range 5 {
		d, err := w.checked(p, q, lost)
		if err != nil {
			w.gaveUp[q.ID] = input
			if w.faulty && w.draw(2) == 0 {
				w.bound += w.outstanding(nil) // the ledger does not see what the store holds
				w.fallback(p, q, input)
			}
			return
		}
		switch {
		case d.Outcome == Admitted:
			w.expired()
			if w.ledgerAway && d.Reserved+d.Held > d.Spendable/2 {
				w.tb.Fatalf("P4: %d are held of %d while the ledger is away", d.Reserved+d.Held, d.Spendable)
			}
			w.serve(p, &served{Request: q, held: d.Held, input: input})
			return
		case d.Outcome == ReloadKey && !w.ledgerAway:
			must(w.tb, p.LoadKey(context.Background(), q.Account, q.KeyDigest, KeyActive, 1))
		case d.Outcome == ReloadAccount && !w.ledgerAway:
			w.load(p)
		default:
			return
		}
	}
	w.tb.Fatal("no decision")
}

func (w *protocol) serve(p *pod, s *served) {
	p.running, w.all = append(p.running, s), append(w.all, s)
}

// checked looks, one time in eight, at P9 and P10.
func (w *protocol) checked(p *pod, q Request, lost bool) (Decision, error) {
	if w.draw(8) > 0 {
		return w.ask(p, q, lost)
	}
	must(w.tb, w.refresh(p))
	was, rich := w.mini.Dump(), q
	rich.Overdraft = int64(w.draw(100))
	more, err := p.Preview(context.Background(), rich)
	must(w.tb, err)
	d, err := w.ask(p, q, lost)
	if err == nil && d.Outcome != Admitted && w.mini.Dump() != was {
		w.tb.Fatalf("P9: refusal %d changed the store", d.Outcome)
	}
	if d.Outcome == Admitted && err == nil && more.Outcome != Admitted {
		w.tb.Fatalf("P10: with more to spend %+v is refused: %+v", q, more)
	}
	return d, err
}

// refresh does what is no part of a decision: the beat, the lease, what the store has lost.
func (w *protocol) refresh(p *pod) error {
	if p.owner == nil {
		_, err := p.Preview(context.Background(), request(0))
		return err
	}
	if _, err := p.look(context.Background()); err != nil {
		return err
	}
	if err := p.Renew(context.Background()); err != nil {
		return err
	}
	return p.syncLost(context.Background(), "ns/acme")
}

func (w *protocol) ask(p *pod, q Request, lost bool) (Decision, error) {
	if !lost || p.owner == nil {
		return p.Admit(context.Background(), q)
	}
	p.owner.begin(q.Account, q.ID)
	d, stands, err := p.decide(context.Background(), "admitting", q, false)
	must(w.tb, err)
	if d.Outcome != Admitted {
		p.owner.admitted(q, d, stands, nil)
		return d, nil
	}
	err = errors.New("given up")
	p.owner.admitted(q, Decision{}, false, err)
	return d, err
}

// fallback admits by the ledger alone.
func (w *protocol) fallback(p *pod, q Request, input int64) {
	if w.ledgerAway {
		return // 503
	}
	w.due()
	if !w.books.reserve(q.ID, &reservation{pod: p, amount: q.Hold, record: q.Record}) {
		return
	}
	s := &served{Request: q, held: q.Hold, input: input, adopted: true}
	w.adopt(p, s)
	w.serve(p, s)
}

func (w *protocol) adopt(p *pod, s *served) {
	p.Adopt(Adopted{
		RequestID: s.ID, Account: s.Account, KeyDigest: s.KeyDigest, Amount: s.held, At: w.now, Until: w.now.Add(time.Minute), Record: s.Record,
	})
}

// finish ends a request; one call in six does not reach the store.
func (w *protocol) finish() {
	p := w.pod()
	if len(p.running) == 0 {
		return
	}
	i := w.draw(len(p.running))
	s := p.running[i]
	p.running = slices.Delete(p.running, i, i+1)
	w.end(p, s, int64(w.draw(int(s.held)+1)), w.draw(6) > 0)
}

func (w *protocol) end(p *pod, s *served, cost int64, told bool) {
	s.cost, s.finished = cost, true
	f := Finish{RequestID: s.ID, Account: s.Account, KeyDigest: s.KeyDigest, Actual: s.cost, Record: []byte(decimal(s.cost))}
	if told {
		s.told = w.well(p.Finish(context.Background(), f))
	} else if p.owner != nil {
		p.owner.finished(f)
	}
	if r := w.books.reserved[s.ID]; r != nil && told && !w.ledgerAway {
		r.amount, r.finished, r.record, s.told = s.cost, true, f.Record, true
	}
	p.log = append(p.log, s)
}

func (w *protocol) extend() {
	p := w.pod()
	if len(p.running) == 0 {
		return
	}
	s := p.running[w.draw(len(p.running))]
	to := s.held + int64(w.draw(100))
	if !w.storeAway {
		d, err := p.Extend(context.Background(), Extension{
			RequestID: s.ID, Account: s.Account, KeyDigest: s.KeyDigest, To: to, LedgerAway: w.ledgerAway,
		})
		must(w.tb, err)
		if d.Outcome == Admitted {
			s.held = d.Held
		}
		return
	}
	if r := w.books.reserved[s.ID]; r != nil && !w.ledgerAway && w.books.reserve(s.ID, &reservation{pod: p, amount: to, record: r.record}) {
		s.held = to
		w.adopt(p, s)
	}
}

// floor is what an orphan is charged.
func (w *protocol) floor(held int64, record []byte) int64 {
	text, ok := bytes.CutPrefix(record, []byte("orphan "))
	var input int64
	if _, err := fmt.Sscan(string(text), &input); !ok || err != nil {
		w.tb.Fatalf("P3: an orphan has the record %q", record)
	}
	return []int64{0, min(input, held), held}[w.policy]
}
