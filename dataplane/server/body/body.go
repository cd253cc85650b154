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

// firstChunk is what a body's buffer begins with when its length is not known or large.
const firstChunk = 16 << 10

// Reader reads bodies against one budget.
type Reader struct {
	budget *semaphore.Weighted
	now    func() time.Time
	// idle bounds the wait for the next byte, total the whole body.
	idle, total time.Duration
}

// NewReader makes a Reader with a budget in bytes.
func NewReader(budget int64, idle, total time.Duration, now func() time.Time) *Reader {
	return &Reader{budget: semaphore.NewWeighted(budget), now: now, idle: idle, total: total}
}

// Read reads the body of r, at most limit bytes. release gives its bytes back to the budget and must be called when the
// body is not used any more; it is never nil. Memory is taken as bytes arrive, whatever length the client announced.
func (b *Reader) Read(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, release func(), err error) {
	if r.ContentLength > limit {
		return nil, func() {}, ErrTooLarge
	}
	control := http.NewResponseController(w)
	defer func() { _ = control.SetReadDeadline(time.Time{}) }() // a recorder in a test has no deadlines
	var taken int64
	release = func() { b.budget.Release(taken) }
	buf := []byte{}
	end := b.now().Add(b.total)
	for {
		if len(buf) == cap(buf) {
			grown, err := b.grow(buf, r.ContentLength, limit, &taken)
			if err != nil {
				return nil, release, err
			}
			buf = grown
		}
		deadline := b.now().Add(b.idle)
		if end.Before(deadline) {
			deadline = end
		}
		_ = control.SetReadDeadline(deadline)
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, release, ErrTooLarge
		case errors.Is(err, io.EOF):
			return buf, release, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, release, fmt.Errorf("%w: %w", ErrSlow, err)
		case err != nil:
			return nil, release, fmt.Errorf("reading request body: %w", err)
		}
	}
}

// grow makes room: double, but never more than one byte above what was announced or allowed (that one byte tells the
// end from a body that is too large).
func (b *Reader) grow(buf []byte, announced, limit int64, taken *int64) ([]byte, error) {
	most := limit + 1
	if announced >= 0 {
		most = announced + 1
	}
	size := min(max(2*int64(cap(buf)), firstChunk), max(most, int64(len(buf))+1))
	more := size - *taken
	if !b.budget.TryAcquire(more) {
		return nil, ErrBudget
	}
	*taken = size
	grown := make([]byte, len(buf), size)
	copy(grown, buf)
	return grown, nil
}
