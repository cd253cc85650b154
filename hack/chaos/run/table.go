package run

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

// shown is how many violations of one rule are printed.
const shown = 5

// Report says what came of a run, with every violation.
func (r *Result) Report() string {
	var out strings.Builder
	fmt.Fprintf(&out, "seed %d: %+v, at rest after %.1fs\n", r.Plan.Seed, r.Counts, r.Quiet.Seconds())
	for _, o := range r.Overspent {
		if o.By > 0 {
			fmt.Fprintf(&out, "  %s was overspent by %s USD, at most %s\n", o.Account, pricing.FormatUSD(o.By), pricing.FormatUSD(o.Bound))
		}
	}
	seen := map[string]int{}
	for _, v := range r.Violations {
		if seen[v.Rule]++; seen[v.Rule] <= shown {
			fmt.Fprintf(&out, "  VIOLATION %s\n", v)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(seen)) {
		fmt.Fprintf(&out, "  %d violations of %s\n", seen[rule], rule)
	}
	return out.String()
}

// Table is what came of runs, in Markdown.
func Table(all []*Result) string {
	var out strings.Builder
	out.WriteString("# Chaos\n\nWhat `make chaos` found last: for each seed, three gateways, a Redis and a PostgreSQL under load and faults. `hack/chaos` says what is\nchecked; a violation is anything that is not as it must be.\n\n")
	if len(all) > 0 {
		fmt.Fprintf(&out, "Each run: %v of %d requests a second. Amounts are USD, of all small accounts together, each at its worst.\n\n", all[0].Plan.Duration, all[0].Plan.Rate)
	}
	head := []string{"seed", "requests", "admitted", "refused", "failed", "no answer", "served", "by the ledger", "orphans", "adjusted", "lost holds", "lost settlements", "keys served twice", "overspend", "its bound", "at rest after", "violations"}
	line(&out, head)
	line(&out, strings.Split(strings.Repeat("---:,", len(head)-1)+"---:", ","))
	for _, r := range all {
		var by, bound pricing.Nano
		for _, o := range r.Overspent {
			if o.Class == plan.Small { // nobody else comes near zero
				by, bound = by+o.By, bound+o.Bound
			}
		}
		n := r.Counts
		line(&out, []string{
			fmt.Sprint(r.Plan.Seed), fmt.Sprint(n.Requests), fmt.Sprint(n.Admitted), fmt.Sprint(n.Refused), fmt.Sprint(n.Failed), fmt.Sprint(n.Unanswered),
			fmt.Sprint(n.Served), fmt.Sprint(n.Fallbacks), fmt.Sprint(n.Orphans),
			fmt.Sprint(n.Adjusted), fmt.Sprint(n.LostHolds), fmt.Sprint(n.LostSettlements), fmt.Sprint(n.Twice), pricing.FormatUSD(by), pricing.FormatUSD(bound),
			fmt.Sprintf("%.1f s", r.Quiet.Seconds()), fmt.Sprint(len(r.Violations)),
		})
	}
	out.WriteString(legend)
	out.WriteString("\n## Faults\n\n")
	head = []string{"seed"}
	for _, k := range plan.Kinds {
		head = append(head, string(k))
	}
	line(&out, head)
	line(&out, strings.Split(strings.Repeat("---:,", len(head)-1)+"---:", ","))
	for _, r := range all {
		cells := []string{fmt.Sprint(r.Plan.Seed)}
		for _, k := range plan.Kinds {
			cells = append(cells, fmt.Sprint(r.Faults[k]))
		}
		line(&out, cells)
	}
	return out.String()
}

// legend says what the columns count that are not plain.
const legend = `
Refused: answered 4xx, most of them small accounts that ran short. Failed: answered 5xx, because neither store could answer for them in
time. No answer: the client left, or its gateway was killed.
By the ledger: holds that the ledger gave because a replica could not reach Redis. Orphans: requests that nobody finished, because
their gateway was killed, charged what their policy says. Adjusted: orphans that were settled after all. Lost holds: requests that nobody finished and
whose hold went with Redis' data before somebody reaped it; nothing is charged. Lost settlements: ends that went with a gateway's log and with
Redis' data while PostgreSQL was down. Keys served twice: an Idempotency-Key's claim went with Redis' data, or was where the second
request could not ask. Its bound: computed from the holds before each fault, see hack/chaos/judge.
`

func line(out *strings.Builder, cells []string) {
	out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}
