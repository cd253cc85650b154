package wal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// entry is a settlement of usual size.
func entry(id string) wal.Entry {
	return wal.Entry{KeyDigest: "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8", Row: ledger.Settlement{
		RequestID: id, Account: "tenant-a/main", KeyID: "key_01890a5d-ac96-774b-bcce-b302099a8057", Model: "gpt-5-mini", Provider: "openai",
		Backend: "tenant-a/openai", UpstreamID: "chatcmpl-ABCDEFGHIJKLMNOPQRSTUVWXYZ", Usage: pricing.Usage{Input: 1200, Output: 300},
		Lines: []pricing.Line{
			{Kind: "input", Quantity: 1200, UnitPrice: 250_000_000, Amount: 300_000},
			{Kind: "output", Quantity: 300, UnitPrice: 2_000_000_000, Amount: 600_000},
		},
		PriceVersion: "3f786850e387550f", Cost: 900_000, Charged: 9_007_199_254_740_993, Held: 1_200_000, Evidence: ledger.EvidenceReported, Status: 200,
		StartedAt: 1_800_000_000_000_000, FinishedAt: 1_800_000_001_000_000,
	}}
}

func open(t testing.TB, dir string, o wal.Options) *wal.Log {
	t.Helper()
	l, err := wal.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func appendTo(t testing.TB, l *wal.Log, id string) wal.Mark {
	t.Helper()
	m, err := l.Append(entry(id))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// replayed are the ids that come back, in order, and their marks.
func replayed(t testing.TB, l *wal.Log) (ids []string, marks []wal.Mark, r wal.Report, err error) {
	t.Helper()
	r, err = l.Replay(func(m wal.Mark, e wal.Entry) error {
		e.At = 0
		if d := cmp.Diff(entry(e.Row.RequestID), e); d != "" {
			t.Errorf("a record has changed (-want +got):\n%s", d)
		}
		ids, marks = append(ids, e.Row.RequestID), append(marks, m)
		return nil
	})
	return ids, marks, r, err
}

func wantIDs(t testing.TB, l *wal.Log, want ...string) []wal.Mark {
	t.Helper()
	ids, marks, r, err := replayed(t, l)
	if err != nil || r.Corrupt+r.Unreadable > 0 {
		t.Errorf("replay: %+v, %v", r, err)
	}
	if d := cmp.Diff(want, ids); d != "" {
		t.Errorf("replayed (-want +got):\n%s", d)
	}
	return marks
}

func segmentsIn(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMicro(1_800_000_000_000_000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// What was appended and is not done comes back after the process ended, whether or not it was synced or closed.
func TestReplay(t *testing.T) {
	for name, end := range map[string]func(*wal.Log){
		"killed": (*wal.Log).Abandon,
		"closed": func(l *wal.Log) {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made", "for", "it")
			l := open(t, dir, wal.Options{})
			a := appendTo(t, l, "a")
			b := appendTo(t, l, "b")
			appendTo(t, l, "c")
			if a == b || a == 0 {
				t.Errorf("marks %d and %d", a, b)
			}
			end(l)
			l = open(t, dir, wal.Options{})
			marks := wantIDs(t, l, "a", "b", "c")
			l.Done(marks[1])
			wantIDs(t, l, "a", "c")
			appendTo(t, l, "d") // goes to a segment of its own, and is not replayed now
			wantIDs(t, l, "a", "c")
			end(l)
			// Which records of a segment are done is not written down: it is replayed whole.
			l = open(t, dir, wal.Options{})
			l.Done(wantIDs(t, l, "a", "b", "c", "d")...)
			end(l)
			l = open(t, dir, wal.Options{})
			wantIDs(t, l, []string(nil)...)
		})
	}
}

// Every field of a settlement survives, also those that somebody adds.
func TestEveryFieldSurvives(t *testing.T) {
	var e wal.Entry
	fill(t, reflect.ValueOf(&e).Elem(), new(int64))
	dir := t.TempDir()
	l := open(t, dir, wal.Options{})
	if _, err := l.Append(e); err != nil {
		t.Fatal(err)
	}
	l.Abandon()
	l = open(t, dir, wal.Options{})
	if _, err := l.Replay(func(_ wal.Mark, got wal.Entry) error {
		if d := cmp.Diff(e, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// fill sets every leaf to a value of its own; numbers are beyond what a float holds.
func fill(t *testing.T, v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Map:
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, k, n)
		fill(t, e, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(k, e)
	case reflect.String:
		v.SetString(fmt.Sprintf("<é&\u2028\x00%d>", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1<<60 + *n)
	case reflect.Int32:
		v.SetInt(*n)
	default:
		t.Fatalf("a settlement has a %s now: say here how to fill it", v.Type())
	}
}

// Two never have a folder at the same time; the end of the first gives it free.
func TestTwoOpeners(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, wal.Options{})
	if _, err := wal.Open(dir, wal.Options{}); !errors.Is(err, wal.ErrLocked) {
		t.Fatalf("a second opener: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, wal.Options{})
}

func TestClosed(t *testing.T) {
	l := open(t, t.TempDir(), wal.Options{})
	m := appendTo(t, l, "a")
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(entry("b")); !errors.Is(err, wal.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if !l.Full() {
		t.Error("a closed log has room")
	}
	l.Done(m)
	if err := l.Sync(); err != nil {
		t.Error(err)
	}
}

// A folder that is no folder, or must not be written, is told at once.
func TestOpenFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := wal.Open(path, wal.Options{}); err == nil {
		t.Error("opened a file")
	}
}

func TestTooLarge(t *testing.T) {
	l := open(t, t.TempDir(), wal.Options{})
	e := entry("a")
	e.Row.UpstreamID = string(make([]byte, 1<<20))
	if _, err := l.Append(e); !errors.Is(err, wal.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	appendTo(t, l, "b")
	if st := l.Stats(); st.Unconfirmed != 1 {
		t.Errorf("%+v", st)
	}
}
