package reap

import (
	"context"
	"fmt"
	"slices"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
)

const (
	// maxInVain is how many accounts are confirmed alone in vain before the rest waits.
	maxInVain = 3
	// maxUntold bounds the confirmations that wait. A lost one leaves a copy of a balance until it moves again.
	maxUntold = 10_000
)

// post settles and confirms, so many at once, and answers how many are done with, and whether everything was.
func (r *Reaper) post(ctx context.Context, found []remains) (done int, all bool) {
	all = true
	for part := range slices.Chunk(found, batch) {
		n, ok := r.postBatch(ctx, part)
		done, all = done+n, all && ok
		if n == 0 && !ok {
			break
		}
	}
	return done, all
}

func (r *Reaper) postBatch(ctx context.Context, found []remains) (done int, all bool) {
	settled, ok := r.settle(ctx, found)
	told := make([]admit.Confirmation, len(settled))
	for i, s := range settled {
		told[i] = s.confirmation()
	}
	left := r.confirm(ctx, told)
	if found[0].reserved { // all are, or none is
		r.untold = append(r.untold, left...)
		r.untold = r.untold[max(0, len(r.untold)-maxUntold):]
	}
	released := r.release(ctx, settled)
	return len(settled) - len(left), ok && released && len(left) == 0
}

// release takes away reservations that are settled as orphans though their requests had finished, because nobody can read how: the
// ledger keeps those for what they tell. What fails comes again.
func (r *Reaper) release(ctx context.Context, done []settled) bool {
	for _, s := range done {
		if !s.of.reserved || !s.of.finished || s.of.unread == nil {
			continue
		}
		if err := r.releaseOne(ctx, s.of); err != nil {
			r.failed("ledger", "Reservation whose record cannot be read is not released, trying again", err, "requestID", s.of.requestID, "account", s.of.account)
			return false
		}
	}
	return true
}

func (r *Reaper) releaseOne(ctx context.Context, m remains) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	return r.o.Ledger.ReleaseReservation(ctx, m.account, m.requestID)
}

// renew moves the copies of accounts forward to what the ledger has, as far as that has not happened: a process that is gone may
// have settled requests on them and not have lived to confirm them.
func (r *Reaper) renew(ctx context.Context, accounts []string) error {
	rows, err := r.o.Ledger.Accounts(ctx, accounts)
	if err != nil {
		return fmt.Errorf("reading accounts of a process that is gone: %w", err)
	}
	cs := make([]admit.Confirmation, len(rows))
	for i, a := range rows {
		cs[i] = admit.Confirmation{Account: a.ID, Balance: a.Spendable(), Version: a.Version, Suspended: a.Suspended}
	}
	if err := r.o.Confirmer.Confirm(ctx, cs); err != nil {
		return fmt.Errorf("renewing copies of accounts of a process that is gone: %w", err)
	}
	return nil
}

// tellAgain confirms what waits, not more in one call than fits into its time.
func (r *Reaper) tellAgain(ctx context.Context) {
	var left []admit.Confirmation
	for part := range slices.Chunk(r.untold, batch) {
		left = append(left, r.confirm(ctx, part)...)
	}
	r.untold = left
}

// settled is a request and what the ledger said.
type settled struct {
	of  remains
	row ledger.Settlement
	as  ledger.Settled
}

// confirmation moves the copy forward and takes away the hold that was found. Of a reservation it takes no hold away: the
// admission store may have one of the same request that tells of its real end, and that comes again as an orphan of its own.
func (s settled) confirmation() admit.Confirmation {
	c := admit.Confirmation{Account: s.of.account, Balance: s.as.Account.Spendable(), Version: s.as.Account.Version, Suspended: s.as.Account.Suspended, KeyDigest: s.of.keyDigest}
	if !s.of.reserved {
		c.RequestID = s.of.requestID
	}
	for _, spend := range s.as.Spends {
		c.Spends = append(c.Spends, admit.Spend{Period: spend.Period, Window: spend.Start, Spent: spend.Spent})
	}
	return c
}

