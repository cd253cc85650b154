// Package wal is the write-ahead log of settlements: a folder of segments on a local disk. What Append took survives the
// end of the process, and after Sync the end of the machine; it is replayed at the next start until it is done with.
//
// A record may come twice, never changed: who replays it must be able to take it twice, as the ledger is.
package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Errors that callers tell apart with errors.Is. Anything else is the system's (syscall.ENOSPC, syscall.EIO, ...).
var (
	// ErrLocked: another process, or this one, has the folder open.
	ErrLocked = errors.New("the folder of the write-ahead log is in use")
	// ErrFull: the log has reached its size; the record was not taken.
	ErrFull = errors.New("write-ahead log is full")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("write-ahead log is closed")
	// ErrTooLarge: a record is larger than any settlement may be; it was not taken.
	ErrTooLarge = errors.New("record is too large")
	// ErrCorrupt: some bytes hold no record, though a record was there. Their segment is kept.
	ErrCorrupt = errors.New("write-ahead log is corrupt")
	// ErrUnreadable: a sound record that this build cannot read. Its segment is kept.
	ErrUnreadable = errors.New("record is of another build")
)

// Mark names a record that this Log appended or replayed. The zero Mark names none.
type Mark uint64

// Options of a Log; zero values take the defaults below.
type Options struct {
	Now func() time.Time
	// SegmentBytes and SegmentAge are when a new segment begins, whichever comes first.
	SegmentBytes int64
	SegmentAge   time.Duration
	// MaxBytes bounds the folder. The last segment's size of it is for Move alone.
	MaxBytes int64

	create, reopen func(path string) (file, error)
}

// Defaults of Options. A record takes about 0.8 KB: ten minutes of 50 requests a second take 24 MB.
const (
	DefaultSegmentBytes = 4 << 20
	DefaultSegmentAge   = time.Minute
	DefaultMaxBytes     = 128 << 20
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.SegmentAge == 0 {
		o.SegmentAge = DefaultSegmentAge
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	o.SegmentBytes = min(o.SegmentBytes, o.MaxBytes/4)
	if o.create == nil {
		o.create = create
	}
	if o.reopen == nil {
		o.reopen = reopen
	}
	return o
}

// Log is an open folder. All methods are safe for concurrent use.
type Log struct {
	dir  string
	o    Options
	lock *os.File

	syncing sync.Mutex // one Sync at a time; taken before mu

	mu       sync.Mutex
	closed   bool
	segments []*segment // by first mark, the active one last
	active   *segment   // nil: the next Append begins one
	bytes    int64
	next     Mark // of the next record, and its sequence in the file
	newNames bool // the folder has names that are not synced
	torn     int  // ends of segments that Open found torn
	failures int

	// isFull is read without the lock: who asks for room must not wait for a disk that hangs.
	isFull atomic.Bool
}

// Open opens a folder and makes it if need be. What is in it is checked, not changed. ErrLocked: it is in use. A corrupt
// segment is no error here: Replay tells of it.
func Open(dir string, o Options) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the write-ahead log: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, o: o.withDefaults(), lock: lock, next: 1}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return l, nil
}

// Append writes one record, at once: when it returns, the end of the process cannot lose it. After an error the record is
// not in the log, and what is there is as it was. ErrFull, ErrClosed, ErrTooLarge, or the system's error.
func (l *Log) Append(e Entry) (Mark, error) {
	return l.append(e, l.o.MaxBytes-l.o.SegmentBytes)
}

// Move writes a record that waits for long again, where its segment is no longer the one that is written, and is done
// with the old one: a few records that wait must not keep many segments. After an error the old one is there as before. The
// zero Mark is of a record that was not in the log yet.
func (l *Log) Move(m Mark, e Entry) (Mark, error) {
	if l.isActive(m) {
		return m, nil
	}
	moved, err := l.append(e, l.o.MaxBytes)
	if err != nil {
		return m, err
	}
	l.Done(m)
	return moved, nil
}

func (l *Log) isActive(m Mark) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active != nil && m >= l.active.first
}

func (l *Log) append(e Entry, limit int64) (Mark, error) {
	buf, err := encode(e)
	if err != nil {
		return 0, fmt.Errorf("appending to the write-ahead log: %w", err)
	}
	defer buffers.Put(buf)
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := l.write(buf.Bytes(), e.At, limit)
	if err != nil {
		l.failures++
		return 0, fmt.Errorf("appending to the write-ahead log: %w", err)
	}
	return m, nil
}

