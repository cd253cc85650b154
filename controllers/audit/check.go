package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// day is one day of UTC, and how its name is written.
const (
	day    = 24 * time.Hour
	layout = time.DateOnly
)

// settled is how long after a day's end its charges are given to arrive: a replica may still be writing what it finished.
const settled = 30 * time.Minute

// missed is how many days that nobody checked are made up for.
const missed = 7

// Checker is what a check needs of a ledger.
type Checker interface {
	CheckWindow(ctx context.Context, w ledger.Span, recost ledger.Recost) ([]string, error)
	PriceVersions(ctx context.Context) ([]ledger.PriceVersion, error)
}

// Drift counts what of one kind does not agree.
type Drift struct {
	Kind  string
	Count int32
}

// Report is what a check found.
type Report struct {
	// Day is the last day that was checked, as YYYY-MM-DD.
	Day string
	// CheckedAt is when.
	CheckedAt time.Time
	// Drift is sorted by kind; nothing: all agrees.
	Drift []Drift
	// Problems are what does not agree, one sentence each, for a log.
	Problems []string
}

// Due is the last day whose charges can be expected to have arrived.
func Due(now time.Time) string { return now.UTC().Add(-settled - day).Format(layout) }

// Next is when another day is due.
func Next(now time.Time) time.Time {
	return now.UTC().Add(-settled).Truncate(day).Add(day + settled)
}

// Days checks a ledger from the day after last (YYYY-MM-DD, the last one that was checked; empty: none) to the day that is
// due now, at most a week: entries, draws of grants, settlements and roll-ups against one another, and every charge against
// what its usage costs at the prices of its time. It is a long read that changes nothing; ctx bounds it.
func Days(ctx context.Context, l Checker, last string, now time.Time) (Report, error) {
	r := Report{Day: Due(now), CheckedAt: now.UTC()}
	to, err := time.Parse(layout, r.Day)
	if err != nil {
		return Report{}, fmt.Errorf("reading a day: %w", err)
	}
	from := to
	if after, err := time.Parse(layout, last); err == nil {
		from = after.Add(day)
	}
	if from.After(to) {
		from = to
	}
	if oldest := to.Add(-(missed - 1) * day); from.Before(oldest) {
		from = oldest
	}
	span := ledger.Span{From: from.UnixMicro(), To: to.Add(day).UnixMicro()}
	recost, err := ledger.StoredPrices(ctx, l)
	if err != nil {
		return Report{}, fmt.Errorf("reading the versions of prices: %w", err)
	}
	if r.Problems, err = l.CheckWindow(ctx, span, recost); err != nil {
		return Report{}, fmt.Errorf("checking the ledger: %w", err)
	}
	r.Drift = drift(r.Problems)
	return r, nil
}

// drift is what is not zero of the ledger's own count, sorted.
func drift(problems []string) []Drift {
	var out []Drift
	for kind, n := range ledger.Drift(problems) {
		if n > 0 {
			out = append(out, Drift{kind, int32(min(n, math.MaxInt32))})
		}
	}
	slices.SortFunc(out, func(a, b Drift) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}
