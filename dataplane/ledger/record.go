package ledger

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/layers-dev/layers/dataplane/pricing"
)

// MaxRecord bounds, in bytes, what EncodeRecord answers: a hold in Redis keeps no more.
const MaxRecord = 1024

// errRecord says that bytes are no record, or one of a version that this build does not know.
var errRecord = errors.New("no record of a settlement")

// Records begin with their form. A form never changes: another one gets another number.
const (
	recordPlain    = 1
	recordDeflated = 2 // of one that would be too long
)

// EncodeRecord writes a settlement in at most MaxRecord bytes, lines included, so that whoever finds it posts the very row. A
// UUID takes 16 bytes, a number what it needs: some 250 bytes in all. What names of the greatest length leave no room for is
// left out, in the order of shorten; what is charged to whom never is: then it is an error.
func EncodeRecord(e Settlement) ([]byte, error) {
	for _, drop := range shorten {
		drop(&e)
		out := encodeRecord(e)
		if len(out) > MaxRecord {
			out = deflate(out)
		}
		if len(out) <= MaxRecord {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%w record: the settlement of %.40q does not fit into %d bytes", errInvalid, e.RequestID, MaxRecord)
}

// shorten are what is left out where all does not fit: what others chose first, then what a row is only described by.
// Lines are the last, because the usage and the version of the prices tell them.
var shorten = []func(*Settlement){
	func(*Settlement) {},
	func(e *Settlement) { e.UpstreamID = "" },
	func(e *Settlement) { e.Backend = "" },
	func(e *Settlement) { e.Provider, e.Model = "", "" },
	func(e *Settlement) { e.Lines = nil },
}

// words are texts that take a byte. The order is part of the form; new ones go to the end.
var words = []string{
	"", string(EvidenceReported), string(EvidenceEstimated), string(EvidenceFree), string(EvidenceOrphan), OrphanNone, OrphanInput, OrphanHold,
	DisconnectCancelled, DisconnectDrained, "input", "cache_read", "cache_write", "cache_write_1h", "output", "search",
}

// prefixes are what ids begin with whose rest is a UUID. Their order is part of the form.
var prefixes = []string{"req_", "key_"}

// How a text is written: its length, or a place in a list, times four, plus one of these; then its bytes.
const (
	textRaw  = iota // so many bytes
	textHex         // so many bytes, written as lower-case hex
	textWord        // words
	textUUID        // prefixes, then 16 bytes
)

func appendText(b []byte, s string) []byte {
	if i := slices.Index(words, s); i >= 0 {
		return binary.AppendUvarint(b, uint64(i)<<2|textWord)
	}
	for i, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			if id, err := uuid.Parse(rest); err == nil && id.String() == rest {
				return append(binary.AppendUvarint(b, uint64(i)<<2|textUUID), id[:]...)
			}
		}
	}
	if raw, err := hex.DecodeString(s); err == nil && hex.EncodeToString(raw) == s {
		return append(binary.AppendUvarint(b, uint64(len(raw))<<2|textHex), raw...)
	}
	return append(binary.AppendUvarint(b, uint64(len(s))<<2+textRaw), s...)
}

// recordTexts and recordNumbers are the fields of a settlement, in the order in which they are written.
func recordTexts(e *Settlement) []*string {
	return []*string{
		&e.RequestID, &e.Account, &e.KeyID, &e.Model, &e.Provider, &e.Backend, &e.UpstreamID, &e.PriceVersion, &e.ProviderPrice,
		(*string)(&e.Evidence), &e.OrphanCharge, &e.Disconnect,
	}
}

func recordNumbers(e *Settlement) []*int64 {
	u := &e.Usage
	return []*int64{
		&u.Input, &u.CacheRead, &u.CacheWrite, &u.CacheWrite1h, &u.Output, &u.Reasoning, &u.Searches,
		&e.Cost, &e.Charged, &e.ProviderCost, &e.Held, &e.StartedAt, &e.FinishedAt,
	}
}

func encodeRecord(e Settlement) []byte {
	b := append(make([]byte, 0, 512), recordPlain)
	for _, s := range recordTexts(&e) {
		b = appendText(b, *s)
	}
	for _, n := range recordNumbers(&e) {
		b = binary.AppendVarint(b, *n)
	}
	stream := int64(0)
	if e.Stream {
		stream = 1
	}
	b = binary.AppendVarint(binary.AppendVarint(b, int64(e.Status)), stream)
	if e.Lines == nil {
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Lines))+1)
	markup := ""
	for _, l := range e.Lines {
		b = appendText(b, l.Kind)
		if l.Markup == markup { // it is the same in all of a bill
			b = append(b, 0)
		} else {
			b = appendText(append(b, 1), l.Markup)
		}
		markup = l.Markup
		for _, n := range []int64{l.Quantity, l.UnitPrice, l.Amount} {
			b = binary.AppendVarint(b, n)
		}
	}
	return b
}

// DecodeRecord reads what EncodeRecord wrote, by this version or by one before.
func DecodeRecord(record []byte) (Settlement, error) {
	plain, err := inflate(record)
	if err != nil {
		return Settlement{}, err
	}
	r := recordReader{rest: plain[1:]}
	var e Settlement
	for _, s := range recordTexts(&e) {
		*s = r.text()
	}
	for _, n := range recordNumbers(&e) {
		*n = r.number()
	}
	e.Status, e.Stream = int(r.number()), r.number() == 1
	e.Lines = r.lines()
	if r.failed || len(r.rest) > 0 {
		return Settlement{}, errRecord
	}
	return e, nil
}

// lines reads the lines of a bill; nil: there was no list.
func (r *recordReader) lines() []pricing.Line {
	count := r.length()
	if count == 0 {
		return nil
	}
	out := make([]pricing.Line, 0, min(count-1, 16))
	markup := ""
	for range count - 1 {
		l := pricing.Line{Kind: r.text()}
		if r.uvarint() != 0 {
			markup = r.text()
		}
		l.Markup, l.Quantity, l.UnitPrice, l.Amount = markup, r.number(), r.number(), r.number()
		if out = append(out, l); r.failed {
			break
		}
	}
	return out
}

// recordReader reads a record from its beginning; it fails once and for all.
type recordReader struct {
	rest   []byte
	failed bool
}

func (r *recordReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || r.failed {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *recordReader) number() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 || r.failed {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// length is a number that counts what follows, so that it is no more than there are bytes, and one.
func (r *recordReader) length() int {
	n := r.uvarint()
	if n > uint64(len(r.rest))+1 {
		r.failed = true
		return 0
	}
	return int(n)
}

func (r *recordReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) || r.failed {
		r.failed = true
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *recordReader) text() string {
	n := r.uvarint()
	switch kind, n := n&3, n>>2; {
	case kind == textRaw:
		return string(r.bytes(n))
	case kind == textHex:
		return hex.EncodeToString(r.bytes(n))
	case kind == textWord && n < uint64(len(words)):
		return words[n]
	case kind == textUUID && n < uint64(len(prefixes)):
		if id, err := uuid.FromBytes(r.bytes(16)); err == nil {
			return prefixes[n] + id.String()
		}
	}
	r.failed = true
	return ""
}
