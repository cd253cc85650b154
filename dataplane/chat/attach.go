package chat

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	_ "image/gif" // their heads tell the size
	_ "image/jpeg"
	_ "image/png"
	"io"
	"slices"
	"strings"

	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// Attachment is an image or a PDF in a body, as far as it tells its size itself: Pages is 0 for an image.
type Attachment struct {
	Width, Height int64 // in pixels
	// Low is OpenAI's detail "low".
	Low   bool
	Pages int64
}

const (
	// maxSide is as many pixels as JPEG and GIF can say; nobody takes more.
	maxSide = 1 << 16
	// attachDepth is how deep in a part its bytes are: {"image_url":{"url":...}}, {"source":{"data":...}}.
	attachDepth = 2
)

// addresses are the members that have the bytes of an attachment, or say where they are.
var addresses = []string{"url", "image_url", "file_data", "file_url", "data"}

// Obscure notes that the body has something whose tokens neither its bytes nor its size tell.
func (r *Request) Obscure() { r.Opaque, r.Unsized = true, true }

// Attach notes an image or a document, whose tokens its bytes do not bound: raw is the object that has it. One that does not
// tell its size obscures the request.
func (r *Request) Attach(raw []byte) {
	before := len(r.Attachments)
	low := r.attach(raw, 0)
	if r.Opaque = true; len(r.Attachments) == before {
		r.Unsized = true
	}
	for i := before; low && i < len(r.Attachments); i++ {
		r.Attachments[i].Low = true
	}
}

func (r *Request) attach(raw []byte, depth int) (low bool) {
	for name, value := range jsonscan.Members(raw) {
		switch {
		case strings.EqualFold(name, "detail"):
			detail, _ := jsonscan.String(value)
			low = low || detail == "low"
		case value[0] == '{' && depth < attachDepth:
			low = r.attach(value, depth+1) || low
		case value[0] == '"' && slices.ContainsFunc(addresses, func(a string) bool { return strings.EqualFold(a, name) }):
			a, ok := measure(value[1 : len(value)-1])
			if !ok {
				r.Unsized = true
				continue
			}
			r.Attachments = append(r.Attachments, a)
			r.AttachedBytes += int64(len(value))
		}
	}
	return low
}

// measure reads the size out of a data URL, or out of base64. Only the head of an image is decoded, and nothing is kept.
func measure(text []byte) (Attachment, bool) {
	if bytes.HasPrefix(text, []byte("data:")) {
		_, text, _ = bytes.Cut(text, []byte(","))
	}
	decoded := func() io.Reader {
		return base64.NewDecoder(base64.StdEncoding, unescaped{bytes.NewReader(text)})
	}
	head := make([]byte, 32)
	n, _ := io.ReadFull(decoded(), head) // what is shorter is nothing that is known
	if head = head[:n]; bytes.HasPrefix(head, []byte("%PDF-")) {
		pages := countPages(decoded())
		return Attachment{Pages: pages}, pages > 0
	}
	width, height := webpSize(head)
	if width == 0 {
		config, _, err := image.DecodeConfig(decoded())
		if err != nil {
			return Attachment{}, false
		}
		width, height = int64(config.Width), int64(config.Height)
	}
	return Attachment{Width: min(width, maxSide), Height: min(height, maxSide)}, width > 0 && height > 0
}

// unescaped leaves out the backslashes that some encoders write before a slash.
type unescaped struct{ from io.Reader }

// Read implements io.Reader.
func (u unescaped) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	return len(slices.DeleteFunc(p[:n], func(b byte) bool { return b == '\\' })), err
}

// webpSize reads the first bytes of a WebP image; 0: they are none.
func webpSize(head []byte) (width, height int64) {
	if len(head) < 30 || string(head[:4]) != "RIFF" || string(head[8:12]) != "WEBP" {
		return 0, 0
	}
	switch body := head[20:]; string(head[12:16]) {
	case "VP8 ":
		return int64(binary.LittleEndian.Uint16(body[6:]) & 0x3fff), int64(binary.LittleEndian.Uint16(body[8:]) & 0x3fff)
	case "VP8L":
		bits := int64(binary.LittleEndian.Uint32(body[1:]))
		return bits&0x3fff + 1, bits>>14&0x3fff + 1
	case "VP8X":
		side := func(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }
		return side(body[4:]) + 1, side(body[7:]) + 1
	}
	return 0, 0
}

// countPages counts the pages of a PDF that can be seen without unpacking it; 0: none.
func countPages(pdf io.Reader) (pages int64) {
	const keep = 16 // a page's mark may lie across two pieces
	buffer, held := make([]byte, 32<<10), 0
	for {
		n, err := io.ReadFull(pdf, buffer[held:])
		piece, last := buffer[:held+n], err != nil
		for at := 0; ; {
			next := bytes.Index(piece[at:], []byte("/Type"))
			if next < 0 || !last && at+next >= len(piece)-keep {
				break
			}
			at += next + len("/Type")
			rest, found := bytes.CutPrefix(bytes.TrimLeft(piece[at:], " \r\n"), []byte("/Page"))
			if found && (len(rest) == 0 || rest[0] != 's') {
				pages++
			}
		}
		if last {
			return pages
		}
		held = copy(buffer, piece[len(piece)-keep:])
	}
}
