package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

// All lines work, are printed with their ratios, and leave nothing held.
func TestRun(t *testing.T) {
	var out strings.Builder
	o := options{clients: 8, rounds: 1, accounts: 4, turn: 20 * time.Millisecond}
	if err := run(context.Background(), &out, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		trivialLine, bareLine, scriptLine, admitLine, tripleLine, rulesLine, hotBareLine, hotLine, hotTriple,
		"one by one, us", "CPU of the server", "d/c ", "d/b ", "d/a ", "e1/e ", "an idle account takes ", "a hold and its decision takes ", "a claim takes ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not print %q:\n%s", want, out.String())
		}
	}
}

func TestOneLineAlone(t *testing.T) {
	url, stop, err := startRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	w, err := newWorld(t.Context(), url, options{clients: 2, rounds: 1, accounts: 2, turn: time.Millisecond, only: "d"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	got, err := w.measure(t.Context())
	if err != nil || len(got) != 1 || got[0].name != admitLine || len(got[0].rates) != 1 || got[0].rates[0] <= 0 || got[0].server[0] <= 0 || got[0].alone[0] <= 0 || len(got[0].cpu) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	keys, err := w.raw.Do(t.Context(), w.raw.B().Hlen().Key("lyr:{"+account(0)+"}:holds").Build()).AsInt64()
	if err != nil || keys > 4 { // the first admission's hold, two sums and a mark
		t.Errorf("%d fields are left, %v", keys, err)
	}
}

func TestRatio(t *testing.T) {
	a, b := []float64{10, 50, 30, 1}, []float64{10, 100, 100, 100}
	if got := ratio(a, b); got != 0.4 { // of 0.01, 0.3, 0.5 and 1
		t.Errorf("got %v", got)
	}
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("got %v", got)
	}
}
