package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// Entry is what a record holds.
type Entry struct {
	Row ledger.Settlement `json:"row"`
	// KeyDigest is the digest of the key that paid, for the confirmation.
	KeyDigest string `json:"digest,omitempty"`
	// At is when it was appended first, in microseconds since the Unix epoch; 0: Append sets it.
	At int64 `json:"-"`
}

// The bytes of a segment, numbers little-endian, sums CRC32C:
//
//	segment: "LWAL" version:1 0:3 first:8 sum of the 16 bytes before:4
//	record:  0xFF 'R' version:1 0:1 length:4 sequence:8 at:8 sum of the body:4 sum of the 28 bytes before:4, body
//
// The sum over a record's head says whether its length is to be trusted where its body is damaged. A body is JSON, in
// which the byte 0xFF never is, so that the next record is found even where a head is damaged.
const (
	version    = 1
	segmentLen = 20
	headLen    = 32
	// maxBody bounds what is written and what is believed of a length.
	maxBody = 1 << 20
)

var (
	segmentMagic = []byte("LWAL")
	recordMagic  = []byte{0xFF, 'R'}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	le           = binary.LittleEndian
	buffers      = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// encode writes the record of e into a buffer of the pool; its head is sealed later.
func encode(e Entry) (*bytes.Buffer, error) {
	buf, _ := buffers.Get().(*bytes.Buffer)
	buf.Reset()
	buf.Write(make([]byte, headLen))
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		buffers.Put(buf)
		return nil, fmt.Errorf("encoding %s: %w", e.Row.RequestID, err)
	}
	if n := buf.Len() - headLen; n > maxBody {
		buffers.Put(buf)
		return nil, fmt.Errorf("a record of %d bytes, at most %d: %w", n, maxBody, ErrTooLarge)
	}
	return buf, nil
}

// seal fills in the head.
func seal(record []byte, sequence uint64, at int64) {
	head, body := record[:headLen], record[headLen:]
	copy(head, recordMagic)
	head[2], head[3] = version, 0
	le.PutUint32(head[4:], uint32(len(body)))
	le.PutUint64(head[8:], sequence)
	le.PutUint64(head[16:], uint64(at))
	le.PutUint32(head[24:], sum(body))
	le.PutUint32(head[28:], sum(head[:28]))
}

// head is a record's head whose sum is right.
type head struct {
	version  byte
	length   int
	sequence uint64
	at       int64
	body     uint32 // its sum
}

// parseHead is false where b does not begin with a head that can be trusted.
func parseHead(b []byte) (head, bool) {
	if len(b) < headLen || !bytes.HasPrefix(b, recordMagic) || sum(b[:28]) != le.Uint32(b[28:]) {
		return head{}, false
	}
	h := head{version: b[2], length: int(le.Uint32(b[4:])), sequence: le.Uint64(b[8:]), at: int64(le.Uint64(b[16:])), body: le.Uint32(b[24:])}
	return h, h.length <= maxBody
}

// decode reads a body whose sum is right. A field that this build does not know is an error: what a newer build wrote of
// money is not dropped.
func decode(body []byte, at int64) (Entry, error) {
	e := Entry{At: at}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return e, nil
}

func segmentHead(first uint64) []byte {
	b := make([]byte, segmentLen)
	copy(b, segmentMagic)
	b[4] = version
	le.PutUint64(b[8:], first)
	le.PutUint32(b[16:], sum(b[:16]))
	return b
}

func soundSegmentHead(b []byte) bool {
	return len(b) >= segmentLen && bytes.HasPrefix(b, segmentMagic) && b[4] == version && sum(b[:16]) == le.Uint32(b[16:])
}
