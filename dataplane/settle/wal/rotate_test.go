package wal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// A segment goes when all of its records are done, not before, in any order.
func TestSegmentsGo(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, wal.Options{SegmentBytes: 4000})
	var marks []wal.Mark
	for i := range 20 {
		marks = append(marks, appendTo(t, l, fmt.Sprint(i)))
	}
	all := len(segmentsIn(t, dir))
	if all < 4 || all != l.Stats().Segments {
		t.Fatalf("%d segments, %+v", all, l.Stats())
	}
	for i := len(marks) - 1; i > 0; i-- {
		l.Done(marks[i], marks[i])
	}
	if left := segmentsIn(t, dir); len(left) != 2 { // the first one and the one that is written
		t.Errorf("left: %v", left)
	}
	if st := l.Stats(); st.Unconfirmed != 1 {
		t.Errorf("%+v", st)
	}
	l.Done(marks[0])
	l.Done(0, 1<<40) // none of them
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if left := segmentsIn(t, dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A segment is not written for longer than its age, so that little is replayed twice.
func TestRotationByAge(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	l := open(t, dir, wal.Options{Now: c.Now, SegmentAge: time.Minute})
	a := appendTo(t, l, "a")
	c.add(59 * time.Second)
	b := appendTo(t, l, "b")
	if n := len(segmentsIn(t, dir)); n != 1 {
		t.Fatalf("%d segments", n)
	}
	c.add(time.Second)
	d := appendTo(t, l, "d")
	if n := len(segmentsIn(t, dir)); n != 2 {
		t.Fatalf("%d segments", n)
	}
	l.Done(a, b)
	if n := len(segmentsIn(t, dir)); n != 1 {
		t.Errorf("%d segments, the first is done with", n)
	}
	c.add(time.Minute)
	l.Done(d)
	if st := l.Stats(); st.Segments != 0 || st.Bytes != 0 || len(segmentsIn(t, dir)) != 0 {
		t.Errorf("an old segment that is done with stays: %+v", st)
	}
}

// The folder never grows beyond its bound; Full says so before, and there is room again when records are done.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	const bound = 40_000
	l := open(t, dir, wal.Options{SegmentBytes: 4000, MaxBytes: bound})
	var (
		marks []wal.Mark
		err   error
		early int // appended after Full said so
	)
	for err == nil {
		var m wal.Mark
		if l.Full() {
			early++
		}
		if m, err = l.Append(entry(fmt.Sprint(len(marks)))); err == nil {
			marks = append(marks, m)
		}
	}
	if !errors.Is(err, wal.ErrFull) || early < 2 || !l.Full() {
		t.Fatalf("%v, %d more after Full", err, early)
	}
	if size := folderSize(t, dir); size > bound-4000 || size != l.Stats().Bytes || size < bound/2 {
		t.Errorf("%d bytes, %+v", size, l.Stats())
	}
	l.Done(marks[:len(marks)/2]...)
	if l.Full() {
		t.Error("full though half of it is done")
	}
	l.Done(marks...)
	for i := range 1000 { // what is done with never takes the room
		l.Done(appendTo(t, l, fmt.Sprint(i)))
		if l.Full() {
			t.Fatalf("full after %d: %+v", i, l.Stats())
		}
	}
}

func folderSize(t testing.TB, dir string) (n int64) {
	t.Helper()
	for _, name := range segmentsIn(t, dir) {
		n += size(t, name)
	}
	return n
}

// A few records that wait for long keep a few segments, even in a log that was filled with them.
func TestMove(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, wal.Options{SegmentBytes: 4000, MaxBytes: 40_000})
	waiting := map[string]wal.Mark{}
	for i := 0; !l.Full(); i++ {
		id := fmt.Sprint(i)
		m, err := l.Append(entry(id))
		if err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			waiting[id] = m
		} else {
			l.Done(m)
		}
	}
	for id, m := range waiting {
		moved, err := l.Move(m, entry(id))
		if err != nil {
			t.Fatal(err)
		}
		waiting[id] = moved
	}
	if l.Full() || folderSize(t, dir) > 25_000 {
		t.Errorf("%+v", l.Stats())
	}
	l.Abandon()
	l = open(t, dir, wal.Options{})
	got, marks, _, err := replayed(t, l)
	seen := map[string]bool{}
	for _, id := range got {
		seen[id] = true
	}
	for id := range waiting {
		if !seen[id] {
			t.Errorf("%s is lost", id)
		}
	}
	if err != nil {
		t.Error(err)
	}
	// One that the log did not take before is taken; one of the segment that is written stays where it is.
	m, err := l.Move(0, entry("late"))
	again, err2 := l.Move(m, entry("late"))
	if err != nil || err2 != nil || m == 0 || again != m {
		t.Errorf("marks %d and %d, %v, %v", m, again, err, err2)
	}
	l.Done(append(marks, m)...)
	if st := l.Stats(); st.Unconfirmed != 0 {
		t.Errorf("%+v", st)
	}
}

func TestMetrics(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	l := open(t, dir, wal.Options{Now: c.Now})
	a := appendTo(t, l, "a")
	c.add(90 * time.Second)
	appendTo(t, l, "b")
	want := func(unconfirmed, oldest int) string {
		return fmt.Sprintf(`
# HELP layers_wal_records Settlements in the write-ahead log that are not done: the ledger does not have them, or did not a moment ago.
# TYPE layers_wal_records gauge
layers_wal_records %d
# HELP layers_wal_bytes Size of the write-ahead log.
# TYPE layers_wal_bytes gauge
layers_wal_bytes %d
# HELP layers_wal_corrupt_places Places in the write-ahead log that hold no sound record; their segments are kept.
# TYPE layers_wal_corrupt_places gauge
layers_wal_corrupt_places 0
# HELP layers_wal_failures_total What the write-ahead log could not write, sync or delete.
# TYPE layers_wal_failures_total counter
layers_wal_failures_total 0
# HELP layers_wal_oldest_seconds Age of the oldest of them.
# TYPE layers_wal_oldest_seconds gauge
layers_wal_oldest_seconds %d
`, unconfirmed, folderSize(t, dir), oldest)
	}
	c.add(10 * time.Second)
	if err := testutil.CollectAndCompare(l, strings.NewReader(want(2, 100))); err != nil {
		t.Error(err)
	}
	l.Done(a)
	if err := testutil.CollectAndCompare(l, strings.NewReader(want(1, 10))); err != nil {
		t.Error(err)
	}
	// The age goes on over a restart.
	l.Abandon()
	c.add(time.Hour)
	l = open(t, dir, wal.Options{Now: c.Now})
	if err := testutil.CollectAndCompare(l, strings.NewReader(want(1, 3610))); err != nil {
		t.Error(err)
	}
}
