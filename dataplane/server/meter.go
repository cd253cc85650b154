package server

import (
	"context"
	"sort"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

const (
	// lead is how many tokens before its end a hold is asked to grow, so that no answer waits for that.
	lead = forecast.SliceTokens / 16
	// unseenPace is how many tokens a second a model that is silent while it thinks is believed to write: more than most do.
	unseenPace = 300
	// unseenTick is how often silence is looked at.
	unseenTick = time.Second
)

// meter watches a stream that is held for by an estimate, and makes the hold larger as the answer gets longer. What can
// make a request dearer while it runs is the length of its answer alone: it is charged the model's price whichever backend
// serves it, and its bound has the searches and the room for reasoning of the backend that has most of them, so that
// a fallback costs no more than was checked at admission.
type meter struct {
	e      *exchange
	follow chat.Follower // of a stream that passes; nil: it is translated
	// perMille is how many tokens a thousand bytes of output are thought to be.
	perMille int64
	// paid is how many tokens of output the hold pays for, with the usage that was reported by then.
	paid     int64
	reported *pricing.Usage
	// refused says that no more is to be had until what there is is used up.
	refused bool
	// last is what was written when it was looked at last, step the most that came between two looks.
	last, step int64
	// tick, if not nil, tells of silence: unseen are the tokens believed to be written in it, heard the bytes before it.
	tick   *time.Ticker
	unseen int64
	heard  int64
	// choices are those of a translated stream that have begun and not ended.
	choices []int64
}

// meter is nil where the hold is for all that there can be, or for all that was let through.
func (e *exchange) meter(b snapshot.Backend) *meter {
	if e.stake.mode != forecast.Adaptive {
		return nil
	}
	m := &meter{e: e, perMille: max(e.s.o.Book.PerMille(e.target.PublicName), 1000/bytesPerToken)}
	if e.passes {
		m.follow = e.dialect.Follow(e.req)
	}
	if e.thinks() && e.x.Provider(b.Provider).Type != snapshot.Gemini { // Gemini reports what it thinks as it goes
		m.tick = time.NewTicker(unseenTick)
	}
	m.price()
	return m
}

// stop ends the meter; it may be nil.
func (m *meter) stop() {
	if m != nil && m.tick != nil {
		m.tick.Stop()
	}
}

// silence is when to look whether the stream is silent; nil: never.
func (m *meter) silence() <-chan time.Time {
	if m == nil || m.tick == nil {
		return nil
	}
	return m.tick.C
}

// silent counts what a model that says nothing is believed to think.
func (m *meter) silent() {
	if m.heard == m.e.tally.outputBytes {
		m.unseen += unseenPace
	}
	m.heard = m.e.tally.outputBytes
}

// sees follows an event, which the client gets.
func (m *meter) sees(ev chat.Event) {
	if m == nil {
		return
	}
	if m.follow != nil && len(ev.Data) > 0 {
		m.follow.Event(ev.Data)
	}
	for i := range ev.Pieces {
		m.piece(&ev.Pieces[i])
	}
}

func (m *meter) piece(p *chat.Piece) {
	at := sort.Search(len(m.choices), func(i int) bool { return m.choices[i] >= p.Choice })
	there := at < len(m.choices) && m.choices[at] == p.Choice
	switch {
	case p.Kind == chat.PieceFinish && there:
		m.choices = append(m.choices[:at], m.choices[at+1:]...)
	case p.Content() && !there:
		m.choices = append(m.choices[:at], append([]int64{p.Choice}, m.choices[at:]...)...)
	}
}

// written is how many tokens of output there are, as far as it can be told by now.
func (m *meter) written() int64 {
	t := &m.e.tally
	n := (t.outputBytes*m.perMille + 999) / 1000
	if t.usage != nil {
		n = t.usage.Output + (t.sinceReport*m.perMille+999)/1000
	}
	return min(n+m.unseen, m.e.outBound)
}

// price computes how many tokens the hold pays for.
func (m *meter) price() {
	m.reported = m.e.tally.usage
	m.paid = int64(sort.Search(int(m.e.outBound)+1, func(n int) bool { return m.cost(int64(n)) > m.e.stake.held })) - 1
}

// cost is what so many tokens of output cost, and the input with them.
func (m *meter) cost(output int64) pricing.Nano {
	u := pricing.Usage{Input: m.e.stake.ask.Input, Searches: m.e.stake.ask.Searches}
	if m.reported != nil {
		u = *m.reported
	}
	u.Output = output
	cost, _, err := pricing.Cost(u, *m.e.price)
	if err != nil {
		return admit.MaxNano
	}
	return min(cost, admit.MaxNano)
}

// pays says whether the answer may go on: the hold pays for it, or was made to. false: it is over.
func (m *meter) pays() bool {
	if m == nil {
		return true
	}
	if m.reported != m.e.tally.usage {
		m.price()
	}
	n := m.written()
	m.last, m.step = n, max(m.step, n-m.last)
	if n+lead <= m.paid || m.paid >= m.e.outBound || m.refused && n < m.paid {
		return true
	}
	granted, known := m.extend(m.cost(min(n+lead+forecast.SliceTokens, m.e.outBound)))
	m.price()
	if !known { // at most one slice goes on without an answer, what comes next included
		return n+m.step <= m.paid+forecast.SliceTokens
	}
	m.refused = !granted
	return granted || n < m.paid
}

// extend asks for a larger hold, and where that is not to be had for as much as there is. known: the store answered.
func (m *meter) extend(to pricing.Nano) (granted, known bool) {
	d, err := m.ask(to)
	if err == nil && refusesMore(d) && d.Fits > m.e.stake.held {
		_, err = m.ask(d.Fits)
	}
	known = err == nil && (d.Outcome == admit.Admitted || refusesMore(d))
	if !known {
		m.e.s.o.Log.Warn("Hold is not extended", "requestID", m.e.rec.ID, "outcome", outcomeNames[d.Outcome], "error", err)
	}
	if err != nil {
		return false, false
	}
	m.e.s.metrics.Extended(outcomeNames[d.Outcome])
	return d.Outcome == admit.Admitted, known
}

// refusesMore: also of an account that was suspended meanwhile, and while the ledger is away, as soon as so much is held as may be until it is back.
func refusesMore(d admit.Decision) bool {
	switch d.Outcome {
	case admit.AccountSuspended, admit.InsufficientCredits, admit.CapReached, admit.LedgerAway:
		return true
	}
	return false
}

// ask puts one extension, and again where something must be read first: a store that has just lost its data wants that as often
// as another replica brings something back. A refusal is final once what it is of was read again: a grant may be newer.
func (m *meter) ask(to pricing.Nano) (admit.Decision, error) {
	e := m.e
	more := admit.Extension{RequestID: e.rec.ID, Account: e.key.Account, KeyDigest: e.key.Digest, Meter: e.key.Meter(), To: to}
	if e.key.CapAmount > 0 {
		more.Cap = &admit.Cap{Amount: e.key.CapAmount, Period: e.key.CapPeriod}
	}
	if e.policy != nil {
		more.Overdraft = e.policy.Overdraft
	}
	more.LedgerAway = e.s.o.Settler.Away()
	q := e.question(nil)
	d, err := m.put(q, more)
	read := map[admit.Outcome]bool{}
	for n := 1; n < maxDecisions && err == nil && wantsRead(d, read[d.Outcome] || more.LedgerAway); n++ {
		if unread := q.reread(d); unread != nil {
			if !refusesMore(d) {
				err = unread
			}
			break // what was refused stays so
		}
		read[d.Outcome] = true
		d, err = m.put(q, more)
	}
	if err == nil && d.Outcome == admit.Admitted {
		e.stake.held = max(e.stake.held, d.Held)
	}
	return d, err
}

// wantsRead says that an extension is decided only when something was read again; last: a refusal is one for good.
func wantsRead(d admit.Decision, last bool) bool {
	switch d.Outcome {
	case admit.ReloadAccount, admit.ReloadCap:
		return true
	case admit.AccountSuspended, admit.InsufficientCredits, admit.CapReached:
		return !last && !d.Fallback
	}
	return false
}

func (m *meter) put(q *question, more admit.Extension) (admit.Decision, error) {
	ctx, cancel := q.context()
	defer cancel()
	return m.e.s.o.Admitter.Extend(ctx, more)
}

// cutShort ends a stream whose hold pays no more: the upstream is told to stop, or read on for its usage where it bills all
// the same; what is used is settled, and the client is told that the limit of tokens is reached.
func (e *exchange) cutShort(ctx context.Context, out *outlet, p *pump, m *meter) error {
	e.s.metrics.Stopped(e.rec)
	e.tally.most = max(m.written(), m.paid)
	if e.stopsBilling.Load() {
		p.stop()
	} else if e.s.drained.TryAcquire(1) {
		e.drain(ctx, out, p)
		e.s.drained.Release(1)
	}
	e.end(200)
	if e.tally.content {
		out.held = nil // what it would have cost
	}
	out.pass()
	if out.writer == nil && m.follow != nil {
		out.write(m.follow.Stop(nil, e.total()))
		return nil
	}
	if out.writer == nil { // it was silent all the time
		out.writer = e.dialect.Stream(e.req)
		m.choices = []int64{0}
	}
	var raw []byte
	for _, choice := range m.choices {
		raw = out.writer.Write(raw, &chat.Piece{Kind: chat.PieceFinish, Choice: choice, Finish: &chat.Finish{Reason: chat.FinishLength}})
	}
	out.write(out.writer.End(raw, e.total()))
	return nil
}

// drain reads a stream to its end, for its usage alone; the client hears that it is still there.
func (e *exchange) drain(ctx context.Context, out *outlet, p *pump) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-out.timer.C:
			out.beat()
		case st := <-p.steps:
			if st.err != nil || st.event.Err != nil {
				return
			}
			if usage := st.event.Usage; usage != nil {
				reported := *usage
				e.tally.usage, e.tally.sinceReport = &reported, 0
			}
			if st.event.Done {
				return
			}
			p.next <- struct{}{}
		}
	}
}
