package admit

import (
	"context"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// The same id is answered with its decision as long as its request was to live, whatever has become of its hold since, and holds nothing more.
func TestDecisionOutlivesItsHold(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		then func(a *store, q Request)
		held string
	}{
		"it stands":       {func(*store, Request) {}, "60"},
		"it was extended": {func(a *store, q Request) { same(a.tb, "extended", a.extend(q, 70).Outcome, Admitted) }, "70"},
		"it was finished": {func(a *store, q Request) { a.used(q, 45, 0, 3) }, "45"},
		"it was finished and released": {func(a *store, q Request) {
			a.used(q, 45, 0, 3)
			must(a.tb, a.Release(ctx, q.Account, q.ID))
		}, "0"},
		"it was confirmed": {func(a *store, q Request) {
			must(a.tb, a.Confirm(ctx, []Confirmation{{RequestID: "other", Account: q.Account}, {RequestID: q.ID, Account: q.Account}}))
		}, "0"},
		"nobody knew of it, and Sync ended it": {func(a *store, q Request) {
			a.owner.forget([]holdID{{q.Account, q.ID}})
			a.sync()
		}, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			onBothOwned(t, func(t *testing.T, a, b *store) {
				a.load(1000)
				q := request(60, tokens(snapshot.OutputTokensPerMinute, 600, 600, 100), func(q *Request) { q.HoldFor, q.Record = time.Hour, []byte("orphan") })
				first := a.want(q, Admitted)
				c.then(a, q)
				same(t, "held", a.held(), c.held)
				same(t, "again", a.want(q, Admitted), first)
				same(t, "another's question", b.want(q, Admitted), first)
				same(t, "held after it", a.held(), c.held)
			})
		})
	}
}
