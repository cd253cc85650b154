package wal

import "bytes"

// found is a sound record within a segment's bytes.
type found struct {
	head
	from int // of the body
}

// damage is a place in a segment's bytes that holds no sound record.
type damage struct {
	from, to int
	// torn: the end of a write that did not come to its end. Else the bytes were sound once, or nobody knows.
	torn bool
	// unknown: a sound record of another version.
	unknown bool
}

// scan finds all that is sound in the bytes of a segment, and what is not. Behind a damaged body it goes on where the
// length says, behind a damaged head at the next sound one.
func scan(data []byte) (records []found, damages []damage) {
	off := segmentLen
	if !soundSegmentHead(data) {
		next := nextHead(data, 0)
		if next < 0 {
			next = len(data)
		}
		if next > 0 { // torn: the making of the segment was cut off
			damages = append(damages, damage{to: next, torn: next == len(data) && (next < segmentLen || zero(data))})
		}
		off = next
	}
	for off < len(data) {
		h, ok := parseHead(data[off:])
		end := off + headLen + h.length
		if !ok || end > len(data) {
			next := nextHead(data, off+1)
			if next < 0 {
				return records, append(damages, damage{from: off, to: len(data), torn: ok || len(data)-off < headLen || zero(data[off:])})
			}
			damages = append(damages, damage{from: off, to: next})
			off = next
			continue
		}
		switch {
		case h.version != version:
			damages = append(damages, damage{from: off, to: end, unknown: true})
		case sum(data[off+headLen:end]) != h.body:
			damages = append(damages, damage{from: off, to: end})
		default:
			records = append(records, found{head: h, from: off + headLen})
		}
		off = end
	}
	return records, damages
}

// nextHead is where the next sound head begins, -1: nowhere.
func nextHead(data []byte, from int) int {
	for from < len(data) {
		i := bytes.Index(data[from:], recordMagic)
		if i < 0 {
			return -1
		}
		from += i
		if _, ok := parseHead(data[from:]); ok {
			return from
		}
		from++
	}
	return -1
}

// zero says that nothing but zeros is there: a file whose length was written before its bytes, when the power failed.
func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
