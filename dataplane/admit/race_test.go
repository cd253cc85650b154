package admit

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/layers-dev/layers/hack/testenv"
)

// clients answers n Admitters on one store, as n replicas have them.
func clients(t *testing.T, n int) (first *store, all []*Redis) {
	url := testenv.Redis(t)
	for range n {
		all = append(all, open(t, url))
	}
	return &store{tb: t, Redis: all[0]}, all
}

func TestLimitHoldsOverReplicas(t *testing.T) {
	s, replicas := clients(t, 3)
	s.load(0)
	const burst, asked = 40, 300
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range asked {
		wg.Go(func() {
			d, err := replicas[i%3].Admit(context.Background(), request(0, limited(1, burst)))
			if err != nil {
				t.Error(err)
			} else if d.Outcome == Admitted {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	same(t, "passed", passed.Load(), int64(burst))
}

// 64 hold once at the same time: no more pass than the balance carries.
func TestHoldsAreNeverOverspent(t *testing.T) {
	s, replicas := clients(t, 3)
	s.load(1000)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			d, err := replicas[i%3].Admit(context.Background(), request(30))
			if err != nil {
				t.Error(err)
			} else if d.Outcome == Admitted {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	same(t, "passed", passed.Load(), int64(33))
}

// 64 at a time hold, settle and try again: charges and holds never exceed what there was.
func TestCreditsAreNeverOverspent(t *testing.T) {
	s, replicas := clients(t, 3)
	const granted, hold, cost = 1000, 30, 17
	s.load(granted)
	var mu sync.Mutex // the ledger: balance and version move together
	balance, version := int64(granted), int64(1)
	settle := func(r *Redis, id string) error {
		mu.Lock()
		balance, version = balance-cost, version+1
		c := Confirmation{RequestID: id, Account: "ns/acme", Balance: balance, Version: version}
		mu.Unlock()
		return r.Confirm(context.Background(), []Confirmation{c})
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			r := replicas[i%3]
			for {
				q := request(hold)
				d, err := r.Admit(context.Background(), q)
				if err != nil {
					t.Error(err)
					return
				}
				if d.Outcome != Admitted {
					return
				}
				if d.Spendable-d.Reserved < hold {
					t.Errorf("admitted with %d of %d reserved", d.Reserved, d.Spendable)
				}
				if err := settle(r, q.ID); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if balance < 0 || version == 1 {
		t.Errorf("balance %d after %d settlements", balance, version-1)
	}
	said, counted := s.sum("ns/acme")
	same(t, "held after quiet", []string{said, counted}, []string{"0", "0"})
	must(t, s.LoadAccount(context.Background(), Copy{Account: "ns/acme", Spendable: 0, Version: 1}))
	d := s.want(request(MaxNano), InsufficientCredits)
	same(t, "the copy after quiet", d.Spendable, balance)
}

func TestRevokedKeyIsRefusedByTheNextRequest(t *testing.T) {
	s, replicas := clients(t, 3)
	s.load(1_000_000)
	ctx := context.Background()
	var revoked atomic.Bool
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for {
				was := revoked.Load()
				d, err := replicas[i%3].Admit(ctx, request(1))
				if err != nil {
					t.Error(err)
					return
				}
				if was {
					if d.Outcome != KeyRefused {
						t.Errorf("outcome %d after the key was revoked", d.Outcome)
					}
					return
				}
			}
		})
	}
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyRevoked, 2))
	revoked.Store(true)
	wg.Wait()
	for v := range int64(5) {
		must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, v))
	}
	s.want(request(1), KeyRefused)
	same(t, "life of the tombstone", s.count("PTTL", stateKey("ns/acme", "digest")), int64(-1))
}

func TestOneIDManyTimesAtOnce(t *testing.T) {
	s, replicas := clients(t, 3)
	s.load(100)
	q := request(60)
	var wg sync.WaitGroup
	answers := make([]Decision, 50)
	for i := range answers {
		wg.Go(func() {
			var err error
			if answers[i], err = replicas[i%3].Admit(context.Background(), q); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, d := range answers {
		same(t, "decision", d, answers[0])
	}
	said, _ := s.sum("ns/acme")
	same(t, "held", said, "60")
}
