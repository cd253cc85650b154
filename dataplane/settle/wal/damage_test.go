package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// segmentOf is the bytes of a segment with n records, and where each record ends.
func segmentOf(t testing.TB, n int) (data []byte, name string, ends []int) {
	t.Helper()
	dir := t.TempDir()
	l := open(t, dir, wal.Options{})
	for i := range n {
		appendTo(t, l, fmt.Sprint(i))
		ends = append(ends, int(l.Stats().Bytes))
	}
	l.Abandon()
	names := segmentsIn(t, dir)
	if len(names) != 1 {
		t.Fatalf("%d segments", len(names))
	}
	data, err := os.ReadFile(names[0])
	if err != nil || len(data) != ends[n-1] {
		t.Fatalf("%d bytes, want %d, %v", len(data), ends[n-1], err)
	}
	return data, filepath.Base(names[0]), ends
}

// folderWith is a folder with one segment of these bytes.
func folderWith(t testing.TB, name string, data []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func ids(from, to int) (s []string) {
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return s
}

// A write that was cut off at any byte loses nothing but itself, and is no corruption.
func TestTornAtEveryByte(t *testing.T) {
	data, name, ends := segmentOf(t, 2)
	for cut := range len(data) {
		if cut > wal.SegmentLen && cut < ends[0] {
			continue // as in the second record
		}
		dir := folderWith(t, name, data[:cut])
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		l, err := wal.Open(dir, wal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, _, r, err := replayed(t, l)
		torn := 1
		if cut == 0 || cut == wal.SegmentLen || whole > 0 && ends[whole-1] == cut {
			torn = 0
		}
		if err != nil || !slices.Equal(got, ids(0, whole)) || r.Torn != torn || r.Corrupt != 0 {
			t.Fatalf("cut at %d: %v, %+v, %v", cut, got, r, err)
		}
		// It goes on beside it, and the next start finds both.
		if _, err := l.Append(entry("new")); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		l.Abandon()
		l = open(t, dir, wal.Options{})
		wantIDs(t, l, append(ids(0, whole), "new")...)
		l.Abandon()
	}
}

// A file whose length was written before its bytes ends in zeros.
func TestZerosAtTheEnd(t *testing.T) {
	data, name, _ := segmentOf(t, 2)
	l := open(t, folderWith(t, name, append(bytes.Clone(data), make([]byte, 5000)...)), wal.Options{})
	if got, _, r, err := replayed(t, l); err != nil || !slices.Equal(got, ids(0, 2)) || r.Torn != 1 {
		t.Errorf("%v, %+v, %v", got, r, err)
	}
	l = open(t, folderWith(t, name, make([]byte, 5000)), wal.Options{})
	if got, _, r, err := replayed(t, l); err != nil || len(got) > 0 || r.Torn != 1 {
		t.Errorf("%v, %+v, %v", got, r, err)
	}
}

// without is the ids of n records but those that have a byte in the stretch.
func without(n int, ends []int, from, to int) (want []string) {
	start := wal.SegmentLen
	for i, end := range ends[:n] {
		if end <= from || start >= to {
			want = append(want, fmt.Sprint(i))
		}
		start = end
	}
	return want
}

// Any flipped bit is found, takes no record with it but its own, and never passes as a torn end.
func TestEveryFlippedBit(t *testing.T) {
	data, _, ends := segmentOf(t, 3)
	for bit := range 8 * len(data) {
		data[bit/8] ^= 1 << (bit % 8)
		got, torn, corrupt := wal.Scan(data)
		if want := without(3, ends, bit/8, bit/8+1); torn != 0 || corrupt != 1 || len(got) != len(want) {
			t.Fatalf("bit %d of byte %d: %v, want %v, %d torn, %d corrupt", bit%8, bit/8, got, want, torn, corrupt)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

// A flipped bit is told of; all other records come back, never changed; and the segment is kept when they are done.
func TestFlippedBitInAFolder(t *testing.T) {
	data, name, ends := segmentOf(t, 3)
	for bit := 0; bit < 8*len(data); bit += 37 {
		bad := bytes.Clone(data)
		bad[bit/8] ^= 1 << (bit % 8)
		want := without(3, ends, bit/8, bit/8+1)
		dir := folderWith(t, name, bad)
		l, err := wal.Open(dir, wal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, marks, r, err := replayed(t, l)
		if !errors.Is(err, wal.ErrCorrupt) || !slices.Equal(got, want) || r.Corrupt != 1 || l.Stats().Corrupt != 1 {
			t.Fatalf("bit %d of byte %d: %v, want %v, %+v, %v", bit%8, bit/8, got, want, r, err)
		}
		l.Done(marks...)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(left, bad) {
			t.Fatalf("bit %d of byte %d: the evidence is gone: %v", bit%8, bit/8, err)
		}
	}
}

// Overwritten stretches of any length at any place, also those that hide several records.
func TestOverwrittenStretch(t *testing.T) {
	data, name, ends := segmentOf(t, 6)
	for from := wal.SegmentLen; from < len(data); from += 97 {
		for _, n := range []int{2, wal.HeadLen, 300, 1500} {
			to := min(from+n, len(data))
			bad := bytes.Clone(data)
			for i := from; i < to; i++ {
				bad[i] ^= 0xA5
			}
			want := without(6, ends, from, to)
			l, err := wal.Open(folderWith(t, name, bad), wal.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, _, r, err := replayed(t, l)
			if !errors.Is(err, wal.ErrCorrupt) || !slices.Equal(got, want) {
				t.Fatalf("%d bytes from %d: %v, want %v, %+v, %v", n, from, got, want, r, err)
			}
			l.Abandon()
		}
	}
}

// Damage in one segment keeps nothing back of the next.
func TestCorruptSegmentAmongOthers(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, wal.Options{MaxBytes: 1 << 20, SegmentBytes: 2500})
	for i := range 9 {
		appendTo(t, l, fmt.Sprint(i))
	}
	l.Abandon()
	names := segmentsIn(t, dir)
	if len(names) < 3 {
		t.Fatalf("%d segments", len(names))
	}
	if err := os.WriteFile(names[1], []byte("this is not a segment, and was not one ever"), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, wal.Options{})
	got, marks, r, err := replayed(t, l)
	if !errors.Is(err, wal.ErrCorrupt) || r.Corrupt != 1 || !slices.Contains(got, "0") || !slices.Contains(got, "8") {
		t.Errorf("%v, %+v, %v", got, r, err)
	}
	l.Done(marks...)
	if left := segmentsIn(t, dir); !slices.Equal(left, names[1:2]) {
		t.Errorf("left: %v", left)
	}
	// A name is never used twice, whatever happened to the segment.
	appendTo(t, l, "new")
	l.Abandon()
	l = open(t, dir, wal.Options{})
	if got, _, _, _ := replayed(t, l); !slices.Equal(got, []string{"new"}) {
		t.Errorf("%v", got)
	}
}

// What cannot be read is told of as corrupt, and what else is in the folder is left alone.
func TestOtherThingsInTheFolder(t *testing.T) {
	data, name, _ := segmentOf(t, 1)
	dir := folderWith(t, name, data)
	if err := os.Mkdir(filepath.Join(dir, "00000000000000ff.wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"notes", "x.wal", "lost+found"} {
		if err := os.WriteFile(filepath.Join(dir, other), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, dir, wal.Options{})
	got, marks, r, err := replayed(t, l)
	if !errors.Is(err, wal.ErrCorrupt) || r.Corrupt != 1 || !slices.Equal(got, ids(0, 1)) {
		t.Errorf("%v, %+v, %v", got, r, err)
	}
	l.Done(marks...)
	l.Done(appendTo(t, l, "new"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 5 { // the folder, three others, the lock
		t.Errorf("left: %v, %v", left, err)
	}
}
