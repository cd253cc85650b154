package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// DefaultPoll is how often a Dir looks by itself, for file systems that do not notify.
const DefaultPoll = 30 * time.Second

// Dir reads the snapshot from a mounted Secret. The kubelet replaces the content of such a mount by swapping the
// symlink ..data, so the folder is watched and not the file.
type Dir struct {
	// Path is the folder that has snapshot.SecretDataKey.
	Path string
	// Holder takes what is read.
	Holder *Holder
	// Poll is how often to look without being told; 0: DefaultPoll.
	Poll time.Duration

	last [sha256.Size]byte
}

// Load reads the file once. A missing or bad file is logged and counted, never fatal.
func (d *Dir) Load() {
	b, err := os.ReadFile(filepath.Join(d.Path, snapshot.SecretDataKey))
	if err != nil {
		d.Holder.Fail("dir", err)
		return
	}
	sum := sha256.Sum256(b)
	if bytes.Equal(sum[:], d.last[:]) {
		return
	}
	d.last = sum
	_ = d.Holder.OfferBytes("dir", b) // the holder logs and counts
}

// Run loads the file and follows it until ctx ends. It is the only user of d meanwhile.
func (d *Dir) Run(ctx context.Context) {
	events, stop := d.watch()
	defer stop()
	poll := d.Poll
	if poll == 0 {
		poll = DefaultPoll
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		d.Load()
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil // the watch broke: polling goes on
			}
		case <-tick.C:
		}
	}
}

// watch answers the folder's events, or a channel that never speaks where watching does not work.
func (d *Dir) watch() (<-chan fsnotify.Event, func()) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		d.Holder.Fail("dir", err)
		return nil, func() {}
	}
	if err := w.Add(d.Path); err != nil {
		d.Holder.Fail("dir", err)
	}
	go func() {
		for err := range w.Errors {
			d.Holder.Fail("dir", err)
		}
	}()
	return w.Events, func() { _ = w.Close() }
}
