package admit

import "fmt"

// without takes single ingredients out of the protocol.
type without struct{ fence, unique, lease, sync, adjust bool }

// violation is what a schedule found wrong.
type violation string

// judge is the tester of a schedule: what fails ends it.
type judge struct{ cleanups []func() }

func (j *judge) Helper()                   {}
func (j *judge) Logf(string, ...any)       {}
func (j *judge) Cleanup(f func())          { j.cleanups = append(j.cleanups, f) }
func (j *judge) Fatal(args ...any)         { panic(violation(fmt.Sprint(args...))) }
func (j *judge) Fatalf(f string, a ...any) { panic(violation(fmt.Sprintf(f, a...))) }

// books is the ledger: rows that are unique by request, a late real end as an adjustment of what an orphan was charged.
type books struct {
	balance, version int64
	settled, adjust  map[string]int64
	orphan           map[string]bool
	posts            map[string]int
	rows             []Confirmation // as committed, in order: what may be told late, again, or in another order
	out              without
}

func (b *books) write(id string, amount int64) Confirmation {
	b.balance, b.version = b.balance+amount, b.version+1
	b.rows = append(b.rows, Confirmation{RequestID: id, Account: "ns/acme", Balance: b.balance, Version: b.version})
	return b.rows[len(b.rows)-1]
}

func (b *books) post(id string, cost int64, orphan bool) Confirmation {
	was, there := b.settled[id]
	switch {
	case !there || b.out.unique:
		b.settled[id], b.orphan[id] = cost, orphan
		b.posts[id]++
		return b.write(id, -cost)
	case b.orphan[id] && !orphan && !b.out.adjust:
		if _, twice := b.adjust[id]; !twice {
			b.adjust[id] = cost - was
			return b.write(id, was-cost)
		}
	}
	return Confirmation{RequestID: id, Account: "ns/acme", Balance: b.balance, Version: b.version}
}
