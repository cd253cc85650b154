package main

import (
	"container/heap"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Names of policies that the report compares.
const (
	worstCase     = "worst case"
	adaptiveHolds = "adaptive"
)

// policy is a way of holding: what is held of a request, if it runs, given what is there.
type policy struct {
	name string
	hold func(s *simulation, q *request, a forecast.Ask, n forecast.Need, spendable, reserved pricing.Nano) forecast.Verdict
}

func policies() []policy {
	return []policy{
		{"nothing", func(_ *simulation, _ *request, _ forecast.Ask, _ forecast.Need, spendable, _ pricing.Nano) forecast.Verdict {
			if spendable <= 0 {
				return forecast.Verdict{Mode: forecast.Short}
			}
			return forecast.Verdict{Mode: forecast.WorstCase}
		}},
		{worstCase, func(_ *simulation, _ *request, _ forecast.Ask, n forecast.Need, spendable, reserved pricing.Nano) forecast.Verdict {
			return all(n.Worst, spendable, reserved)
		}},
		{adaptiveHolds, func(_ *simulation, _ *request, _ forecast.Ask, n forecast.Need, spendable, reserved pricing.Nano) forecast.Verdict {
			return forecast.Hold(spendable, reserved, n)
		}},
		{"clairvoyant", func(s *simulation, q *request, a forecast.Ask, _ forecast.Need, spendable, reserved pricing.Nano) forecast.Verdict {
			return all(s.cost(a.Price, q.input, q.output), spendable, reserved)
		}},
	}
}

// all holds an amount as it is, or refuses.
func all(amount, spendable, reserved pricing.Nano) forecast.Verdict {
	switch {
	case spendable-reserved >= amount:
		return forecast.Verdict{Mode: forecast.WorstCase, Hold: amount}
	case spendable >= amount:
		return forecast.Verdict{Mode: forecast.TiedUp}
	}
	return forecast.Verdict{Mode: forecast.Short}
}

// result is what a workload came to under a policy.
type result struct {
	served, short, tiedUp int
	// clamped were admitted with less output than they asked for; shortened are those of them whose answer was longer, stopped
	// those that ended because their hold could not be extended.
	clamped, shortened, stopped int
	charged                     pricing.Nano
	// overspent is what all balances together were below zero at the end, deepest the worst of them.
	overspent, deepest pricing.Nano
	refused            map[int]bool
}

// simulation is one workload under one policy.
type simulation struct {
	w        workload
	now      time.Duration
	book     *forecast.Book
	balance  []pricing.Nano
	reserved []pricing.Nano
	running  running
	err      error // the last that there was
	result
}

// call is a request that runs.
type call struct {
	q      *request
	ask    forecast.Ask
	mode   forecast.Mode
	hold   pricing.Nano
	tokens int64         // of output that are held for
	limit  int64         // of output, as the upstream was told
	wakes  time.Duration // when it has written what it is held for, or all
}

// simulate runs a workload to its end; an error says that something has no price.
func simulate(w workload, p policy) (result, error) {
	s := &simulation{w: w, balance: append([]pricing.Nano(nil), w.balances...), reserved: make([]pricing.Nano, len(w.balances))}
	s.refused = map[int]bool{}
	began := time.Unix(1_800_000_000, 0)
	s.book = forecast.New(forecast.Options{Now: func() time.Time { return began.Add(s.now) }})
	for i := range w.requests {
		s.until(w.requests[i].at)
		s.arrive(i, p)
	}
	s.until(1 << 62)
	for _, b := range s.balance {
		s.overspent += max(0, -b)
		s.deepest = max(s.deepest, -b)
	}
	return s.result, s.err
}

// until moves time, and the calls that run.
func (s *simulation) until(t time.Duration) {
	for len(s.running) > 0 && s.running[0].wakes <= t {
		c := heap.Pop(&s.running).(*call)
		s.now = c.wakes
		s.wake(c)
	}
	s.now = t
}

// arrive decides one request.
func (s *simulation) arrive(id int, p policy) {
	q := &s.w.requests[id]
	ask := forecast.Ask{
		Price: q.model.price, Bound: pricing.Bound{Input: min(q.bytes, q.model.context), Output: q.model.output}, Reasoning: q.model.reasoning, Unstoppable: !q.stream,
		Input:  s.book.Input(q.model.name, q.bytes),
		Output: s.book.Output(s.series(q), forecast.Default(q.model.reasoning)),
	}
	if q.asked > 0 {
		ask.Bound.Output = min(ask.Bound.Output, q.asked)
	}
	need, err := ask.Need()
	if err != nil {
		s.err = err
		return
	}
	v := p.hold(s, q, ask, need, s.balance[q.account], s.reserved[q.account])
	switch v.Mode {
	case forecast.Short:
		s.short++
	case forecast.TiedUp:
		s.tiedUp++
	default:
		s.start(q, ask, v)
		return
	}
	s.refused[id] = true
}

func (s *simulation) series(q *request) forecast.Series {
	return forecast.Series{Key: "key" + strconv.Itoa(q.account), Model: q.model.name}
}

func (s *simulation) start(q *request, ask forecast.Ask, v forecast.Verdict) {
	c := &call{q: q, ask: ask, mode: v.Mode, hold: v.Hold, tokens: ask.Bound.Output, limit: ask.Bound.Output}
	switch v.Mode {
	case forecast.Clamped:
		c.limit = ask.Affordable(v.Hold)
		c.tokens = c.limit
		s.clamped++
		if c.limit < q.output {
			s.shortened++
		}
	case forecast.Adaptive:
		c.tokens = max(min(ask.Output, ask.Bound.Output), ask.Useful())
	}
	s.served++
	s.reserved[q.account] += c.hold
	s.schedule(c)
}

// schedule says when a call has written what it is held for. A unary answer cannot be extended on its way.
func (s *simulation) schedule(c *call) {
	upTo := min(c.q.output, c.limit)
	if c.q.stream {
		upTo = min(upTo, c.tokens)
	}
	c.wakes = max(s.now, c.q.at+time.Second+time.Duration(upTo)*time.Second/time.Duration(c.q.model.pace))
	heap.Push(&s.running, c)
}

// wake ends a call, or extends its hold by a slice where it writes more than was held for.
func (s *simulation) wake(c *call) {
	out, account := min(c.q.output, c.limit), c.q.account
	if c.q.stream && out > c.tokens {
		more := c.ask.Slice(c.tokens)
		cost := s.cost(c.ask.Price, 0, more)
		if s.balance[account]-s.reserved[account] >= cost {
			c.tokens += more
			c.hold += cost
			s.reserved[account] += cost
			s.schedule(c)
			return
		}
		s.stopped++
		out = c.tokens
	}
	charge := s.cost(c.ask.Price, c.q.input, out)
	s.reserved[account] -= c.hold
	s.balance[account] -= charge
	s.charged += charge
	s.book.Saw(s.series(c.q), out)
	s.book.SawInput(c.q.model.name, c.q.bytes, c.q.input)
}

func (s *simulation) cost(p pricing.Price, input, output int64) pricing.Nano {
	n, _, err := pricing.Cost(pricing.Usage{Input: input, Output: output}, p)
	if err != nil {
		s.err = err
	}
	return n
}

// running are calls by when they wake.
type running []*call

func (r running) Len() int           { return len(r) }
func (r running) Less(i, j int) bool { return r[i].wakes < r[j].wakes }
func (r running) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *running) Push(c any)        { *r = append(*r, c.(*call)) }

// Pop takes the last call away.
func (r *running) Pop() any {
	old := *r
	last := old[len(old)-1]
	*r = old[:len(old)-1]
	return last
}
