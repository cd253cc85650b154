package settle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/settle/wal"
)

func openLog(t *testing.T, dir string, o wal.Options) *wal.Log {
	t.Helper()
	l, err := wal.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func withLog(l WAL) func(*Options) {
	return func(o *Options) { o.WAL, o.SyncEvery = l, time.Millisecond }
}

// crashed is the folder as the end of the process at this instant would leave it.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// An answer need not wait for the ledger where the log has its charge; the charge comes to the ledger all the same, and
// then the log is empty.
func TestAnswerDoesNotWait(t *testing.T) {
	b := newBooks()
	b.down = true
	dir := t.TempDir()
	l := openLog(t, dir, wal.Options{})
	s := start(t, b, withLog(l))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it must not even look at this
	for i := range 300 {
		if err := submit(t, s, fmt.Sprint(i))(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.Stats().Unconfirmed; n != 300 {
		t.Errorf("%d in the log", n)
	}
	b.set(func() { b.down = false })
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := l.Stats(); len(b.rows) != 300 || len(b.confirmed) != 300 || st.Unconfirmed != 0 {
		t.Errorf("%d rows, %d confirmed, %+v", len(b.rows), len(b.confirmed), st)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.wal")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What the process took with it is settled and confirmed at the next start, with the digest of its key.
func TestReplayAtTheStart(t *testing.T) {
	b := newBooks()
	b.down = true
	dir := t.TempDir()
	s := start(t, b, withLog(openLog(t, dir, wal.Options{})))
	for i := range 50 {
		submit(t, s, fmt.Sprint(i))
	}
	after := openLog(t, crashed(t, dir), wal.Options{})
	next := newBooks()
	s2 := start(t, next, withLog(after))
	eventually(t, "all are settled", func() bool { return after.Stats().Unconfirmed == 0 })
	next.set(func() {
		if len(next.rows) != 50 || len(next.confirmed) != 50 || next.copies["7"].KeyDigest != "digest" {
			t.Errorf("%d rows, %d confirmed, %+v", len(next.rows), len(next.confirmed), next.copies["7"])
		}
	})
	if err := testutil.CollectAndCompare(s2, strings.NewReader(`
# HELP layers_settle_replayed_total Settlements that came from the write-ahead log at the start.
# TYPE layers_settle_replayed_total counter
layers_settle_replayed_total 50
`), "layers_settle_replayed_total"); err != nil {
		t.Error(err)
	}
	b.set(func() { b.down = false })
}

// A row stays in the log until the admission store was told once: who dies between ledger and confirmation confirms later.
func TestCrashBeforeConfirmation(t *testing.T) {
	b := newBooks()
	dir := t.TempDir()
	l := openLog(t, dir, wal.Options{})
	var copied string
	var once sync.Once
	s := start(t, b, withLog(l), func(o *Options) {
		o.Confirmer = confirmer(func() { once.Do(func() { copied = crashed(t, dir) }) })
	})
	submit(t, s, "a")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.rows["a"] != 1 || copied == "" {
		t.Fatalf("rows %v", b.rows)
	}
	s = start(t, b, withLog(openLog(t, copied, wal.Options{})))
	eventually(t, "confirmation", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.confirmed["a"] == 1
	})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A long log goes through a short queue, with requests of now beside it.
func TestLongLogShortQueue(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, wal.Options{SegmentBytes: 20_000})
	const rows = 1000
	for i := range rows {
		if _, err := l.Append(wal.Entry{Row: row(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	after := openLog(t, crashed(t, dir), wal.Options{})
	b := newBooks()
	b.down = true
	s := start(t, b, withLog(after), func(o *Options) { o.Queue, o.Batch = 40, 7 })
	longest := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.queue)
	}
	eventually(t, "half of the queue is full", func() bool { return longest() > 20 })
	b.set(func() { b.down = false })
	for i := range 20 {
		if err := submit(t, s, fmt.Sprint("new", i))(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are settled", func() bool {
		if n := longest(); n > 41 {
			t.Fatalf("%d in the queue", n)
		}
		return after.Stats().Unconfirmed == 0
	})
	b.set(func() {
		if len(b.rows) != rows+20 {
			t.Errorf("%d rows", len(b.rows))
		}
	})
}

// Close waits for the log as for the queue; what it leaves when it gives up is there at the next start.
func TestCloseBesideReplay(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprint(down), func(t *testing.T) {
			dir := t.TempDir()
			l := openLog(t, dir, wal.Options{})
			for i := range 100 {
				if _, err := l.Append(wal.Entry{Row: row(fmt.Sprint(i))}); err != nil {
					t.Fatal(err)
				}
			}
			after := openLog(t, crashed(t, dir), wal.Options{})
			b := newBooks()
			b.down = down
			s := start(t, b, withLog(after), func(o *Options) { o.Queue = 10 })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if down {
				eventually(t, "the queue is full", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return len(s.queue) > 5
				})
				cancel()
			}
			err := s.Close(ctx)
			if !down {
				if err != nil || len(b.rows) != 100 || after.Stats().Unconfirmed != 0 {
					t.Errorf("%d rows, %+v, %v", len(b.rows), after.Stats(), err)
				}
				return
			}
			if !errors.Is(err, ErrPending) || !strings.Contains(err.Error(), "more in the log") || after.Stats().Unconfirmed != 100 {
				t.Errorf("%v, %+v", err, after.Stats())
			}
			if _, err := s.Submit(row("late"), ""); !errors.Is(err, ErrClosed) || after.Stats().Unconfirmed != 100 {
				t.Errorf("after Close: %v", err)
			}
		})
	}
}

// A log that does not take a row makes its answer wait for the ledger, as where there is no log.
func TestLogFails(t *testing.T) {
	b := newBooks()
	b.down = true
	broken := &brokenLog{WAL: openLog(t, t.TempDir(), wal.Options{})}
	s := start(t, b, withLog(broken))
	wait := submit(t, s, "a")
	if err := wait(t.Context()); !errors.Is(err, ErrPending) {
		t.Fatalf("while down: %v", err)
	}
	b.set(func() { b.down = false })
	eventually(t, "commit", func() bool { return wait(t.Context()) == nil })
	if err := testutil.CollectAndCompare(s, strings.NewReader(`
# HELP layers_settle_not_logged_total Settlements that the write-ahead log did not take; they were tried without it.
# TYPE layers_settle_not_logged_total counter
layers_settle_not_logged_total 1
`), "layers_settle_not_logged_total"); err != nil {
		t.Error(err)
	}
	if broken.full.Store(true); !s.Full() {
		t.Error("not full with a full log")
	}
}

// What waits while the disk cannot sync is written once more when it can: a later sync of the old segment would say that all
// is well, and it would not be. The first tries to write it again find no room.
func TestFailedSyncIsWrittenAgain(t *testing.T) {
	b := newBooks()
	b.down = true
	dir := t.TempDir()
	l := openLog(t, dir, wal.Options{})
	disk := &unsynced{WAL: l}
	disk.full.Store(3)
	s := start(t, b, withLog(disk))
	for i := range 20 {
		if err := submit(t, s, fmt.Sprint(i))(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are written again", func() bool { return disk.moved.Load() >= 20 })
	if st := l.Stats(); st.Unconfirmed != 20 {
		t.Errorf("%+v", st)
	}
	b.set(func() { b.down = false })
	if err := s.Close(t.Context()); err != nil || l.Stats().Unconfirmed != 0 || len(b.rows) != 20 {
		t.Errorf("%d rows, %+v, %v", len(b.rows), l.Stats(), err)
	}
}

// unsynced is a log whose disk does not sync once, when twenty rows are there, and has then no room for a while.
type unsynced struct {
	WAL
	failed      atomic.Bool
	full, moved atomic.Int64
}

func (u *unsynced) Sync() error {
	if u.Stats().Unconfirmed >= 20 && !u.failed.Swap(true) {
		return syscall.EIO
	}
	return u.WAL.Sync()
}

func (u *unsynced) Move(m wal.Mark, e wal.Entry) (wal.Mark, error) {
	if u.full.Add(-1) >= 0 {
		return m, syscall.ENOSPC
	}
	u.moved.Add(1)
	return u.WAL.Move(m, e)
}

// A damaged log is told of, and what is sound in it is settled.
func TestDamagedLog(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, wal.Options{})
	for _, id := range []string{"a", "bad", "c"} {
		if _, err := l.Append(wal.Entry{Row: row(id)}); err != nil {
			t.Fatal(err)
		}
	}
	dir = crashed(t, dir)
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names[0], bytes.Replace(data, []byte(`"bad"`), []byte(`"BAD"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBooks()
	var log strings.Builder
	s := start(t, b, withLog(openLog(t, dir, wal.Options{})), func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.rows["a"] != 1 || b.rows["c"] != 1 || len(b.rows) != 2 {
		t.Errorf("rows %v", b.rows)
	}
	if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "corrupt=1") || !strings.Contains(got, filepath.Base(names[0])) {
		t.Error(got)
	}
}

// A row that the ledger refuses for long keeps one segment, not each that was written since.
func TestRefusedRowMovesUp(t *testing.T) {
	b := newBooks()
	b.bad["bad"] = true
	dir := t.TempDir()
	l := openLog(t, dir, wal.Options{SegmentBytes: 3000})
	s := start(t, b, withLog(l))
	submit(t, s, "bad")
	eventually(t, "many segments later only the last ones are there", func() bool {
		for i := range 20 {
			submit(t, s, fmt.Sprintf("%p.%d", &i, i))
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.rows) > 200
	})
	eventually(t, "the others go", func() bool { st := l.Stats(); return st.Unconfirmed == 1 && st.Segments <= 2 })
	// It comes back after a crash, too.
	next := newBooks()
	s2 := start(t, next, withLog(openLog(t, crashed(t, dir), wal.Options{})))
	eventually(t, "commit", next.has("bad"))
	if err := s2.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.set(func() { clear(b.bad) })
	eventually(t, "the log is empty", func() bool { return l.Stats().Unconfirmed == 0 })
}

// confirmer does something when it is told of settlements, and fails.
type confirmer func()

func (c confirmer) Confirm(context.Context, []admit.Confirmation) error {
	c()
	return errDown
}

// brokenLog is a log on a disk that fails.
type brokenLog struct {
	WAL
	full atomic.Bool
}

func (*brokenLog) Append(wal.Entry) (wal.Mark, error) { return 0, syscall.EIO }
func (b *brokenLog) Full() bool                       { return b.full.Load() }
