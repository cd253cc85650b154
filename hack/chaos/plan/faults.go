package plan

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is what breaks.
type Kind string

// Kinds. For how long is Fault.For.
const (
	KillGateway   Kind = "gateway killed"           // kill -9; it starts again with its log
	LoseNode      Kind = "node lost"                // the same, and its log is gone
	StopGateway   Kind = "gateway stopped"          // SIGSTOP past its lease, then SIGCONT
	KillRedis     Kind = "redis killed"             // it comes back with all its data
	EmptyRedis    Kind = "redis killed and emptied" // it comes back without any
	OlderRedis    Kind = "redis set back"           // it is killed and comes back with an older copy
	FlushRedis    Kind = "FLUSHALL"
	FlushScripts  Kind = "SCRIPT FLUSH"
	StopPostgres  Kind = "postgres stopped" // as pg_ctl stop -m immediate does
	HangPostgres  Kind = "postgres hangs"   // SIGSTOP, then SIGCONT
	StopBoth      Kind = "both stopped"     // PostgreSQL, and Redis with its data
	FlushInOutage Kind = "FLUSHALL while postgres is stopped"
	LoseInOutage  Kind = "node lost while postgres is stopped" // what its log had is in Redis alone
	DropClients   Kind = "connections dropped"                 // of both stores
)

// Kinds are all of them, in the order of the table.
var Kinds = []Kind{
	KillGateway, LoseNode, StopGateway, KillRedis, EmptyRedis, OlderRedis, FlushRedis, FlushScripts, StopPostgres, HangPostgres, StopBoth, FlushInOutage,
	LoseInOutage, DropClients,
}

// Fault is one thing that breaks.
type Fault struct {
	// N is its number.
	N  int
	At time.Duration
	// For is how long it lasts; 0 for what is over at once.
	For  time.Duration
	Kind Kind
	// Gateway is which replica, where it is one.
	Gateway int
}

// lasts is how long a fault of a kind lasts, at least and at most.
var lasts = map[Kind][2]time.Duration{
	KillGateway: {50 * time.Millisecond, 3 * time.Second}, LoseNode: {500 * time.Millisecond, 3 * time.Second},
	StopGateway: {5 * time.Second, 9 * time.Second},
	KillRedis:   {100 * time.Millisecond, 4 * time.Second}, EmptyRedis: {100 * time.Millisecond, 3 * time.Second}, OlderRedis: {100 * time.Millisecond, 3 * time.Second},
	StopPostgres: {time.Second, 5 * time.Second}, HangPostgres: {time.Second, 5 * time.Second}, StopBoth: {time.Second, 3 * time.Second},
	FlushInOutage: {2 * time.Second, 4 * time.Second}, LoseInOutage: {2 * time.Second, 4 * time.Second},
}

// drawFaults has every kind come as often as any other, in an order by chance, evenly over the time but for a quiet beginning
// and end. They may overlap, but for two on one process.
func (p *Plan) drawFaults(r *rand.Rand) {
	const quiet = 4 * time.Second
	room := p.Duration - 2*quiet
	n := int(room / (3500 * time.Millisecond))
	var kinds []Kind
	for len(kinds) < n {
		more := slices.Clone(Kinds)
		r.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
		kinds = append(kinds, more...)
	}
	for i := range max(0, n) {
		step := room / time.Duration(n)
		f := Fault{N: i, Kind: kinds[i], At: quiet + step*time.Duration(i) + time.Duration(r.Int64N(int64(step))), Gateway: r.IntN(Gateways)}
		if between, ok := lasts[f.Kind]; ok {
			f.For = between[0] + time.Duration(r.Int64N(int64(between[1]-between[0])))
		}
		p.Faults = append(p.Faults, f)
	}
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	for i := range p.Faults {
		p.Faults[i].N = i
	}
}
