package admit

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"
)

// steps are what may happen, each as often as it stands here.
func (w *protocol) steps() []func() {
	steps := []func(){
		w.admit, w.admit, w.admit, w.admit, w.admit, w.finish, w.finish, w.extend, w.settle, w.settle, w.confirm, w.confirm, w.confirm,
		w.grant, w.deliver, w.deliver, w.late, w.crash, w.asleep, w.pass, w.sync, w.reap, w.reap, w.ledgerGoes, w.ledgerComes,
	}
	if !w.faulty { // without a loss of data nothing at all may be overspent
		return steps
	}
	return append(steps, w.flush, w.photo, w.back, w.storeGoes, w.storeComes, w.storeComes)
}

// settle writes some of a log to the ledger; one time in four the log is replayed later.
func (w *protocol) settle() {
	p := w.pod()
	if len(p.log) == 0 || w.ledgerAway {
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
	w.due()
	c := w.books.post(id, cost, orphan)
	if w.books.balance < -w.bound {
		w.tb.Fatalf("P4: balance %d, bound %d", w.books.balance, w.bound)
	}
	return c
}

func (w *protocol) tell(p *pod, cs ...Confirmation) bool {
	newest := int64(0)
	for i := range cs {
		newest = max(newest, cs[i].Version)
		cs[i].Version = w.fenced(cs[i].Version)
	}
	if !w.well(p.Confirm(context.Background(), cs)) {
		return false
	}
	if len(cs) > 0 {
		w.copied(newest)
	}
	return true
}

// confirm tells the store of one settlement, in any order, sometimes twice; the log's own replica does.
func (w *protocol) confirm() {
	if len(w.unsent) == 0 {
		return
	}
	i := w.draw(len(w.unsent))
	c, told := w.unsent[i], true
	other := w.draw(len(w.pods))
	for j, p := range w.pods { // whoever holds it forgets it, and somebody else may tell of it too
		if j == other || p.owner != nil && p.owner.knows(holdID{c.Account, c.RequestID}) {
			told = w.tell(p, c) && told
		}
	}
	if told && w.draw(4) > 0 {
		w.unsent = slices.Delete(w.unsent, i, i+1)
	}
}

// grant makes a grant, of which the ledger hears late, in any order, and often twice.
func (w *protocol) grant() {
	w.serial++
	g := &given{key: strconv.Itoa(w.serial), amount: int64(w.draw(300))}
	if w.draw(2) == 0 {
		g.expires = w.now.Add(time.Duration(1+w.draw(12)) * 30 * time.Second)
	}
	w.hooks = append(w.hooks, g, g)
}

func (w *protocol) deliver() {
	if len(w.hooks) == 0 || w.ledgerAway {
		return
	}
	i := w.draw(len(w.hooks))
	w.books.grant(w.hooks[i])
	w.hooks = slices.Delete(w.hooks, i, i+1)
	if !w.storeAway && w.draw(2) == 0 { // it tells admission
		w.load(w.pod())
	}
}

// late tells of a row that was committed some time ago.
func (w *protocol) late() {
	if len(w.books.rows) == 0 || w.storeAway {
		return
	}
	r := w.books.rows[w.draw(len(w.books.rows))]
	if r.next > 0 && r.next <= w.now.UnixMicro() {
		return // no call takes half a minute: what has changed by the clock since is not told any more
	}
	c := Copy{Account: "ns/acme", Spendable: r.Balance, Version: w.fenced(r.Version), Next: r.next}
	must(w.tb, w.pod().LoadAccount(context.Background(), c))
	w.copied(r.Version)
}

// crash ends a replica: its container, whose log the next one replays, or its pod, whose log is gone.
func (w *protocol) crash() {
	i := w.draw(len(w.pods))
	old, next := w.pods[i], w.newPod()
	if old.dead = true; w.draw(2) == 0 {
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
	}
	w.bound += w.outstanding(nil)
	how()
	w.newest = 0 // whatever copy there is now, it is of an older epoch
	if v, err := strconv.ParseInt(w.mini.HGet(accountKey("ns/acme"), "v"), 10, 64); err == nil {
		w.newest = v
	}
	for _, p := range w.pods {
		p.due()
	}
}

func (w *protocol) flush() { w.lose(w.mini.FlushAll) }

func (w *protocol) photo() {
	if !w.storeAway {
		w.older = w.pods[0].photo()
	}
}

func (w *protocol) back() {
	if w.older != nil && !w.storeAway {
		w.lose(func() { w.pods[0].setTo(w.older) })
	}
}

// storeGoes: what the store holds is out of the ledger's sight.
func (w *protocol) storeGoes() {
	if !w.storeAway {
		w.bound += w.outstanding(nil)
		w.storeAway = true
		w.mini.SetError("ERR away")
	}
}

// storeComes: what the fallback admitted is out of the store's, until its replicas have synced.
func (w *protocol) storeComes() {
	if w.storeAway {
		w.bound += w.outstanding(func(s *served) bool { return s.adopted })
		w.storeAway = false
		w.mini.SetError("")
	}
}

func (w *protocol) ledgerGoes()  { w.ledgerAway = true }
func (w *protocol) ledgerComes() { w.ledgerAway = false }

func (w *protocol) pass() { w.advance(1 + w.draw(3)) }

// advance lets half minutes pass; leases are of one minute.
func (w *protocol) advance(steps int) {
	for range steps {
		w.now = w.now.Add(30 * time.Second)
		w.mini.SetTime(w.now)
		w.mini.FastForward(30 * time.Second)
		for _, p := range w.pods {
			if p.owner != nil {
				w.well(p.Renew(context.Background()))
			}
		}
	}
	if !w.ledgerAway {
		w.due()
	}
	w.sync()
}

func (w *protocol) sync() {
	for _, p := range w.pods {
		if p.owner == nil || w.out.sync || w.storeAway {
			continue
		}
		_, err := p.look(context.Background())
		must(w.tb, err)
		must(w.tb, p.Sync(context.Background()))
	}
}

// reap settles orphans, by their record or by the policy's floor: those of the store, and the ledger's own reservations.
func (w *protocol) reap() {
	p := w.pod()
	if p.owner == nil || w.ledgerAway {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(w.books.reserved)) {
		if r := w.books.reserved[id]; r.pod.dead {
			w.settleOrphan(p, Orphan{RequestID: id, Amount: r.amount, Finished: r.finished, Record: r.record}, false)
		}
	}
	if w.storeAway {
		return
	}
	found, _, err := p.Orphans(context.Background(), &Pass{}, 100)
	must(w.tb, err)
	for _, o := range found {
		w.settleOrphan(p, o, true)
	}
}

// settleOrphan ends the store's hold where that is what was found: it may know of an end that a reservation does not.
func (w *protocol) settleOrphan(p *pod, o Orphan, stored bool) {
	if !o.Finished {
		w.unsent = append(w.unsent, w.post(o.RequestID, w.floor(o.Amount, o.Record), true))
	} else {
		cost, err := strconv.ParseInt(string(o.Record), 10, 64)
		must(w.tb, err)
		w.unsent = append(w.unsent, w.post(o.RequestID, cost, false))
	}
	if !stored {
		w.unsent[len(w.unsent)-1].RequestID = ""
	}
	if c := w.unsent[len(w.unsent)-1]; !w.storeAway && w.tell(p, c) {
		w.unsent = w.unsent[:len(w.unsent)-1]
	}
}

// quiet lets everything come to its end.
func (w *protocol) quiet() {
	w.storeComes()
	w.ledgerComes()
	for _, p := range w.pods {
		for _, s := range p.running {
			w.end(p, s, 0, true)
		}
		for _, s := range p.log {
			w.unsent = append(w.unsent, w.post(s.ID, s.cost, false))
		}
		p.running, p.log = nil, nil
	}
	for _, g := range w.hooks {
		w.books.grant(g)
	}
	w.load(w.pods[0])
	for i := range w.unsent { // in any order
		j := i + w.draw(len(w.unsent)-i)
		w.unsent[i], w.unsent[j] = w.unsent[j], w.unsent[i]
	}
	for _, p := range w.pods {
		w.tell(p, w.unsent...)
	}
	for range 6 { // leases of the dead end, lists that were lost are made again, what leaked goes
		w.advance(3)
		for range 3 {
			w.reap()
		}
		if !w.mini.Exists(holdsKey("ns/acme")) && len(w.books.reserved) == 0 {
			break
		}
	}
	w.load(w.pods[0])
}
