package wal

import "os"

// File is what a segment is written to.
type File = file

// Abandon leaves a log as the end of its process would.
func (l *Log) Abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, s := range l.segments {
		if s.f != nil {
			s.f.Close()
		}
	}
	l.lock.Close()
}

// WithFiles puts something between a log and its files.
func (o Options) WithFiles(wrap func(*os.File) File) Options {
	o.create = func(path string) (file, error) {
		f, err := create(path)
		if err != nil {
			return nil, err
		}
		of, _ := f.(*os.File)
		return wrap(of), nil
	}
	return o
}

// Sizes of what is written beside the bodies.
const (
	SegmentLen = segmentLen
	HeadLen    = headLen
)
