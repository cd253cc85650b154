package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var minute = Options{Seed: 7, Duration: time.Minute, Rate: 70}

func TestTheSeedRepeatsThePlan(t *testing.T) {
	if diff := cmp.Diff(New(minute), New(minute)); diff != "" {
		t.Errorf("the same seed gave another plan:\n%s", diff)
	}
	other := minute
	other.Seed++
	if cmp.Equal(New(minute).Requests, New(other).Requests) || cmp.Equal(New(minute).Faults, New(other).Faults) || cmp.Equal(New(minute).Grants, New(other).Grants) {
		t.Error("another seed gave the same plan")
	}
}

func TestAMinuteHasEverything(t *testing.T) {
	p := New(minute)
	if n := len(p.Requests); n < 3500 || n > 5000 {
		t.Errorf("%d requests", n)
	}
	kinds := map[Kind]int{}
	for i, f := range p.Faults {
		kinds[f.Kind]++
		if f.N != i || f.At < 4*time.Second || f.At > p.Duration-4*time.Second || f.Gateway < 0 || f.Gateway >= Gateways {
			t.Errorf("fault %+v", f)
		}
	}
	for _, k := range Kinds {
		if kinds[k] == 0 {
			t.Errorf("no %s in a minute", k)
		}
	}
	seen := map[string]int{}
	for i, q := range p.Requests {
		if q.N != i || q.Account >= len(p.Accounts) || q.Key >= len(p.Accounts[q.Account].Keys) || p.Accounts[q.Account].Class == Quiet {
			t.Fatalf("request %+v", q)
		}
		seen[string(p.Accounts[q.Account].Class)]++
		for what, is := range map[string]bool{
			"streams": q.Stream, "unary": !q.Stream, "leaves": q.Leave > 0, "together": q.Again == Together, "after": q.Again == After,
			"fails": q.Fails, "breaks": q.Breaks, "empty": q.Empty, "strict": q.Strict, q.Model: true, "longer than asked": q.MaxTokens > 0 && q.Output > q.MaxTokens,
			"no limit": q.MaxTokens == 0, "stepped": q.Model == ModelSteps && q.Input > StepAbove, "without usage": q.Stream && !q.Usage,
		} {
			if is {
				seen[what]++
			}
		}
	}
	for _, what := range []string{
		"streams", "unary", "leaves", "together", "after", "fails", "breaks", "empty", "strict", ModelCancel, ModelDrain, ModelSteps, ModelDear, "longer than asked",
		"no limit", "stepped", "without usage", "hot", "large", "small",
	} {
		if seen[what] < 5 {
			t.Errorf("%q comes %d times", what, seen[what])
		}
	}
}

func TestGrantsAreDuplicatedReorderedAndExpire(t *testing.T) {
	var twice, held, expires, begins int
	for _, g := range New(minute).Grants {
		if g.Copies > 1 {
			twice++
		}
		if g.Held {
			held++
		}
		if g.Expires > 0 {
			expires++
		}
		if g.Begins > 0 {
			begins++
		}
		if g.Amount <= 0 || g.Expires > 0 && g.Expires <= g.Begins {
			t.Errorf("grant %+v", g)
		}
	}
	if twice < 10 || held < 10 || expires < 10 || begins < 10 {
		t.Errorf("%d duplicated, %d late, %d expire, %d begin later", twice, held, expires, begins)
	}
}
