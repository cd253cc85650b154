package wal_test

import (
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

func size(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// disk fails when it is told to.
type disk struct {
	room      atomic.Int64 // bytes that are written before writes fail
	write     atomic.Pointer[syscall.Errno]
	cut, sync atomic.Bool // these fail
}

func newDisk() *disk {
	d := &disk{}
	d.room.Store(1 << 40)
	return d
}

type diskFile struct {
	*os.File
	d *disk
}

func (f diskFile) Write(b []byte) (int, error) {
	if room := f.d.room.Add(-int64(len(b))); room < 0 {
		n, err := f.File.Write(b[:max(0, int64(len(b))+room)])
		return n, errors.Join(*f.d.write.Load(), err)
	}
	return f.File.Write(b)
}

func (f diskFile) Truncate(n int64) error {
	if f.d.cut.Load() {
		return syscall.EIO
	}
	return f.File.Truncate(n)
}

func (f diskFile) Sync() error {
	if f.d.sync.Load() {
		return syscall.EIO
	}
	return f.File.Sync()
}

func (d *disk) options() wal.Options {
	return wal.Options{}.WithFiles(func(f *os.File) wal.File { return diskFile{f, d} })
}

// A write that fails anywhere is told, and harms neither what was there nor what comes later; also where the disk does
// not even let the rest of it be cut off.
func TestFailedWrites(t *testing.T) {
	_, _, ends := segmentOf(t, 1)
	for _, cut := range []bool{false, true} {
		for room := range ends[0] {
			if room > wal.SegmentLen+wal.HeadLen && room%11 != 0 {
				continue // within a body one place is as another
			}
			dir, d := t.TempDir(), newDisk()
			l := open(t, dir, d.options())
			if room >= wal.SegmentLen { // else the making of the segment fails
				appendTo(t, l, "a")
			}
			errno := []syscall.Errno{syscall.ENOSPC, syscall.EIO}[room%2]
			d.write.Store(&errno)
			d.cut.Store(cut)
			d.room.Store(int64(room) % int64(ends[0]-wal.SegmentLen))
			if _, err := l.Append(entry("lost")); !errors.Is(err, errno) {
				t.Fatalf("room for %d: %v", room, err)
			}
			d.room.Store(1 << 40)
			appendTo(t, l, "b")
			if st := l.Stats(); st.Bytes != folderSize(t, dir) || st.Failures != 1 {
				t.Fatalf("room for %d: %+v, %d bytes", room, st, folderSize(t, dir))
			}
			l.Abandon()
			l = open(t, dir, wal.Options{})
			want := []string{"a", "b"}
			if room < wal.SegmentLen {
				want = want[1:]
			}
			if got, _, r, err := replayed(t, l); err != nil || r.Corrupt != 0 || !slices.Equal(got, want) {
				t.Fatalf("room for %d: %v, %+v, %v", room, got, r, err)
			}
			l.Abandon()
		}
	}
}

// A segment that could be made only by half, and not be deleted either, takes nobody's place.
func TestFailedMaking(t *testing.T) {
	dir, fail := t.TempDir(), true
	l := open(t, dir, wal.Options{}.WithMaking(func(path string) (wal.File, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		if fail {
			return nil, errors.Join(syscall.EIO, err, f.Close())
		}
		return f, err
	}))
	if _, err := l.Append(entry("lost")); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	fail = false
	appendTo(t, l, "a")
	l.Abandon()
	if n := len(segmentsIn(t, dir)); n != 2 {
		t.Errorf("%d segments", n)
	}
	l = open(t, dir, wal.Options{})
	wantIDs(t, l, "a")
	if n := len(segmentsIn(t, dir)); n != 1 {
		t.Errorf("%d segments, one of them empty", n)
	}
}

// Who asks for room, before a request is let in, waits for no disk that hangs.
func TestFullBesideAHangingDisk(t *testing.T) {
	hangs, writes := make(chan struct{}), make(chan struct{}, 2)
	l := open(t, t.TempDir(), wal.Options{}.WithFiles(func(f *os.File) wal.File { return hangingFile{f, writes, hangs} }))
	done := make(chan error)
	go func() {
		_, err := l.Append(entry("a"))
		done <- err
	}()
	<-writes // it hangs with the lock
	if l.Full() {
		t.Error("full")
	}
	close(hangs)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type hangingFile struct {
	*os.File
	writes chan<- struct{}
	hangs  <-chan struct{}
}

func (f hangingFile) Write(b []byte) (int, error) {
	f.writes <- struct{}{}
	<-f.hangs
	return f.File.Write(b)
}

// A sync that fails is told once: the system forgets what it could not write. What comes later goes elsewhere.
func TestFailedSync(t *testing.T) {
	dir, d := t.TempDir(), newDisk()
	l := open(t, dir, d.options())
	appendTo(t, l, "a")
	d.sync.Store(true)
	if err := l.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	d.sync.Store(false)
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	b := appendTo(t, l, "b")
	if n := len(segmentsIn(t, dir)); n != 2 {
		t.Errorf("%d segments", n)
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	d.sync.Store(true)
	l.Done(b)
	if err := l.Sync(); err != nil { // what is done needs none
		t.Error(err)
	}
	appendTo(t, l, "c")
	if err := l.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("closing: %v", err)
	}
	l = open(t, dir, wal.Options{})
	if got, _, _, err := replayed(t, l); err != nil || !slices.Equal(slices.DeleteFunc(got, func(s string) bool { return s == "b" }), []string{"a", "c"}) {
		t.Errorf("%v, %v", got, err)
	}
}

// What a process has written and not synced is synced by the next one; where that fails it is told, and what is moved then is
// safe.
func TestSyncOfWhatAnotherLeft(t *testing.T) {
	dir, d := t.TempDir(), newDisk()
	l := open(t, dir, d.options())
	appendTo(t, l, "a")
	appendTo(t, l, "b")
	l.Abandon()
	d.sync.Store(true)
	l = open(t, dir, d.options())
	_, marks, _, err := replayed(t, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	d.sync.Store(false)
	if _, err := l.Move(marks[0], entry("a")); err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(); err != nil {
		t.Error(err)
	}
	l.Done(marks[1])
	if n := len(segmentsIn(t, dir)); n != 1 {
		t.Errorf("%d segments: the one that could not be synced is left", n)
	}
	l.Abandon()
	l = open(t, dir, d.options())
	wantIDs(t, l, "a")
}
