package admit

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

//go:embed lua/epoch.lua
var epochLua string

var epochScript = rueidis.NewLuaScriptRetryable(holdLua + epochLua)

const (
	// beatEvery is how often a client that is used looks whether the store is still the one that it was.
	beatEvery = time.Second
	// beatLife is how long the store keeps a client's last beat; a client that was idle for half of it starts anew.
	beatLife = 2 * time.Minute
	// epochKey is one for the whole store: a script of an account cannot read it on a cluster, where it is in another slot,
	// so clients read it and tell the script. (An epoch in each account's slot would go and come back with that slot's key
	// states, and say nothing.) On a cluster it tells of the node that has it; for the others Options.KeyAge is the bound.
	epochKey = "lyr:{epoch}:epoch"
)

// epoch is what a client knows of the store's identity: a number that grows whenever the store has lost data or was set
// back to an older copy of itself. Each client notices that by a mark of its own, which it writes with each beat: a
// store without the client's last mark is not the store of a second ago. Key states from before are then read again.
type epoch struct {
	key   string           // of this client's beats
	clock func() time.Time // a monotonic one

	fresh atomic.Pointer[answer] // the last one, for whoever has not the turn
	// patience is how old it may be to admit by, in nanoseconds, where that is longer than beatEvery: Keep reads it meanwhile.
	patience atomic.Int64
	turn     chan struct{} // has room for whoever may look at the rest
	known    int64         // epoch; 0: none yet
	beat     int64         // the last beat that was sent
	heard    int64         // the last beat that was answered
	at       time.Time     // when it was sent, on the monotonic clock
}

// answer is an epoch, and when it was asked for.
type answer struct {
	epoch int64
	at    time.Time
}

// last is the epoch that was heard last; 0: none yet.
func (e *epoch) last() int64 {
	if a := e.fresh.Load(); a != nil {
		return a.epoch
	}
	return 0
}

func newEpoch() epoch {
	return epoch{key: "lyr:{epoch}:client:" + rand.Text(), clock: time.Now, turn: make(chan struct{}, 1)}
}

// now answers the epoch, not older than beatEvery, or than patience.
func (e *epoch) now(ctx context.Context, c rueidis.Client) (int64, error) {
	if e.recent() {
		return e.last(), nil
	}
	return e.read(ctx, c)
}

// read answers the epoch, not older than beatEvery. Whoever needs it while it is read waits for the same answer.
func (e *epoch) read(ctx context.Context, c rueidis.Client) (int64, error) {
	if a := e.fresh.Load(); a != nil && e.clock().Sub(a.at) < beatEvery {
		return a.epoch, nil
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("reading the epoch: %w", ctx.Err())
	}
	start := e.clock()
	idle := start.Sub(e.at)
	if e.known > 0 && idle < beatEvery {
		return e.known, nil
	}
	heard := e.heard
	if idle > beatLife/2 {
		heard = 0 // the mark may have aged
	}
	e.beat++
	args := []string{decimal(e.known), decimal(heard), decimal(e.beat), decimal(beatLife.Milliseconds())}
	known, err := epochScript.Exec(ctx, c, []string{epochKey, e.key}, args).AsInt64()
	if err != nil {
		return 0, fmt.Errorf("reading the epoch: %w", err)
	}
	e.known, e.heard, e.at = known, e.beat, start
	e.fresh.Store(&answer{known, start})
	return known, nil
}
