package admit

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/testenv"
)

// tester is a *testing.T, a *testing.B or a *rapid.T.
type tester interface {
	Helper()
	Logf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// store is an Admitter under test with a look behind it.
type store struct {
	*Redis
	tb tester
	// mini is nil on a real server; its clock stands still.
	mini *miniredis.Miniredis
	now  time.Time
}

// onBoth runs a test on miniredis, whose clock the test moves, and on a real server.
func onBoth(t *testing.T, test func(t *testing.T, s *store)) {
	t.Run("miniredis", func(t *testing.T) { test(t, newMini(t)) })
	t.Run("server", func(t *testing.T) { test(t, newServer(t)) })
}

func newMini(tb tester) *store {
	tb.Helper()
	mini := miniredis.RunT(tb)
	s := &store{tb: tb, mini: mini, now: time.UnixMicro(1_800_000_000_000_000).UTC()}
	mini.SetTime(s.now)
	s.Redis = open(tb, "redis://"+mini.Addr())
	s.driver.ForceSingleClient = true
	s.epoch.clock = func() time.Time { return s.now } // or marks would age while no time passes here
	return s
}

func newServer(tb testing.TB) *store {
	tb.Helper()
	return &store{tb: tb, Redis: open(tb, testenv.Redis(tb))}
}

// open makes a client for which no key state is too old; the tests of age have their own.
func open(tb tester, url string) *Redis {
	tb.Helper()
	r, err := NewRedis(Options{URL: url, Timeout: 20 * time.Second, KeyAge: 1000 * time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

// pass moves the clock of miniredis, TTLs with it.
func (s *store) pass(d time.Duration) {
	s.now = s.now.Add(d)
	s.mini.SetTime(s.now)
	s.mini.FastForward(d)
}

// raw sends a command past the Admitter.
func (s *store) raw(args ...string) rueidis.RedisResult {
	c, err := s.connect(context.Background())
	if err != nil {
		s.tb.Fatal(err)
	}
	return c.Do(context.Background(), c.B().Arbitrary(args[0]).Args(args[1:]...).Build())
}

// count sends a command that answers an integer.
func (s *store) count(args ...string) int64 {
	s.tb.Helper()
	n, err := s.raw(args...).AsInt64()
	if err != nil {
		s.tb.Fatal(err)
	}
	return n
}

// goes is a script that answers when a key goes, in ms, or -1: never. It reads the clock until that shows the same before and
// after, as Redis has a command for it from 7 on only.
const goes = `local function ms() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
while true do
  local before, left = ms(), redis.call('PTTL', KEYS[1])
  if left < 0 then return left end
  if before == ms() then return before + left end
end`

// dump answers all that the store holds, byte by byte, and when each key goes. Beats, which tell the store's identity once
// a second whatever is decided, are left out.
func (s *store) dump() map[string]string {
	s.tb.Helper()
	if s.mini != nil {
		kept := []string{}
		for key := range strings.SplitSeq(s.mini.Dump(), "\n- ") {
			if !strings.Contains(key, "lyr:{epoch}:") {
				kept = append(kept, key)
			}
		}
		for _, k := range s.mini.Keys() {
			if !strings.HasPrefix(k, "lyr:{epoch}:") {
				kept = append(kept, fmt.Sprint(k, s.mini.TTL(k)))
			}
		}
		return map[string]string{"": strings.Join(kept, "\n")}
	}
	all := map[string]string{}
	keys, err := s.raw("KEYS", "*").AsStrSlice()
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, k := range keys {
		if strings.HasPrefix(k, "lyr:{epoch}:") {
			continue
		}
		v, err := s.raw("DUMP", k).ToString()
		if s.kind(k) == "hash" { // a large one moves its fields when it is read, too
			var fields map[string]string
			fields, err = s.raw("HGETALL", k).AsStrMap()
			v = fmt.Sprint(fields)
		}
		if err != nil {
			s.tb.Fatal(err)
		}
		all[k] = fmt.Sprintf("%x until %d", v, s.count("EVAL", goes, "1", k))
	}
	return all
}

func (s *store) kind(key string) string {
	s.tb.Helper()
	kind, err := s.raw("TYPE", key).ToString()
	if err != nil {
		s.tb.Fatal(err)
	}
	return kind
}

// sum answers what the store says that an account holds, and the sum of the holds one by one.
func (s *store) sum(account string) (said, counted string) {
	s.tb.Helper()
	all, err := s.raw("HGETALL", holdsKey(account)).AsStrMap()
	if err != nil {
		s.tb.Fatal(err)
	}
	said = all[""]
	if said == "" {
		said = "0"
	}
	delete(all, "")
	delete(all, " ") // the key has no end
	sums, ofKey := map[string]int64{}, map[string]int64{}
	for field, v := range all {
		if strings.HasPrefix(field, "key ") {
			var one int64
			if _, err := fmt.Sscan(v, &one); err != nil {
				s.tb.Fatal(err)
			}
			sums[field] = one
			delete(all, field)
		}
	}
	var n int64
	running := map[string]bool{}
	for id, v := range all {
		h := heldValue(s.tb, v)
		if h.running == 1 {
			running[fmt.Sprint(h.digest, " ", h.until, " ", id)] = true
		}
		n += h.amount
		ofKey["key "+h.digest] += h.amount
	}
	for field, want := range ofKey {
		if want == 0 {
			delete(ofKey, field)
		}
	}
	same(s.tb, "sums of the keys", sums, ofKey)
	slots, err := s.raw("ZRANGE", runningKey(account), "0", "-1").AsStrSlice()
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, member := range slots {
		same(s.tb, "slot "+member, running[member], true)
	}
	same(s.tb, "slots", len(slots), len(running))
	return said, decimal(n)
}

// heldHold is a hold as the store writes it.
type heldHold struct {
	amount, until, running int64
	digest                 string
}

func heldValue(tb tester, v string) (h heldHold) {
	tb.Helper()
	if _, err := fmt.Sscan(v, &h.amount, &h.until, &h.running, &h.digest); err != nil {
		tb.Fatal(err)
	}
	return h
}

// load makes account "ns/acme" with key "digest", version 1.
func (s *store) load(balance int64) {
	s.tb.Helper()
	ctx := context.Background()
	if err := s.LoadKey(ctx, "ns/acme", "digest", KeyActive, 1); err != nil {
		s.tb.Fatal(err)
	}
	if err := s.LoadAccount(ctx, Copy{Account: "ns/acme", Spendable: balance, Version: 1}); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *store) admit(q Request) Decision {
	s.tb.Helper()
	d, err := s.Admit(context.Background(), q)
	if err != nil {
		s.tb.Fatal(err)
	}
	return d
}

func (s *store) want(q Request, want Outcome) Decision {
	s.tb.Helper()
	d := s.admit(q)
	if d.Outcome != want {
		s.tb.Fatalf("request %s: outcome %d, want %d: %+v", q.ID, d.Outcome, want, d)
	}
	return d
}

var serial atomic.Int64

// request asks for a hold on ns/acme, under a new id.
func request(hold int64, change ...func(*Request)) Request {
	q := Request{
		ID: fmt.Sprintf("req_%d", serial.Add(1)), Account: "ns/acme", KeyDigest: "digest", KeyVersion: 1,
		Hold: hold, HoldFor: time.Minute,
	}
	for _, c := range change {
		c(&q)
	}
	return q
}

func limited(perMinute, burst int64) func(*Request) {
	return rated(Rate{Unit: snapshot.RequestsPerMinute, Value: perMinute, Burst: burst, Cost: 1})
}

// rated adds a rate.
func rated(r Rate) func(*Request) {
	return func(q *Request) { q.Rates = append(q.Rates, r) }
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t tester, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func (s *store) preview(q Request) Decision {
	s.tb.Helper()
	d, err := s.Preview(context.Background(), q)
	if err != nil {
		s.tb.Fatal(err)
	}
	return d
}

// holdOf answers a hold as the store has it.
func (s *store) holdOf(id string) (h heldHold, there bool) {
	s.tb.Helper()
	v, err := s.raw("HGET", holdsKey("ns/acme"), id).ToString()
	if err != nil {
		return h, false
	}
	return heldValue(s.tb, v), true
}
