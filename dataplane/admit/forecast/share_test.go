package forecast

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/layers-dev/layers/hack/testenv"
)

// memory is a Store in memory.
type memory struct {
	mu      sync.Mutex
	records map[Series]map[string]string
	asked   int
	broken  error
}

func newMemory() *memory { return &memory{records: map[Series]map[string]string{}} }

func (m *memory) Exchange(_ context.Context, replica string, questions []Question, _ time.Duration) ([]map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	m.asked += len(questions)
	var out []map[string]string
	for _, q := range questions {
		if q.Record != "" {
			if m.records[q.Series] == nil {
				m.records[q.Series] = map[string]string{}
			}
			m.records[q.Series][replica] = q.Record
		}
		out = append(out, maps.Clone(m.records[q.Series]))
	}
	return out, nil
}

func (m *memory) Forget(_ context.Context, s Series, replicas []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range replicas {
		delete(m.records[s], r)
	}
	return nil
}

// history is a History of one series.
type history struct {
	of     Series
	tokens []int64
	err    error
	asked  int
}

func (h *history) Recent(_ context.Context, s Series, most int) ([]int64, error) {
	h.asked++
	if s != h.of {
		return nil, h.err
	}
	return h.tokens[:min(most, len(h.tokens))], h.err
}

func redisStore(t *testing.T) Redis {
	t.Helper()
	o, err := rueidis.ParseURL(testenv.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	o.DisableCache = true
	c, err := rueidis.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return Redis{Client: func(context.Context) (rueidis.Client, error) { return c, nil }}
}

// stores are those on which everything below must hold.
func stores(t *testing.T, test func(t *testing.T, s Store)) {
	t.Run("memory", func(t *testing.T) { test(t, newMemory()) })
	t.Run("redis", func(t *testing.T) { test(t, redisStore(t)) })
}

func synced(t *testing.T, b *Book) {
	t.Helper()
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestReplicasShare(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		c := newClock()
		a, b := New(Options{Replica: "a", Now: c.read, Store: s}), New(Options{Replica: "b", Now: c.read, Store: s})
		sawMany(a, agent, 15, 300)
		sawMany(b, agent, 15, 300)
		if got := a.Output(agent, 1); got != 1 {
			t.Fatalf("15 answers are enough: %d", got)
		}
		synced(t, a)
		synced(t, b)
		if got := b.Output(agent, 1); got < 300 {
			t.Errorf("b heard nothing of a: %d", got)
		}
		c.turn(DefaultRefresh)
		a.Output(agent, 1)
		synced(t, a)
		if got := a.Output(agent, 1); got < 300 {
			t.Errorf("a heard nothing of b: %d", got)
		}
		for range 5 { // writing again adds nothing
			c.turn(DefaultRefresh)
			a.Saw(agent, 300)
			synced(t, a)
		}
		c.turn(DefaultRefresh)
		b.Output(agent, 1)
		synced(t, b)
		if e := b.series[agent].Value.(*entry); e.others.Total() != 20 || e.own.Total() != 15 {
			t.Errorf("b knows %d of others, %d of its own; want 20 and 15", e.others.Total(), e.own.Total())
		}
	})
}

func TestRestartRemembers(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		c := newClock()
		before := New(Options{Replica: "pod/1", Now: c.read, Store: s})
		sawMany(before, agent, 50, 300)
		for range 50 {
			before.SawInput("gemini", 1000, overhead+500)
		}
		synced(t, before)

		after := New(Options{Replica: "pod/2", Now: c.read, Store: s})
		if got := after.Output(agent, 1); got != 1 {
			t.Fatalf("before it has asked: %d", got)
		}
		after.Input("gemini", 1000)
		synced(t, after)
		if got := after.Output(agent, 1); got < 300 {
			t.Errorf("after it has asked: %d", got)
		}
		if got := after.Input("gemini", 1000); got < overhead+500 {
			t.Errorf("input of 1000 bytes: %d", got)
		}
	})
}

func TestTheLedgerRemembersWhereRedisDoesNot(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		c := newClock()
		h := &history{of: agent, tokens: slices.Repeat([]int64{700}, 1000), err: errors.New("away")}
		b := New(Options{Replica: "a", Now: c.read, Store: s, History: h})
		b.Saw(agent, 700) // an answer that came before the first Sync
		b.Input("gemini", 1000)
		if err := b.Sync(t.Context()); !errors.Is(err, h.err) {
			t.Fatalf("the ledger is away, and Sync says %v", err)
		}
		h.err = nil
		synced(t, b)
		if got := b.Output(agent, 1); got < 700 || h.asked != 2 {
			t.Fatalf("estimate %d; asked %d times", got, h.asked)
		}
		for range 3 {
			c.turn(DefaultRefresh)
			b.Output(agent, 1)
			synced(t, b)
		}
		if e := b.series[agent].Value.(*entry); h.asked != 2 || e.own.Total() != historyMost+1 {
			t.Errorf("asked %d times, knows %d answers", h.asked, e.own.Total())
		}
		other := New(Options{Replica: "b", Now: c.read, Store: s, History: h})
		other.Output(agent, 1)
		synced(t, other)
		if got := other.Output(agent, 1); got < 700 || h.asked != 2 {
			t.Errorf("the second replica: estimate %d, and the ledger was asked %d times", got, h.asked)
		}
	})
}

