package admit

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// newCluster starts a cluster of one node, which refuses a script whose keys are in two slots as any other does.
func newCluster(t *testing.T) *store {
	t.Helper()
	server := newProcess(t, "--cluster-enabled", "yes")
	_, err := server.command(addSlots(0, 16383)...)
	must(t, err)
	c, err := server.dial()
	must(t, err)
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); c.Do(t.Context(), c.B().Get().Key("x").Build()).Error() != rueidis.Nil; {
		if time.Now().After(deadline) {
			t.Fatal("the cluster is not up")
		}
	}
	return &store{tb: t, Redis: open(t, server.URL)}
}

func TestCluster(t *testing.T) {
	s, ctx := newCluster(t), context.Background()
	var batch []Confirmation
	for _, account := range []string{"ns/a", "ns/b", "ns/c", "ns/d"} {
		must(t, s.LoadKey(ctx, account, "digest", KeyActive, 1))
		must(t, s.LoadAccount(ctx, Copy{Account: account, Spendable: 100, Version: 1}))
		q := request(60, limited(60, 5), tokens(snapshot.InputTokensPerMinute, 60, 60, 5), capped(100, "Month"), func(q *Request) {
			q.Account, q.MaxConcurrent = account, 1
		})
		window := s.want(q, ReloadCap).Window
		must(t, s.LoadSpend(ctx, account, "digest", Spend{"Month", window, 40}))
		same(t, "preview", s.preview(q).Outcome, Admitted)
		s.want(q, Admitted)
		again := q
		again.ID += "again"
		s.want(again, TooManyConcurrent)
		must(t, s.Finish(ctx, Finish{RequestID: q.ID, Account: account, KeyDigest: "digest", Actual: 60, InputTokens: 60}))
		s.want(again, RateLimited)
		again.Rates = nil
		s.want(again, CapReached)
		s.want(request(60, func(q *Request) { q.Account = account }), InsufficientCredits)
		batch = append(batch, Confirmation{RequestID: q.ID, Account: account, Balance: 50, Version: 2})
	}
	must(t, s.Confirm(ctx, batch))
	for _, c := range batch {
		d := s.want(request(51, func(q *Request) { q.Account = c.Account }), InsufficientCredits)
		same(t, c.Account, []int64{d.Spendable, d.Reserved}, []int64{50, 0})
		q := request(50, func(q *Request) { q.Account = c.Account })
		s.want(q, Admitted)
		must(t, s.Release(ctx, q.Account, q.ID))
	}
	must(t, s.Set(ctx, "lyr:key:x", "value", time.Minute))
	v, ok, err := s.Get(ctx, "lyr:key:x")
	must(t, err)
	same(t, "cached", []any{v, ok}, []any{"value", true})
}
