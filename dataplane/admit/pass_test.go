package admit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
)

// dies leaves the name of an owner whose lease is over, with these accounts on its list.
func (s *store) dies(owner string, accounts ...string) {
	s.tb.Helper()
	must(s.tb, s.raw("ZADD", leasesKey, "1", owner).Error())
	if len(accounts) > 0 {
		must(s.tb, s.raw(append([]string{"SADD", listKey(owner)}, accounts...)...).Error())
	}
}

// holds gives a dead owner a hold that nobody settles.
func (s *store) holds(owner, id string) {
	s.tb.Helper()
	s.dies(owner, "ns/acme")
	must(s.tb, s.raw("HSET", holdsKey("ns/acme"), id, "1 9000000000000000 0 digest "+owner+" 1  ").Error())
}

// sweep goes through all that the dead left, and answers the requests and in how many calls.
func (s *store) sweep(p *Pass, most int) (ids []string, calls int) {
	s.tb.Helper()
	for more := true; more; calls++ {
		var found []Orphan
		var err error
		found, more, err = s.Orphans(context.Background(), p, most)
		must(s.tb, err)
		for _, o := range found {
			ids = append(ids, o.RequestID)
		}
	}
	slices.Sort(ids)
	return ids, calls
}

// However many owners died, as in a loop of crashes, one pass has seen all of them, a bounded number in each call.
func TestAThousandDead(t *testing.T) {
	s := newMini(t)
	for i := range 1000 {
		s.dies(fmt.Sprintf("pod-%04d", i))
	}
	s.holds("pod-9999", "last")
	ids, calls := s.sweep(&Pass{}, 200)
	same(t, "found", ids, []string{"last"})
	same(t, "owners that are left", s.count("ZCARD", leasesKey), int64(1))
	if calls < 3 {
		t.Errorf("all of it in %d calls", calls)
	}
}

// Holds that nobody can settle, or of which there are many, keep nobody from the others: each is answered once in a pass.
func TestNobodyIsKeptFromOthers(t *testing.T) {
	s := newMini(t)
	var want []string
	for i := range 5 * deadPerCall {
		id := fmt.Sprintf("req_%03d", i)
		want = append(want, id)
		s.holds("pod-"+id, id)
	}
	p := &Pass{}
	for range 3 {
		ids, calls := s.sweep(p, 10)
		same(t, "found", ids, want)
		if calls < len(want)/10 {
			t.Errorf("all of it in %d calls", calls)
		}
	}
}

// What an owner has not used of late hides nothing, and is told before it is forgotten, until that has passed.
func TestIdleAccountsOfTheDead(t *testing.T) {
	s := newServer(t) // miniredis reads lists that shrink otherwise
	var idle []string
	for i := range 500 {
		idle = append(idle, "ns/"+strconv.Itoa(i))
	}
	s.dies("pod", idle...)
	s.holds("pod", "req")
	var told []string
	deaf := true
	p := &Pass{Gone: func(_ context.Context, accounts []string) error {
		if deaf {
			return errors.New("deaf")
		}
		told = append(told, accounts...)
		same(t, "on the list", s.count("SISMEMBER", listKey("pod"), accounts[0]), int64(1))
		return nil
	}}
	if _, more, err := s.Orphans(context.Background(), p, 1000); err == nil || !more {
		t.Errorf("more %v, %v", more, err)
	}
	same(t, "accounts that are left", s.count("SCARD", listKey("pod")), int64(501))
	deaf = false
	s.sweep(p, 1000) // the end of that pass
	ids, _ := s.sweep(p, 1000)
	same(t, "found", ids, []string{"req"})
	slices.Sort(told)
	slices.Sort(idle)
	same(t, "told", told, idle)
	same(t, "accounts that are left", s.count("SCARD", listKey("pod")), int64(1))
	must(t, s.Release(context.Background(), "ns/acme", "req"))
	s.sweep(p, 1000)
	same(t, "owners that are left", s.count("EXISTS", leasesKey, listKey("pod")), int64(0))
}

// A list that cannot be read keeps nobody from the others.
func TestAnUnreadableList(t *testing.T) {
	s := newMini(t)
	s.dies("bad")
	must(t, s.raw("SET", listKey("bad"), "x").Error())
	s.holds("good", "req")
	p := &Pass{}
	if found, more, err := s.Orphans(context.Background(), p, 10); err == nil || !more || len(found) > 0 {
		t.Errorf("%v, %v, %v", found, more, err)
	}
	ids, _ := s.sweep(p, 10)
	same(t, "found", ids, []string{"req"})
}
