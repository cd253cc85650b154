package forecast

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is a clock that tests turn.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)} }

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var agent = Series{"digest-of-a-key", "openai/gpt-5"}

func sawMany(b *Book, s Series, n int, tokens int64) {
	for range n {
		b.Saw(s, tokens)
	}
}

func TestOutput(t *testing.T) {
	b := New(Options{Now: newClock().read})
	if got := b.Output(agent, 1024); got != 1024 {
		t.Errorf("of an unknown series: %d, want the class default", got)
	}
	sawMany(b, agent, enough-1, 100)
	if got := b.Output(agent, 1024); got != 1024 {
		t.Errorf("after %d answers: %d, want the class default", enough-1, got)
	}
	b.Saw(agent, 100)
	if got := b.Output(agent, 1024); got < 100 || got > 112 {
		t.Errorf("after %d answers of 100 tokens: %d", enough, got)
	}
	if got := b.Output(Series{agent.Key, "other"}, 1024); got != 1024 {
		t.Errorf("of another model: %d", got)
	}
	if got := b.Output(Series{"other", agent.Model}, 1024); got != 1024 {
		t.Errorf("of another key: %d", got)
	}
}

func TestOldAnswersFade(t *testing.T) {
	c := newClock()
	b := New(Options{Now: c.read, HalfLife: time.Hour})
	sawMany(b, agent, 400, 50)
	c.turn(4 * time.Hour)
	sawMany(b, agent, 25, 5000) // of 50 that are left
	if got := b.Output(agent, 1); got < 5000 {
		t.Errorf("four half-lives later the estimate is %d", got)
	}
	c.turn(100 * time.Hour)
	if got := b.Output(agent, 1); got != 1 {
		t.Errorf("a hundred half-lives later the estimate is %d, want the default", got)
	}
}

func TestBookIsBounded(t *testing.T) {
	b := New(Options{Now: newClock().read, Series: 100})
	sawMany(b, agent, 50, 70)
	for i := range 1000 {
		b.Output(Series{fmt.Sprint("key", i), "m"}, 1)
		if i%50 == 0 {
			b.Output(agent, 1) // in use, so it stays
		}
	}
	if b.Len() != 100 || len(b.series) != 100 {
		t.Errorf("%d series, %d in the map; want 100", b.Len(), len(b.series))
	}
	if got := b.Output(agent, 1); got < 70 {
		t.Errorf("the series in use was forgotten: %d", got)
	}
}

func TestInput(t *testing.T) {
	b := New(Options{Now: newClock().read})
	if got := b.Input("claude", 4000); got != overhead+1000 {
		t.Errorf("untaught: %d tokens of 4000 bytes", got)
	}
	for range 100 {
		b.SawInput("claude", 3000, overhead+1000)
	}
	if got := b.Input("claude", 3000); got < overhead+1000 || got > overhead+1150 {
		t.Errorf("taught a token every three bytes: %d of 3000", got)
	}
	if got := b.Input("gemini", 4000); got != overhead+1000 {
		t.Errorf("another family learned too: %d", got)
	}
}

func TestInputIsNotTaughtNonsense(t *testing.T) {
	b := New(Options{Now: newClock().read})
	for range 100 {
		b.SawInput("tiny", tellingBytes-1, 300)      // mostly overhead
		b.SawInput("none", 4000, 0)                  // not reported
		b.SawInput("image", 1000, 1_000_000)         // more than a token a byte
		b.SawInput("spaces", 1_000_000, overhead+10) // next to nothing
	}
	for family, want := range map[string]int64{"tiny": 1000, "none": 1000, "image": 4000, "spaces": 248} {
		if got := b.Input(family, 4000); got != overhead+want {
			t.Errorf("%s: %d tokens of 4000 bytes, want %d", family, got, overhead+want)
		}
	}
	if got := b.Input("any", -5); got != overhead {
		t.Errorf("of a negative size: %d", got)
	}
}

// What is estimated covers nearly all of what comes, when it goes on as it was.
func TestEstimateCoversItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New(Options{Now: newClock().read})
		answer := rapid.Int64Range(0, rapid.Int64Range(1, 100_000).Draw(t, "longest"))
		seen := rapid.SliceOfN(answer, enough, window).Draw(t, "answers")
		for _, n := range seen {
			b.Saw(agent, n)
		}
		estimate, longer := b.Output(agent, -1), 0
		for _, n := range seen {
			if n > estimate {
				longer++
			}
		}
		if longer*100 > 5*len(seen) {
			t.Fatalf("%d of %d answers are longer than the estimate %d", longer, len(seen), estimate)
		}
	})
}

func TestDefault(t *testing.T) {
	if Default(true) != 8192 || Default(false) != 1024 {
		t.Errorf("%d and %d", Default(true), Default(false))
	}
}
