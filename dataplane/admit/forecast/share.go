package forecast

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// syncMost bounds how many series one Sync exchanges; what is left is for the next.
	syncMost = 1000
	// syncBatch is how many of them go to the store at a time.
	syncBatch = 100
	// replicasMost bounds how many records of a series are kept: of replicas that were restarted over and over, the newest.
	replicasMost = 64
	// historyMost is how many answers are read from the ledger for a series that the store does not know.
	historyMost = 200
	// lives is for how many half-lives a record is kept that nobody renews.
	lives = 8
)

// Store keeps a small record of each replica for each series. A record is replaced as a whole and never added to, so that
// writing it twice, or late, is harmless.
type Store interface {
	// Exchange writes this replica's records and reads those of all replicas: the answer has one map, by replica, for each
	// of the questions, in their order. Records vanish when they were not written for keep.
	Exchange(ctx context.Context, replica string, questions []Question, keep time.Duration) ([]map[string]string, error)
	// Forget drops records of a series.
	Forget(ctx context.Context, s Series, replicas []string) error
}

// Question is one series of an Exchange. An empty Record writes nothing.
type Question struct {
	Series Series
	Record string
}

// History knows how many tokens the newest answers of a key and a model took (at most so many): the ledger's usage.
type History interface {
	Recent(ctx context.Context, s Series, most int) ([]int64, error)
}

// Run calls Sync at each tick until ctx ends, and once more then, so that a draining replica leaves what it knows to the
// next. failed hears of each Sync that failed; estimates go on without.
func (b *Book) Run(ctx context.Context, tick <-chan time.Time, last time.Duration, failed func(error)) {
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), last)
			defer cancel()
			if err := b.Sync(ctx); err != nil {
				failed(err)
			}
			return
		case <-tick:
			if err := b.Sync(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// Sync writes what this replica has seen since the last time and reads what others have, for the series in use: at most
// 1000 of them, those that were never asked about and those that waited longest first.
func (b *Book) Sync(ctx context.Context) error {
	if b.o.Store == nil {
		return nil
	}
	due := b.due()
	var errs []error
	for len(due) > 0 && ctx.Err() == nil {
		n := min(len(due), syncBatch)
		errs = append(errs, b.exchange(ctx, due[:n]))
		due = due[n:]
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// due are the series to exchange, with the records to write.
func (b *Book) due() []Question {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.o.Now()
	var due []*entry
	for at := b.used.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry)
		if e.asked.IsZero() || now.Sub(e.asked) >= b.o.Refresh && (e.dirty || !e.used.Before(e.asked)) {
			due = append(due, e)
		}
	}
	slices.SortStableFunc(due, func(a, b *entry) int { return a.asked.Compare(b.asked) })
	out := make([]Question, 0, min(len(due), syncMost))
	for _, e := range due[:cap(out)] {
		out = append(out, Question{e.name, e.record()})
	}
	return out
}

// record is what the store has of an entry: since when it is not aged, and the sketch. The lock is held.
func (e *entry) record() string {
	if e.own.Total() == 0 {
		return ""
	}
	e.dirty = false
	return strconv.FormatInt(e.aged.Unix(), 10) + " " + e.own.text()
}

// exchange is one batch. What could not be written is written by the next Sync.
func (b *Book) exchange(ctx context.Context, batch []Question) error {
	answers, err := b.o.Store.Exchange(ctx, b.o.Replica, batch, lives*b.o.HalfLife)
	if err == nil && len(answers) != len(batch) {
		err = errors.New("the store of forecasts left out an answer")
	}
	if err != nil {
		b.again(batch)
		return err
	}
	var errs []error
	for i, q := range batch {
		others, drop := b.merged(answers[i])
		older, err := b.remembered(ctx, q.Series, others)
		if errs = append(errs, err); err != nil {
			continue // asked again by the next Sync
		}
		b.learn(q.Series, others, older)
		if len(drop) > 0 {
			errs = append(errs, b.o.Store.Forget(ctx, q.Series, drop))
		}
	}
	return errors.Join(errs...)
}

// again marks what was not written.
func (b *Book) again(batch []Question) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range batch {
		if at, ok := b.series[q.Series]; ok && q.Record != "" {
			at.Value.(*entry).dirty = true
		}
	}
}

// remembered is what the ledger knows of a series that was never asked about and that no replica has a record of.
func (b *Book) remembered(ctx context.Context, s Series, others Sketch) (older Sketch, err error) {
	if b.o.History == nil || s.Key == families || others.Total() > 0 || !b.unasked(s) {
		return older, nil
	}
	known, err := b.o.History.Recent(ctx, s, historyMost)
	if err != nil {
		return older, fmt.Errorf("reading what answers took: %w", err)
	}
	for _, tokens := range known[:min(len(known), historyMost)] {
		older.Add(tokens)
	}
	return older, nil
}

// unasked says that others were never asked about a series.
func (b *Book) unasked(s Series) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.series[s]
	return ok && at.Value.(*entry).asked.IsZero()
}

// learn replaces what is known of other replicas and adds what was remembered, which is then this replica's to share; unless
// the series was dropped meanwhile.
func (b *Book) learn(s Series, others, older Sketch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.series[s]
	if !ok {
		return
	}
	e := at.Value.(*entry)
	e.asked, e.others = b.o.Now(), nil
	if others.Total() > 0 {
		e.others = &others
	}
	if older.Total() > 0 {
		e.own.Merge(&older)
		e.dirty = true
	}
}

// merged joins the records of the other replicas, aged to now, and names those that are of no use: broken, from the
// future, or older than the newest 64.
func (b *Book) merged(records map[string]string) (all Sketch, drop []string) {
	now := b.o.Now()
	var known []record
	for replica, text := range records {
		if replica == b.o.Replica {
			continue
		}
		r, err := parse(replica, text)
		if age := now.Sub(r.at); err != nil || age < -b.o.HalfLife || age >= lives*b.o.HalfLife {
			drop = append(drop, replica)
			continue
		}
		known = append(known, r)
	}
	newestFirst(known)
	for i, r := range known {
		if i >= replicasMost {
			drop = append(drop, r.replica)
			continue
		}
		r.sketch.halve(int(max(0, now.Sub(r.at)) / b.o.HalfLife))
		all.Merge(&r.sketch)
	}
	return all, drop
}

// record is what a replica wrote.
type record struct {
	replica string
	at      time.Time
	sketch  Sketch
}

func parse(replica, text string) (record, error) {
	at, rest, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return record{}, fmt.Errorf("reading the time of a forecast: %w", err)
	}
	sketch, err := decode(rest)
	return record{replica, time.Unix(seconds, 0), sketch}, err
}

// newestFirst orders records; two of one second by name, so that all replicas keep the same ones.
func newestFirst(records []record) {
	slices.SortFunc(records, func(a, b record) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.replica, b.replica)) })
}
