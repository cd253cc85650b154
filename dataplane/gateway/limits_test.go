package gateway

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// limited gives a rig's keys a tier.
func limited(limits []snapshot.RateLimit, concurrent int64) func(*snapshot.Snapshot) {
	return func(s *snapshot.Snapshot) {
		s.Tiers = []snapshot.Tier{{Name: "ns/tier", Limits: limits, MaxConcurrent: concurrent, MaxBodyBytes: 1 << 20}}
		s.DefaultTier = "ns/tier"
	}
}

// Concurrency slots leak (litellm#27955): those of clients that leave, of calls that fail and of replicas that are killed come back.
func TestConcurrencySlotsDoNotLeak(t *testing.T) {
	const slots = 4
	r := newRig(t, 2, limited(nil, slots))
	killed := r.child(t.TempDir())
	r.answers(1, r.last())

	// Two clients leave, two requests fail before they reach the provider, two run on a replica that is killed.
	ctx, leave := context.WithCancel(t.Context())
	for i := range 2 {
		go func() { _, _ = http.DefaultClient.Do(request(t, r.apis[i], hold).WithContext(ctx)) }()
	}
	for range 2 {
		go func() { _, _ = http.DefaultClient.Do(request(t, killed.api, hold)) }()
	}
	for range slots {
		<-r.entered
	}
	if got := r.ask(0, hi); got.status != http.StatusTooManyRequests {
		t.Fatalf("a fifth at once: %d %s", got.status, got.body)
	}
	leave()
	killed.kill(t)
	r.apis = r.apis[:2]
	close(r.release)
	for i := range 2 {
		if got := r.ask(i, `{"model":"test/model","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"n":-1}`); got.status != http.StatusBadRequest {
			t.Errorf("a bad request: %d %s", got.status, got.body)
		}
	}
	eventually(t, "all slots are free", func() bool { return r.atOnce(slots) == slots })
	if got := r.atOnce(slots + 3); got > slots {
		t.Errorf("%d at once, want %d", got, slots)
	}
}

// atOnce sends n requests that all wait for each other, as far as they are let in, and answers how many were.
func (r *rig) atOnce(n int) (passed int) {
	r.t.Helper()
	r.release = make(chan struct{})
	answers := make(chan reply, n)
	for i := range n {
		go func() { answers <- r.ask(i, hold) }()
	}
	for range n {
		select {
		case <-r.entered:
			passed++
		case got := <-answers:
			if got.status != http.StatusTooManyRequests {
				r.t.Fatalf("%d %s", got.status, got.body)
			}
			answers <- got
		}
	}
	close(r.release)
	for range n {
		<-answers
	}
	return passed
}

// Limits multiply by replicas (litellm#27736): with Redis they are one for all, without it each replica has its share of them.
func TestLimitsDoNotMultiplyByReplicas(t *testing.T) {
	const limit = 60
	r := newRig(t, 3, limited([]snapshot.RateLimit{{Unit: snapshot.RequestsPerMinute, Value: limit, Burst: limit}}, 0))
	r.warm()
	begun := time.Now()
	passed, _ := r.volley(limit+20, hi)
	exactly(t, limit, len(passed), time.Since(begun))

	r.redis.Kill()
	for i := range r.apis { // each finds out by itself; its share may be used up meanwhile
		eventually(t, "no Redis", func() bool {
			got := r.ask(i, hi)
			return got.header.Get("X-Layers-Degraded") == "redis" || got.status == http.StatusTooManyRequests
		})
	}
	begun = time.Now()
	passed, refused := r.volley(2*limit, hi)
	if most := limit + int(time.Since(begun)/time.Second)*3; len(passed) > most || len(refused) == 0 {
		t.Errorf("%d passed without Redis, want at most %d", len(passed), most)
	}
	for _, got := range refused {
		if e := object(t, got); got.status != http.StatusTooManyRequests || fmt.Sprint(e["rule"]) != "RequestsPerMinute" {
			t.Fatalf("%d %v", got.status, e)
		}
	}
}
