package admit

import (
	"context"
	"fmt"
	"testing"
)

// What an account that is idle and a hold take of a real server's memory, in bytes; printed, and bounded loosely so that a
// leak of another order is seen.
func TestMemory(t *testing.T) {
	s := newServer(t)
	s.opts.Owner, s.owner = "pod", newOwner("4f9c2d1e-8a37-4b6f-9d55-0c1e2f3a4b5c.8c1d")
	ctx := context.Background()
	const n = 1000
	used := func() int64 {
		t.Helper()
		sum := int64(0)
		keys, err := s.raw("KEYS", "lyr:{ns/*").AsStrSlice()
		must(t, err)
		for _, k := range keys {
			sum += s.count("MEMORY", "USAGE", k, "SAMPLES", "0")
		}
		return sum
	}
	for i := range n {
		account := fmt.Sprintf("ns/%d", i)
		must(t, s.LoadKey(ctx, account, "digest", KeyActive, 1))
		must(t, s.LoadAccount(ctx, Copy{Account: account, Spendable: 1000, Version: 1}))
	}
	idle := used() / n
	hold := func(record int) int64 {
		before := used()
		for range n {
			q := request(1, func(q *Request) { q.Account = "ns/0" })
			s.want(q, Admitted)
			must(t, s.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 1, Record: make([]byte, record)}))
		}
		return (used() - before) / n
	}
	must(t, s.LoadAccount(ctx, Copy{Account: "ns/0", Spendable: 1_000_000, Version: 2}))
	bare, full := hold(0), hold(MaxRecord)
	t.Logf("bytes: %d an idle account, %d a finished hold and its decision, %d with a record of %d", idle, bare, full, MaxRecord)
	if idle > 1500 || bare > 1500 || full > bare+2*MaxRecord {
		t.Errorf("more than was thought: %d, %d, %d", idle, bare, full)
	}
}
