package route

import (
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Result is how a call went, as far as it speaks of the backend's health.
type Result int

// Results.
const (
	// Unknown: the client left, or the call was never sent.
	Unknown Result = iota
	// Good: it answered, be it that the request was wrong.
	Good
	// Failed: it was not reached, answered 5xx or not in time, or broke off.
	Failed
)

// Options are what New needs.
type Options struct {
	// Now is the clock.
	Now func() time.Time
	// Rand answers a random number in [0, n).
	Rand func(n int64) int64
	// Without turns parts off, to show what each is worth.
	Without Parts
}

// Parts are what a router does beside priority and weight.
type Parts struct {
	Breaker, Affinity, Retry bool
}

// Router chooses backends by what it has seen of them. One serves a replica; it is safe for concurrent use.
type Router struct {
	o Options

	mu        sync.Mutex
	backends  map[string]*health // by model object and backend name
	providers map[string]int     // calls that run, by provider
	swept     time.Time
}

// health is what the router knows of one backend.
type health struct {
	breaker
	running int
	// coolUntil is until when it asked to be left alone (Retry-After of a 429 or 503).
	coolUntil time.Time
	seen      time.Time
}

// forgetAfter is how long a backend that nothing calls is remembered: snapshots come and go.
const forgetAfter = 10 * time.Minute

// New makes a Router.
func New(o Options) *Router {
	return &Router{o: o, backends: map[string]*health{}, providers: map[string]int{}}
}

// state finds or makes what is known of a backend. The lock is held.
func (r *Router) state(key string, now time.Time) *health {
	if now.Sub(r.swept) > forgetAfter {
		for k, b := range r.backends {
			if b.running == 0 && now.Sub(b.seen) > forgetAfter {
				delete(r.backends, k)
			}
		}
		r.swept = now
	}
	b := r.backends[key]
	if b == nil {
		b = &health{}
		r.backends[key] = b
	}
	b.seen = now
	return b
}

// Open are the backends ("model object/backend") whose circuits are open, for metrics.
func (r *Router) Open() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for key, b := range r.backends {
		if b.openFor > 0 {
			out = append(out, key)
		}
	}
	return out
}

// Lease is a call's place at a backend. End must be called once, after Began if that is called at all.
type Lease struct {
	Backend snapshot.Backend

	r        *Router
	key      string
	provider string
	probe    bool // of an open circuit
}

// Began says that the answer has begun: an open circuit whose probe this is closes now, however long the rest takes.
func (l *Lease) Began() {
	r := l.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if !l.probe {
		return
	}
	l.probe = false
	now := r.o.Now()
	r.state(l.key, now).end(now, Good, true)
}

// End gives the place back. coolDown is for how long the backend asked to be left alone; 0: it did not.
func (l *Lease) End(result Result, coolDown time.Duration) {
	r := l.r
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Now()
	b := r.state(l.key, now)
	b.running--
	b.end(now, result, l.probe)
	if coolDown > 0 {
		b.coolUntil = now.Add(min(coolDown, maxOpen))
	}
	if r.providers[l.provider]--; r.providers[l.provider] <= 0 {
		delete(r.providers, l.provider)
	}
}
