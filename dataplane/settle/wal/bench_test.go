package wal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// perSync is how many records share a sync: a batch of the settler.
const perSync = 200

// BenchmarkAppend compares the log with the least that any log does, side by side: one write(2) for each record of the
// same size and one fsync for each batch.
func BenchmarkAppend(b *testing.B) {
	body, err := json.Marshal(entry("req_01890a5d-ac96-774b-bcce-b302099a8057"))
	if err != nil {
		b.Fatal(err)
	}
	body = append(body, make([]byte, wal.HeadLen)...)
	b.Run("bare", func(b *testing.B) {
		f, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		for i := 0; b.Loop(); i++ {
			if _, err := f.Write(body); err != nil {
				b.Fatal(err)
			}
			if i%perSync == perSync-1 {
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		}
		rate(b)
	})
	b.Run("log", func(b *testing.B) {
		l := open(b, b.TempDir(), wal.Options{})
		e := entry("req_01890a5d-ac96-774b-bcce-b302099a8057")
		marks := make([]wal.Mark, 0, perSync)
		for b.Loop() {
			m, err := l.Append(e)
			if err != nil {
				b.Fatal(err)
			}
			if marks = append(marks, m); len(marks) == perSync {
				if err := l.Sync(); err != nil {
					b.Fatal(err)
				}
				l.Done(marks...)
				marks = marks[:0]
			}
		}
		rate(b)
	})
}

func rate(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkReplay reads a log of ten minutes without a ledger, at 50 requests a second.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	const rows = 30_000
	l := open(b, dir, wal.Options{})
	for range rows {
		appendTo(b, l, "req_01890a5d-ac96-774b-bcce-b302099a8057")
	}
	size := float64(l.Stats().Bytes)
	l.Abandon()
	for b.Loop() {
		l, err := wal.Open(dir, wal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		r, err := l.Replay(func(wal.Mark, wal.Entry) error { return nil })
		if err != nil || r.Records != rows {
			b.Fatalf("%+v, %v", r, err)
		}
		l.Abandon()
	}
	b.ReportMetric(size/1e6, "MB")
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
