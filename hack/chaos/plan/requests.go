package plan

import (
	"math/rand/v2"
	"time"
)

// Public names of models. The provider of Cancel bills nothing more of a stream that is cut, that of the others does.
const (
	ModelCancel = "chaos/cancel"
	ModelDrain  = "chaos/drain"
	ModelSteps  = "chaos/steps" // dearer above StepAbove input tokens
	ModelDear   = "chaos/dear"
)

// StepAbove is the step of ModelSteps' price.
const StepAbove = 400

// Again says whether a request is sent a second time, with the same Idempotency-Key.
type Again string

// How often and when.
const (
	Once     Again = ""
	Together Again = "together" // while the first one runs
	After    Again = "after"    // when the first one has ended, however it did
)

// Request is one that a client sends.
type Request struct {
	// N is its number, by which it is known everywhere.
	N  int
	At time.Duration
	// Account is an index into Plan.Accounts, Key one into its keys, Gateway the replica that gets it.
	Account, Key, Gateway int
	Model                 string
	Stream                bool
	// Usage asks a stream for its usage.
	Usage bool
	// Input tokens, at most MaxTokens (0: it does not say) of Output tokens that the model would write, in Chunks.
	Input, Output, MaxTokens int64
	Chunks                   int
	// First is how long the provider takes to begin, Interval the pause between chunks.
	First, Interval time.Duration
	// Leave is the number of chunks after which the client leaves; 0: it stays. A unary client leaves at once.
	Leave int
	Again Again
	// Fails: the provider fails once, before it begins. Breaks: it fails in the middle. Empty: it answers nothing.
	Fails, Breaks, Empty bool
	// Strict wants all or nothing of MaxTokens.
	Strict bool
}

func (p *Plan) drawRequests(r *rand.Rand) {
	gap := time.Second / time.Duration(max(1, p.Rate))
	for at, n := time.Duration(0), 0; at < p.Duration; n++ {
		q := Request{N: n, At: at, Account: p.pick(r), Gateway: r.IntN(Gateways)}
		q.Key = r.IntN(len(p.Accounts[q.Account].Keys))
		q.shape(r)
		q.behave(r)
		p.Requests = append(p.Requests, q)
		at += gap/2 + time.Duration(r.Int64N(int64(gap)))
	}
}

// shape draws what is asked and how it is answered.
func (q *Request) shape(r *rand.Rand) {
	models := []string{ModelCancel, ModelCancel, ModelDrain, ModelDrain, ModelSteps, ModelDear}
	q.Model = models[r.IntN(len(models))]
	q.Stream = r.IntN(2) == 0
	q.Usage = q.Stream && r.IntN(4) > 0
	q.Input = 30 + r.Int64N(150)
	if r.IntN(8) == 0 {
		q.Input = 300 + r.Int64N(500)
	}
	q.Output = 5 + r.Int64N(120)
	switch r.IntN(10) {
	case 0:
		q.Output = 300 + r.Int64N(3200) // longer than a slice of a hold
	case 1:
		q.MaxTokens = 0
	}
	if r.IntN(10) > 0 {
		q.MaxTokens = []int64{16, 64, 200, 1000, 4000}[r.IntN(5)]
	}
	q.First = time.Duration(2+r.IntN(60)) * time.Millisecond
	if !q.Stream {
		if r.IntN(6) == 0 {
			q.First = time.Duration(300+r.IntN(1500)) * time.Millisecond
		}
		return
	}
	q.Chunks = 2 + r.IntN(10)
	q.Interval = time.Duration(5+r.IntN(60)) * time.Millisecond
	if r.IntN(8) == 0 { // a slow one
		q.Chunks, q.Interval = 10+r.IntN(15), time.Duration(100+r.IntN(250))*time.Millisecond
	}
}

// behave draws what goes wrong without anybody's fault.
func (q *Request) behave(r *rand.Rand) {
	if r.IntN(10) == 0 {
		q.Leave = 1 + r.IntN(max(1, q.Chunks-1))
	}
	switch r.IntN(25) {
	case 0:
		q.Again = Together
	case 1:
		q.Again = After
	}
	switch r.IntN(60) {
	case 0:
		q.Fails = true
	case 1:
		q.Breaks = q.Stream
	case 2:
		q.Empty = true
	}
	q.Strict = r.IntN(12) == 0
}
