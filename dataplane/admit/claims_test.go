package admit

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

func (s *store) claim(account, name, id string, keep time.Duration) string {
	s.tb.Helper()
	holder, err := s.Claim(context.Background(), account, name, id, keep)
	must(s.tb, err)
	return holder
}

func TestClaim(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		same(t, "first", s.claim("ns/acme", "a name", "req_1", time.Hour), "req_1")
		same(t, "again", s.claim("ns/acme", "a name", "req_1", time.Hour), "req_1")
		same(t, "second", s.claim("ns/acme", "a name", "req_2", time.Hour), "req_1")
		same(t, "another account", s.claim("ns/other", "a name", "req_2", time.Hour), "req_2")
		same(t, "another name", s.claim("ns/acme", "name", "req_2", time.Hour), "req_2")
		must(t, s.GiveUp(ctx, "ns/acme", "a name", "req_2"))
		same(t, "not given up by another", s.claim("ns/acme", "a name", "req_2", time.Hour), "req_1")
		must(t, s.GiveUp(ctx, "ns/acme", "a name", "req_1"))
		must(t, s.GiveUp(ctx, "ns/acme", "a name", "req_1"))
		same(t, "given up", s.claim("ns/acme", "a name", "req_2", time.Hour), "req_2")
		if ms := s.count("PTTL", claimKey("ns/acme", "a name")); ms <= 3_590_000 || ms > 3_600_000 {
			t.Errorf("it is kept for %d ms", ms)
		}
	})
}

func TestClaimEnds(t *testing.T) {
	s := newMini(t)
	same(t, "first", s.claim("ns/acme", "name", "req_1", time.Minute), "req_1")
	s.pass(59 * time.Second)
	same(t, "asking again does not prolong it", s.claim("ns/acme", "name", "req_1", time.Minute), "req_1")
	s.pass(time.Second)
	same(t, "after its time", s.claim("ns/acme", "name", "req_2", time.Minute), "req_2")
}

func TestOneOfManyClaims(t *testing.T) {
	_, replicas := clients(t, 3)
	holders := make([]string, 30)
	var wg sync.WaitGroup
	for i := range holders {
		wg.Go(func() {
			var err error
			if holders[i], err = replicas[i%3].Claim(context.Background(), "ns/acme", "name", fmt.Sprint(i), time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, h := range holders {
		same(t, "holder", h, holders[0])
	}
}

func TestClaimCheck(t *testing.T) {
	s, ctx := newMini(t), context.Background()
	for what, err := range map[string]error{
		"account": s.GiveUp(ctx, "", "n", "r"), "name": s.GiveUp(ctx, "a", "", "r"), "id": s.GiveUp(ctx, "a", "n", ""),
	} {
		if err == nil {
			t.Errorf("giving up without %s is no error", what)
		}
	}
	for _, c := range [][]string{{"", "n", "r"}, {"a", "", "r"}, {"a", "n", ""}} {
		if _, err := s.Claim(ctx, c[0], c[1], c[2], time.Hour); err == nil {
			t.Errorf("claiming %q is no error", c)
		}
	}
	if _, err := s.Claim(ctx, "a", "n", "r", time.Microsecond); err == nil {
		t.Error("a claim for no time is no error")
	}
}
