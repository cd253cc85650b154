package failover

import (
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// limits are the rates of keys as this replica alone counts them. They are bounded: the key that was not used for longest
// begins anew.
type limits struct {
	mu   sync.Mutex
	keys *lru[string, map[snapshot.Unit]state]
}

func newLimits(size int) *limits { return &limits{keys: newLRU[string, map[snapshot.Unit]state](size)} }

// share is this replica's part of rates, at least one of each.
func share(rates []admit.Rate, replicas int64) []admit.Rate {
	out := make([]admit.Rate, len(rates))
	for i, r := range rates {
		r.Value, r.Burst = max(1, r.Value/replicas), max(1, r.Burst/replicas)
		out[i] = r
	}
	return out
}

// taken is what a request took of a key's rates.
type taken struct {
	digest string
	rates  []admit.Rate
	today  int64 // start of the day that it counts in
}

// stand is where a key's rates stand after a decision about them.
type stand struct {
	requests, tokens admit.Limit
	// refusal is by the rate that takes longest, wait how long; 0: all pass.
	refusal admit.Refusal
	wait    time.Duration
}

// take takes a request of all rates, or of none. take false only asks.
func (l *limits) take(digest string, rates []admit.Rate, now time.Time, take bool) (before, after stand, t taken) {
	l.mu.Lock()
	defer l.mu.Unlock()
	states, known := l.keys.get(digest)
	measures := make([]measure, len(rates))
	t = taken{digest: digest}
	for i, r := range rates {
		m := measured(r, states[r.Unit], now)
		measures[i] = m
		before.add(r.Unit, m.before)
		after.add(r.Unit, m.after)
		if m.wait > before.wait {
			before.wait = m.wait
			before.refusal = admit.Refusal{Rule: string(r.Unit), Limit: m.before.Limit, Used: m.used, Reset: m.before.Reset}
		}
	}
	if before.wait > 0 || !take {
		return before, after, t
	}
	if !known {
		states = map[snapshot.Unit]state{}
		l.keys.put(digest, states)
	}
	for _, m := range measures {
		if m.rate.Cost > 0 {
			states[m.rate.Unit] = m.next
		}
		if m.rate.Unit == snapshot.RequestsPerDay {
			t.today = m.next.at
		}
		t.rates = append(t.rates, m.rate)
	}
	return before, after, t
}

func (s *stand) add(unit snapshot.Unit, l admit.Limit) {
	switch unit {
	case snapshot.RequestsPerMinute, snapshot.RequestsPerDay:
		s.requests = admit.Tighter(s.requests, l)
	default:
		s.tokens = admit.Tighter(s.tokens, l)
	}
}

// undo gives back what a request took that another rule then refused.
func (l *limits) undo(t taken) {
	l.change(t, func(r admit.Rate, s state) state {
		if r.Unit == snapshot.RequestsPerDay && s.at != t.today {
			return s // another day since
		}
		return undone(r, s)
	})
}

// correct makes what a request took of the tokens what it really used.
func (l *limits) correct(t taken, input, output int64, now time.Time) {
	used := map[snapshot.Unit]int64{snapshot.InputTokensPerMinute: input, snapshot.OutputTokensPerMinute: output}
	l.change(t, func(r admit.Rate, s state) state {
		really, tokens := used[r.Unit]
		if !tokens || really == r.Cost {
			return s
		}
		return corrected(r, s, really, now.UnixMicro())
	})
}

func (l *limits) change(t taken, to func(admit.Rate, state) state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	states, ok := l.keys.get(t.digest)
	if !ok {
		return
	}
	for _, r := range t.rates {
		states[r.Unit] = to(r, states[r.Unit])
	}
}
