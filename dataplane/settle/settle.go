// Package settle writes the ends of requests to the ledger, in batches, and confirms them to the admission store. What
// was submitted is tried again until the ledger has it. With a write-ahead log it is there too before Submit returns, and
// is tried again after the process ended.
package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// Ledger is what the settler needs of ledger.Ledger.
type Ledger interface {
	Settle(ctx context.Context, s []ledger.Settlement) ([]ledger.Settled, error)
	// Ready is nil when the store can be written.
	Ready(ctx context.Context) error
}

// Confirmer is what the settler needs of admit.Admitter.
type Confirmer interface {
	Confirm(ctx context.Context, cs []admit.Confirmation) error
}

// WAL is what the settler needs of wal.Log.
type WAL interface {
	Append(e wal.Entry) (wal.Mark, error)
	Move(m wal.Mark, e wal.Entry) (wal.Mark, error)
	Done(marks ...wal.Mark)
	Sync() error
	Replay(fn func(wal.Mark, wal.Entry) error) (wal.Report, error)
	Full() bool
	Stats() wal.Stats
}

// Errors of Submit and of what it answers.
var (
	// ErrFull: the queue is full; the settlement was not taken.
	ErrFull = errors.New("settlement queue is full")
	// ErrClosed: the settler was closed; the settlement was not taken.
	ErrClosed = errors.New("settler is closed")
	// ErrPending: the ledger does not have it yet; it is tried again.
	ErrPending = errors.New("settlement is not committed yet")
)

// Options of a Settler. Ledger, Confirmer and Log must be set; zero numbers take the defaults below.
type Options struct {
	Ledger    Ledger
	Confirmer Confirmer
	Log       *slog.Logger
	Now       func() time.Time
	// WAL, if set, has each settlement before Submit returns, and is replayed by New. Whoever opened it closes it after the
	// Settler. nil: what is not in the ledger is lost with the process.
	WAL WAL
	// SyncEvery is the pause between two syncs of the log.
	SyncEvery time.Duration
	// Batch is how many rows go into one transaction.
	Batch int
	// Queue is how many settlements may wait in memory (about 1 KB each). The log's size bounds those that are in it.
	Queue int
	// Owned says that holds belong to an owner whose lease this process renews, so that they stand until they are confirmed,
	// however long that takes. Without it they end by time.
	Owned bool
	// Forget, with Owned, is told of requests whose confirmation is given up, because too many wait: the ledger has what they cost, and
	// their holds must not stand for as long as this process lives. See admit.Redis.Forget.
	Forget func(account, requestID string)
	// MaxAge is how long a row may wait before no more requests are admitted. 0: as long as admission goes on without the
	// ledger (admit.AwayAge) where a log and a hold keep what waits (WAL and Owned), else DefaultMaxAge, which is shorter than
	// holds outlive their requests.
	MaxAge time.Duration
	// Timeout bounds one try at either store.
	Timeout time.Duration
	// Backoff is the pause after a failed try; it doubles up to BackoffMax.
	Backoff, BackoffMax time.Duration
}

