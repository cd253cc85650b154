package main

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/route"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// row is one scenario's figure with a part of the router and without it.
type row struct {
	scenario, figure string
	with, without    float64
}

// simulation drives the gateway's own router through time that the scenario moves: what it shows is the router's doing
// alone, the same on every machine.
type simulation struct {
	router *route.Router
	now    time.Time
	random *rand.Rand
}

func newSimulation(without route.Parts) *simulation {
	s := &simulation{now: time.Unix(1_800_000_000, 0), random: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // the same in every run is the point
	s.router = route.New(route.Options{Now: func() time.Time { return s.now }, Rand: s.random.Int64N, Without: without})
	return s
}

// outcome is what one request came to.
type outcome struct {
	ok      bool
	backend string
	calls   int
	took    time.Duration
}

// request runs one request; call says how a backend takes it, and how long that takes.
func (s *simulation) request(backends []snapshot.Backend, conversation uint64, call func(snapshot.Backend) (bool, time.Duration)) outcome {
	start := s.now
	defer func() { s.now = start }() // requests run beside each other: only the scenario moves on
	plan := s.router.Plan(route.Query{Model: "ns/m", Backends: backends, Affinity: conversation, MaxConcurrent: func(string) int32 { return 0 }})
	var out outcome
	for {
		step := plan.Next(time.Minute)
		switch {
		case step.Wait > 0:
			s.now = s.now.Add(step.Wait)
			continue
		case step.Lease == nil:
			out.took = s.now.Sub(start)
			return out
		}
		ok, took := call(step.Lease.Backend)
		out.calls++
		s.now = s.now.Add(took)
		if ok {
			step.Lease.End(route.Good, 0)
			out.ok, out.backend, out.took = true, step.Lease.Backend.Name, s.now.Sub(start)
			return out
		}
		step.Lease.End(route.Failed, 0)
		plan.MayRetry(step.Lease.Backend.Name, 0)
	}
}

// backends are n of one weight, each of the priority that says.
func backends(n int, priority func(i int) int32) []snapshot.Backend {
	out := make([]snapshot.Backend, n)
	for i := range out {
		out[i] = snapshot.Backend{Name: "b" + strconv.Itoa(i), Provider: "ns/p" + strconv.Itoa(i), Weight: 1, Priority: priority(i)}
	}
	return out
}

func same(int) int32    { return 0 }
func after(i int) int32 { return int32(i) } //nolint:gosec // a handful

// breaker: ten requests a second for five minutes, in the middle minute of which the first of two backends takes ten seconds
// to fail. The figure is the mean time that a request of that minute took.
func breaker(without bool) float64 {
	s := newSimulation(route.Parts{Breaker: without})
	two := backends(2, after)
	begin := s.now
	var took time.Duration
	requests := 0
	for i := range 3000 {
		s.now = begin.Add(time.Duration(i) * 100 * time.Millisecond)
		minute := i / 600
		out := s.request(two, 0, func(b snapshot.Backend) (bool, time.Duration) {
			if minute == 2 && b.Name == "b0" {
				return false, 10 * time.Second
			}
			return true, time.Second
		})
		if minute == 2 {
			took += out.took
			requests++
		}
	}
	return took.Seconds() / float64(requests)
}

func breakerRow() row {
	return row{"circuit breaker: one of two backends hangs", "mean seconds of a request", breaker(false), breaker(true)}
}

// cacheFor is how long providers keep a prompt cache that is used.
const cacheFor = 5 * time.Minute

// affinity: 400 conversations of ten turns, half a minute between two, over four backends that each remember what they have
// seen for five minutes. The figure is the share of turns that meet their prompt cache.
func affinity(without bool) float64 {
	s := newSimulation(route.Parts{Affinity: without})
	four := backends(4, same)
	begin, seen := s.now, map[string]time.Time{}
	hits, turns := 0, 0
	for turn := range 10 {
		for c := range 400 {
			s.now = begin.Add(time.Duration(turn)*30*time.Second + time.Duration(c)*75*time.Millisecond)
			h := fnv.New64a()
			_, _ = h.Write([]byte(strconv.Itoa(c))) // a hash never fails
			out := s.request(four, h.Sum64(), func(snapshot.Backend) (bool, time.Duration) { return true, time.Second })
			key := out.backend + "/" + strconv.Itoa(c)
			if at, ok := seen[key]; ok && s.now.Sub(at) < cacheFor {
				hits++
			}
			seen[key] = s.now
			turns++
		}
	}
	return float64(hits) / float64(turns)
}

func affinityRow() row {
	return row{"affinity: conversations over four backends", "share of turns that meet their prompt cache", affinity(false), affinity(true)}
}

// retry: ten thousand requests to one backend, of whose calls every tenth fails. The figure is the share of requests that
// fail.
func retry(without bool) float64 {
	s := newSimulation(route.Parts{Retry: without})
	one := backends(1, same)
	failed := 0
	const requests = 10_000
	for range requests {
		s.now = s.now.Add(100 * time.Millisecond)
		out := s.request(one, 0, func(snapshot.Backend) (bool, time.Duration) { return s.random.IntN(10) > 0, 100 * time.Millisecond })
		if !out.ok {
			failed++
		}
	}
	return float64(failed) / requests
}

func retryRow() row {
	return row{"retries: every tenth call fails", "share of requests that fail", retry(false), retry(true)}
}
