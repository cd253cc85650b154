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
	wrapped := func(open func(string) (file, error)) func(string) (file, error) {
		return func(path string) (file, error) {
			f, err := open(path)
			if err != nil {
				return nil, err
			}
			of, _ := f.(*os.File)
			return wrap(of), nil
		}
	}
	o.create, o.reopen = wrapped(create), wrapped(reopen)
	return o
}

// WithMaking puts something in the place of the making of files.
func (o Options) WithMaking(fn func(path string) (File, error)) Options {
	o.create = fn
	return o
}

// Scan is what is sound in the bytes of a segment, by sequence, and how many places are not.
func Scan(data []byte) (sequences []uint64, torn, corrupt int) {
	records, damages := scan(data)
	for _, r := range records {
		sequences = append(sequences, r.sequence)
	}
	for _, d := range damages {
		if d.torn {
			torn++
		} else {
			corrupt++
		}
	}
	return sequences, torn, corrupt
}

// Sizes of what is written beside the bodies.
const (
	SegmentLen = segmentLen
	HeadLen    = headLen
)