// Defaults of Options.
const (
	DefaultBatch      = 200
	DefaultSyncEvery  = 50 * time.Millisecond
	DefaultMaxAge     = 2 * time.Minute
	DefaultQueue      = 100_000
	DefaultTimeout    = 5 * time.Second
	DefaultBackoff    = 50 * time.Millisecond
	DefaultBackoffMax = 2 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SyncEvery == 0 {
		o.SyncEvery = DefaultSyncEvery
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
		if o.WAL != nil && o.Owned {
			o.MaxAge = admit.AwayAge
		}
	}
	if o.Batch == 0 {
		o.Batch = DefaultBatch
	}
	if o.Queue == 0 {
		o.Queue = DefaultQueue
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Backoff == 0 {
		o.Backoff = DefaultBackoff
	}
	if o.BackoffMax == 0 {
		o.BackoffMax = DefaultBackoffMax
	}
	return o
}

// item is one settlement on its way.
type item struct {
	s         ledger.Settlement
	keyDigest string
	queuedAt  time.Time
	// mark is of the record in the log, 0: there is none. It is of the settler's goroutine once the item is in the queue.
	mark wal.Mark
	// logged says that Submit wrote it to the log.
	logged bool
	// done is closed when the ledger has it, tried when a try failed.
	done, tried chan struct{}
	once        sync.Once
	// refused: tried alone in vain while the store was well; the next try is at, the one after it pause later or more.
	refused bool
	// committedBefore is how many rows were committed when it was refused.
	committedBefore int
	at              time.Time
	pause           time.Duration
	flying          bool // it is in a batch on its way
}

// Settler is the queue and the one goroutine that empties it. While a batch is being written the next one gathers, so
// that an idle settler starts at once and a busy one writes large batches, a second one while the first is not committed.
type Settler struct {
	o    Options
	wake chan struct{}
	quit chan struct{} // closed: end when the queue is empty
	gone chan struct{} // closed: it has ended
	stop sync.Once
	// ctx ends when the settler shall give up.
	ctx    context.Context
	giveUp context.CancelFunc
	// latePause, flying (batches on their way) and failing (the store was not well) are of the goroutine alone.
	latePause time.Duration
	flying    int
	failing   bool
	landed    chan *flight
	ahead     chan struct{} // a batch that can be sent ahead may be full
	written   chan struct{} // the log has something to sync
	room      chan struct{} // the queue became shorter
	others    sync.WaitGroup

	mu          sync.Mutex
	closed      bool
	entering    int  // Submits between the log and the queue
	replaying   bool // the log may have more
	unsynced    bool // a sync of the log failed
	queue       []*item
	aloft       int // rows of the queue that are on their way
	unconfirmed []admit.Confirmation
	late        []late
	lateAt      time.Time // no confirmation of late ones before
	probedAt    time.Time // when overdue let a request pass
	stats       stats
	away        bool // see Away
}

// New starts a Settler. The caller must Close it.
func New(o Options) *Settler {
	s := &Settler{
		o: o.withDefaults(), wake: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}),
		written: make(chan struct{}, 1), room: make(chan struct{}, 1),
		landed: make(chan *flight, maxFlying), ahead: make(chan struct{}, 1),
	}
	s.ctx, s.giveUp = context.WithCancel(context.Background())
	s.startLog()
	go s.run()
	return s
}

// Submit takes one settlement of a request of that key. The answer is nil as soon as the log has it; where there is no log,
// or it does not take the row, it waits until the ledger has it (nil), or until the first failed try or the end of its
// context (ErrPending; the settler goes on trying). ErrFull: not taken.
func (s *Settler) Submit(row ledger.Settlement, keyDigest string) (wait func(context.Context) error, err error) {
	it := newItem(row, keyDigest, s.o.Now())
	if err := s.enter(it); err != nil {
		return nil, err
	}
	logged := s.log(it)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entering--
	s.nudge() // it may wait for this one to end
	switch {
	case s.closed && it.mark == 0:
		return nil, fmt.Errorf("settling %s: %w", row.RequestID, ErrClosed)
	case s.closed: // given up meanwhile: the next start finds it
		return it.wait, nil
	case it.mark == 0 && len(s.queue) >= s.o.Queue:
		s.stats.dropped++
		return nil, errors.Join(fmt.Errorf("settling %s: %w", row.RequestID, ErrFull), logged)
	}
	s.push(it)
	return it.wait, nil
}

func newItem(row ledger.Settlement, keyDigest string, at time.Time) *item {
	return &item{s: row, keyDigest: keyDigest, queuedAt: at, done: make(chan struct{}), tried: make(chan struct{})}
}

// enter keeps the settler from ending until the item is in the queue.
func (s *Settler) enter(it *item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("settling %s: %w", it.s.RequestID, ErrClosed)
	}
	s.entering++
	return nil
}

// Full says that no request shall begin now: the queue or the log is nearly full, so that it may not find room at its end,
// or the ledger takes nothing for Options.MaxAge.
func (s *Settler) Full() bool {
	if s.o.WAL != nil && s.o.WAL.Full() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || len(s.queue) >= s.o.Queue-s.o.Queue/10 || s.overdue()
}

func (it *item) wait(ctx context.Context) error {
	if it.logged {
		return nil
	}
	select {
	case <-it.done:
		return nil
	default:
	}
	select {
	case <-it.done:
		return nil
	case <-it.tried:
	case <-ctx.Done():
	}
	return ErrPending
}

func (it *item) failed() { it.once.Do(func() { close(it.tried) }) }

func (s *Settler) nudge() { signal(s.wake) }

// Close waits until the queue and the log are empty, or ctx ends; then the settler stops. Rows that the ledger refuses while
// it is well are tried once more and not waited for. What is left behind is logged in full; the error says how many there
// are.
func (s *Settler) Close(ctx context.Context) error {
	s.stop.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.renew()
		close(s.quit)
	})
	select {
	case <-s.gone:
	case <-ctx.Done():
	}
	s.giveUp()
	<-s.gone
	s.others.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.queue); n > 0 || s.replaying {
		more := ""
		if s.replaying {
			more = " and more in the log"
		}
		return fmt.Errorf("closing with %d settlements%s not committed: %w", n, more, ErrPending)
	}
	return nil
}
