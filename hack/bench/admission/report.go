package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// ratio is the median of what one line did as parts of what another did in the same round.
func ratio(a, b []float64) float64 {
	parts := make([]float64, len(a))
	for i := range parts {
		parts[i] = a[i] / b[i]
	}
	return median(parts)
}

// report prints what each line did, and the ratios: more is better, so that where time is told a ratio is of the other's to the line's.
func report(out io.Writer, got []result) {
	by := map[string]result{}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "line\tcalls a second\tone by one, us\tCPU of the server, us\tin the script, us")
	for _, r := range got {
		by[r.name] = r
		_, _ = fmt.Fprintf(t, "%s\t%.0f\t%.1f\t%.1f\t%.1f\n", r.name, median(r.rates), median(r.alone), median(r.cpu), median(r.server))
	}
	_, _ = fmt.Fprintln(t, "\nratio\tcalls a second\tone by one\tCPU of the server")
	for _, p := range []struct{ what, a, b string }{
		{"d/c  what the client adds to the script", admitLine, scriptLine},
		{"d/b  an admission beside a bare reservation", admitLine, bareLine},
		{"d/a  an admission beside an empty script", admitLine, trivialLine},
		{"b/a  a bare reservation beside an empty script", bareLine, trivialLine},
		{"d'/b an admission under every rule beside a bare reservation", rulesLine, bareLine},
		{"b1/b one hot account beside many, bare", hotBareLine, bareLine},
		{"d1/d one hot account beside many, Admit", hotLine, admitLine},
		{"e1/e one hot account beside many, all three", hotTriple, tripleLine},
	} {
		a, ok := by[p.a]
		b, ok2 := by[p.b]
		if ok && ok2 {
			_, _ = fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\n", p.what, ratio(a.rates, b.rates), ratio(b.alone, a.alone), ratio(b.cpu, a.cpu))
		}
	}
	_ = t.Flush()
}
