package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// suffix ends the name of a segment; before it stands the sequence of its first record, in hex.
const suffix = ".wal"

// segment is one file.
type segment struct {
	path  string
	first Mark
	// at says for each record, from first on, when it was appended; 0: it is done.
	at   []int64
	live int // how many are not done
	size int64
	// begun is when the first record was to be written, of the segment that is written.
	begun time.Time
	f     file // nil: nothing more is written to it
	dirty bool // it has bytes that are not synced
	busy  bool // Sync is at it

	// Of segments that were there at Open:
	from    []found // its records, as in at
	damages []damage
	broken  error // the file cannot be read
}

// kept says that the file stays when all of its records are done: somebody has to look at it.
func (s *segment) kept() bool { return s.corrupt() > 0 }

// corrupt counts the places of which nobody can say that they held no record.
func (s *segment) corrupt() (n int) {
	if s.broken != nil {
		return 1
	}
	for _, d := range s.damages {
		if !d.torn {
			n++
		}
	}
	return n
}

// lockFolder makes sure that nobody else has the folder, until the file is closed or the process ends.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the write-ahead log: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(fmt.Errorf("locking the write-ahead log: %w", err), f.Close())
	}
	return f, nil
}

// load finds the segments that are there. Those in which nothing ever was are deleted.
func (l *Log) load() error {
	names, err := os.ReadDir(l.dir)
	if err != nil {
		return fmt.Errorf("reading the folder of the write-ahead log: %w", err)
	}
	mark, last := Mark(1), Mark(0)
	for _, e := range names { // by name, that is, by sequence
		hex, ok := strings.CutSuffix(e.Name(), suffix)
		first, err := strconv.ParseUint(hex, 16, 63)
		if !ok || err != nil {
			continue
		}
		s := loadSegment(filepath.Join(l.dir, e.Name()), mark)
		last = max(last, Mark(first))
		for _, r := range s.from {
			last = max(last, Mark(r.sequence))
		}
		for _, d := range s.damages {
			if d.torn {
				l.torn++
			}
		}
		mark += Mark(len(s.at))
		l.reopen(s)
		l.segments = append(l.segments, s)
		l.grow(s.size)
	}
	l.next = max(mark, last+1)
	l.sweep()
	return nil
}

// reopen lets the next Sync bring to the disk what another process has left: nobody knows whether it came to it.
func (l *Log) reopen(s *segment) {
	if s.live == 0 {
		return
	}
	f, err := l.o.reopen(s.path)
	if err != nil {
		l.failures++
		return
	}
	s.f, s.dirty, l.newNames = f, true, true
}

func loadSegment(path string, first Mark) *segment {
	s := &segment{path: path, first: first}
	data, err := os.ReadFile(path)
	if err != nil {
		s.broken = err
		return s
	}
	s.size = int64(len(data))
	s.from, s.damages = scan(data)
	s.live = len(s.from)
	s.at = make([]int64, s.live)
	for i, r := range s.from {
		s.at[i] = max(r.at, 1)
	}
	return s
}

// create makes the file of a new segment.
func create(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}

// reopen opens the file of a segment that is there, to sync it.
func reopen(path string) (file, error) { return os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0) }

// writable is the active segment, if it has room for size and is not too old, or else a new one. The caller holds the lock.
func (l *Log) writable(size int64) (*segment, error) {
	if s := l.active; s != nil && (s.size+size > l.o.SegmentBytes && len(s.at) > 0 || l.old(s)) {
		l.rotate()
	}
	if l.active != nil {
		return l.active, nil
	}
	s := &segment{path: filepath.Join(l.dir, fmt.Sprintf("%016x%s", uint64(l.next), suffix)), first: l.next, begun: l.o.Now(), size: segmentLen}
	f, err := l.o.create(s.path)
	if err == nil {
		if _, err = f.Write(segmentHead(uint64(s.first))); err != nil {
			err = errors.Join(err, f.Close(), os.Remove(s.path))
		}
	}
	if err != nil {
		l.next++ // the name may be taken now
		return nil, err
	}
	s.f, l.newNames = f, true
	l.active, l.segments = s, append(l.segments, s)
	l.grow(s.size)
	return s, nil
}

func (l *Log) old(s *segment) bool { return l.o.Now().Sub(s.begun) >= l.o.SegmentAge }

// rotate ends the active segment. The caller holds the lock.
func (l *Log) rotate() {
	if s := l.active; s != nil {
		l.active = nil
		l.retire(s)
	}
	l.sweep()
}

// retire closes a file that is not written and waits for no Sync. The caller holds the lock.
func (l *Log) retire(s *segment) {
	if s.f == nil || s == l.active || s.busy || s.dirty && s.live > 0 {
		return
	}
	if err := s.f.Close(); err != nil {
		l.failures++
	}
	s.f = nil
}

// sweep deletes the segments that are not written and all of whose records are done. What cannot be deleted is tried again
// the next time. The caller holds the lock.
func (l *Log) sweep() {
	left := l.segments[:0]
	for _, s := range l.segments {
		if s == l.active || s.busy || s.live > 0 || s.kept() {
			left = append(left, s)
			continue
		}
		l.retire(s)
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.failures++
			left = append(left, s)
			continue
		}
		l.grow(-s.size)
	}
	clear(l.segments[len(left):])
	l.segments = left
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
