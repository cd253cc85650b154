package failover

import "sync"

const (
	// inRow failures one after the other open the breaker; so does failing at least half of the last recentCalls calls.
	inRow       = 3
	recentCalls = 20
)

// breaker says whether the store is asked at all. Open it stays until close: a probe, not a request, finds out.
type breaker struct {
	mu     sync.Mutex
	open   bool
	row    int
	recent [recentCalls]bool // which of the last calls failed
	calls  int
	failed int
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// told notes how a call ended; true: with this one it opened.
func (b *breaker) told(ok bool) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		return false // a call that began before it opened
	}
	slot := &b.recent[b.calls%recentCalls]
	if *slot {
		b.failed--
	}
	*slot = !ok
	b.calls++
	if ok {
		b.row = 0
		return false
	}
	b.row++
	b.failed++
	b.open = b.row >= inRow || b.calls >= recentCalls && 2*b.failed >= recentCalls
	return b.open
}

// close begins anew: what was before counts no more.
func (b *breaker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open, b.row, b.calls, b.failed, b.recent = false, 0, 0, 0, [recentCalls]bool{}
}
