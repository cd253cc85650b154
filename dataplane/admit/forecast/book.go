package forecast

import (
	"container/list"
	"sync"
	"time"
)

// Defaults of Options.
const (
	DefaultSeries   = 10_000
	DefaultHalfLife = 24 * time.Hour
	DefaultRefresh  = 30 * time.Second
)

const (
	// enough is how many answers a series must have seen before its quantile is believed.
	enough = 20
	// percentile is what an estimate covers of the recent answers.
	percentile = 95
)

// Estimates of output, in tokens, for a series that too little is known of.
const (
	DefaultOutput  = 1024
	DefaultThought = 8192
)

// Default is the estimate of a class of models: of those that reason, and the others.
func Default(reasoning bool) int64 {
	if reasoning {
		return DefaultThought
	}
	return DefaultOutput
}

// Series is what answers are remembered by. Key is the API key's digest, Model the public name.
type Series struct {
	Key, Model string
}

// Options of a Book.
type Options struct {
	// Replica is this process' name among those that share a Store, its pod's UID and boot: a process that is started again
	// has another one, and so reads what the one before has left.
	Replica string
	// Now is the clock.
	Now func() time.Time
	// Series is how many series are remembered at most, the least recently used go first; 0: DefaultSeries. A series takes
	// about a kilobyte.
	Series int
	// HalfLife is how long it takes until a series that nobody uses counts half; 0: DefaultHalfLife.
	HalfLife time.Duration
	// Refresh is how old the view of other replicas' answers may be before Sync reads it again; 0: DefaultRefresh.
	Refresh time.Duration
	// Store shares what was seen between replicas, and over restarts; nil: neither.
	Store Store
	// History knows of older answers where the Store has nothing; nil: nobody does.
	History History
}

// Book remembers how much answers took, and how many tokens a byte of input is. Its estimates come out of memory at once;
// Sync, beside the requests, exchanges what was seen with other replicas. All methods are safe for concurrent use.
type Book struct {
	o Options

	mu     sync.Mutex
	series map[Series]*list.Element // of *entry
	used   *list.List               // the most recently used first
}

// entry is one series: what this replica has seen, and what others had when they were last asked.
type entry struct {
	name   Series
	own    Sketch
	others *Sketch   // nil: none, or not asked yet
	aged   time.Time // until when halvings are done
	dirty  bool      // own has something that the store has not
	asked  time.Time // when others were read; zero: never
	used   time.Time
}

// New makes a Book.
func New(o Options) *Book {
	if o.Series <= 0 {
		o.Series = DefaultSeries
	}
	if o.HalfLife <= 0 {
		o.HalfLife = DefaultHalfLife
	}
	if o.Refresh <= 0 {
		o.Refresh = DefaultRefresh
	}
	return &Book{o: o, series: map[Series]*list.Element{}, used: list.New()}
}

// Output estimates the tokens of the next answer: what 95 of 100 recent ones of the key and the model did not exceed, or
// fallback where too few are known. A series that is asked for the first time is looked up by the next Sync.
func (b *Book) Output(s Series, fallback int64) int64 {
	if v, ok := b.quantile(s); ok {
		return v
	}
	return fallback
}

// Saw remembers how many tokens of output an answer took, as its provider reported or as they were counted.
func (b *Book) Saw(s Series, output int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(s)
	e.own.Add(output)
	e.dirty = true
}

// Len is how many series are remembered.
func (b *Book) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used.Len()
}

// quantile is the series' percentile; false: too little is known.
func (b *Book) quantile(s Series) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(s)
	all := e.own
	if e.others != nil {
		all.Merge(e.others)
	}
	return all.Quantile(percentile), all.Total() >= enough
}

// entry finds or makes the entry of a series, aged to now, as the most recently used one. The lock is held.
func (b *Book) entry(s Series) *entry {
	now := b.o.Now()
	if at, ok := b.series[s]; ok {
		b.used.MoveToFront(at)
		e := at.Value.(*entry)
		e.used = now
		e.age(now, b.o.HalfLife)
		return e
	}
	if b.used.Len() >= b.o.Series {
		last := b.used.Back()
		b.used.Remove(last)
		delete(b.series, last.Value.(*entry).name)
	}
	e := &entry{name: s, aged: now, used: now}
	b.series[s] = b.used.PushFront(e)
	return e
}

// age halves what is older than half-lives.
func (e *entry) age(now time.Time, halfLife time.Duration) {
	times := int(now.Sub(e.aged) / halfLife)
	if times <= 0 {
		return
	}
	e.aged = e.aged.Add(time.Duration(times) * halfLife)
	e.own.halve(times)
	if e.others != nil {
		e.others.halve(times)
	}
}
