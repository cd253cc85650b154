package failover

import (
	"slices"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// held is a request of this replica that was admitted and has not been confirmed or released.
type held struct {
	id, account, digest string
	// fallback says that it was admitted here, not by Redis; decision is what it was told.
	fallback bool
	decision admit.Decision
	// amount is what it holds in all. reserved says that the ledger holds lent of it: all, or what Redis could not be asked for.
	amount   pricing.Nano
	reserved bool
	lent     pricing.Nano
	finished bool
	at       time.Time
	until    time.Time
	over     pricing.Nano // Request.Overdraft
	record   []byte
	taken    taken
}

// book is what this replica's requests hold, whoever admitted them: so that slots, spend caps and extensions go on from where
// Redis left them. It is as large as the requests that run or are not confirmed yet, and none stays longer than HoldFor.
type book struct {
	mu   sync.Mutex
	all  map[string]*held
	keys map[string]map[string]*held // by key digest, then request id
}

func newBook() *book {
	return &book{all: map[string]*held{}, keys: map[string]map[string]*held{}}
}

// put notes a request, unless it is there.
func (b *book) put(h held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(h)
}

// add is put; the caller holds mu.
func (b *book) add(h held) {
	if b.all[h.id] != nil {
		return
	}
	of := b.keys[h.digest]
	if of == nil {
		of = map[string]*held{}
		b.keys[h.digest] = of
	}
	b.all[h.id], of[h.id] = &h, &h
}

// get answers a copy.
func (b *book) get(id string) (h held, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.all[id]; p != nil {
		return *p, true
	}
	return held{}, false
}

// change changes a request that has not finished, and answers what it was before.
func (b *book) change(id string, to func(h *held)) (before held, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.all[id]
	if p == nil || p.finished {
		return held{}, false
	}
	before = *p
	to(p)
	return before, true
}

// drop takes a request away, and answers it.
func (b *book) drop(id string) (h held, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.all[id]
	if p == nil {
		return held{}, false
	}
	b.remove(p)
	return *p, true
}

// remove takes a request away; the caller holds mu.
func (b *book) remove(p *held) {
	delete(b.all, p.id)
	if of := b.keys[p.digest]; len(of) > 1 {
		delete(of, p.id)
	} else {
		delete(b.keys, p.digest)
	}
}

// running is where the slots of a key stand.
type running struct {
	count         int64
	first, latest time.Time // when a slot is free if none ends before its time, and when all are; zero: there is one
}

// enter gives a request a slot, if its key has one free (most 0: any number), and answers those taken before. now is the
// request's; take false only asks.
func (b *book) enter(h held, most int64, now time.Time, take bool) (r running, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if most > 0 {
		var ends []time.Time
		for _, o := range b.keys[h.digest] {
			if !o.finished && o.until.After(now) {
				ends = append(ends, o.until)
			}
		}
		if r.count = int64(len(ends)); r.count >= most {
			slices.SortFunc(ends, time.Time.Compare)
			r.first, r.latest = ends[r.count-most], ends[r.count-1]
			return r, false
		}
	}
	if take {
		b.add(h)
	}
	return r, true
}

// allot lets a request hold at most want of what is left of its key's cap after what was spent: want, all that is left
// if that is at least least, or nothing. It is noted, so that two requests do not get the same money.
func (b *book) allot(h held, limit, want, least pricing.Nano, take bool) (amount, used pricing.Nano, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.keys[h.digest] {
		if o.id != h.id {
			used += o.amount
		}
	}
	switch left := limit - used; {
	case left >= want:
		amount = want
	case left >= least:
		amount = left
	default:
		return max(0, left), used, false
	}
	if p := b.all[h.id]; take && p != nil {
		p.amount = amount
	}
	return amount, used, true
}

// reserved is what the ledger holds of an account for this replica.
func (b *book) reserved(account string) (sum pricing.Nano) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.all {
		if h.reserved && h.account == account {
			sum += h.lent
		}
	}
	return sum
}

// anyReserved says whether something is to be renewed in the ledger.
func (b *book) anyReserved() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.all {
		if h.reserved && !h.finished {
			return true
		}
	}
	return false
}

// sweep forgets requests whose time is over: nobody has ended them, and Redis and the ledger have what they hold.
func (b *book) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.all {
		if !h.until.After(now) {
			b.remove(h)
		}
	}
}

// size is how many requests are noted.
func (b *book) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.all)
}
