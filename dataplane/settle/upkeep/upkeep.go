// Package upkeep does for the ledger what time and new prices ask for, beside requests: grants that begin or expire are
// posted, accounts that changed by hand or by the clock are told to the admission store, the months of the usage log are made ahead, and what versions of prices consist of
// is stored. Any number of replicas may do it at once: each of these is done once by the ledger.
package upkeep

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Ledger is what upkeep needs of ledger.Ledger.
type Ledger interface {
	PostDue(ctx context.Context, limit int) ([]ledger.Account, error)
	Current(ctx context.Context, account string) (ledger.Account, int64, error)
	MakePartitions(ctx context.Context, months int) (int, error)
	PutPriceVersions(ctx context.Context, versions []ledger.PriceVersion) error
	ChangedAccounts(ctx context.Context, gatewayUID, after string, limit int) ([]ledger.ChangedAccount, error)
	DoneAccount(ctx context.Context, c ledger.ChangedAccount) error
}

// Admission is what upkeep needs of admit.Admitter.
type Admission interface {
	LoadAccount(ctx context.Context, c admit.Copy) error
}

// Source is what upkeep needs of source.Source.
type Source interface {
	Current() *snapshot.Index
}

// Options of an Upkeep. Ledger, Admission, Source and Log must be set; zero values take the defaults below.
type Options struct {
	Ledger    Ledger
	Admission Admission
	Source    Source
	Log       *slog.Logger
	Now       func() time.Time
	// Due is how often grants that are due are looked for, Months how often months are made ahead, Look how often the source is
	// looked at, Tell how often accounts that changed are looked for.
	Due, Months, Look, Tell time.Duration
	// Retry is the pause after something failed.
	Retry time.Duration
	// Timeout bounds each call of a store.
	Timeout time.Duration
	// Jitter makes the first pause of each task; nil: anything up to all of it, so that replicas take turns.
	Jitter func(every time.Duration) time.Duration
}

// Defaults of Options.
const (
	DefaultDue     = 30 * time.Second
	DefaultMonths  = 24 * time.Hour
	DefaultLook    = time.Second
	DefaultTell    = 2 * time.Second
	DefaultRetry   = 10 * time.Second
	DefaultTimeout = 10 * time.Second
)

func (o Options) withDefaults() Options {
	for at, or := range map[*time.Duration]time.Duration{
		&o.Due: DefaultDue, &o.Months: DefaultMonths, &o.Look: DefaultLook, &o.Tell: DefaultTell, &o.Retry: DefaultRetry, &o.Timeout: DefaultTimeout,
	} {
		if *at <= 0 {
			*at = or
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.N[time.Duration]
	}
	return o
}

// Upkeep is the tasks and what they remember. It is a prometheus.Collector.
type Upkeep struct {
	o Options
	// after is the changed account behind which the next is looked for.
	after string
	// stored is the snapshot whose prices are stored.
	stored *snapshot.Index

	mu    sync.Mutex
	stats stats
}

// New makes an Upkeep, which does nothing until Run.
func New(o Options) *Upkeep {
	return &Upkeep{o: o.withDefaults(), stats: stats{failures: map[string]int{taskDue: 0, taskMonths: 0, taskPrices: 0, taskCopies: 0}}}
}

// The tasks, as metrics name them.
const (
	taskDue    = "grants"
	taskMonths = "partitions"
	taskPrices = "prices"
	taskCopies = "copies"
)

// task is one thing that is done again and again.
type task struct {
	name  string
	every time.Duration
	do    func(ctx context.Context) error
	at    time.Time // next
}

// Run does all of it until ctx ends: months and prices at once.
func (u *Upkeep) Run(ctx context.Context) {
	now := u.o.Now()
	tasks := []*task{
		{name: taskMonths, every: u.o.Months, do: u.makeMonths, at: now},
		{name: taskPrices, every: u.o.Look, do: u.storePrices, at: now},
		{name: taskCopies, every: u.o.Tell, do: u.tell, at: now.Add(u.o.Jitter(u.o.Tell))},
		{name: taskDue, every: u.o.Due, do: u.postDue, at: now.Add(u.o.Jitter(u.o.Due))},
	}
	for ctx.Err() == nil {
		next := tasks[0]
		for _, t := range tasks {
			if t.at.Before(next.at) {
				next = t
			}
		}
		if wait := next.at.Sub(u.o.Now()); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
		u.run(ctx, next)
	}
}

// run does a task once and says when it is done again.
func (u *Upkeep) run(ctx context.Context, t *task) {
	err := t.do(ctx)
	t.at = u.o.Now().Add(t.every)
	if err == nil || ctx.Err() != nil {
		return
	}
	t.at = u.o.Now().Add(u.o.Retry)
	u.mu.Lock()
	u.stats.failures[t.name]++
	u.mu.Unlock()
	u.o.Log.Error("Upkeep of the ledger failed, trying again", "task", t.name, "error", err)
}

// call bounds one call of a store.
func (u *Upkeep) call(ctx context.Context, fn func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, u.o.Timeout)
	defer cancel()
	return fn(ctx)
}

// makeMonths makes the months of the usage log that are missing.
func (u *Upkeep) makeMonths(ctx context.Context) error {
	return u.call(ctx, func(ctx context.Context) error {
		made, err := u.o.Ledger.MakePartitions(ctx, ledger.MonthsAhead)
		if made > 0 {
			u.o.Log.Info("Months of the usage log are made ahead", "months", made)
		}
		return err
	})
}

// dueAtOnce bounds the accounts of one call.
const dueAtOnce = 100

// postDue posts the grants that begin or expire; tell finds the accounts.
func (u *Upkeep) postDue(ctx context.Context) error {
	var err error
	for more := true; more && err == nil; {
		err = u.call(ctx, func(ctx context.Context) error {
			changed, err := u.o.Ledger.PostDue(ctx, dueAtOnce)
			u.posted(len(changed))
			more = len(changed) == dueAtOnce
			return err
		})
	}
	return err
}
