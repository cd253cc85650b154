package up

import (
	"context"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/layers-dev/layers/dataplane/source"
)

// Times of a reload.
const (
	// settleTime is how long the folder must be quiet: who saves several files, or writes one in pieces, means all of it.
	settleTime = 150 * time.Millisecond
	// maxSettleTime bounds it for a folder that is never quiet.
	maxSettleTime = 2 * time.Second
	// pollTime is how often the folder is looked at where no event comes: network file systems, a folder that was away.
	pollTime = 5 * time.Second
)

// reloader follows a folder.
type reloader struct {
	dir    string
	tell   teller
	log    *slog.Logger
	memory *source.Memory
	// sync brings the keys into the ledger; it answers where the first generated key is.
	sync func(context.Context, *world) (keyFile string, notes []note, err error)
	// world is what is served, mark the fingerprint of the folder when it was read; unfinished: its keys are not all in
	// the ledger.
	world      *world
	mark       string
	unfinished bool
	// told are the notes of the folder as it is, said what was told of the folder itself and of stores.
	told map[note]bool
	said map[string]note
	// poll is pollTime but in tests; now is the clock.
	poll time.Duration
	now  func() time.Time
}

// newReloader follows the folder that w was read from; mark is its fingerprint from before that.
func newReloader(o Options, t teller, log *slog.Logger, memory *source.Memory, w *world, mark string) *reloader {
	r := &reloader{
		dir: o.Manifests, tell: t, log: log, memory: memory, world: w, mark: mark,
		told: map[note]bool{}, said: map[string]note{}, poll: o.poll, now: time.Now,
	}
	r.news(w.notes)
	return r
}

// run follows the folder until ctx ends.
func (r *reloader) run(ctx context.Context) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		r.log.Warn("The manifests are looked at from time to time, because they cannot be watched", "every", r.poll, "error", err)
		r.follow(ctx, nil, nil, func() {})
		return
	}
	defer func() { _ = watcher.Close() }()
	r.follow(ctx, watcher.Events, watcher.Errors, func() {
		// Of a folder that was away and is there again, too.
		if err := watcher.Add(r.dir); err != nil {
			r.log.Debug("Watching the manifests", "error", err)
		}
	})
}

// follow applies the folder when it is quiet after events, and from time to time.
func (r *reloader) follow(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error, watch func()) {
	poll := time.NewTicker(r.poll)
	defer poll.Stop()
	quiet := time.NewTimer(0) // at once: it may have changed since it was read
	defer quiet.Stop()
	var first time.Time // of the events that wait
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			if first.IsZero() {
				first = r.now()
			}
			quiet.Reset(min(settleTime, max(0, maxSettleTime-r.now().Sub(first))))
			continue
		case err := <-errs: // events were lost
			r.log.Debug("Watching the manifests", "error", err)
		case <-poll.C:
		case <-quiet.C:
		}
		first = time.Time{}
		watch()
		r.apply(ctx)
	}
}
