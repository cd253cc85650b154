package settle

import (
	"errors"
	"slices"
	"time"

	"github.com/layers-dev/layers/dataplane/settle/wal"
)

// startLog begins to replay the log and to sync it, where there is one.
func (s *Settler) startLog() {
	if s.o.WAL == nil {
		return
	}
	s.replaying = true
	signal(s.written) // the process before may not have come to it
	s.others.Go(s.replay)
	s.others.Go(s.syncLog)
}

// log writes an item that is new to the log. Where that fails the row is still tried, and its answer waits for the ledger:
// a disk that is full or broken makes the service slower, not free.
func (s *Settler) log(it *item) error {
	if s.o.WAL == nil {
		return nil
	}
	m, err := s.o.WAL.Append(it.entry())
	if err != nil {
		s.o.Log.Error("Settlement is not in the log, its answer waits for the ledger", "requestID", it.s.RequestID, "error", err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.notLogged++
		return err
	}
	it.mark, it.logged = m, true
	signal(s.written)
	return nil
}

func (it *item) entry() wal.Entry {
	return wal.Entry{Row: it.s, KeyDigest: it.keyDigest, At: it.queuedAt.UnixMicro()}
}

// moveUp keeps a row that waits for long from keeping its old segment of the log; one that the log did not take before is
// tried again. false: the log does not take it.
func (s *Settler) moveUp(it *item) bool {
	if s.o.WAL == nil {
		return true
	}
	m, err := s.o.WAL.Move(it.mark, it.entry())
	if err != nil {
		s.o.Log.Error("Settlement that waits is not moved up in the log", "requestID", it.s.RequestID, "error", err)
		return false
	}
	it.mark = m
	signal(s.written)
	return true
}

// acknowledge tells those who wait for what is written, and the log. That comes after the first try to confirm: whoever
// dies between the two confirms after the replay.
func (s *Settler) acknowledge(written []committed) {
	var marks []wal.Mark
	for _, w := range written {
		if w.it.mark != 0 {
			marks = append(marks, w.it.mark)
		}
		close(w.it.done)
	}
	if len(marks) > 0 {
		s.o.WAL.Done(marks...)
	}
}

// errGivenUp ends a replay.
var errGivenUp = errors.New("settler is closed")

// replay brings what the log had at the start into the queue, at most half of it at once, so that requests of now find
// room beside it and a long log needs no long memory.
func (s *Settler) replay() {
	r, err := s.o.WAL.Replay(func(m wal.Mark, e wal.Entry) error {
		it := newItem(e.Row, e.KeyDigest, time.UnixMicro(e.At))
		it.mark = m
		for !s.readmit(it) {
			select {
			case <-s.room:
			case <-s.ctx.Done():
				return errGivenUp
			}
		}
		return nil
	})
	if errors.Is(err, errGivenUp) {
		return // what is left is in the log
	}
	if err != nil {
		s.o.Log.Error("Write-ahead log is damaged, what is sound in it is settled and the rest is kept", "records", r.Records, "corrupt", r.Corrupt,
			"unreadable", r.Unreadable, "error", err)
	}
	if r.Torn > 0 || r.Records > 0 {
		s.o.Log.Info("Write-ahead log is replayed", "records", r.Records, "torn", r.Torn)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.replayed += r.Records
	s.replaying = false
	s.nudge()
}

// readmit puts an item of the log into the queue if there is room.
func (s *Settler) readmit(it *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) > s.o.Queue/2 {
		return false
	}
	s.push(it)
	s.nudge()
	return true
}

// syncLog syncs the log after something was written to it, not more often than it is told to. What the ledger has by then
// costs nothing.
func (s *Settler) syncLog() {
	for {
		select {
		case <-s.written:
		case <-s.ctx.Done():
			return
		}
		s.sleep(s.o.SyncEvery)
		if err := s.o.WAL.Sync(); err != nil {
			s.o.Log.Error("Write-ahead log is not synced: what it has would not survive the end of this machine, it is written once more", "error", err)
			s.again()
			s.sleep(s.o.BackoffMax) // a disk that goes on failing is not asked more often
		}
	}
}

// again has rows that wait written to the log once more, by the goroutine that has their marks: after a sync that failed
// no other one brings what was written before to the disk.
func (s *Settler) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsynced = true
	s.nudge()
}

// rewrite writes what waits to a new segment, where a sync failed. Where the log does not take it, it is tried again with the
// next round.
func (s *Settler) rewrite() {
	s.mu.Lock()
	if !s.unsynced {
		s.mu.Unlock()
		return
	}
	s.unsynced = false
	waiting := slices.Clone(s.queue)
	s.mu.Unlock()
	for _, it := range waiting {
		if it.mark == 0 || s.moveUp(it) {
			continue
		}
		s.mu.Lock()
		s.unsynced = true
		s.mu.Unlock()
		return
	}
}

// signal wakes whoever waits, or the next one who will.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
