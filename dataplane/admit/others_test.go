package admit

import (
	"context"
	"sync"
	"testing"
)

// N pods seed a counter by increment (litellm#28247): what was spent is copied from the ledger, and never added. Five replicas
// that find an empty Redis at once, each of which brings what it read many times over, while one of them brings an amount that
// is older, leave what the ledger says, of the account and of the key's window.
func TestReplicasDoNotSeedACounterByIncrement(t *testing.T) {
	s, replicas := clients(t, 5)
	s.load(0)
	monthly := capped(100, "Month")
	window := s.want(request(1, monthly), ReloadCap).Window
	must(t, s.raw("FLUSHALL").Error())
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range 50 {
		r, older := replicas[i%5], i%5 == 4
		of, spent := Copy{Account: "ns/acme", Spendable: 1000, Version: 7}, int64(60)
		if older {
			of, spent = Copy{Account: "ns/acme", Spendable: 1030, Version: 6}, 30
		}
		wg.Go(func() {
			must(t, r.LoadAccount(ctx, of))
			must(t, r.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
			must(t, r.LoadSpend(ctx, "ns/acme", "digest", Spend{Period: "Month", Window: window, Spent: spent}))
		})
	}
	wg.Wait()
	same(t, "spent", s.want(request(41, monthly), CapReached).Refusal.Used, int64(60))
	same(t, "spendable", s.want(request(1001), InsufficientCredits).Spendable, int64(1000))
	s.want(request(40, monthly), Admitted)
}
