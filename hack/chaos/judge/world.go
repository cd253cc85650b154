// Package judge says what is wrong with a run that has come to rest: it compares what clients saw, what the providers billed,
// what the stores have and what broke, by the invariants of the ledger. It asks nobody: all that it knows is in a World, so
// that each of its checks is tested by what it must find.
package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/plan"
	"github.com/layers-dev/layers/hack/chaos/provider"
	"github.com/layers-dev/layers/hack/chaos/stores"
)

// Call is what one client sent and saw.
type Call struct {
	// Nonce is the number of the planned request, Attempt 1 for the second time that it is sent.
	Nonce, Attempt int
	// Account and Model are names, Gateway the number of the replica.
	Account, Model string
	Gateway        int
	Stream         bool
	// Usage says that it asked the stream for its usage, Key that it had an Idempotency-Key, Leaves that it was to leave early.
	Usage, Key, Leaves bool
	// Input is how many tokens the prompt has, MaxTokens how many the answer may have, 0: it did not say.
	Input, MaxTokens int64
	Sent, Ended      time.Time
	// RequestID is the gateway's, empty where no header came.
	RequestID string
	// Status and Code are the answer's; Status 0: there was none.
	Status int
	Code   string
	// Whole says that the answer came to its end. Seen is how many tokens of output came.
	Whole bool
	Seen  int64
	// Told is the cost that the answer told, nil: it told none.
	Told *pricing.Nano
	// Degraded is the header of the same name.
	Degraded string
	Err      string
}

// Row is how a request stands in the ledger.
type Row struct {
	RequestID, Account, Model, Provider string
	Usage                               pricing.Usage
	Cost, Charged, Held, Floor          pricing.Nano
	Evidence                            ledger.Evidence
	OrphanCharge                        string
	Started, Finished                   time.Time
	// Settled is when its last transaction was posted, Adjusted says that this was an adjustment.
	Settled  time.Time
	Adjusted bool
}

// Hold is a hold as a store had it.
type Hold struct {
	RequestID, Account, Owner string
	Amount                    pricing.Nano
	Running                   bool
}

// Loss is what some admission may not see from an instant on, read just before. Gone says that the admission store loses it, too.
type Loss struct {
	What  string
	At    time.Time
	Holds []Hold
	Gone  bool
}

// Sum is what its holds come to.
func (l Loss) Sum() (sum pricing.Nano) {
	for _, h := range l.Holds {
		sum += h.Amount
	}
	return sum
}

// Fallback is a hold that the ledger gave because the admission store was away.
type Fallback struct {
	RequestID, Account string
	Amount             pricing.Nano
	At                 time.Time
}

// Expiry is what a grant had left when it expired.
type Expiry struct {
	Grant, Account string
	// Due is when the grant ended, At when that was posted.
	Due, At time.Time
	// Amount was taken, of Granted, of which Drawn was drawn before.
	Amount, Granted, Drawn pricing.Nano
}

// Balance is what an account had to spend, its overdraft included, from an instant on, in the order of commits.
type Balance struct {
	Account   string
	At        time.Time
	Spendable pricing.Nano
}

// Span is a time between two instants.
type Span struct{ From, To time.Time }

func (s Span) overlaps(from, to time.Time) bool { return !s.From.After(to) && !s.To.Before(from) }

// World is all that is known of a run.
type World struct {
	Calls  []Call
	Served []provider.Served
	Rows   []Row
	// Lives are the starts of each gateway.
	Lives [][]stores.Life
	// Losses are what faults may have hidden, Outages when the ledger could not be reached.
	Losses    []Loss
	Outages   []Span
	Fallbacks []Fallback
	Balances  []Balance
	Expiries  []Expiry
	// Claimed are the requests whose Idempotency-Key the ledger has.
	Claimed map[string]bool
	// Accounts are those of the plan.
	Accounts []plan.Account
	// Price is what a model costs in a tier.
	Price func(model, tier string) pricing.Price
	// Slice is how much more than it held a stream may cost.
	Slice func(model, tier string) pricing.Nano
}

