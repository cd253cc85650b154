package ledger

import (
	"bytes"
	"compress/flate"
	"io"
)

// maxPlain bounds a record that was deflated: more never fitted into MaxRecord and was not written.
const maxPlain = 64 << 10

// flateWords are what names are made of, so that the first of their kind takes little.
var flateWords = []byte("default/providers/models/production/staging/openai/anthropic/google/gemini-flash-pro/gpt-mini/claude-sonnet-opus-haiku/chatcmpl-msg_gen-")

// deflate makes a record of names of the greatest length small.
func deflate(plain []byte) []byte {
	var b bytes.Buffer
	b.WriteByte(recordDeflated)
	w, err := flate.NewWriterDict(&b, flate.BestCompression, flateWords)
	if err != nil {
		return plain // the level is one of the package's own
	}
	_, _ = w.Write(plain[1:]) // a Buffer takes all
	_ = w.Close()
	return b.Bytes()
}

// inflate answers a record in its plain form.
func inflate(record []byte) ([]byte, error) {
	switch {
	case len(record) == 0 || len(record) > MaxRecord:
		return nil, errRecord
	case record[0] == recordPlain:
		return record, nil
	case record[0] != recordDeflated:
		return nil, errRecord
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReaderDict(bytes.NewReader(record[1:]), flateWords), maxPlain))
	if err != nil || len(plain) == maxPlain {
		return nil, errRecord
	}
	return append([]byte{recordPlain}, plain...), nil
}
