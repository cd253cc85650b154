// Command bench shows what parts of the gateway are worth: each scenario runs with the part and without it.
//
//	go run ./hack/bench
package main

import (
	"fmt"
	"os"
	"text/tabwriter"
)

func main() {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "scenario\tfigure\twith\twithout")
	for _, r := range []row{breakerRow(), affinityRow(), retryRow()} {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\n", r.scenario, r.figure, r.with, r.without)
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
