// Package plan draws what a run does, from a seed and nothing else: who pays, which requests come when, what is granted, and
// what breaks. The same seed and the same options give the same plan.
package plan

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// USD is a dollar in nano-USD.
const USD pricing.Nano = 1_000_000_000

// Gateways is how many replicas there are.
const Gateways = 3

// Options are all that a plan depends on.
type Options struct {
	Seed uint64
	// Duration is how long requests come.
	Duration time.Duration
	// Rate is how many come a second.
	Rate int
}

// Plan is what a run does.
type Plan struct {
	Options
	Accounts []Account
	Requests []Request // by At
	Grants   []Grant   // by At
	Faults   []Fault   // by At
}

// Class says what an account is there for.
type Class string

// Classes.
const (
	Small Class = "small" // runs short, and gets a little more now and then
	Large Class = "large" // never runs short
	Hot   Class = "hot"   // has a third of all requests
	Quiet Class = "quiet" // has none but the probes'
)

// Account is one that pays.
type Account struct {
	ID    string
	Class Class
	// Start is granted before the first request.
	Start pricing.Nano
	// Keys are plain.
	Keys []string
	// Policy and Tier are names of Policies and Tiers.
	Policy, Tier string
}

// Names of what the snapshot has.
const (
	PolicyInput = "chaos/input" // charges what nobody finished its input
	PolicyNone  = "chaos/none"  // nothing
	PolicyHold  = "chaos/hold"  // all that it held

	TierPlain  = "chaos/plain"
	TierMarkup = "chaos/markup"
)

// numbers of accounts by class.
const (
	smalls = 24
	larges = 12
	quiets = 4
)

// New draws a plan.
func New(o Options) *Plan {
	p := &Plan{Options: o}
	// Each part has a source of its own: one that draws more does not shift the others.
	source := func(part uint64) *rand.Rand { return rand.New(rand.NewPCG(o.Seed, part)) }
	p.drawAccounts(source(1))
	p.drawRequests(source(2))
	p.drawGrants(source(3))
	p.drawFaults(source(4))
	return p
}

func (p *Plan) drawAccounts(r *rand.Rand) {
	policies := []string{PolicyInput, PolicyInput, PolicyNone, PolicyHold}
	add := func(class Class, n, keys int, start func() pricing.Nano) {
		for i := range n {
			a := Account{ID: fmt.Sprintf("chaos/%s-%02d", class, i), Class: class, Start: start(), Policy: policies[i%len(policies)], Tier: TierPlain}
			if i%3 == 1 {
				a.Tier = TierMarkup
			}
			for k := range keys {
				a.Keys = append(a.Keys, fmt.Sprintf("lyr_live_chaos-%s-%02d-key-%02d", class, i, k))
			}
			p.Accounts = append(p.Accounts, a)
		}
	}
	add(Hot, 1, 3, func() pricing.Nano { return 10_000 * USD })
	add(Large, larges, 2, func() pricing.Nano { return 1000 * USD })
	add(Small, smalls, 1, func() pricing.Nano { return USD/100 + r.Int64N(USD/4) })
	add(Quiet, quiets, 1, func() pricing.Nano { return 0 })
}

// pick answers the index of an account for a request.
func (p *Plan) pick(r *rand.Rand) int {
	switch n := r.IntN(100); {
	case n < 30:
		return 0
	case n < 55:
		return 1 + r.IntN(larges)
	default:
		return 1 + larges + r.IntN(smalls)
	}
}

// Grant is money that comes while requests run.
type Grant struct {
	ID      string
	At      time.Duration
	Account int
	Amount  pricing.Nano
	Kind    string
	// Begins and Expires are after At; 0: at once, never.
	Begins, Expires time.Duration
	// Copies is how often it is sent; one that is Held comes after those behind it.
	Copies int
	Held   bool
}

// drawGrants gives small accounts a little now and then, every grant up to three times, some late.
func (p *Plan) drawGrants(r *rand.Rand) {
	kinds := []string{"promo", "subscription", "purchased", "manual"}
	for at, n := time.Duration(0), 0; at < p.Duration; n++ {
		at += time.Duration(100+r.IntN(500)) * time.Millisecond
		g := Grant{
			ID: fmt.Sprintf("chaos-%d-%04d", p.Seed, n), At: at, Account: 1 + larges + r.IntN(smalls), Amount: USD/1000 + r.Int64N(USD/20),
			Kind: kinds[r.IntN(len(kinds))], Copies: 1 + r.IntN(3), Held: r.IntN(4) == 0,
		}
		if r.IntN(5) == 0 {
			g.Begins = time.Duration(1+r.IntN(8)) * time.Second
		}
		if r.IntN(3) == 0 {
			g.Expires = g.Begins + time.Duration(3+r.IntN(15))*time.Second
		}
		p.Grants = append(p.Grants, g)
	}
}
