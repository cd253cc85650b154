package failover

import (
	"sync"
	"time"
)

const (
	// inRow failures one after the other are a suspicion that a part of Redis is away; so is failing at least half of the
	// last recentCalls calls.
	inRow       = 3
	recentCalls = 20
	// mostCleared is how many suspicions an answered probe clears, with no recentCalls good calls since: whose calls fail though probes are
	// answered is away all the same.
	mostCleared = 2
	// calm is how many Probes a part has to be well until what was before says nothing of how soon it is probed.
	calm = 10
)

// breaker says whether a part of Redis is asked at all. It opens when calls fail and a probe, which somebody who asks nobody for
// the time sends, fails too; open it stays until close.
type breaker struct {
	mu      sync.Mutex
	open    bool
	looking bool // a probe is under way
	row     int
	recent  [recentCalls]bool // which of the last calls failed
	calls   int
	failed  int
	cleared int
	probes  int       // of this time, and of the times before if it was not well for long between them
	closed  time.Time // zero: it was never open
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// told notes how a call ended; true: with this one there is a suspicion, and whoever told it looks.
func (b *breaker) told(ok bool) (look bool) {
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
		if b.row = 0; b.calls >= recentCalls && b.failed == 0 {
			b.cleared = 0
		}
		return false
	}
	b.row++
	b.failed++
	if b.looking || b.row < inRow && (b.calls < recentCalls || 2*b.failed < recentCalls) {
		return false
	}
	b.looking = true
	return true
}

// suspect has a part looked at whose calls say nothing; true: the caller looks.
func (b *breaker) suspect() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open || b.looking {
		return false
	}
	b.looking = true
	return true
}

// looked notes what the probe said; true: it is open now.
func (b *breaker) looked(well bool) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looking = false
	if b.failed > 0 && well {
		b.cleared++
	}
	b.open = !well || b.cleared > mostCleared
	if !b.open {
		b.begin()
	}
	return b.open
}

// begin forgets the calls before; the caller holds mu.
func (b *breaker) begin() {
	b.row, b.calls, b.failed, b.recent = 0, 0, 0, [recentCalls]bool{}
}

// close begins anew: what was before counts no more.
func (b *breaker) close(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open, b.looking, b.cleared, b.closed = false, false, 0, now
	b.begin()
}

// next is how long to wait before the next probe: not at all, then first, then twice as long each time, up to most. A part that
// was away a moment ago goes on from there.
func (b *breaker) next(now time.Time, first, most time.Duration) (pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed.IsZero() && now.Sub(b.closed) > calm*most {
		b.probes = 0
	}
	b.closed = time.Time{}
	if b.probes > 0 {
		pause = min(most, first<<min(b.probes-1, 10))
	}
	b.probes++
	return pause
}

// parts are the breakers of the parts of Redis.
type parts struct {
	mu sync.Mutex
	by map[int]*breaker
	// away is how many are open, scanned when all were last looked at.
	away    int
	scanned time.Time
}

func (p *parts) of(part int) *breaker {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.by[part]
	if b == nil {
		b = &breaker{}
		p.by[part] = b
	}
	return b
}

func (p *parts) anyOpen(of []int) bool {
	for _, part := range of {
		if p.of(part).isOpen() {
			return true
		}
	}
	return false
}

// count notes that one has opened, or closed (-1), and answers how many were open before.
func (p *parts) count(by int) (before int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away += by
	return p.away - by
}

// scan says whether all parts are to be looked at because one has opened; not more often than every so often.
func (p *parts) scan(now time.Time, every time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.scanned.IsZero() && now.Sub(p.scanned) < every {
		return false
	}
	p.scanned = now
	return true
}
