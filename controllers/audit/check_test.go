package audit

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
)

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestDueAndNext(t *testing.T) {
	for now, want := range map[string][2]string{
		"2026-03-02T00:00:00Z":      {"2026-02-28", "2026-03-02T00:30:00Z"},
		"2026-03-02T00:29:59Z":      {"2026-02-28", "2026-03-02T00:30:00Z"},
		"2026-03-02T00:30:00Z":      {"2026-03-01", "2026-03-03T00:30:00Z"},
		"2026-03-02T23:59:59Z":      {"2026-03-01", "2026-03-03T00:30:00Z"},
		"2026-03-02T01:00:00+02:00": {"2026-02-28", "2026-03-02T00:30:00Z"}, // days are those of UTC
	} {
		if got := [2]string{Due(at(now)), Next(at(now)).Format(time.RFC3339)}; got != want {
			t.Errorf("%s: %v, want %v", now, got, want)
		}
	}
}

// fakeLedger answers problems and remembers what was asked.
type fakeLedger struct {
	asked    ledger.Span
	problems []string
	err      error
	noPrices error
}

func (f *fakeLedger) CheckWindow(_ context.Context, w ledger.Span, recost ledger.Recost) ([]string, error) {
	if recost == nil {
		return nil, errors.New("charges are not checked")
	}
	f.asked = w
	return f.problems, f.err
}

func (f *fakeLedger) PriceVersions(context.Context) ([]ledger.PriceVersion, error) {
	return nil, f.noPrices
}

func TestDaysThatAreChecked(t *testing.T) {
	now := at("2026-03-20T12:00:00Z")
	for name, tc := range map[string]struct{ last, from string }{
		"never before":        {"", "2026-03-19"},
		"the day before":      {"2026-03-18", "2026-03-19"},
		"two were missed":     {"2026-03-16", "2026-03-17"},
		"months were missed":  {"2026-01-01", "2026-03-13"},
		"that day already":    {"2026-03-19", "2026-03-19"},
		"one that is to come": {"2026-05-01", "2026-03-19"},
		"what is no day":      {"yesterday", "2026-03-19"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &fakeLedger{}
			r, err := Days(t.Context(), l, tc.last, now)
			if err != nil || r.Day != "2026-03-19" || !r.CheckedAt.Equal(now) {
				t.Fatalf("%+v, %v", r, err)
			}
			want := ledger.Span{From: at(tc.from + "T00:00:00Z").UnixMicro(), To: at("2026-03-20T00:00:00Z").UnixMicro()}
			if l.asked != want {
				t.Errorf("asked for %+v, want %+v", l.asked, want)
			}
		})
	}
}

func TestDaysCountsByKind(t *testing.T) {
	l := &fakeLedger{problems: []string{
		"transaction settle:a: entries sum to 1 in 2 entries", "account ai/x: balance 1, but its entries sum to 0", "account ai/y: balance 1, but its entries sum to 0",
		"key and day k 0: the window says 1, but its usage sums to 2",
	}}
	r, err := Days(t.Context(), l, "", at("2026-03-20T12:00:00Z"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Drift{{"account", 2}, {"key", 1}, {"transaction", 1}}
	if diff := cmp.Diff(want, r.Drift); diff != "" || len(r.Problems) != 4 {
		t.Errorf("%d problems, %s", len(r.Problems), diff)
	}
	l.err = errors.New("away")
	if _, err := Days(t.Context(), l, "", at("2026-03-20T12:00:00Z")); !errors.Is(err, l.err) {
		t.Errorf("the error is %v", err)
	}
	l.noPrices = errors.New("no prices")
	if _, err := Days(t.Context(), l, "", at("2026-03-20T12:00:00Z")); !errors.Is(err, l.noPrices) {
		t.Errorf("the error is %v", err)
	}
}
