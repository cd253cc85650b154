// Package sse reads and writes event streams (WHATWG HTML, "Server-sent events") without changing a byte of what it
// passes. Standard library only.
package sse

import (
	"bytes"
	"errors"
	"io"
)

// ErrTooLong says that one event is longer than the reader allows. The stream cannot be read further.
var ErrTooLong = errors.New("event is longer than the limit")

// Event is one event. Its slices are valid until the next call of Next.
type Event struct {
	// Raw is the event as it came, its closing blank line included; where the stream ends without that line, it is added.
	Raw []byte
	// Name is the event field; empty for the default, "message".
	Name string
	// Data is the data lines joined with a line feed; empty for comments, keep-alives and lone blank lines.
	Data []byte
}

const (
	firstBuffer = 4 << 10
	// noProgress is how many reads may give nothing before the source counts as broken.
	noProgress = 100
)

// Reader splits a stream into events. Lines end in LF, CR or CRLF. How the source cuts the bytes into reads never changes
// the events: a CR at the end of an event waits for its LF only if the line before it ended in CRLF, so that no event of a
// stream of lone CRs is held back.
type Reader struct {
	source   io.Reader
	maxEvent int
	// buf[start:end] is read and not yet given out; scan is where the search for the line's end goes on, line where that
	// line begins.
	buf                    []byte
	start, end, scan, line int
	err                    error
	begun                  bool
	// last is the end of the last line.
	last lineEnd
	// skipLF drops one LF: the rest of a CRLF whose CR has closed an event of lone CRs.
	skipLF bool

	name string
	data [][2]int
	join []byte
}

type lineEnd int

const (
	unknown lineEnd = iota
	lf
	cr
	crlf
)

// NewReader reads events of at most maxEvent bytes each from r.
func NewReader(r io.Reader, maxEvent int) *Reader {
	return &Reader{source: r, maxEvent: maxEvent, buf: make([]byte, firstBuffer)}
}

// Next returns the next event. At the end of the source it gives out an unfinished event as if its blank line had come,
// then io.EOF. Any other error of the source is returned as it is, and the unfinished event is lost: it may be cut anywhere.
func (r *Reader) Next() (Event, error) {
	r.release()
	for {
		done, ok := r.lines()
		if ok && done-r.start <= r.maxEvent {
			return r.event(done), nil
		}
		if ok || r.end-r.start > r.maxEvent {
			return Event{}, ErrTooLong
		}
		if r.err != nil {
			return r.finish()
		}
		r.fill()
	}
}

// release forgets the event that was given out last.
func (r *Reader) release() {
	if r.start == r.end {
		r.start, r.end, r.scan, r.line = 0, 0, 0, 0
	}
	r.name, r.data = "", r.data[:0]
}

// lines takes the complete lines of the buffer up to a blank one; ok says that there is one, end is behind it.
func (r *Reader) lines() (end int, ok bool) {
	if !r.prepare() {
		return 0, false
	}
	for {
		i := bytes.IndexAny(r.buf[r.scan:r.end], "\r\n")
		if i < 0 {
			r.scan = r.end
			return 0, false
		}
		r.scan += i
		blank := r.scan == r.line
		next, kind, ok := r.lineEnd(blank)
		if !ok {
			return 0, false
		}
		if blank {
			r.skipLF = kind == cr
		} else {
			r.field(r.line, r.scan)
		}
		r.last, r.line, r.scan = kind, next, next
		if blank {
			return next, true
		}
	}
}

// prepare drops a byte order mark at the beginning of the stream, and an LF that belongs to a CR already given out; false:
// more bytes are needed to tell.
func (r *Reader) prepare() bool {
	if !r.begun {
		const bom = "\xef\xbb\xbf"
		head := r.buf[r.start:r.end]
		if len(head) < len(bom) && bytes.HasPrefix([]byte(bom), head) && r.err == nil {
			return false
		}
		r.begun = true
		if bytes.HasPrefix(head, []byte(bom)) {
			r.drop(len(bom))
		}
	}
	if r.skipLF && r.start < r.end {
		r.skipLF = false
		if r.buf[r.start] == '\n' {
			r.drop(1)
		}
	}
	return true
}

func (r *Reader) drop(n int) {
	r.start += n
	r.line, r.scan = r.start, r.start
}

// lineEnd looks at the line end at r.scan: where the next line begins, and of what kind it is. ok is false where a CR is
// the last byte so far and the next could be its LF.
func (r *Reader) lineEnd(blank bool) (next int, kind lineEnd, ok bool) {
	if r.buf[r.scan] == '\n' {
		return r.scan + 1, lf, true
	}
	if blank && r.last == cr {
		return r.scan + 1, cr, true
	}
	if r.scan+1 == r.end {
		return r.scan + 1, cr, r.err != nil
	}
	if r.buf[r.scan+1] == '\n' {
		return r.scan + 2, crlf, true
	}
	return r.scan + 1, cr, true
}

// field reads the line [from, to).
func (r *Reader) field(from, to int) {
	line := r.buf[from:to]
	name, value := line, to
	if i := bytes.IndexByte(line, ':'); i >= 0 {
		name, value = line[:i], from+i+1
		if value < to && r.buf[value] == ' ' {
			value++
		}
	}
	switch string(name) {
	case "data":
		r.data = append(r.data, [2]int{value - r.start, to - r.start})
	case "event":
		r.name = string(r.buf[value:to])
	}
}

// event gives out everything up to end.
func (r *Reader) event(end int) Event {
	e := Event{Raw: r.buf[r.start:end:end], Name: r.name}
	if len(r.data) == 1 {
		e.Data = e.Raw[r.data[0][0]:r.data[0][1]:r.data[0][1]]
	}
	if len(r.data) > 1 {
		r.join = r.join[:0]
		for i, d := range r.data {
			if i > 0 {
				r.join = append(r.join, '\n')
			}
			r.join = append(r.join, e.Raw[d[0]:d[1]]...)
		}
		e.Data = r.join
	}
	r.start = end
	return e
}

// finish handles the end of the source.
func (r *Reader) finish() (Event, error) {
	if !errors.Is(r.err, io.EOF) || r.start == r.end {
		return Event{}, r.err
	}
	end := "\n"
	switch r.last {
	case cr:
		end = "\r"
	case crlf:
		end = "\r\n"
	}
	r.buf = r.buf[:r.end]
	if r.line < r.end {
		r.field(r.line, r.end)
		r.buf = append(r.buf, end...)
	}
	r.buf = append(r.buf, end...)
	r.end = len(r.buf)
	r.scan, r.line = r.end, r.end
	return r.event(r.end), nil
}

// fill reads once, growing the buffer where it is full.
func (r *Reader) fill() {
	if r.end == len(r.buf) {
		r.makeRoom()
	}
	for range noProgress {
		n, err := r.source.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// makeRoom moves what is unread to the front, of a buffer twice as large if it would be more than half full.
func (r *Reader) makeRoom() {
	to := r.buf
	if r.end-r.start > len(r.buf)/2 {
		to = make([]byte, 2*len(r.buf))
	}
	n := copy(to, r.buf[r.start:r.end])
	r.scan -= r.start
	r.line -= r.start
	r.start, r.end, r.buf = 0, n, to
}
