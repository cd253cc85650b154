// Package body reads request bodies whole, within a limit for each, a budget for all that are in flight, and deadlines
// that move with progress.
package body

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/semaphore"
)

// Errors of Read, told apart with errors.Is. Anything else means that the client broke off.
var (
	// ErrTooLarge: the body is larger than its limit.
	ErrTooLarge = errors.New("request body is too large")
	// ErrBudget: all bodies in flight together are too large; later it may pass.
	ErrBudget = errors.New("too many request bodies in flight")
	// ErrSlow: the client does not send, or too slowly.
	ErrSlow = errors.New("request body comes too slowly")
)

// Bounds of Discard: how long a client that was refused may go on sending, and be silent meanwhile.
const (
	discardTotal = 10 * time.Second
	discardIdle  = 2 * time.Second
	discardClass = 3 // 32 KiB
)

// Reader reads bodies against one budget.
type Reader struct {
	budget *semaphore.Weighted
	size   int64
	now    func() time.Time
	// idle bounds the wait for the next byte, total the whole body.
	idle, total time.Duration
	chunks      chunks
}

// NewReader makes a Reader with a budget in bytes.
func NewReader(budget int64, idle, total time.Duration, now func() time.Time) *Reader {
	return &Reader{budget: semaphore.NewWeighted(budget), size: budget, now: now, idle: idle, total: total}
}

// Most is the largest body that the budget can ever take: for a moment a body is there in pieces and as a whole.
func (b *Reader) Most() int64 { return max(0, b.size-2*int64(sizeOf(lastClass))) / 2 }

// Read reads the body of r, at most limit bytes. release gives its bytes back to the budget and must be called when the
// body is not used any more; it is never nil. Memory is taken as bytes arrive, whatever length the client announced, in
// pieces that are used again: a body that is refused leaves nothing behind to be collected.
func (b *Reader) Read(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, release func(), err error) {
	release = func() {}
	if r.ContentLength > limit {
		return nil, release, ErrTooLarge
	}
	control := http.NewResponseController(w)
	defer func() { _ = control.SetReadDeadline(time.Time{}) }() // a recorder in a test has no deadlines
	in := incoming{reader: b}
	defer in.drop()
	end := b.now().Add(b.total)
	for {
		room, err := in.room()
		if err != nil {
			return nil, release, err
		}
		deadline := b.now().Add(b.idle)
		if end.Before(deadline) {
			deadline = end
		}
		_ = control.SetReadDeadline(deadline)
		n, err := r.Body.Read(room)
		in.took(n)
		switch {
		case in.size > limit:
			return nil, release, ErrTooLarge
		case errors.Is(err, io.EOF):
			return in.whole()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, release, fmt.Errorf("%w: %w", ErrSlow, err)
		case err != nil:
			return nil, release, fmt.Errorf("reading request body: %w", err)
		}
	}
}

// Discard takes what is left of a body that was refused, for a short time: a connection that is closed while its client
// still sends is reset, and the answer with it.
func (b *Reader) Discard(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	// Not of the budget: it may be what the body was refused for.
	room := b.chunks.get(discardClass)
	defer b.chunks.put(discardClass, room)
	for end := b.now().Add(discardTotal); b.now().Before(end); {
		deadline := b.now().Add(discardIdle)
		if end.Before(deadline) {
			deadline = end
		}
		if control.SetReadDeadline(deadline) != nil {
			return
		}
		if _, err := r.Body.Read(room); err != nil {
			return
		}
	}
}