// write puts a record into the active segment, or into a new one. The caller holds the lock.
func (l *Log) write(record []byte, at int64, limit int64) (Mark, error) {
	if l.closed {
		return 0, ErrClosed
	}
	size := int64(len(record))
	if l.bytes+size+segmentLen > limit {
		l.rotate() // goes at once where all of it is done
		if l.bytes+size+segmentLen > limit {
			return 0, ErrFull
		}
	}
	s, err := l.writable(size)
	if err != nil {
		return 0, err
	}
	if at == 0 {
		at = max(l.o.Now().UnixMicro(), 1)
	}
	seal(record, uint64(l.next), at)
	if n, err := s.f.Write(record); err != nil {
		if cut := s.f.Truncate(s.size); cut != nil { // what is written of it stays, as the torn end of this segment
			s.size += int64(n)
			l.grow(int64(n))
			l.rotate()
			return 0, errors.Join(err, cut)
		}
		return 0, err
	}
	m := l.next
	l.next++
	s.at, s.live = append(s.at, at), s.live+1
	s.size += size
	l.grow(size)
	s.dirty = true
	return m, nil
}

// Done says that these records need not be replayed any more. A segment all of whose records are done is deleted. Marks
// that are done with already change nothing.
func (l *Log) Done(marks ...Mark) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	for _, m := range marks {
		if s, i := l.find(m); s != nil && s.at[i] != 0 {
			s.at[i] = 0
			s.live--
		}
	}
	if a := l.active; a != nil && a.live == 0 && (l.old(a) || l.full()) {
		l.rotate()
		return
	}
	l.sweep()
}

// find is where a record is; nil: nowhere. The caller holds the lock.
func (l *Log) find(m Mark) (*segment, int) {
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].first > m }) - 1
	if i < 0 || m-l.segments[i].first >= Mark(len(l.segments[i].at)) {
		return nil, 0
	}
	return l.segments[i], int(m - l.segments[i].first)
}

// Full says that the log is closed or nearly full, so that who is let in now may not find room at its end.
func (l *Log) Full() bool { return l.isFull.Load() }

// grow notes that the folder has n bytes more. The caller holds the lock.
func (l *Log) grow(n int64) {
	l.bytes += n
	l.isFull.Store(l.closed || l.full())
}

func (l *Log) full() bool {
	room := l.o.MaxBytes - l.o.SegmentBytes
	return l.bytes >= room-room/10
}

// Sync brings to the disk what was appended before, by another process too. After an error those records are not safe from the
// end of the machine, and no later Sync makes them so: a system forgets what it could not write. They go on being safe from
// the end of the process; new records go to a new segment, and so does each that is given to Move.
func (l *Log) Sync() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	dirty, names := l.takeDirty()
	var errs []error
	if names && len(dirty) > 0 {
		if err := syncFolder(l.dir); err != nil {
			errs = append(errs, err)
		}
	}
	for _, s := range dirty {
		if err := s.f.Sync(); err != nil {
			errs = append(errs, err)
		}
		l.synced(s)
	}
	if err := errors.Join(errs...); err != nil {
		l.spoil(dirty)
		return fmt.Errorf("syncing the write-ahead log: %w", err)
	}
	return nil
}

// takeDirty is what there is to sync: segments whose records are done need it no more.
func (l *Log) takeDirty() (dirty []*segment, names bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.dirty && s.live > 0 {
			s.dirty, s.busy = false, true
			dirty = append(dirty, s)
		}
	}
	names = l.newNames
	if len(dirty) > 0 {
		l.newNames = false
	}
	return dirty, names
}

// synced gives a segment back.
func (l *Log) synced(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.busy = false
	l.retire(s)
	l.sweep()
}

// spoil lets nothing more be written to segments that could not be synced.
func (l *Log) spoil(ss []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures++
	l.newNames = true
	if slices.Contains(ss, l.active) {
		l.rotate()
	}
}

// Close syncs what is not done and gives the folder back. Where all is done nothing is left in it but the lock.
func (l *Log) Close() error {
	err := l.Sync()
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.rotate()
	l.closed = true
	l.isFull.Store(true)
	for _, s := range l.segments {
		if s.f != nil {
			err = errors.Join(err, s.f.Close())
		}
	}
	return errors.Join(err, l.lock.Close())
}

// file is what a segment is written to.
type file interface {
	io.WriteCloser
	Truncate(size int64) error
	Sync() error
}
