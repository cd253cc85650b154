package settle

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// maxUnconfirmed bounds the confirmations that wait for the admission store, beside which requests go on without it: half an
// hour of 25 a second. What is lost beyond that is told to Options.Forget.
const maxUnconfirmed = 50_000

// run empties the queue until it is told to stop and nothing is left but what the ledger refuses.
func (s *Settler) run() {
	defer close(s.gone)
	defer s.leave()
	defer s.refuse()
	pause := s.o.Backoff
	for s.ctx.Err() == nil {
		s.rewrite()
		s.send()
		if s.flying == 0 && !s.waiting() {
			if s.ended() {
				s.last()
				return
			}
			s.idle()
			continue
		}
		if s.round() {
			pause = s.o.Backoff
			continue
		}
		s.sleep(pause)
		pause = min(2*pause, s.o.BackoffMax)
	}
	for s.flying > 0 { // the ledger may have them
		s.round()
	}
}

// round takes one batch that is written and confirms it, while the next one is; false: the store is not well and it is wise to
// pause.
func (s *Settler) round() bool {
	written, ok := s.outcome(s.land())
	s.finish(written)
	s.failing = !ok
	if ok {
		s.send()
	}
	s.confirm()
	s.acknowledge(written)
	s.confirmLate()
	return ok
}

// committed is an item and what the ledger said.
type committed struct {
	it *item
	as ledger.Settled
}

// outcome is what came of a batch that was tried in one transaction. If that failed while the store is well, one of the rows is
// the reason, unless it had no time of its own: then each goes alone, so that a bad one never holds up the rest. false: it is wise
// to pause, and nothing is sent ahead of the next.
func (s *Settler) outcome(f *flight) (written []committed, ok bool) {
	if f == nil {
		return nil, true
	}
	if f.err == nil {
		s.setAway(false)
		return pairs(f), true
	}
	s.o.Log.Error("Settlements are not committed, trying again", "rows", len(f.batch), "error", f.err)
	late := errors.Is(f.err, context.DeadlineExceeded)
	if late { // asking whether it is well may take as long again
		s.setAway(true)
	}
	for _, it := range f.batch {
		it.failed()
	}
	if !s.well() || late && f.behind { // with all of the time for itself the batch may pass
		return nil, false
	}
	if len(f.batch) == 1 {
		s.putOff(f.batch[0])
		return nil, true
	}
	for _, it := range f.batch {
		one := &flight{batch: []*item{it}}
		if one.answers, one.err = s.settle(one.batch); one.err == nil {
			written = append(written, pairs(one)...)
			continue
		}
		s.o.Log.Error("Settlement is refused by the ledger, trying again", "requestID", it.s.RequestID, "error", one.err)
		if !s.well() {
			return written, false
		}
		s.putOff(it)
	}
	return written, true
}

func pairs(f *flight) []committed {
	out := make([]committed, len(f.batch))
	for i, it := range f.batch {
		out[i] = committed{it: it, as: f.answers[i]}
	}
	return out
}

// settle tries a batch in one transaction, in whichever goroutine.
func (s *Settler) settle(batch []*item) ([]ledger.Settled, error) {
	rows := make([]ledger.Settlement, len(batch))
	for i, it := range batch {
		rows[i] = it.s
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
	defer cancel()
	start := s.o.Now()
	answers, err := s.o.Ledger.Settle(ctx, rows)
	s.count(len(rows), s.o.Now().Sub(start), err)
	return answers, err
}

// well says that the store can be written, whatever a single row says.
func (s *Settler) well() bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
	defer cancel()
	well := s.o.Ledger.Ready(ctx) == nil
	s.setAway(!well)
	return well
}

// finish takes what was written out of the queue and notes what is to be confirmed. Where a refused row passed after all,
// the ledger refused more than bad rows: then the others need not wait for their time.
func (s *Settler) finish(written []committed) {
	if len(written) == 0 {
		return
	}
	gone := make(map[*item]bool, len(written))
	passed := false
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range written {
		gone[w.it] = true
		passed = passed || w.it.refused
		s.unconfirmed = append(s.unconfirmed, admit.Confirmation{
			RequestID: w.it.s.RequestID, Account: w.as.Account.ID, Balance: w.as.Account.Spendable(), Version: w.as.Account.Version,
			Suspended: w.as.Account.Suspended, KeyDigest: w.it.keyDigest, Spends: spends(w.as.Spends),
		})
	}
	s.queue = slices.DeleteFunc(s.queue, func(it *item) bool { return gone[it] })
	signal(s.room)
	if passed {
		s.renew()
	}
	if over := len(s.unconfirmed) - maxUnconfirmed; over > 0 {
		s.lose(s.unconfirmed[:over])
		s.unconfirmed = append([]admit.Confirmation(nil), s.unconfirmed[over:]...)
	}
}

// spends are what the key has spent, as the admission store takes it.
func spends(from []ledger.Spend) []admit.Spend {
	out := make([]admit.Spend, len(from))
	for i, s := range from {
		out[i] = admit.Spend{Period: s.Period, Window: s.Start, Spent: s.Spent}
	}
	return out
}

// confirm tells the admission store what was just committed. What fails is told again later, see confirmLate, and holds
// up neither rows nor other confirmations.
func (s *Settler) confirm() {
	s.mu.Lock()
	todo := s.unconfirmed
	s.unconfirmed = nil
	s.mu.Unlock()
	if len(todo) == 0 {
		return
	}
	if err := s.tell(todo); err != nil {
		s.o.Log.Error("Settlements are not confirmed, trying again", "rows", len(todo), "error", err)
		s.postpone(lates(todo))
		return
	}
	s.told(lates(todo))
}

// waiting says that confirmations are left. At the end they are not waited for: a hold ends by itself, or is reaped.
func (s *Settler) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.nextLate()
	return (len(s.unconfirmed) > 0 || !next.IsZero() && !next.After(s.o.Now())) && !s.stopping()
}

// last tells once more at the end what was not told.
func (s *Settler) last() {
	s.mu.Lock()
	todo := append(s.unconfirmed, confirmations(s.late)...)
	s.unconfirmed, s.late = nil, nil
	s.mu.Unlock()
	if len(todo) == 0 {
		return
	}
	if err := s.tell(todo); err != nil {
		s.o.Log.Error("Holds are left until they end by time or are reaped", "rows", len(todo), "error", err)
	}
}

// idle waits until there is something to do.
func (s *Settler) idle() {
	s.mu.Lock()
	next := s.nextLate()
	if it := s.nextRefused(); it != nil && (next.IsZero() || it.at.Before(next)) {
		next = it.at
	}
	s.mu.Unlock()
	var due <-chan time.Time // never
	if !next.IsZero() {
		t := time.NewTimer(next.Sub(s.o.Now()))
		defer t.Stop()
		due = t.C
	}
	quit := s.quit
	if s.stopping() { // it waits for the log or for a Submit
		quit = nil
	}
	select {
	case <-s.wake:
	case <-quit:
	case <-due:
	case <-s.ctx.Done():
	}
}

// refuse makes Submit take nothing more.
func (s *Settler) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// ended says that the settler was told to stop and the queue is empty but for what is refused, and so is the log; from then
// on it takes nothing.
func (s *Settler) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = s.stopping() && s.entering == 0 && !s.replaying && !slices.ContainsFunc(s.queue, func(it *item) bool { return !it.refused })
	return s.closed
}

func (s *Settler) stopping() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

func (s *Settler) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}
