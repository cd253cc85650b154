package wal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// perSync is how many records share a sync: a batch of the settler.
const perSync = 200

// BenchmarkAppend compares the log with the least that any log does: one write(2) for each record of the same size and one
// fsync for each batch. Batches of the two alternate, so that both see the same machine; the medians are told. An op is a
// batch of each.
func BenchmarkAppend(b *testing.B) {
	e := entry("req_01890a5d-ac96-774b-bcce-b302099a8057")
	body, err := json.Marshal(e)
	if err != nil {
		b.Fatal(err)
	}
	body = append(body, make([]byte, wal.HeadLen)...)
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	l := open(b, b.TempDir(), wal.Options{})
	marks := make([]wal.Mark, perSync)
	bare := func() error {
		for range perSync {
			if _, err := f.Write(body); err != nil {
				return err
			}
		}
		return f.Sync()
	}
	log := func() (err error) {
		for i := range marks {
			if marks[i], err = l.Append(e); err != nil {
				return err
			}
		}
		if err := l.Sync(); err != nil {
			return err
		}
		l.Done(marks...)
		return nil
	}
	var tookBare, tookLog []time.Duration
	for b.Loop() {
		tookBare, tookLog = append(tookBare, timed(b, bare)), append(tookLog, timed(b, log))
	}
	bareRate, logRate := rate(tookBare), rate(tookLog)
	b.ReportMetric(bareRate, "bare-rows/s")
	b.ReportMetric(logRate, "log-rows/s")
	b.ReportMetric(logRate/bareRate, "ratio")
	b.ReportMetric(float64(len(body)), "B/row")
}

func timed(b *testing.B, do func() error) time.Duration {
	start := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// rate is the rows per second of the batch in the middle.
func rate(took []time.Duration) float64 {
	slices.Sort(took)
	return perSync / took[len(took)/2].Seconds()
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
