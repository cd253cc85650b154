package admit

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// The slots are those that the specification of Redis Cluster, and a real server, say.
func TestSlots(t *testing.T) {
	for tag, want := range map[string]int{"123456789": 12739, "": 0, "foo": 12182, "bar": 5061, "user1000": 3443} {
		same(t, tag, slot(tag), want)
	}
	for key, want := range map[string]string{"lyr:{ns/a}:account": "ns/a", "x": "x", "{}x": "{}x", "a{b": "a{b", "a{b}{c}": "b"} {
		same(t, key, hashTag(key), want)
	}
	for part, of := range ends() {
		same(t, "first", slot(of[0]), part*partSlots)
		same(t, "last", slot(of[1]), (part+1)*partSlots-1)
	}
}

// A cluster has its parts, and a call about an account needs that of the leases until the account is listed.
func TestParts(t *testing.T) {
	s := newCluster(t)
	same(t, "before it was reached", []any{s.Split(), s.Part("x"), s.Parts("ns/a")}, []any{1, 0, []int{0}})
	a := openOwner(t, s.opts.URL, "a")
	must(t, a.Ping(t.Context()))
	leases := partOf("epoch")
	same(t, "parts", []any{a.Split(), a.Part("lyr:{ns/a}:account"), a.Parts("ns/a")}, []any{clusterParts, partOf("ns/a"), []int{partOf("ns/a"), leases}})
	owned := &store{tb: t, Redis: a}
	owned.load(100)
	owned.want(request(1), Admitted)
	own := partOf("ns/acme")
	same(t, "listed", a.Parts("ns/acme"), []int{own})
	for part := range clusterParts {
		must(t, a.Probe(t.Context(), part))
	}
	// What is adopted is written with its own part, and no other's is.
	owned.adopted(request(1), 7, "")
	must(t, a.SyncPart(t.Context(), (own+1)%clusterParts))
	same(t, "another part", owned.held(), "1")
	must(t, a.SyncPart(t.Context(), own))
	same(t, "its own", owned.held(), "8")
	a.owner.mu.Lock()
	a.owner.until = time.Time{}
	a.owner.mu.Unlock()
	same(t, "the lease is over", a.Parts("ns/acme"), []int{own, leases})
}

// A part that does not answer is asked for a few accounts, not for all: they would all wait as long.
func TestSilentPartIsNotAskedAgain(t *testing.T) {
	r := newMini(t).Redis
	accounts := make([]string, 100)
	for i := range accounts {
		accounts[i] = fmt.Sprint("ns/", i)
	}
	var asked atomic.Int64
	err := r.syncAll(accounts, func(string) error {
		asked.Add(1)
		return context.DeadlineExceeded
	})
	if n := asked.Load(); err == nil || n == 0 || n > syncsAtOnce {
		t.Errorf("%d accounts, %v", n, err)
	}
	asked.Store(0)
	must(t, r.syncAll(accounts, func(string) error { asked.Add(1); return nil }))
	same(t, "well", asked.Load(), int64(len(accounts)))
}

// A hold that is released while its admission is still under way is not held, and Sync looks for it.
func TestEndedWhileAskedFor(t *testing.T) {
	o := newOwner("a")
	q := request(5)
	o.begin(q.Account, q.ID)
	o.forget([]holdID{{q.Account, q.ID}})
	o.accounts[q.Account].rounds = 0
	o.admitted(q, Decision{Held: 5}, true, nil)
	same(t, "known", o.knows(holdID{q.Account, q.ID}), false)
	sync, _ := o.due()
	same(t, "to sync", sync, []string{q.Account})
}