// Violation is something that must not be.
type Violation struct {
	// Rule is P1 to P10 or the name of another promise.
	Rule               string
	Account, RequestID string
	Text               string
}

// String is one line.
func (v Violation) String() string {
	out := v.Rule
	for _, s := range []string{v.Account, v.RequestID} {
		if s != "" {
			out += " " + s
		}
	}
	return out + ": " + v.Text
}

// Counts are what a run came to.
type Counts struct {
	// Refused are answered 4xx, Failed 5xx, Unanswered not at all: their clients left, or their gateway was killed.
	Requests, Admitted, Refused, Failed, Unanswered int
	Served, Settled, Orphans, Adjusted, Fallbacks   int
	// LostHolds are requests that nobody finished and whose hold is gone, LostSettlements ends of requests that are gone.
	LostHolds, LostSettlements int
	// Twice are requests that were served twice under one Idempotency-Key, its claim being lost.
	Twice int
}

// index is a world by ids.
type index struct {
	*World
	rows     map[string]Row
	billed   map[string][]provider.Served
	calls    map[string]Call // by request id
	nonces   map[int][]Call
	accounts map[string]plan.Account
	fallback map[string]bool
	// dataLosses are when the admission store lost data. written is how long after the end of an answer a gateway surely has
	// written it down, drained how long after that, or after the ledger is back, the ledger has it.
	dataLosses       []time.Time
	written, drained time.Duration
}

func (w *World) index() *index {
	x := &index{
		World: w, rows: map[string]Row{}, billed: map[string][]provider.Served{}, calls: map[string]Call{}, nonces: map[int][]Call{},
		accounts: map[string]plan.Account{}, fallback: map[string]bool{},
	}
	for _, r := range w.Rows {
		x.rows[r.RequestID] = r
	}
	for _, s := range w.Served {
		if s.Billed {
			x.billed[s.RequestID] = append(x.billed[s.RequestID], s)
		}
	}
	for _, c := range w.Calls {
		if c.RequestID != "" {
			x.calls[c.RequestID] = c
		}
		x.nonces[c.Nonce] = append(x.nonces[c.Nonce], c)
	}
	for _, a := range w.Accounts {
		x.accounts[a.ID] = a
	}
	for _, f := range w.Fallbacks {
		x.fallback[f.RequestID] = true
	}
	for _, l := range w.Losses {
		if l.Gone {
			x.dataLosses = append(x.dataLosses, l.At)
		}
	}
	slow := x.slowest()
	x.written, x.drained = max(written, slow), max(drained, slow)
	return x
}

// call finds what a client saw of a request that the provider served: by its id, else, where no header came, by its nonce. Of two
// calls of one nonce it is the one that was under way, and if both were, one whose gateway was killed.
func (x *index) call(s provider.Served) (Call, bool) {
	if c, ok := x.calls[s.RequestID]; ok {
		return c, true
	}
	best, most := Call{}, 0
	for _, c := range x.nonces[s.Nonce] {
		if c.RequestID != "" || c.Sent.After(s.At) {
			continue
		}
		fits := 1
		if !c.Ended.Before(s.At) {
			fits += 2
		}
		if l, ok := x.life(c); ok && l.Killed {
			fits++
		}
		if fits >= most {
			best, most = c, fits
		}
	}
	return best, most > 0
}

// life is the start of the gateway that had a call.
func (x *index) life(c Call) (stores.Life, bool) {
	for _, l := range x.Lives[c.Gateway] {
		if (Span{l.From, orLater(l.To)}).overlaps(c.Sent, c.Sent) {
			return l, true
		}
	}
	return stores.Life{}, false
}

// orLater is an end that may not have come.
func orLater(t time.Time) time.Time {
	if t.IsZero() {
		return time.Now().Add(time.Hour)
	}
	return t
}

// within says whether one of the instants is in [from, to].
func within(at []time.Time, from, to time.Time) bool {
	return slices.ContainsFunc(at, func(t time.Time) bool { return !t.Before(from) && !t.After(to) })
}

func wrong(rule, account, id, format string, args ...any) Violation {
	return Violation{Rule: rule, Account: account, RequestID: id, Text: fmt.Sprintf(format, args...)}
}
