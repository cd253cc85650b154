package admit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// served is one request that was admitted, as the world knows it.
type served struct {
	Request
	held, cost int64
	finished   bool
	told       bool // its end reached the store
	died       bool // its process did not live to settle it
	exposed    bool // the store has lost data since it was admitted
}

// pod is a replica: what it runs, and the log of what it has to settle.
type pod struct {
	*store
	running, log []*served
}

// protocol is a world of replicas, a store that fails, and a ledger.
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
	older  photo
	bound  int64 // of overspend: what was held when data were lost
	client *Redis
}

func newProtocol(tb tester, out without, draw func(int) int) *protocol {
	w := &protocol{tb: tb, draw: draw, out: out, mini: miniredis.NewMiniRedis(), now: time.UnixMicro(1_800_000_000_000_000).UTC()}
	must(tb, w.mini.Start())
	tb.Cleanup(w.mini.Close)
	w.mini.SetTime(w.now)
	w.books = &books{
		balance: 1000, version: 1, settled: map[string]int64{}, adjust: map[string]int64{}, orphan: map[string]bool{}, posts: map[string]int{}, out: out,
	}
	w.client = open(tb, "redis://"+w.mini.Addr())
	w.client.driver.ForceSingleClient = true
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

// admit asks as a server does, and reads again what it is told to. A call in ten is given up and runs all the same.
func (w *protocol) admit() {
	p := w.pod()
	q := request(int64(50 + w.draw(300)))
	lost := w.draw(10) == 0
	for range 5 {
		before := w.mini.Dump
		var was string
		check := w.draw(8) == 0
		if check {
			must(w.tb, w.refresh(p))
			was = before()
		}
		d, err := w.ask(p, q, lost)
		if err != nil {
			return
		}
		if check && d.Outcome != Admitted && before() != was {
			w.tb.Fatalf("P9: refusal %d changed the store", d.Outcome)
		}
		switch d.Outcome {
		case Admitted:
			s := &served{Request: q, held: d.Held}
			p.running, w.all = append(p.running, s), append(w.all, s)
			return
		case ReloadKey:
			must(w.tb, p.LoadKey(context.Background(), q.Account, q.KeyDigest, KeyActive, 1))
		case ReloadAccount:
			must(w.tb, p.LoadAccount(context.Background(), Copy{Account: q.Account, Spendable: w.books.balance, Version: w.fenced(w.books.version)}))
		default:
			return
		}
	}
	w.tb.Fatal("no decision")
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

// finish ends a request; one call in six does not reach the store.
func (w *protocol) finish() {
	p := w.pod()
	if len(p.running) == 0 {
		return
	}
	i := w.draw(len(p.running))
	s := p.running[i]
	p.running = slices.Delete(p.running, i, i+1)
	s.cost, s.finished = int64(w.draw(int(s.held)+1)), true
	f := Finish{RequestID: s.ID, Account: s.Account, KeyDigest: s.KeyDigest, Actual: s.cost, Record: []byte(decimal(s.cost))}
	if s.told = w.draw(6) > 0; s.told {
		must(w.tb, p.Finish(context.Background(), f))
	} else if p.owner != nil {
		p.owner.finished(f)
	}
	p.log = append(p.log, s)
}

func (w *protocol) extend() {
	p := w.pod()
	if len(p.running) == 0 {
		return
	}
	s := p.running[w.draw(len(p.running))]
	d := p.extend(s.Request, s.held+int64(w.draw(100)))
	if d.Outcome == Admitted {
		s.held = d.Held
	}
}

// settle writes some of a log to the ledger; one time in four the log is replayed later.
func (w *protocol) settle() {
	p := w.pod()
	if len(p.log) == 0 {
		return
	}
	n := 1 + w.draw(len(p.log))
	for _, s := range p.log[:n] {
		w.unsent = append(w.unsent, w.post(s.ID, s.cost, false))
	}
	if w.draw(4) > 0 {
		p.log = p.log[n:]
	}
}

func (w *protocol) post(id string, cost int64, orphan bool) Confirmation {
	c := w.books.post(id, cost, orphan)
	if w.books.balance < -w.bound {
		w.tb.Fatalf("P4: balance %d, bound %d", w.books.balance, w.bound)
	}
	return c
}

func (w *protocol) tell(p *pod, cs ...Confirmation) {
	for i := range cs {
		cs[i].Version = w.fenced(cs[i].Version)
	}
	must(w.tb, p.Confirm(context.Background(), cs))
}

// confirm tells the store of one settlement, in any order, sometimes twice; the log's own replica does.
func (w *protocol) confirm() {
	if len(w.unsent) == 0 {
		return
	}
	i := w.draw(len(w.unsent))
	c := w.unsent[i]
	if w.draw(4) > 0 {
		w.unsent = slices.Delete(w.unsent, i, i+1)
	}
	for _, p := range w.pods { // each forgets what it held
		w.tell(p, c)
	}
}

func (w *protocol) grant() {
	w.books.write("", int64(w.draw(300)))
}

// late tells of a row that was committed some time ago.
func (w *protocol) late() {
	if len(w.books.rows) == 0 {
		return
	}
	row := w.books.rows[w.draw(len(w.books.rows))]
	must(w.tb, w.pod().LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: row.Balance, Version: w.fenced(row.Version)}))
}

// crash ends a replica: its container, whose log the next one replays, or its pod, whose log is gone.
func (w *protocol) crash() {
	i := w.draw(len(w.pods))
	old, next := w.pods[i], w.newPod()
	if w.draw(2) == 0 {
		next.log = old.log
	} else {
		for _, s := range old.log {
			s.died = true
		}
	}
	for _, s := range old.running {
		s.died = true
	}
	w.pods[i] = next
}

// asleep lets a replica's lease end while it lives.
func (w *protocol) asleep() {
	if p := w.pod(); p.owner != nil {
		_ = p.raw("ZADD", leasesKey, "XX", "1", p.owner.name).Error() // it may have none
		p.owner.until = time.Time{}
	}
}

func (w *protocol) lose(how func()) {
	for _, s := range w.all {
		s.exposed = true
		if _, done := w.books.settled[s.ID]; !done {
			w.bound += s.held
		}
	}
	how()
	for _, p := range w.pods {
		p.due()
	}
}

func (w *protocol) pass() { w.advance(1 + w.draw(3)) }

// advance lets half minutes pass; leases are of one minute.
func (w *protocol) advance(steps int) {
	for range steps {
		w.now = w.now.Add(30 * time.Second)
		w.mini.SetTime(w.now)
		w.mini.FastForward(30 * time.Second)
		for _, p := range w.pods {
			if p.owner != nil {
				must(w.tb, p.Renew(context.Background()))
			}
		}
	}
	w.sync()
}

func (w *protocol) sync() {
	for _, p := range w.pods {
		if p.owner == nil || w.out.sync {
			continue
		}
		_, err := p.look(context.Background())
		must(w.tb, err)
		must(w.tb, p.Sync(context.Background()))
	}
}

// reap settles orphans, by their record or for what they held.
func (w *protocol) reap() {
	p := w.pod()
	if p.owner == nil {
		return
	}
	found, err := p.Orphans(context.Background(), 100)
	must(w.tb, err)
	for _, o := range found {
		cost := o.Amount
		if o.Finished {
			cost, err = strconv.ParseInt(string(o.Record), 10, 64)
			must(w.tb, err)
		}
		w.tell(p, w.post(o.RequestID, cost, !o.Finished))
	}
}
