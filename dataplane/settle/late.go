package settle

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
)

const (
	// maxInVain is how many accounts are tried alone in vain before the rest waits for the next time.
	maxInVain = 3
	// lateAtOnce bounds what is told again in one call: after a long outage all of it would not pass in the time of one.
	lateAtOnce = 500
)

// late is a confirmation that did not pass with the others.
type late struct {
	admit.Confirmation
	at     time.Time // not before
	second bool      // a release that passed once already
}

// secondRelease is when a release that passed is made once more: an admission that was given up may still lie unread in
// another connection when the store wakes up, and run after the release.
const secondRelease = 2 * time.Second

// Release takes away the hold that a request may have, which was given up without knowing whether it was admitted. It is
// tried until the admission store answers.
func (s *Settler) Release(account, requestID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.unconfirmed = append(s.unconfirmed, admit.Confirmation{RequestID: requestID, Account: account})
		s.nudge()
	}
}

// told makes second releases of those that passed for the first time.
func (s *Settler) told(ls []late) {
	var again []late
	for _, l := range ls {
		if l.Version == 0 && !l.second {
			again = append(again, late{Confirmation: l.Confirmation, at: s.o.Now().Add(secondRelease), second: true})
		}
	}
	s.postpone(again)
}

func lates(cs []admit.Confirmation) []late {
	ls := make([]late, len(cs))
	for i, c := range cs {
		ls[i] = late{Confirmation: c}
	}
	return ls
}

func (s *Settler) tell(cs []admit.Confirmation) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
	defer cancel()
	return s.o.Confirmer.Confirm(ctx, cs)
}

// postpone lets confirmations wait for confirmLate, behind those that wait already.
func (s *Settler) postpone(ls []late) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = append(s.late, ls...)
	if over := len(s.late) - maxUnconfirmed; over > 0 {
		s.lose(confirmations(s.late[:over]))
		s.late = append([]late(nil), s.late[over:]...)
	}
}

// lose gives confirmations up. The caller holds the lock.
func (s *Settler) lose(cs []admit.Confirmation) {
	s.stats.unconfirmedLost += len(cs)
	if s.o.Forget == nil {
		return
	}
	for _, c := range cs {
		s.o.Forget(c.Account, c.RequestID)
	}
}

// confirmLate tells again what was told in vain: some at once, and if that fails each account alone, so that one that can
// never pass holds up nobody. A store that does not answer is not asked for long: what failed goes to the end.
func (s *Settler) confirmLate() {
	due := s.dueLate()
	var kept, failed []late
	var err error
	inVain := 0
	for part := range slices.Chunk(due, lateAtOnce) {
		if inVain >= maxInVain || errors.Is(err, context.DeadlineExceeded) {
			kept = append(kept, part...)
			continue
		}
		if err = s.tell(confirmations(part)); err == nil {
			s.told(part)
			continue
		}
		s.o.Log.Error("Settlements are still not confirmed", "rows", len(part), "error", err)
		for _, group := range byAccount(part) {
			if inVain >= maxInVain || errors.Is(err, context.DeadlineExceeded) {
				kept = append(kept, group...)
				continue
			}
			if err = s.tell(confirmations(group)); err != nil {
				s.o.Log.Error("Account is not confirmed, trying again", "account", group[0].Account, "rows", len(group), "error", err)
				failed = append(failed, group...)
				inVain++
				continue
			}
			s.told(group)
		}
	}
	s.putBack(append(kept, failed...), len(due))
}

// putBack keeps what was not confirmed of so many for later.
func (s *Settler) putBack(left []late, of int) {
	if len(left) == 0 {
		if of > 0 {
			s.latePause = 0
		}
		return
	}
	s.postpone(left)
	s.latePause = min(max(2*s.latePause, s.o.Backoff), s.o.BackoffMax)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lateAt = s.o.Now().Add(s.latePause)
}

// dueLate takes out what may be told now.
func (s *Settler) dueLate() []late {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	if s.lateAt.After(now) {
		return nil
	}
	var due, rest []late
	for _, l := range s.late {
		if l.at.After(now) {
			rest = append(rest, l)
		} else {
			due = append(due, l)
		}
	}
	s.late = rest
	return due
}

// nextLate is when confirmLate has something to do; zero: nothing waits. The caller holds the lock.
func (s *Settler) nextLate() (next time.Time) {
	for _, l := range s.late {
		if next.IsZero() || l.at.Before(next) {
			next = l.at
		}
	}
	if len(s.late) > 0 && next.Before(s.lateAt) {
		next = s.lateAt
	}
	return next
}

func confirmations(ls []late) []admit.Confirmation {
	cs := make([]admit.Confirmation, len(ls))
	for i, l := range ls {
		cs[i] = l.Confirmation
	}
	return cs
}

// byAccount groups confirmations, accounts in the order in which they come.
func byAccount(ls []late) (groups [][]late) {
	at := map[string]int{}
	for _, l := range ls {
		i, ok := at[l.Account]
		if !ok {
			i = len(groups)
			at[l.Account] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], l)
	}
	return groups
}
