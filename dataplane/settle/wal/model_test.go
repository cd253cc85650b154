package wal_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// machine is a log, its disk, and the model: what must come back and what may.
type machine struct {
	t    testing.TB
	dir  string
	disk *disk
	c    *clock
	l    *wal.Log

	n       int
	marks   map[string]wal.Mark // appended and not done: must come back
	done    map[string]bool     // may come back
	refused map[string]bool     // must not
}

func (m *machine) options() wal.Options {
	o := m.disk.options()
	o.Now, o.SegmentBytes, o.SegmentAge, o.MaxBytes = m.c.Now, 3000, time.Minute, 40_000
	return o
}

func (m *machine) append(rt *rapid.T) {
	id := fmt.Sprint(m.n)
	m.n++
	mark, err := m.l.Append(entry(id))
	switch {
	case err == nil:
		m.marks[id] = mark
	case errors.Is(err, wal.ErrFull):
		if !m.l.Full() {
			rt.Fatalf("refused for want of room, and not full: %+v", m.l.Stats())
		}
		m.refused[id] = true
	default:
		m.refused[id] = true
		if !errors.Is(err, syscall.ENOSPC) {
			rt.Fatal(err)
		}
	}
}

// pick draws one of the records that are not done.
func (m *machine) pick(rt *rapid.T) string {
	if len(m.marks) == 0 {
		rt.Skip("nothing waits")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.marks))).Draw(rt, "id")
}

func (m *machine) ack(rt *rapid.T) {
	id := m.pick(rt)
	m.l.Done(m.marks[id])
	delete(m.marks, id)
	m.done[id] = true
}

func (m *machine) move(rt *rapid.T) {
	id := m.pick(rt)
	mark, err := m.l.Move(m.marks[id], entry(id))
	if err != nil && (mark != m.marks[id] || !errors.Is(err, wal.ErrFull) && !errors.Is(err, syscall.ENOSPC)) {
		rt.Fatalf("mark %d of %d: %v", mark, m.marks[id], err)
	}
	m.marks[id] = mark
}

func (m *machine) reopen(rt *rapid.T, end func()) {
	end()
	m.disk = newDisk()
	l, err := wal.Open(m.dir, m.options())
	if err != nil {
		rt.Fatal(err)
	}
	m.l = l
	got, marks, r, err := replayed(m.t, l)
	if err != nil || r.Corrupt != 0 {
		rt.Fatalf("%+v, %v", r, err)
	}
	back := map[string]wal.Mark{}
	for i, id := range got {
		_, waits := m.marks[id]
		if _, twice := back[id]; m.refused[id] || !waits && !m.done[id] {
			rt.Fatalf("%s comes back, twice %t", id, twice)
		} else if twice { // moved: one of them is enough
			l.Done(marks[i])
			continue
		}
		back[id] = marks[i]
	}
	for id := range m.marks {
		if back[id] == 0 {
			rt.Fatalf("%s is lost", id)
		}
	}
	m.marks = back // what was done and came back waits again
	for id := range back {
		delete(m.done, id)
	}
}

func (m *machine) check(rt *rapid.T) {
	st := m.l.Stats()
	if st.Unconfirmed != len(m.marks) {
		rt.Fatalf("%d wait, %+v", len(m.marks), st)
	}
	if size := folderSize(m.t, m.dir); st.Bytes != size || size > 40_000 {
		rt.Fatalf("%d bytes, %+v", size, st)
	}
	if st.Corrupt != 0 || len(m.marks) == 0 && st.Segments > 1 {
		rt.Fatalf("%+v", st)
	}
}

// TestLogIsItsModel appends, acknowledges, moves, syncs, fails, crashes and opens again at random.
func TestLogIsItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		m := &machine{t: t, dir: dir, disk: newDisk(), c: newClock(), marks: map[string]wal.Mark{}, done: map[string]bool{}, refused: map[string]bool{}}
		if m.l, err = wal.Open(dir, m.options()); err != nil {
			rt.Fatal(err)
		}
		defer func() { m.l.Abandon() }()
		full := syscall.ENOSPC
		rt.Repeat(map[string]func(*rapid.T){
			"append": m.append,
			"burst": func(rt *rapid.T) {
				for range 8 {
					m.append(rt)
				}
			},
			"ack": m.ack,
			"ackAll": func(rt *rapid.T) {
				for id, mark := range m.marks {
					m.l.Done(mark)
					m.done[id] = true
				}
				clear(m.marks)
			},
			"move": m.move,
			"sync": func(rt *rapid.T) { _ = m.l.Sync() },
			"time": func(rt *rapid.T) { m.c.add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "s")) * time.Second) },
			"fail": func(rt *rapid.T) {
				m.disk.write.Store(&full)
				m.disk.cut.Store(rapid.Bool().Draw(rt, "cut"))
				m.disk.sync.Store(rapid.Bool().Draw(rt, "sync"))
				m.disk.room.Store(rapid.Int64Range(0, 3000).Draw(rt, "room"))
			},
			"heal": func(rt *rapid.T) {
				m.disk.cut.Store(false)
				m.disk.sync.Store(false)
				m.disk.room.Store(1 << 40)
			},
			"crash": func(rt *rapid.T) { m.reopen(rt, m.l.Abandon) },
			"restart": func(rt *rapid.T) {
				m.reopen(rt, func() { _ = m.l.Close() })
			},
			"": m.check,
		})
	})
}
