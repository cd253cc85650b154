package admit

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/layers-dev/layers/hack/testenv"
)

func TestURL(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h:1":             "h:1 db 0",
		"redis://:secret@h/3":     "h:6379 password db 3",
		"rediss://u:secret@h:2/1": "h:2 user password tls db 1",
	} {
		o, err := Options{URL: url}.withDefaults().client()
		must(t, err)
		got := o.InitAddress[0]
		if o.Username == "u" {
			got += " user"
		}
		if o.Password == "secret" {
			got += " password"
		}
		if o.TLSConfig != nil && o.TLSConfig.ServerName == "h" {
			got += " tls"
		}
		same(t, url, got+" db "+decimal(o.SelectDB), want)
	}
	for _, url := range []string{"", "http://h", "redis://:secret@h:x y", "redis://:secret@h/one"} {
		if _, err := NewRedis(Options{URL: url}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestCacheValues(t *testing.T) {
	onBoth(t, func(t *testing.T, s *store) {
		ctx := context.Background()
		look := func() string {
			v, ok, err := s.Get(ctx, "lyr:key:x")
			must(t, err)
			if !ok {
				return "none"
			}
			return v
		}
		same(t, "empty", look(), "none")
		must(t, s.Set(ctx, "lyr:key:x", "", time.Minute))
		same(t, "set to nothing", look(), "")
		must(t, s.Set(ctx, "lyr:key:x", "value", time.Minute))
		same(t, "set", look(), "value")
		if ttl := s.count("PTTL", "lyr:key:x"); ttl <= 0 || ttl > 60_000 {
			t.Errorf("TTL %d ms", ttl)
		}
		must(t, s.Del(ctx, "lyr:key:x"))
		must(t, s.Del(ctx, "lyr:key:x"))
		same(t, "deleted", look(), "none")
	})
}

// A replica starts while Redis is away, refuses in time, and goes on by itself when Redis is back, its data lost.
func TestRedisComesAndGoes(t *testing.T) {
	server := testenv.RedisServer(t)
	server.Kill()
	r, err := NewRedis(Options{URL: server.URL, Timeout: 300 * time.Millisecond})
	must(t, err)
	defer r.Close()
	ctx := context.Background()
	down := func() {
		t.Helper()
		start := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if d, err := r.Admit(ctx, request(1)); err == nil {
					t.Errorf("answered %+v while Redis is away", d)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("refusing took %v", took)
		}
	}
	back := func() {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); r.Ping(ctx) != nil; {
			if time.Now().After(deadline) {
				t.Fatal("Redis is back, but is not used")
			}
		}
		d, err := r.Admit(ctx, request(1))
		must(t, err)
		same(t, "outcome", d.Outcome, ReloadKey)
		must(t, r.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1))
	}
	down()
	server.Restart()
	back()
	server.Kill()
	down()
	server.Restart()
	back()
}

func TestClosed(t *testing.T) {
	s := newMini(t)
	must(t, s.Ping(context.Background()))
	s.Close()
	s.Close()
	if err := s.Ping(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
