package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// model is one that requests go to.
type model struct {
	name      string
	price     pricing.Price
	context   int64
	output    int64 // the most that it writes
	reasoning bool
	pace      int64 // tokens a second
}

// dollars are USD a million tokens as a price has them, or simply an amount.
func dollars(usd int64) pricing.Nano { return usd * 1_000_000_000 }

// The models: sizes and prices as they are common, each with a limit of output far above what it usually writes.
var (
	small    = model{"small", pricing.Price{Input: 400_000_000, Output: 1_600_000_000}, 128_000, 16_384, false, 120}
	frontier = model{"frontier", pricing.Price{Input: dollars(3), Output: dollars(15)}, 200_000, 64_000, false, 70}
	thinker  = model{"thinker", pricing.Price{Input: dollars(2), Output: dollars(10)}, 272_000, 128_000, true, 90}
)

// request is one of a workload: what the client asks, and what the answer would take if nobody cut it.
type request struct {
	at      time.Duration
	account int
	model   *model
	// bytes of the body, and the tokens that the provider counts.
	bytes, input int64
	asked        int64 // max_tokens; 0: not said
	output       int64
	stream       bool
}

// workload is requests in the order of their arrival, and what the accounts start with.
type workload struct {
	name     string
	requests []request
	balances []pricing.Nano
}

// lognormal draws around a median: two thirds are within a factor of e^spread.
func lognormal(r *rand.Rand, median, spread float64) int64 {
	return max(1, int64(median*math.Exp(spread*r.NormFloat64())))
}

// balances draws from a cent to forty dollars, each order of magnitude as often as the others.
func balances(r *rand.Rand, n int) []pricing.Nano {
	out := make([]pricing.Nano, n)
	for i := range out {
		out[i] = pricing.Nano(1e7 * math.Pow(4000, r.Float64()))
	}
	return out
}

// synthetic are people who chat, agents with long inputs and no limit of output, and programs with reasoning models, for
// an hour: two hundred accounts, each of one kind.
func synthetic(seed uint64) workload {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same in every run is the point
	w := workload{name: "synthetic", balances: balances(r, 200)}
	for account := range w.balances {
		for range 50 + r.IntN(150) {
			q := request{account: account, at: time.Duration(r.Int64N(int64(time.Hour))), stream: r.IntN(4) > 0}
			switch account % 3 {
			case 0:
				q.model, q.input, q.output = &small, lognormal(r, 400, 1), lognormal(r, 250, 0.8)
				if r.IntN(3) == 0 {
					q.asked = 4096
				}
			case 1:
				q.model, q.input, q.output = &frontier, lognormal(r, 8000, 1.1), lognormal(r, 350, 1.1)
			case 2:
				q.model, q.input, q.output = &thinker, lognormal(r, 1500, 1), lognormal(r, 2500, 1)
			}
			w.requests = append(w.requests, q.finished(r))
		}
	}
	return w.sorted()
}

// bursts are the worst that can happen to an estimate: accounts with five to ten dollars, whose answers were short for an
// hour, send fifty requests at once, and nearly all of them get an answer of tens of thousands of tokens. A unary answer
// cannot be stopped on its way.
func bursts(seed uint64) workload {
	r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // the same in every run is the point
	w := workload{name: "bursts"}
	for account := range 20 {
		w.balances = append(w.balances, dollars(5)+r.Int64N(dollars(5)))
		for i := range 100 {
			q := request{account: account, model: &frontier, input: lognormal(r, 1000, 0.5), asked: 32_000, stream: r.IntN(2) > 0}
			if q.at, q.output = time.Duration(r.Int64N(int64(time.Hour))), lognormal(r, 200, 0.5); i >= 50 {
				q.at, q.output = time.Hour+time.Duration(r.Int64N(int64(time.Second))), lognormal(r, 20_000, 0.5)
			}
			w.requests = append(w.requests, q.finished(r))
		}
	}
	return w.sorted()
}

// row is one request of a trace.
type row struct {
	at            time.Duration
	input, output int64
}

// replayed deals a trace's requests to forty accounts of the frontier model, again and again until each account has a
// hundred: sizes and gaps are the trace's, whose they are and what they have is not in it.
func replayed(seed uint64, trace []row) workload {
	r := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // the same in every run is the point
	w := workload{name: "replayed", balances: balances(r, 40)}
	length := trace[len(trace)-1].at + time.Second
	for round := time.Duration(0); len(w.requests) < 100*len(w.balances); round += length {
		for _, t := range trace {
			q := request{
				at: round + t.at, account: r.IntN(len(w.balances)), model: &frontier, input: t.input, output: t.output,
				stream: r.IntN(4) > 0,
			}
			w.requests = append(w.requests, q.finished(r))
		}
	}
	return w.sorted()
}

// finished fills in what follows from the rest, and keeps the model's limits.
func (q request) finished(r *rand.Rand) request {
	most := q.model.output
	if q.asked > 0 {
		most = min(most, q.asked)
	}
	q.output = min(q.output, most)
	q.input = min(q.input, q.model.context/2)
	q.bytes = q.input*(28+r.Int64N(20))/10 + 60 // 2.8 to 4.7 bytes a token
	return q
}

func (w workload) sorted() workload {
	slices.SortStableFunc(w.requests, func(a, b request) int { return int(a.at - b.at) })
	return w
}

// parseTrace reads a CSV file with the columns TIMESTAMP (2006-01-02 15:04:05.999), ContextTokens and GeneratedTokens.
func parseTrace(in io.Reader) ([]row, error) {
	file := csv.NewReader(in)
	file.Comment = '#'
	lines, err := file.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading the trace: %w", err)
	}
	if len(lines) < 2 {
		return nil, errors.New("reading the trace: it has no requests")
	}
	var at [3]int
	for i, name := range [...]string{"TIMESTAMP", "ContextTokens", "GeneratedTokens"} {
		if at[i] = slices.Index(lines[0], name); at[i] < 0 {
			return nil, fmt.Errorf("reading the trace: no column %s", name)
		}
	}
	var out []row
	var start time.Time
	for n, line := range lines[1:] {
		when, err := time.Parse(time.DateTime, line[at[0]])
		input, errIn := strconv.ParseInt(line[at[1]], 10, 64)
		output, errOut := strconv.ParseInt(line[at[2]], 10, 64)
		if err := errors.Join(err, errIn, errOut); err != nil || input < 0 || output < 0 {
			return nil, fmt.Errorf("reading the trace: request %d: %w", n+1, errors.Join(err, errRange))
		}
		if n == 0 {
			start = when
		}
		out = append(out, row{when.Sub(start), input, output})
	}
	slices.SortStableFunc(out, func(a, b row) int { return int(a.at - b.at) })
	return out, nil
}

var errRange = errors.New("not a time and two counts of tokens")
