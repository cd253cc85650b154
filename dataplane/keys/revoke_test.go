package keys

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/hack/testenv"
)

// keyAge is how old a copy of a key in Redis may be, in these tests.
const keyAge = time.Second

// world is a ledger, a Redis and a replica that knows the key already, as a gateway has them.
type world struct {
	*testing.T
	ledger  ledger.Ledger
	redis   *admit.Redis
	raw     rueidis.Client
	replica *Resolver
	asked   *int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return connect(t, "sqlite:"+filepath.Join(t.TempDir(), "l.db"), testenv.Redis(t))
}

// connect is a world on stores that are there.
func connect(t *testing.T, books, redisURL string) *world {
	t.Helper()
	l, err := ledger.Open(t.Context(), books, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	redis, err := admit.NewRedis(admit.Options{URL: redisURL, KeyAge: keyAge})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	opt, err := rueidis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	opt.DisableCache = true
	raw, err := rueidis.NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(raw.Close)
	return &world{T: t, ledger: l, redis: redis, raw: raw, replica: NewResolver(Options{Store: l, Cache: redis}), asked: new(int)}
}

// key makes a key that the replica has used.
func (w *world) key(name string) ledger.Key {
	w.Helper()
	k, err := w.ledger.CreateKey(w.Context(), ledger.NewKey{
		Digest: Digest(name), Name: name, Account: "ns/acme", Source: ledger.SourceCLI, GatewayUID: "g",
	})
	if err != nil {
		w.Fatal(err)
	}
	if !w.passes(k.Digest) {
		w.Fatal("a new key is refused")
	}
	return k
}

// passes sends one request with the key through the replica, as the server does.
func (w *world) passes(digest string) bool {
	w.Helper()
	k, err := w.replica.Lookup(w.Context(), digest)
	for range 3 {
		if errors.Is(err, ErrExpired) || err == nil && k.State != ledger.KeyActive {
			return false
		}
		if err != nil {
			w.Fatal(err)
		}
		*w.asked++
		d, errAdmit := w.redis.Admit(w.Context(), admit.Request{
			ID: fmt.Sprint("req_", *w.asked), Account: k.Account, KeyDigest: digest, KeyVersion: k.Version, Unmetered: true, HoldFor: time.Minute,
		})
		switch {
		case errAdmit != nil:
			w.Fatal(errAdmit)
		case d.Outcome == admit.Admitted:
			return true
		case d.Outcome == admit.KeyRefused:
			return false
		case d.Outcome == admit.ReloadKey:
			if k, err = w.replica.Reload(w.Context(), digest); err == nil {
				err = w.redis.LoadKey(w.Context(), k.Account, digest, string(k.State), k.Version)
			}
		case d.Outcome == admit.ReloadAccount:
			err = w.redis.LoadAccount(w.Context(), admit.Copy{Account: k.Account, Spendable: 0, Version: 1})
		default:
			w.Fatalf("outcome %d", d.Outcome)
		}
	}
	w.Fatal("admission does not come to an end")
	return false
}

func (w *world) flush() {
	w.Helper()
	if err := w.raw.Do(w.Context(), w.raw.B().Flushall().Build()).Error(); err != nil {
		w.Fatal(err)
	}
}

// stores are what Revoke works on, with something that happens at one step of it. Steps count from 0: each call of a store.
type stores struct {
	*world
	step    int
	at      func(step int) (before, after error)
	revoked bool // the ledger has it
	buried  bool // Redis has the tombstone
}

// do runs one step, unless something comes before it; what comes after it loses the answer.
func (s *stores) do(run func() error) error {
	before, after := s.at(s.step)
	s.step++
	if before != nil {
		return before
	}
	return errors.Join(run(), after)
}

func (s *stores) KeyByDigest(ctx context.Context, digest string) (k ledger.Key, err error) {
	err = s.do(func() error { k, err = s.ledger.KeyByDigest(ctx, digest); return err })
	return k, err
}

func (s *stores) RevokeKey(ctx context.Context, digest string) (k ledger.Key, err error) {
	err = s.do(func() error { k, err = s.ledger.RevokeKey(ctx, digest); s.revoked = err == nil; return err })
	return k, err
}

func (s *stores) LoadKey(ctx context.Context, account, digest, state string, version int64) error {
	return s.do(func() error {
		s.buried = true
		return s.redis.LoadKey(ctx, account, digest, state, version)
	})
}

func (s *stores) Get(ctx context.Context, key string) (string, bool, error) {
	return s.redis.Get(ctx, key)
}

func (s *stores) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	return s.redis.Set(ctx, key, value, ttl)
}

func (s *stores) Del(ctx context.Context, key string) error {
	return s.do(func() error { return s.redis.Del(ctx, key) })
}

func (s *stores) revoke(digest string) error {
	_, err := Revoke(s.Context(), s, s, s, digest)
	return err
}

// steps is how many a revocation has: read, tombstone and cache, ledger, state and cache.
const steps = 6

// deliver is what another process does, now or later.
func (w *world) deliver() {
	w.Helper()
	if _, err := Deliver(w.Context(), w.ledger, w.redis, w.redis, ""); err != nil {
		w.Fatal(err)
	}
	if left, err := w.ledger.PendingOutbox(w.Context(), "", 10); err != nil || len(left) > 0 {
		w.Fatalf("left in the outbox: %v, %v", left, err)
	}
}