func TestBrokenRecordsAreDropped(t *testing.T) {
	stores(t, func(t *testing.T, s Store) {
		c := newClock()
		now := c.read().Unix()
		for replica, text := range map[string]string{
			"garbage":  "what?",
			"no time":  "x 5:1",
			"old":      fmt.Sprint(now-9*86400, " 5:100"),
			"future":   fmt.Sprint(now+3*86400, " 5:100"),
			"a bucket": fmt.Sprint(now, " 999:1"),
		} {
			if _, err := s.Exchange(t.Context(), replica, []Question{{agent, text}}, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		for i := range replicasMost + 3 {
			record := []Question{{agent, fmt.Sprint(now-int64(i), " 10:1")}}
			if _, err := s.Exchange(t.Context(), fmt.Sprintf("boot-%02d", i), record, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		b := New(Options{Replica: "me", Now: c.read, Store: s})
		b.Saw(agent, 10)
		synced(t, b)
		answers, err := s.Exchange(t.Context(), "me", []Question{{agent, ""}}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"me"}
		for i := range replicasMost {
			want = append(want, fmt.Sprintf("boot-%02d", i))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(answers[0]))); diff != "" {
			t.Error(diff)
		}
		if got := b.Output(agent, 1); got != 10 {
			t.Errorf("estimate %d", got)
		}
	})
}

func TestOthersFadeToo(t *testing.T) {
	c, s := newClock(), newMemory()
	s.records[agent] = map[string]string{"gone": fmt.Sprint(c.read().Unix(), " 10:400")}
	b := New(Options{Replica: "me", Now: c.read, Store: s, HalfLife: time.Hour})
	c.turn(3 * time.Hour)
	b.Output(agent, 1)
	synced(t, b)
	if got := b.series[agent].Value.(*entry).others.Total(); got != 50 {
		t.Errorf("three half-lives later %d of 400 count, want 50", got)
	}
}

func TestSyncTriesAgain(t *testing.T) {
	c, s := newClock(), newMemory()
	b := New(Options{Replica: "me", Now: c.read, Store: s})
	b.Saw(agent, 10)
	s.broken = errors.New("away")
	if err := b.Sync(t.Context()); !errors.Is(err, s.broken) {
		t.Fatalf("Sync = %v", err)
	}
	s.broken = nil
	synced(t, b)
	if s.records[agent]["me"] == "" {
		t.Error("what could not be written was forgotten")
	}
	asked := s.asked
	synced(t, b)
	if s.asked != asked {
		t.Error("a fresh view was read again")
	}
}

func TestSyncIsBounded(t *testing.T) {
	c, s := newClock(), newMemory()
	b := New(Options{Replica: "me", Now: c.read, Store: s})
	for i := range syncMost + 500 {
		b.Saw(Series{fmt.Sprint("key", i), "m"}, 5)
	}
	synced(t, b)
	if s.asked != syncMost {
		t.Errorf("the first Sync exchanged %d series", s.asked)
	}
	synced(t, b)
	if s.asked != syncMost+500 || len(s.records) != syncMost+500 {
		t.Errorf("two Syncs exchanged %d series and wrote %d", s.asked, len(s.records))
	}
}

func TestRunWritesWhenItEnds(t *testing.T) {
	s := newMemory()
	b := New(Options{Replica: "me", Now: newClock().read, Store: s})
	b.Saw(agent, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Run(ctx, nil, time.Second, func(err error) { t.Error(err) })
	if s.records[agent]["me"] == "" {
		t.Error("a replica that ends leaves nothing")
	}
}

func TestRunGoesOnAfterAFailure(t *testing.T) {
	s := newMemory()
	s.broken = errors.New("away")
	b := New(Options{Replica: "me", Now: newClock().read, Store: s})
	b.Saw(agent, 10)
	ctx, cancel := context.WithCancel(t.Context())
	tick, failed := make(chan time.Time), make(chan error, 9)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Run(ctx, tick, time.Second, func(err error) { failed <- err })
	}()
	tick <- time.Time{}
	if err := <-failed; !errors.Is(err, s.broken) {
		t.Errorf("failed heard %v", err)
	}
	s.mu.Lock()
	s.broken = nil
	s.mu.Unlock()
	tick <- time.Time{}
	tick <- time.Time{} // the one before is done
	cancel()
	<-done
	if s.records[agent]["me"] == "" || len(failed) > 0 {
		t.Errorf("records %v, %d more failures", s.records, len(failed))
	}
}

func TestRedisIsAway(t *testing.T) {
	away := errors.New("away")
	r := Redis{Client: func(context.Context) (rueidis.Client, error) { return nil, away }}
	if _, err := r.Exchange(t.Context(), "me", []Question{{agent, ""}}, time.Hour); !errors.Is(err, away) {
		t.Errorf("Exchange: %v", err)
	}
	if err := r.Forget(t.Context(), agent, []string{"x"}); !errors.Is(err, away) {
		t.Errorf("Forget: %v", err)
	}
}
