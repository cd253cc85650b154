package settle

import (
	"time"
)

// maxRefusedPause bounds the time between two tries of a row that the ledger refuses.
const maxRefusedPause = time.Minute

// probeEvery is how often one request is let through where the only rows that wait were refused one by one: whether the
// ledger refuses all or those alone is seen from another.
const probeEvery = 10 * time.Second

// overdue says that rows wait for too long. One that was refused while others passed is the row's fault, not the ledger's.
// The caller holds the lock.
func (s *Settler) overdue() bool {
	now, refused := s.o.Now(), false
	for _, it := range s.queue {
		if now.Sub(it.queuedAt) <= s.o.MaxAge || it.refused && it.committedBefore < s.stats.committed {
			continue
		}
		if !it.refused {
			return true
		}
		refused = true
	}
	if refused && now.Sub(s.probedAt) >= probeEvery {
		s.probedAt = now
		return false
	}
	return refused
}

// putOff sets a row aside that was tried alone in vain while the store was well. It is tried again, alone, when nothing
// else waits: it never makes another row wait.
func (s *Settler) putOff(it *item) {
	s.moveUp(it)
	s.mu.Lock()
	defer s.mu.Unlock()
	if it.pause == 0 { // the first time: what passes from now on shows that it is the row's fault
		it.committedBefore = s.stats.committed
	}
	it.refused = true
	it.pause = min(max(2*it.pause, s.o.Backoff), maxRefusedPause)
	it.at = s.o.Now().Add(it.pause)
}

// renew lets all refused rows be tried with the others again. The caller holds the lock.
func (s *Settler) renew() {
	for _, it := range s.queue {
		it.refused, it.pause = false, 0
	}
}

// nextRefused is the refused row that is due first; nil: there is none. The caller holds the lock.
func (s *Settler) nextRefused() (next *item) {
	for _, it := range s.queue {
		if it.refused && (next == nil || it.at.Before(next.at)) {
			next = it
		}
	}
	return next
}

// leave says in full what the ledger does not have at the end, so that it can be posted by hand.
func (s *Settler) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.queue {
		r := it.s
		s.o.Log.Error("Settlement is left behind, post it by hand unless the log is replayed", "inLog", it.mark != 0, "requestID", r.RequestID, "account", r.Account, "keyID", r.KeyID,
			"model", r.Model, "provider", r.Provider, "backend", r.Backend, "upstreamID", r.UpstreamID,
			"chargedNano", r.Charged, "costNano", r.Cost, "heldNano", r.Held, "priceVersion", r.PriceVersion, "evidence", r.Evidence,
			"input", r.Usage.Input, "cacheRead", r.Usage.CacheRead, "cacheWrite", r.Usage.CacheWrite, "output", r.Usage.Output,
			"reasoning", r.Usage.Reasoning, "status", r.Status, "stream", r.Stream, "startedAt", r.StartedAt, "finishedAt", r.FinishedAt)
	}
}
