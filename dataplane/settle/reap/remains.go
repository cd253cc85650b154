package reap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// remains are of one request whose process is gone.
type remains struct {
	owner, account, requestID, keyDigest string
	// amount is what it cost where finished, else what it held.
	amount   pricing.Nano
	finished bool
	at       time.Time // admitted
	// record is the settlement, or what is known for it; unread says why there is none.
	record ledger.Settlement
	unread error
	// reserved: it is of the ledger, where it does not come again once it is settled.
	reserved bool
}

var (
	errNoRecord = errors.New("there is no record")
	errForeign  = errors.New("the record is of another request or account")
)

// read answers why a record is not this request's.
func (m *remains) read(record ledger.Settlement) error {
	if record.RequestID != m.requestID || record.Account != m.account {
		return fmt.Errorf("%w: %q of %q", errForeign, record.RequestID, record.Account)
	}
	m.record = record
	return nil
}

// store is where they are, as metrics name it.
func (m *remains) store() string {
	if m.reserved {
		return "ledger"
	}
	return "admission"
}

// orphans asks the admission store, which has more of them; ok false: it does not answer.
func (r *Reaper) orphans(ctx context.Context) (out []remains, more, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	found, more, err := r.o.Owner.Orphans(ctx, &r.pass, batch)
	if err != nil {
		r.failed("admission", "Holds of processes that are gone cannot be read", err)
	}
	out = make([]remains, 0, len(found))
	for _, f := range found {
		m := remains{
			owner: f.Owner, account: f.Account, requestID: f.RequestID, keyDigest: f.KeyDigest, amount: f.Amount, finished: f.Finished, at: f.At,
		}
		if m.unread = errNoRecord; len(f.Record) > 0 {
			record, err := ledger.DecodeRecord(f.Record)
			if m.unread = err; err == nil {
				m.unread = m.read(record)
			}
		}
		if r.due(m) {
			out = append(out, m)
		}
	}
	return out, more, err == nil
}

// reservations asks the ledger; false: it does not answer.
func (r *Reaper) reservations(ctx context.Context) ([]remains, bool) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	found, err := r.o.Ledger.ExpiredReservations(ctx, batch)
	if err != nil {
		r.failed("ledger", "Reservations of processes that are gone cannot be read", err)
		return nil, false
	}
	out := make([]remains, 0, len(found))
	for _, f := range found {
		if f.Owner == r.o.Self && f.Owner != "" {
			continue
		}
		m := remains{
			owner: f.Owner, account: f.Account, requestID: f.RequestID, keyDigest: f.KeyDigest, amount: f.Amount, finished: f.Finished,
			at: time.UnixMicro(f.ExpiresAt), unread: errNoRecord, reserved: true,
		}
		record := f.Orphan
		if f.Finished {
			record = f.Record
		}
		switch {
		case f.Unread != nil:
			m.unread = f.Unread
		case record != nil:
			m.unread = m.read(*record)
		}
		if r.due(m) {
			out = append(out, m)
		}
	}
	return out, true
}

// due says whether the time has come to settle: at once where the request had finished and says how.
func (r *Reaper) due(m remains) bool {
	now := r.o.Now()
	switch {
	case m.unread != nil && !errors.Is(m.unread, errNoRecord):
		what := "request " + m.requestID
		if r.seen[what] == nil {
			r.failed(m.store(), "Record of a request of a process that is gone cannot be read, it is left to other replicas for a while", m.unread,
				"requestID", m.requestID, "account", m.account, "owner", m.owner)
		}
		return now.Sub(r.seen.first(what, now)) >= r.o.Patience
	case m.finished && m.unread == nil:
		return true
	default:
		return now.Sub(r.seen.first("owner "+m.owner, now)) >= r.o.Grace
	}
}

// settlement is what is posted.
func (m *remains) settlement(now time.Time) ledger.Settlement {
	e := m.record
	if m.unread != nil {
		e = ledger.Settlement{RequestID: m.requestID, Account: m.account, OrphanCharge: ledger.OrphanNone}
	} else if m.finished {
		return e
	}
	if e.OrphanCharge == "" {
		e.OrphanCharge = ledger.OrphanNone
	}
	if e.StartedAt == 0 {
		e.StartedAt = m.at.UnixMicro()
	}
	e.Evidence, e.Held, e.FinishedAt = ledger.EvidenceOrphan, m.amount, now.UnixMicro()
	e.Charged = ledger.Floor(e.OrphanCharge, e.Held, e.Cost)
	return e
}

// sightings are when something was seen first, and last.
type sightings map[string]*[2]time.Time

// first notes that it is seen now, and answers when it was first.
func (s sightings) first(what string, now time.Time) time.Time {
	if s[what] == nil {
		s[what] = &[2]time.Time{now, now}
	}
	s[what][1] = now
	return s[what][0]
}

// forget drops what was not seen since.
func (s sightings) forget(since time.Time) {
	for what, at := range s {
		if at[1].Before(since) {
			delete(s, what)
		}
	}
}