// finish checks that whatever was left behind, delivering and doing it again end the key.
func (s *stores) finish(digest string) {
	s.Helper()
	s.deliver()
	if s.revoked && s.passes(digest) {
		s.Error("a request passes after the outbox was delivered")
	}
	if k, err := Revoke(s.Context(), s.ledger, s.redis, s.redis, digest); err != nil || k.State != ledger.KeyRevoked {
		s.Errorf("doing it again: %+v, %v", k, err)
	}
	if s.passes(digest) {
		s.Error("a request passes after it was done again")
	}
	s.deliver()
}

var errKilled = errors.New("killed")

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	s := &stores{world: w, at: func(int) (error, error) { return nil, nil }}
	k := w.key("k")
	if err := s.revoke(k.Digest); err != nil || s.step != steps {
		t.Fatalf("%v after %d steps", err, s.step)
	}
	if w.passes(k.Digest) {
		t.Error("the next request passes")
	}
	s.finish(k.Digest)
	if _, err := Revoke(t.Context(), w.ledger, w.redis, nil, Digest("unknown")); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("no key: %v", err)
	}
}

// TestRevokeKilled kills the process between any two steps of a revocation, before or after the step's store has done it,
// with and without Redis losing everything at that moment.
func TestRevokeKilled(t *testing.T) {
	w := newWorld(t)
	for step := range steps + 1 {
		for _, done := range []bool{false, true} {
			for _, flushed := range []bool{false, true} {
				t.Run(fmt.Sprintf("step %d done %v flushed %v", step, done, flushed), func(t *testing.T) {
					w := *w
					w.T = t
					k := w.key(t.Name())
					s := &stores{world: &w}
					s.at = func(n int) (before, after error) {
						switch {
						case n > step || n == step && !done:
							return errKilled, nil
						case n == step:
							return nil, errKilled
						}
						return nil, nil
					}
					err := s.revoke(k.Digest)
					if (err == nil) != (step == steps) {
						t.Fatalf("Revoke = %v", err)
					}
					if flushed {
						w.flush()
						s.buried = false
					}
					if refused := !w.passes(k.Digest); refused != (s.revoked || s.buried) {
						t.Errorf("refused is %v; in the ledger %v, in Redis %v", refused, s.revoked, s.buried)
					}
					if err == nil && !s.revoked {
						t.Error("it returned before the ledger had it")
					}
					s.finish(k.Digest)
				})
			}
		}
	}
}

// TestRevokeWhileRedisIsLost: Redis loses everything, or cannot be reached for one call, at any step of a revocation that
// goes on: when it returns nil, the next request is refused; else it says that Redis does not know.
func TestRevokeWhileRedisIsLost(t *testing.T) {
	w := newWorld(t)
	for step := range steps {
		t.Run(fmt.Sprint("flushed at ", step), func(t *testing.T) {
			w := *w
			w.T = t
			k := w.key(t.Name())
			s := &stores{world: &w, at: func(n int) (error, error) {
				if n == step {
					w.flush()
				}
				return nil, nil
			}}
			if err := s.revoke(k.Digest); err != nil || w.passes(k.Digest) {
				t.Errorf("Revoke = %v, and a request passes", err)
			}
			s.finish(k.Digest)
		})
	}
	for name, lost := range map[string]map[int]bool{
		"tombstone": {1: true}, "tombstone's cache": {2: true}, "state": {4: true}, "state's cache": {5: true}, "all": {1: true, 2: true, 4: true, 5: true},
	} {
		t.Run("no "+name, func(t *testing.T) {
			w := *w
			w.T = t
			k := w.key(t.Name())
			s := &stores{world: &w, at: func(n int) (error, error) {
				if lost[n] {
					return errors.New("unreachable"), nil
				}
				return nil, nil
			}}
			err := s.revoke(k.Digest)
			if untold := lost[4] || lost[5]; errors.Is(err, ErrUntold) != untold || (err == nil) == untold {
				t.Errorf("Revoke = %v", err)
			}
			if (err == nil || s.buried) && w.passes(k.Digest) {
				t.Error("the next request passes")
			}
			s.finish(k.Digest)
		})
	}
}

// TestRevokeWithRedisSetBack: an older copy of Redis comes back after the revocation, with the key's state from before it,
// and nobody tells: the copy is too old before long.
func TestRevokeWithRedisSetBack(t *testing.T) {
	w := newWorld(t)
	k := w.key("k")
	copies := map[string]string{}
	all, err := w.raw.Do(t.Context(), w.raw.B().Keys().Pattern("*"+k.Digest+"*").Build()).AsStrSlice()
	if err != nil || len(all) == 0 {
		t.Fatalf("keys of the key: %v, %v", all, err)
	}
	for _, name := range all {
		if copies[name], err = w.raw.Do(t.Context(), w.raw.B().Dump().Key(name).Build()).ToString(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Revoke(t.Context(), w.ledger, w.redis, w.redis, k.Digest); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	for name, value := range copies {
		if err := w.raw.Do(t.Context(), w.raw.B().Restore().Key(name).Ttl(0).SerializedValue(value).Replace().Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	deadline, poll := time.After(10*keyAge), time.NewTicker(20*time.Millisecond)
	defer poll.Stop()
	for w.passes(k.Digest) {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("it is never refused")
		}
	}
	if w.passes(k.Digest) {
		t.Error("it came back")
	}
}

func TestRevokeHonoursItsContext(t *testing.T) {
	w := newWorld(t)
	k := w.key("k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Revoke(ctx, w.ledger, w.redis, w.redis, k.Digest); !errors.Is(err, context.Canceled) {
		t.Errorf("Revoke = %v", err)
	}
	if got, err := w.ledger.KeyByDigest(t.Context(), k.Digest); err != nil || !cmp.Equal(got, k) {
		t.Errorf("the row is %+v, %v", got, err)
	}
}
