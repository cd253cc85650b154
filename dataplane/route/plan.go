package route

import (
	"hash/fnv"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// maxAttempts bounds the calls of one request over all its backends.
const maxAttempts = 4

// perBackend is how often one request may try one backend.
const perBackend = 3

// maxWait is the longest that a request waits for a backend that asked to be left alone: beyond it the client waits better.
const maxWait = 5 * time.Second

// firstBackoff is the wait before a backend is tried again that did not say how long; it doubles, and half of it is random.
const firstBackoff = 200 * time.Millisecond

// Query is one request's wish.
type Query struct {
	// Model is the Model's object, "namespace/name".
	Model string
	// Backends of the Model that can serve the request.
	Backends []snapshot.Backend
	// MaxConcurrent answers a provider's limit; 0: any number.
	MaxConcurrent func(provider string) int32
	// Affinity is the conversation's hash: requests with the same one go to one backend while it can take them; 0: none.
	Affinity uint64
}

// Plan is one request's way through its backends. It is for one goroutine.
type Plan struct {
	r        *Router
	q        Query
	order    []snapshot.Backend
	tried    map[string]int
	waits    map[string]time.Duration // how long to leave a backend alone before it is tried again
	attempts int
}

// Plan begins a request.
func (r *Router) Plan(q Query) *Plan {
	p := &Plan{r: r, q: q, order: Order(q.Backends, r.o.Rand), tried: map[string]int{}, waits: map[string]time.Duration{}}
	if q.Affinity != 0 && !r.o.Without.Affinity {
		p.stick()
	}
	return p
}

func (p *Plan) key(b snapshot.Backend) string { return p.q.Model + "/" + b.Name }

// stick orders each priority's backends by weighted rendezvous hashing, those that have more than their share of what runs
// behind the others ("consistent hashing with bounded loads", Mirrokni et al. 2016).
func (p *Plan) stick() {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	now := p.r.o.Now()
	for start := 0; start < len(p.order); {
		end := start + 1
		for end < len(p.order) && p.order[end].Priority == p.order[start].Priority {
			end++
		}
		group := p.order[start:end]
		var weight, running int64
		for _, b := range group {
			weight += int64(b.Weight)
			running += int64(p.r.state(p.key(b), now).running)
		}
		full := func(b snapshot.Backend) int {
			// A quarter more than its share of all that runs, this request among it.
			share := ((running+1)*int64(b.Weight)*5 + weight*4 - 1) / (weight * 4)
			if int64(p.r.state(p.key(b), now).running) >= max(share, 1) {
				return 1
			}
			return 0
		}
		slices.SortStableFunc(group, func(a, b snapshot.Backend) int {
			if d := full(a) - full(b); d != 0 {
				return d
			}
			return compareScores(p.score(a), p.score(b))
		})
		start = end
	}
}

// score is a backend's claim on the conversation: the smallest wins. With -ln(u)/weight each backend wins as often as its
// weight says, and none but a backend's own conversations move when it comes or goes.
func (p *Plan) score(b snapshot.Backend) float64 {
	h := fnv.New64a()
	var seed [8]byte
	for i := range seed {
		seed[i] = byte(p.q.Affinity >> (8 * i))
	}
	_, _ = h.Write(seed[:]) // a hash never fails
	_, _ = h.Write([]byte(b.Name))
	sum := h.Sum64()
	sum ^= bits.RotateLeft64(sum, 25) ^ bits.RotateLeft64(sum, 47)
	sum *= 0x9e3779b97f4a7c15
	u := (float64(sum>>11) + 0.5) / (1 << 53)
	return -math.Log(u) / float64(b.Weight)
}

func compareScores(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Step is what to do next.
type Step struct {
	// Lease is a place at a backend; nil: there is none now.
	Lease *Lease
	// Wait, if positive, is how long to wait before asking again. Without a Lease and a Wait the plan is at its end.
	Wait time.Duration
	// Retry is, at the end of a plan that called nobody, when a place may be free; 0: not known.
	Retry time.Duration
}

// Next finds the next backend: one that was not tried first, in order; then, if the last failure allows it, one that was,
// after a while. left is the time that the request has.
func (p *Plan) Next(left time.Duration) Step {
	if p.attempts >= maxAttempts {
		return Step{}
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	now := p.r.o.Now()
	soonest := time.Duration(0)
	note := func(d time.Duration) {
		if soonest == 0 || d < soonest {
			soonest = d
		}
	}
	for _, b := range p.order {
		if p.tried[b.Name] > 0 {
			continue
		}
		ok, again := p.free(b, now)
		if ok {
			return Step{Lease: p.take(b, now)}
		}
		note(again)
	}
	if p.attempts == 0 {
		return Step{Retry: max(soonest, firstOpen)}
	}
	return p.again(now, left)
}

// again chooses a backend for another try: the one whose wait is the shortest.
func (p *Plan) again(now time.Time, left time.Duration) Step {
	if p.r.o.Without.Retry {
		return Step{}
	}
	best, wait := -1, maxWait
	for i, b := range p.order {
		d, may := p.waits[b.Name]
		if !may || p.tried[b.Name] >= perBackend || d > min(wait, left) {
			continue
		}
		if best < 0 || d < wait {
			best, wait = i, d
		}
	}
	if best < 0 {
		return Step{}
	}
	b := p.order[best]
	if wait > 0 {
		p.waits[b.Name] = 0
		return Step{Wait: wait}
	}
	if ok, _ := p.room(b); !ok {
		return Step{}
	}
	return Step{Lease: p.take(b, now)}
}

// free says whether a backend can take a call now. The lock is held.
func (p *Plan) free(b snapshot.Backend, now time.Time) (bool, time.Duration) {
	s := p.r.state(p.key(b), now)
	// With nowhere else to go there is nothing to be gained from staying away.
	if len(p.order) > 1 && !p.r.o.Without.Breaker {
		if ok, again := s.admits(now); !ok {
			return false, again
		}
		if d := s.coolUntil.Sub(now); d > 0 && !p.r.o.Without.Retry {
			return false, d
		}
	}
	return p.room(b)
}

// room says whether the provider has a place. The lock is held.
func (p *Plan) room(b snapshot.Backend) (bool, time.Duration) {
	if most := p.q.MaxConcurrent(b.Provider); most > 0 && p.r.providers[b.Provider] >= int(most) {
		return false, time.Second
	}
	return true, 0
}

func (p *Plan) take(b snapshot.Backend, now time.Time) *Lease {
	p.attempts++
	p.tried[b.Name]++
	delete(p.waits, b.Name)
	s := p.r.state(p.key(b), now)
	s.running++
	p.r.providers[b.Provider]++
	return &Lease{Backend: b, r: p.r, key: p.key(b), provider: b.Provider, probe: s.begin(now)}
}

// MayRetry says that the last call of a backend failed in a way that another may not; after is when the backend said to come
// back, 0: it did not say.
func (p *Plan) MayRetry(backend string, after time.Duration) {
	if after <= 0 {
		after = firstBackoff << (p.tried[backend] - 1)
		after = after/2 + time.Duration(p.r.o.Rand(int64(after/2)+1))
	}
	p.waits[backend] = after
}
