package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// WriteTable writes the report for people: a line for each check, and what was wrong below those that failed.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "RESULT\tSUBJECT\tPROTOCOL\tCHECK\tTIME") // the Flush below tells what went wrong
	for _, c := range r.Checks {
		protocol := c.Protocol
		if protocol == "" {
			protocol = "-"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d ms\n", c.Outcome, line(c.Subject), protocol, line(c.Check), c.Milliseconds)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return r.writeReasons(w)
}

func (r Report) writeReasons(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Checks {
		if c.Outcome == Failed {
			fmt.Fprintf(&b, "\nFAILED  %s  %s\n  expected  %s\n  got       %s\n", line(c.where()), line(c.Check), line(c.Expected), line(c.Got))
		}
	}
	skipped := map[string]int{}
	var reasons []string
	for _, c := range r.Checks {
		if c.Outcome != Skipped {
			continue
		}
		reason := c.where() + ": " + c.Reason
		if skipped[reason]++; skipped[reason] == 1 {
			reasons = append(reasons, reason)
		}
	}
	if len(reasons) > 0 {
		b.WriteString("\nSkipped:\n")
	}
	for _, reason := range reasons {
		fmt.Fprintf(&b, "  %s (%d)\n", line(reason), skipped[reason])
	}
	b.WriteString("\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// where is what was asked.
func (r Result) where() string {
	if r.Protocol == "" {
		return r.Subject
	}
	return r.Subject + " " + r.Protocol
}

// line keeps what others wrote from being anything but text on one line.
func line(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 {
			return ' '
		}
		return c
	}, text)
}

// Summary is the last line.
func (r Report) Summary() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", r.Passed, r.Failed, r.Skipped)
}
