package route

import "time"

// Bounds of the circuit breaker. They are the router's and no object's: what is sensible does not depend on the model.
const (
	// window is how far back failures count, in buckets of a second.
	window = 10
	// minFailures within the window open a circuit, if they are at least half of all calls.
	minFailures = 5
	// firstOpen is how long a circuit is open at first; each failed probe doubles it, up to maxOpen.
	firstOpen = time.Second
	maxOpen   = 30 * time.Second
)

// breaker is one backend's health. Its owner's lock guards it.
type breaker struct {
	calls, failures [window]int
	second          int64 // Unix seconds of the newest bucket
	openUntil       time.Time
	openFor         time.Duration
	// probing says that one call is on its way to find out whether an open circuit may close.
	probing bool
}

// admits says whether a call may go out now, and when to ask again if not. After an open circuit's time one probe may.
func (b *breaker) admits(now time.Time) (ok bool, again time.Duration) {
	if b.openFor == 0 {
		return true, 0
	}
	if wait := b.openUntil.Sub(now); wait > 0 {
		return false, wait
	}
	return !b.probing, firstOpen
}

// begin notes a call that goes out, and says whether it is the probe of an open circuit. A backend that is the only one is
// called all the same, before its time and beside a probe: such calls are none.
func (b *breaker) begin(now time.Time) (probe bool) {
	if b.openFor == 0 || b.probing || now.Before(b.openUntil) {
		return false
	}
	b.probing = true
	return true
}

// end notes how a call went. unknown ones (the client left) say nothing, and free the place of a probe. Of an open circuit
// only its probe speaks: calls that were on their way when it opened tell of before.
func (b *breaker) end(now time.Time, r Result, probe bool) {
	if probe {
		b.probing = false
	}
	switch open := b.openFor > 0; {
	case r == Unknown, open && !probe:
	case open && r == Good:
		*b = breaker{}
	case open:
		b.open(now, min(2*b.openFor, maxOpen))
	default:
		b.count(now, r == Failed)
	}
}

func (b *breaker) open(now time.Time, d time.Duration) {
	*b = breaker{openFor: d, openUntil: now.Add(d)}
}

// count adds a call to the window, and opens the circuit where too many of its calls failed.
func (b *breaker) count(now time.Time, failed bool) {
	second := now.Unix()
	for steps := min(second-b.second, window); steps > 0; steps-- {
		i := (second - steps + 1) % window
		b.calls[i], b.failures[i] = 0, 0
	}
	b.second = max(b.second, second)
	b.calls[second%window]++
	if !failed {
		return
	}
	b.failures[second%window]++
	calls, failures := 0, 0
	for i := range window {
		calls, failures = calls+b.calls[i], failures+b.failures[i]
	}
	if failures >= minFailures && 2*failures >= calls {
		b.open(now, firstOpen)
	}
}
