package jsonscan

import "bytes"

// Edit replaces [Start, End) of a text; Start == End inserts.
type Edit struct {
	Start, End int
	Text       []byte
}

// Replace is the edit that gives a member another value.
func (m Member) Replace(value []byte) Edit {
	return Edit{Start: m.ValueStart, End: m.ValueEnd, Text: value}
}

// Prepend is the edit that puts a member before the first one. The object must not be empty.
func (o Object) Prepend(name string, value []byte) Edit {
	text := append(Quote(name), ':')
	text = append(text, value...)
	return Edit{Start: o[0].KeyStart, End: o[0].KeyStart, Text: append(text, ',')}
}

// Splice returns a copy of body with the edits made, every other byte as it was. Edits are in the order of their offsets
// and do not overlap.
func Splice(body []byte, edits ...Edit) []byte { return bytes.Join(Pieces(body, edits...), nil) }

// Pieces is Splice without the copy: the parts of body and the texts, in their order.
func Pieces(body []byte, edits ...Edit) [][]byte {
	out := make([][]byte, 0, 2*len(edits)+1)
	at := 0
	for _, e := range edits {
		out = append(out, body[at:e.Start], e.Text)
		at = e.End
	}
	return append(out, body[at:])
}
