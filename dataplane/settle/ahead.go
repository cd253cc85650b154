package settle

import (
	"github.com/layers-dev/layers/dataplane/ledger"
)

// maxFlying is how many batches are on their way to the ledger at once. Of two the second one is sent ahead of the first one's
// answer, and only where it is full: a settler that keeps up makes no more and no smaller transactions than with one. What does
// not need the accounts of the first one is done meanwhile, which is about half of the work: a third one would wait for the rest.
const maxFlying = 2

// flight is a batch on its way, and what became of it.
type flight struct {
	batch   []*item
	behind  bool // it was sent ahead of the answer to another one, and may have waited for that one most of its time
	answers []ledger.Settled
	err     error
}

// send sends what waits to the ledger. While the store is not well nothing is sent ahead.
func (s *Settler) send() {
	for s.ctx.Err() == nil && s.flying < s.mayFly() {
		f := &flight{batch: s.head(), behind: s.flying > 0}
		if len(f.batch) == 0 {
			return
		}
		s.flying++
		go func() {
			f.answers, f.err = s.settle(f.batch)
			s.landed <- f
		}()
	}
}

func (s *Settler) mayFly() int {
	if s.failing {
		return 1
	}
	return maxFlying
}

// land waits for the next batch that comes back, and sends one ahead as soon as it is full; nil: none is on its way.
func (s *Settler) land() *flight {
	for s.flying > 0 {
		ahead := s.ahead
		if s.flying >= s.mayFly() {
			ahead = nil
		}
		select {
		case f := <-s.landed:
			s.flying--
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, it := range f.batch {
				it.flying = false
			}
			s.aloft -= len(f.batch)
			return f
		case <-ahead:
			s.send()
		}
	}
	return nil
}

// head is the next batch; it stays in the queue until it is committed. Where nothing else waits it is one refused row
// whose time has come; at the end there is no other time. Ahead of another batch it is a full one or none.
func (s *Settler) head() (batch []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aloft > 0 && len(s.queue)-s.aloft < s.o.Batch {
		return nil
	}
	for _, it := range s.queue {
		if len(batch) == s.o.Batch {
			break
		}
		if !it.refused && !it.flying {
			batch = append(batch, it)
		}
	}
	switch {
	case s.aloft > 0 && len(batch) < s.o.Batch:
		return nil
	case len(batch) == 0 && s.aloft == 0 && !s.stopping():
		if it := s.nextRefused(); it != nil && !it.at.After(s.o.Now()) {
			batch = []*item{it}
		}
	}
	for _, it := range batch {
		it.flying = true
	}
	s.aloft += len(batch)
	return batch
}

// push puts an item into the queue. The caller holds the lock.
func (s *Settler) push(it *item) {
	s.queue = append(s.queue, it)
	if s.aloft > 0 && len(s.queue)-s.aloft >= s.o.Batch {
		signal(s.ahead)
	}
}
