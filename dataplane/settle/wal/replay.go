package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Report is what Replay found.
type Report struct {
	// Records were given to the caller.
	Records int
	// Torn counts ends of writes that did not come to their end: their Append had not returned, unless the machine ended.
	Torn int
	// Corrupt counts places that hold no sound record, Unreadable sound records of another build. Their segments are kept.
	Corrupt, Unreadable int
}

// maxTold bounds the places that an error names.
const maxTold = 20

// Replay gives what was in the folder at Open, and is not done, to fn, in the order in which it was appended. It may run
// beside Append. An error of fn ends it. Damage does not: what is behind it is given too, and then the error, which wraps
// ErrCorrupt or ErrUnreadable, says where it is.
func (l *Log) Replay(fn func(Mark, Entry) error) (Report, error) {
	var errs []error
	r := Report{Torn: l.torn}
	tell := func(err error) {
		if len(errs) < maxTold {
			errs = append(errs, err)
		}
	}
	for _, s := range l.loaded() {
		for _, d := range s.damages {
			switch {
			case d.torn:
			case d.unknown:
				r.Unreadable++
				tell(fmt.Errorf("%s, bytes %d to %d: %w", filepath.Base(s.path), d.from, d.to, ErrUnreadable))
			default:
				r.Corrupt++
				tell(fmt.Errorf("%s, bytes %d to %d: %w", filepath.Base(s.path), d.from, d.to, ErrCorrupt))
			}
		}
		if s.broken != nil {
			r.Corrupt++
			tell(fmt.Errorf("%w: %w", ErrCorrupt, s.broken))
			continue
		}
		if err := l.replaySegment(s, fn, &r, tell); err != nil {
			return r, err
		}
	}
	return r, errors.Join(errs...)
}

// loaded are the segments that were there at Open.
func (l *Log) loaded() (ss []*segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.from != nil || s.damages != nil || s.broken != nil {
			ss = append(ss, s)
		}
	}
	return ss
}

// replaySegment gives the records of one file to fn. It is read again: all of a long log would not fit into memory.
func (l *Log) replaySegment(s *segment, fn func(Mark, Entry) error, r *Report, tell func(error)) error {
	if !l.waits(s) {
		return nil
	}
	data, err := os.ReadFile(s.path)
	if err != nil {
		r.Corrupt++
		tell(fmt.Errorf("%w: %w", ErrCorrupt, err))
		return nil
	}
	for i, f := range s.from {
		m := s.first + Mark(i)
		if !l.live(m) {
			continue
		}
		end := f.from + f.length
		if end > len(data) || sum(data[f.from:end]) != f.body {
			r.Corrupt++
			tell(fmt.Errorf("%s, bytes %d to %d: %w", filepath.Base(s.path), f.from-headLen, end, ErrCorrupt))
			continue
		}
		e, err := decode(data[f.from:end], f.at)
		if err != nil {
			r.Unreadable++
			tell(fmt.Errorf("%s, bytes %d to %d: %w", filepath.Base(s.path), f.from-headLen, end, err))
			continue
		}
		if err := fn(m, e); err != nil {
			return err
		}
		r.Records++
	}
	return nil
}

func (l *Log) waits(s *segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.live > 0
}

func (l *Log) live(m Mark) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, i := l.find(m)
	return s != nil && s.at[i] != 0
}
