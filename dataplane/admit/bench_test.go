package admit

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// What an admission costs beside the bare round trip of a script that does nothing; `go test -bench . ./dataplane/admit`.
func BenchmarkAdmit(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store{
		"server": newServer, "miniredis": func(tb testing.TB) *store { return newMini(tb) },
	} {
		ctx := context.Background()
		b.Run(name+"/bare", func(b *testing.B) {
			s, script := open(b), rueidis.NewLuaScript("return 1")
			c, err := s.connect(ctx)
			must(b, err)
			for b.Loop() {
				must(b, script.Exec(ctx, c, []string{"k"}, nil).Error())
			}
		})
		b.Run(name+"/admit", func(b *testing.B) {
			s := open(b)
			s.load(MaxNano)
			for b.Loop() {
				s.want(request(1, limited(1_000_000_000, 1_000_000_000)), Admitted)
			}
		})
		b.Run(name+"/admit every rule", func(b *testing.B) {
			s := open(b)
			s.load(MaxNano)
			window, _ := windowOf("Month", s.admit(request(0)).Now)
			s.spent("Month", window.Unix(), 0)
			every := func(q *Request) {
				for _, unit := range minuteUnits {
					q.Rates = append(q.Rates, Rate{Unit: unit, Value: MaxRate, Burst: MaxRate, Cost: 1})
				}
				q.Rates = append(q.Rates, Rate{Unit: snapshot.RequestsPerDay, Value: MaxRate, Cost: 1})
				q.MaxConcurrent, q.Cap = MaxRate, &Cap{Amount: MaxNano, Period: "Month"}
			}
			for b.Loop() {
				s.want(request(1, every), Admitted)
			}
		})
		b.Run(name+"/admit+confirm", func(b *testing.B) {
			s := open(b)
			s.load(MaxNano)
			for i := int64(2); b.Loop(); i++ {
				q := request(1, func(q *Request) { q.ID = strconv.FormatInt(i, 10) })
				s.want(q, Admitted)
				must(b, s.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: MaxNano - i, Version: i}}))
			}
		})
		b.Run(name+"/owned", func(b *testing.B) { // the whole life of a hold with an owner
			s := open(b)
			s.opts.Owner, s.owner = "pod", newOwner("pod")
			s.opts.Lease = time.Hour
			s.load(MaxNano)
			for i := int64(2); b.Loop(); i++ {
				q := request(1)
				s.want(q, Admitted)
				must(b, s.Finish(ctx, Finish{RequestID: q.ID, Account: q.Account, KeyDigest: q.KeyDigest, Actual: 1, Record: make([]byte, 600)}))
				must(b, s.Confirm(ctx, []Confirmation{{RequestID: q.ID, Account: q.Account, Balance: MaxNano - i, Version: i}}))
			}
		})
		b.Run(name+"/refuse", func(b *testing.B) {
			s := open(b)
			s.load(0)
			for b.Loop() {
				s.want(request(1), InsufficientCredits)
			}
		})
	}
}
