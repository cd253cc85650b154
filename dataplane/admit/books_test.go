package admit

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// without takes single ingredients out of the protocol.
type without struct{ fence, unique, lease, sync, adjust, next bool }

// violation is what a schedule found wrong.
type violation string

// judge is the tester of a schedule: what fails ends it.
type judge struct{ cleanups []func() }

func (j *judge) Helper()                   {}
func (j *judge) Logf(string, ...any)       {}
func (j *judge) Cleanup(f func())          { j.cleanups = append(j.cleanups, f) }
func (j *judge) Fatal(args ...any)         { panic(violation(fmt.Sprint(args...))) }
func (j *judge) Fatalf(f string, a ...any) { panic(violation(fmt.Sprintf(f, a...))) }

// books is the ledger: rows that are unique by request, a late real end as an adjustment of what an orphan was charged, grants
// that are unique by key and expire, and reservations for when the store is away.
type books struct {
	balance, version int64
	entries          []int64
	settled, adjust  map[string]int64
	orphan           map[string]bool
	posts            map[string]int
	grants           []*given
	reserved         map[string]*reservation
	rows             []row // as committed, in order: what may be told late, again, or in another order
	out              without
	now              func() time.Time
}

// row is a committed row of the account.
type row struct {
	Confirmation
	next int64
}

// given is a grant.
type given struct {
	key                       string
	amount, remaining, drawn  int64
	expired                   int64
	expires                   time.Time // zero: never
	version, doneAt           int64     // the rows that it came and went with
	posted, done, told, twice bool
}

// reservation is a hold of the fallback.
type reservation struct {
	pod      *pod
	amount   int64
	finished bool
	record   []byte
}

func newBooks(out without, start int64, now func() time.Time) *books {
	return &books{
		balance: start, version: 1, entries: []int64{start}, settled: map[string]int64{}, adjust: map[string]int64{}, orphan: map[string]bool{},
		posts: map[string]int{}, reserved: map[string]*reservation{}, out: out, now: now,
	}
}

// at is the balance of a version.
func (b *books) at(version int64) (balance int64, known bool) {
	for _, e := range b.entries[:max(0, min(version, int64(len(b.entries))))] {
		balance += e
	}
	return balance, version <= int64(len(b.entries)) && !b.out.unique
}

// open are the grants that may be drawn, the soonest expiry first.
func (b *books) open() []*given {
	open := slices.DeleteFunc(slices.Clone(b.grants), func(g *given) bool { return g.done || !g.expires.IsZero() && !b.now().Before(g.expires) })
	slices.SortStableFunc(open, func(x, y *given) int {
		if x.expires.IsZero() != y.expires.IsZero() {
			return cmp.Compare(flag(x.expires.IsZero()), flag(y.expires.IsZero()))
		}
		return x.expires.Compare(y.expires)
	})
	return open
}

// next is when the account changes by the clock.
func (b *books) next() int64 {
	for _, g := range b.open() {
		if g.remaining > 0 && !g.expires.IsZero() {
			return g.expires.UnixMicro()
		}
	}
	return 0
}

func (b *books) write(id string, amount int64) Confirmation {
	b.balance, b.version, b.entries = b.balance+amount, b.version+1, append(b.entries, amount)
	c := Confirmation{RequestID: id, Account: "ns/acme", Balance: b.balance, Version: b.version}
	b.rows = append(b.rows, row{c, b.next()})
	return c
}

func (b *books) post(id string, cost int64, orphan bool) Confirmation {
	if r := b.reserved[id]; r != nil && !(orphan && r.finished) { // an orphan's charge does not end what tells of its real end
		delete(b.reserved, id)
	}
	was, there := b.settled[id]
	switch {
	case !there || b.out.unique:
		b.settled[id], b.orphan[id] = cost, orphan
		b.posts[id]++
		left := cost
		for _, g := range b.open() {
			take := min(left, g.remaining)
			g.remaining, g.drawn, left = g.remaining-take, g.drawn+take, left-take
		}
		return b.write(id, -cost)
	case b.orphan[id] && !orphan && !b.out.adjust:
		if _, twice := b.adjust[id]; !twice {
			b.adjust[id] = cost - was
			return b.write(id, was-cost)
		}
	}
	return Confirmation{RequestID: id, Account: "ns/acme", Balance: b.balance, Version: b.version}
}

// grant posts a grant, once.
func (b *books) grant(g *given) {
	if g.posted && !b.out.unique {
		return
	}
	g.twice = g.posted
	g.posted = true
	if !g.twice {
		b.grants = append(b.grants, g)
		g.remaining = g.amount
	}
	b.write("", g.amount)
	g.version = b.version
}

// due posts what has expired, and answers how much.
func (b *books) due() (took int64) {
	for _, g := range b.grants {
		if g.done || g.expires.IsZero() || b.now().Before(g.expires) {
			continue
		}
		g.done, g.expired, g.remaining = true, g.remaining, 0
		if took += g.expired; g.expired > 0 {
			b.write("", -g.expired)
			g.doneAt = b.version
		}
	}
	return took
}

// reserve holds in the ledger: never more than half of the balance in all.
func (b *books) reserve(id string, r *reservation) bool {
	held := r.amount
	for other, o := range b.reserved {
		if other != id {
			held += o.amount
		}
	}
	if b.balance < 0 || held > b.balance/2 {
		return false
	}
	b.reserved[id] = r
	return true
}

// check looks at P1, P2 and P7.
func (b *books) check(tb tester) {
	sum := int64(0)
	for _, e := range b.entries {
		sum += e
	}
	same(tb, "P1: the entries' sum", b.balance, sum)
	for _, g := range b.grants {
		if g.twice {
			tb.Fatalf("P2: %+v is granted twice", *g)
		}
		if g.drawn+g.expired+g.remaining != g.amount {
			tb.Fatalf("P2: %+v", *g)
		}
		if g.expired < 0 || g.expired > g.amount-g.drawn {
			tb.Fatalf("P7: %+v", *g)
		}
	}
}
