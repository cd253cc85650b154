package admit

import (
	"context"
	"testing"
)

// A prepared call is the admission's own: it admits, and the admission finds that it did.
func TestPrepare(t *testing.T) {
	onBothOwned(t, func(t *testing.T, a, _ *store) {
		ctx := context.Background()
		a.load(100)
		a.want(request(1), Admitted)
		q := request(60, func(q *Request) { q.Record = []byte("orphan") })
		before := a.dump()
		call, err := a.Prepare(ctx, q)
		must(t, err)
		same(t, "nothing is written", a.dump(), before)
		c, err := a.Client(ctx)
		must(t, err)
		reply, err := call.Script.Exec(ctx, c, call.Keys, call.Args).ToString()
		must(t, err)
		d, err := parseDecision(reply)
		must(t, err)
		same(t, "admission", a.want(q, Admitted), d)
		same(t, "held", a.held(), "61")
		if _, err := a.Prepare(ctx, request(-1)); err == nil {
			t.Error("a broken request has no error")
		}
	})
}
