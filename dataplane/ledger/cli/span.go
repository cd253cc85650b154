package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// spanFlags are a window of time.
type spanFlags struct{ from, to, window string }

func (f *spanFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "the window's beginning: a day (2030-01-31, UTC) or an instant (2030-01-31T12:00:00Z)")
	cmd.Flags().StringVar(&f.to, "to", "", "the window's end, which is not in it, in the same form (default: now)")
	cmd.Flags().StringVar(&f.window, "window", "", "a whole day, UTC: yesterday, today or 2030-01-31")
	cmd.MarkFlagsMutuallyExclusive("window", "from")
	cmd.MarkFlagsMutuallyExclusive("window", "to")
}

// given says whether there is a window.
func (f *spanFlags) given() bool { return f.from != "" || f.to != "" || f.window != "" }

// span is the window, from the beginning of time unless a flag says otherwise.
func (f *spanFlags) span(now time.Time) (ledger.Span, error) {
	if f.window != "" {
		return f.day(now)
	}
	w := ledger.Span{To: now.UnixMicro() + 1}
	if f.from != "" {
		at, err := instant(f.from)
		if err != nil {
			return w, fmt.Errorf("--from: %w", err)
		}
		w.From = at.UnixMicro()
	}
	if f.to != "" {
		at, err := instant(f.to)
		if err != nil {
			return w, fmt.Errorf("--to: %w", err)
		}
		w.To = at.UnixMicro()
	}
	if w.From < 0 || w.From >= w.To {
		return w, fmt.Errorf("the window from %s to %s is empty", f.from, f.to)
	}
	return w, nil
}

// day is the whole day that --window names.
func (f *spanFlags) day(now time.Time) (ledger.Span, error) {
	const day = 24 * time.Hour // in UTC all are
	begin := now.UTC().Truncate(day)
	switch f.window {
	case "today":
	case "yesterday":
		begin = begin.Add(-day)
	default:
		at, err := time.Parse(time.DateOnly, f.window)
		if err != nil || at.Unix() < 0 {
			return ledger.Span{}, fmt.Errorf("--window: %q is neither yesterday nor today nor a day (2030-01-31)", f.window)
		}
		begin = at
	}
	return ledger.Span{From: begin.UnixMicro(), To: begin.Add(day).UnixMicro()}, nil
}

// instant reads a day, which begins at midnight UTC, or an instant.
func instant(text string) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a day (2030-01-31) nor an instant (2030-01-31T12:00:00Z)", text)
	}
	return at, nil
}
