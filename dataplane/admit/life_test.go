package admit

import (
	"context"
	"slices"
	"testing"
	"time"
)

// What is idle goes by itself, but for tombstones.
func TestLife(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		s.load(100)
		must(t, s.LoadKey(ctx, "ns/acme", "gone", KeyActive, 1))
		must(t, s.LoadKey(ctx, "ns/acme", "gone", KeyRevoked, 2))
		q := request(1, limited(2, 2), func(q *Request) { q.HoldFor = 48 * time.Hour })
		s.want(q, Admitted)
		s.want(request(1), Admitted) // its shorter life does not cut the longer one
		ended := request(1, func(q *Request) { q.HoldFor = 48 * time.Hour })
		s.want(ended, Admitted)
		same(t, "beside its hold a decision takes no key", s.count("EXISTS", requestKey("ns/acme", ended.ID)), int64(0))
		must(t, s.Release(ctx, "ns/acme", ended.ID))
		day := DefaultIdle.Milliseconds()
		for key, want := range map[string]int64{
			accountKey("ns/acme"): day, stateKey("ns/acme", "digest"): day, arriveKey("ns/acme", "digest"): 30_000,
			holdsKey("ns/acme"): 2 * day, expiryKey("ns/acme"): 2 * day, runningKey("ns/acme"): 2 * day, requestKey("ns/acme", ended.ID): 2 * day,
		} {
			if ms := s.count("PTTL", key); ms > want || ms < want-20_000 {
				t.Errorf("%s lives %d ms, want %d", key, ms, want)
			}
		}
		same(t, "tombstone", s.count("PTTL", stateKey("ns/acme", "gone")), int64(-1))
	})
}

func TestIdleAccountIsLoadedAgain(t *testing.T) {
	ctx, s := context.Background(), newMini(t)
	s.load(100)
	must(t, s.LoadKey(ctx, "ns/acme", "gone", KeyRevoked, 2))
	s.pass(DefaultIdle - time.Second)
	must(t, s.Confirm(ctx, []Confirmation{{RequestID: "unknown", Account: "ns/acme", Balance: 90, Version: 2}}))
	s.pass(time.Second)
	s.want(request(1), ReloadKey)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
	s.want(request(1), Admitted) // a settlement kept the account
	s.pass(DefaultIdle)
	s.want(request(1, func(q *Request) { q.KeyDigest = "gone" }), KeyRefused)
	must(t, s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
	s.want(request(1), ReloadAccount)
	left := slices.DeleteFunc(s.mini.Keys(), func(k string) bool { return k == s.epoch.key })
	same(t, "keys left", left, []string{epochKey, stateKey("ns/acme", "digest"), stateKey("ns/acme", "gone")})
}
