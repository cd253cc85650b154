// Package source says where a replica's snapshot comes from: a mounted folder, the Secret that it shows, or memory
// (`layers up`). They all offer what they find to one Holder, whose one rule decides; nothing here is ever waited for
// at boot, and whatever fails, the last good snapshot stays.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Source is what a server needs: the snapshot to serve from now.
type Source interface {
	// Current is the snapshot to serve from; nil: there is none yet. A request keeps the one it started with.
	Current() *snapshot.Index
}

// Reasons why an offered snapshot does not win, told apart with errors.Is.
var (
	// ErrUnchanged: it is the one that is served already.
	ErrUnchanged = errors.New("unchanged")
	// ErrOlder: its sequence is lower than the current one's.
	ErrOlder = errors.New("older than the current snapshot")
	// ErrForked: the same sequence with another content.
	ErrForked = errors.New("same sequence as the current snapshot, other content")
	// ErrForeign: it belongs to another gateway.
	ErrForeign = errors.New("belongs to another gateway")
	// ErrEmpty: it has no models and does not say that this is meant.
	ErrEmpty = errors.New("has no models, and does not say that this is meant")
	// ErrInvalid: it does not decode or validate.
	ErrInvalid = errors.New("invalid")
)

// Decide is the rule: nil when next replaces current (nil: there is none), else the reason why not.
func Decide(current, next *snapshot.Index) error {
	if current == nil {
		return nil
	}
	switch {
	case next.GatewayUID != current.GatewayUID:
		return ErrForeign
	case next.Sequence < current.Sequence:
		return ErrOlder
	case next.Sequence == current.Sequence && next.Hash != current.Hash:
		return ErrForked
	case next.Sequence == current.Sequence:
		return ErrUnchanged
	case len(next.Models) == 0 && len(current.Models) > 0 && !next.AllowEmpty:
		return ErrEmpty
	}
	return nil
}

// Holder keeps the current snapshot and applies the rule. Its zero value is not usable; see NewHolder.
type Holder struct {
	log     *slog.Logger
	now     func() time.Time
	current atomic.Pointer[snapshot.Index]
	// gatewayUID is the only gateway whose snapshots are taken; empty: that of the first one.
	gatewayUID string

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	errors  map[string]time.Time
	refused map[string]int64  // by origin
	told    map[string]string // the error last told of an origin
}

// NewHolder makes an empty Holder. now is the clock for the age of errors.
func NewHolder(log *slog.Logger, now func() time.Time) *Holder {
	return &Holder{log: log, now: now, changed: make(chan struct{}), errors: map[string]time.Time{}, refused: map[string]int64{}, told: map[string]string{}}
}

// Expect says whose snapshots are taken, by the gateway's UID: without it (empty) the first snapshot decides, which may be
// one that another gateway of the same name left behind. It must be called before anything is offered.
func (h *Holder) Expect(gatewayUID string) { h.gatewayUID = gatewayUID }

// Current implements Source.
func (h *Holder) Current() *snapshot.Index { return h.current.Load() }

// OfferBytes decodes b and offers it; see Offer.
func (h *Holder) OfferBytes(origin string, b []byte) error {
	s, err := snapshot.Decode(b)
	if err != nil {
		return h.refuse(origin, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	return h.Offer(origin, s)
}

// Offer makes s the current snapshot if the rule says so, and answers why not otherwise. The caller must not change s
// afterwards. origin is "dir", "secret" or "memory": for the log and the metrics.
func (h *Holder) Offer(origin string, s *snapshot.Snapshot) error {
	next, err := snapshot.NewIndex(s)
	if err != nil {
		return h.refuse(origin, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	if h.gatewayUID != "" && s.GatewayUID != h.gatewayUID {
		return h.refuse(origin, fmt.Errorf("snapshot %d: %w", s.Sequence, ErrForeign))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := Decide(h.current.Load(), next); err != nil {
		return h.refuseLocked(origin, fmt.Errorf("snapshot %d: %w", s.Sequence, err))
	}
	h.current.Store(next)
	delete(h.told, origin)
	close(h.changed)
	h.changed = make(chan struct{})
	h.log.Info("Serving snapshot", "origin", origin, "sequence", s.Sequence, "hash", s.Hash, "models", len(s.Models), "mode", s.Mode)
	return nil
}

// Fail counts and logs that origin could not be read.
func (h *Holder) Fail(origin string, err error) {
	_ = h.refuse(origin, fmt.Errorf("reading snapshot: %w", err))
}

// Wait blocks until done accepts the current snapshot (which is never nil then), or ctx ends.
func (h *Holder) Wait(ctx context.Context, done func(*snapshot.Index) bool) (*snapshot.Index, error) {
	for {
		h.mu.Lock()
		changed := h.changed
		h.mu.Unlock()
		if x := h.current.Load(); x != nil && done(x) {
			return x, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for a snapshot: %w", ctx.Err())
		}
	}
}

func (h *Holder) refuse(origin string, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refuseLocked(origin, err)
}

// refuseLocked notes a refusal. The mount lags behind the watch, so older and unchanged ones are everyday life.
func (h *Holder) refuseLocked(origin string, err error) error {
	if errors.Is(err, ErrUnchanged) || errors.Is(err, ErrOlder) {
		return err
	}
	h.errors[origin] = h.now()
	h.refused[origin]++
	// A folder that others write into may be looked at very often: the same error is told once.
	if text := err.Error(); h.told[origin] != text {
		h.told[origin] = text
		h.log.Error("Keeping the current snapshot", "origin", origin, "error", err)
	}
	return err
}

// Memory is a Source for one process: what is published is served at once.
type Memory struct {
	*Holder
	publish sync.Mutex
}

// NewMemory makes an empty Memory.
func NewMemory(log *slog.Logger, now func() time.Time) *Memory {
	return &Memory{Holder: NewHolder(log, now)}
}

// Publish makes s current: it numbers it (one more than the current one), hashes it and takes it over. Publishing what
// is served already changes nothing.
func (m *Memory) Publish(s *snapshot.Snapshot) error {
	m.publish.Lock()
	defer m.publish.Unlock()
	s.Schema, s.Sequence, s.Hash = snapshot.SchemaVersion, 1, snapshot.ContentHash(s)
	if current := m.Current(); current != nil {
		if current.Hash == s.Hash {
			return nil
		}
		s.Sequence = current.Sequence + 1
	}
	return m.Offer("memory", s)
}