// settle tries all in one transaction. If that fails while the store is well, one of them is the reason: then each goes
// alone, so that a bad one never holds up the rest. false: not all are in the ledger.
func (r *Reaper) settle(ctx context.Context, found []remains) ([]settled, bool) {
	done, err := r.settleAll(ctx, found)
	if err == nil {
		return done, true
	}
	r.failed("ledger", "What processes left that are gone is not settled, trying again", err)
	if len(found) == 1 || !r.ready(ctx) {
		return nil, false
	}
	for i := range found {
		one, err := r.settleAll(ctx, found[i:i+1])
		if err == nil {
			done = append(done, one...)
			continue
		}
		r.failed("ledger", "A request of a process that is gone is not settled, trying again", err, "requestID", found[i].requestID, "account", found[i].account)
		if !r.ready(ctx) {
			break
		}
	}
	return done, false
}

func (r *Reaper) settleAll(ctx context.Context, found []remains) ([]settled, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	rows := make([]ledger.Settlement, len(found))
	for i, m := range found {
		rows[i] = m.settlement(r.o.Now())
	}
	answers, err := r.o.Ledger.Settle(ctx, rows)
	if err != nil {
		return nil, err
	}
	done := make([]settled, len(found))
	for i, m := range found {
		done[i] = settled{of: m, row: rows[i], as: answers[i]}
		r.tell(done[i])
	}
	return done, nil
}

// tell says what became of a request, in the log and the metrics.
func (r *Reaper) tell(s settled) {
	args := []any{
		"requestID", s.of.requestID, "account", s.of.account, "owner", s.of.owner, "heldNano", s.row.Held, "chargedNano", s.row.Charged,
	}
	switch {
	case s.as.Duplicate:
		r.count(kindDuplicate, 0)
		r.o.Log.Debug("Request of a process that is gone had been settled", args...)
	case s.of.unread != nil:
		r.count(kindUnreadable, 0)
		r.o.Log.Error("Request of a process that is gone is charged nothing: its record cannot be read", append(args, "finished", s.of.finished,
			"amountNano", s.of.amount, "error", s.of.unread)...)
	case s.of.finished:
		r.count(kindFinished, 0)
		r.o.Log.Info("Settlement of a process that is gone is posted", append(args, "adjusted", s.as.Adjusted)...)
	default:
		r.count(kindOrphan, s.row.Charged)
		r.o.Log.Info("Request that nobody finished is charged what its policy says", append(args, "orphanCharge", s.row.OrphanCharge)...)
	}
}

// confirm takes holds away and moves copies forward: all at once, and if that fails each account alone, so that one that
// never passes holds up nobody. It answers those that did not pass.
func (r *Reaper) confirm(ctx context.Context, cs []admit.Confirmation) (left []admit.Confirmation) {
	if len(cs) == 0 {
		return nil
	}
	err := r.confirmAll(ctx, cs)
	if err == nil {
		return nil
	}
	r.failed("admission", "What was reaped is not confirmed, trying again", err, "rows", len(cs))
	groups, order := map[string][]admit.Confirmation{}, []string(nil)
	for _, c := range cs {
		if groups[c.Account] == nil {
			order = append(order, c.Account)
		}
		groups[c.Account] = append(groups[c.Account], c)
	}
	if len(order) == 1 {
		return cs
	}
	inVain := 0
	for _, account := range order {
		if inVain < maxInVain && ctx.Err() == nil {
			if err := r.confirmAll(ctx, groups[account]); err == nil {
				continue
			}
			inVain++
		}
		left = append(left, groups[account]...)
	}
	return left
}

func (r *Reaper) confirmAll(ctx context.Context, cs []admit.Confirmation) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	return r.o.Confirmer.Confirm(ctx, cs)
}
