package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// spanFlags are a window of time.
type spanFlags struct{ from, to string }

func (f *spanFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "the window's beginning: a day (2030-01-31, UTC) or an instant (2030-01-31T12:00:00Z)")
	cmd.Flags().StringVar(&f.to, "to", "", "the window's end, which is not in it, in the same form (default: now)")
}

// given says whether there is a window.
func (f *spanFlags) given() bool { return f.from != "" || f.to != "" }

// span is the window, from the beginning of time unless a flag says otherwise.
func (f *spanFlags) span(now time.Time) (ledger.Span, error) {
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
