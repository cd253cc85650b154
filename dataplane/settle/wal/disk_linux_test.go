package wal_test

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// A real disk that is full: what was taken stays, what was not is told, and room that comes back is used.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting needs rights that are not there: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := open(t, dir, wal.Options{SegmentBytes: 8000})
	taken := map[string]wal.Mark{}
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		var m wal.Mark
		if m, err = l.Append(entry(fmt.Sprint(i))); err == nil {
			taken[fmt.Sprint(i)] = m
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || len(taken) < 20 {
		t.Fatalf("%d taken, %v", len(taken), err)
	}
	for range 3 {
		if _, err := l.Append(entry("lost")); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v", err)
		}
	}
	if err := l.Sync(); err != nil {
		t.Error(err)
	}
	for i := range len(taken) - 1 {
		l.Done(taken[fmt.Sprint(i)])
	}
	last := fmt.Sprint(len(taken) - 1)
	appendTo(t, l, "new")
	l.Abandon()
	l = open(t, dir, wal.Options{})
	got, _, r, err := replayed(t, l)
	if err != nil || r.Corrupt != 0 || !slices.Contains(got, last) || !slices.Contains(got, "new") || slices.Contains(got, "lost") {
		t.Errorf("%v, %+v, %v", got, r, err)
	}
	l.Abandon()
}
