package wal_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

var update = flag.Bool("update", false, "write the golden segment anew")

// A log that an earlier build wrote is read: the golden segment is never written anew without a new version.
func TestGoldenSegment(t *testing.T) {
	golden := filepath.Join("testdata", "version1.segment")
	if *update {
		data, _, _ := segmentOf(t, 2)
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, folderWith(t, "0000000000000001.wal", data), wal.Options{})
	wantIDs(t, l, ids(0, 2)...)
}

// changed is a segment of three records, the middle one changed and its sums made right again.
func changed(t *testing.T, change func(record []byte)) string {
	data, name, ends := segmentOf(t, 3)
	r := data[ends[0]:ends[1]]
	change(r)
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(r[24:], crc32.Checksum(r[wal.HeadLen:], table))
	binary.LittleEndian.PutUint32(r[28:], crc32.Checksum(r[:28], table))
	return folderWith(t, name, data)
}

// After a rollback the older build stops at what it does not know, keeps it, and goes on behind it.
func TestRecordsOfANewerBuild(t *testing.T) {
	for name, c := range map[string]struct {
		change      func([]byte)
		unconfirmed int
	}{
		"another version": {func(r []byte) { r[2] = 2 }, 2},
		"a field that is not known": {func(r []byte) {
			copy(r, strings.Replace(string(r), `"Charged":`, `"Charges":`, 1))
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir := changed(t, c.change)
			for range 2 {
				l := open(t, dir, wal.Options{})
				if st := l.Stats(); st.Unconfirmed != c.unconfirmed {
					t.Errorf("%+v", st)
				}
				got, marks, r, err := replayed(t, l)
				if !errors.Is(err, wal.ErrUnreadable) || errors.Is(err, wal.ErrCorrupt) || r.Unreadable != 1 || !slices.Equal(got, []string{"0", "2"}) {
					t.Errorf("%v, %+v, %v", got, r, err)
				}
				l.Done(marks...)
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
			if left := segmentsIn(t, dir); len(left) != 1 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
