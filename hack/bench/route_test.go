package main

import "testing"

// Each part is worth something, in its own scenario.
func TestPartsAreWorthIt(t *testing.T) {
	for _, r := range []struct {
		row
		less bool // less is better
	}{{breakerRow(), true}, {affinityRow(), false}, {retryRow(), true}} {
		if better := r.with < r.without; better != r.less {
			t.Errorf("%s: %s is %v with it and %v without", r.scenario, r.figure, r.with, r.without)
		}
	}
}
