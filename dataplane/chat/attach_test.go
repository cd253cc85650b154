package chat

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"reflect"
	"strings"
	"testing"
)

// drawn is a small picture of that size in a format.
func drawn(t *testing.T, format string, w, h int) string {
	t.Helper()
	var b bytes.Buffer
	var err error
	img := image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black, color.White})
	switch format {
	case "png":
		err = png.Encode(&b, img)
	case "jpeg":
		err = jpeg.Encode(&b, img, nil)
	default:
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func TestAttach(t *testing.T) {
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	webp := func(kind, body string) string {
		return b64("RIFF\x00\x00\x00\x00WEBP" + kind + "\x00\x00\x00\x00" + body + strings.Repeat("\x00", 16))
	}
	page := "1 0 obj <</Type /Page /Parent 2 0 R>> endobj\n"
	long := "%PDF-1.4\n<</Type/Pages /Count 3>>" + page + strings.Repeat("x", 32<<10) + page + strings.Repeat("y", 50<<10) + "<</Type\n/Page>>"
	for name, c := range map[string]struct {
		part string
		want []Attachment // nil: not sized
	}{
		"png":             {`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + drawn(t, "png", 640, 480) + `"}}`, []Attachment{{Width: 640, Height: 480}}},
		"jpeg, low":       {`{"image_url":{"url":"data:image/jpeg;base64,` + drawn(t, "jpeg", 9, 70) + `","detail":"low"}}`, []Attachment{{Width: 9, Height: 70, Low: true}}},
		"gif, responses":  {`{"type":"input_image","detail":"low","image_url":"data:image/gif;base64,` + drawn(t, "gif", 3, 4) + `"}`, []Attachment{{Width: 3, Height: 4, Low: true}}},
		"escaped slashes": {`{"url":"data:image\/jpeg;base64,` + strings.ReplaceAll(drawn(t, "jpeg", 31, 17), "/", `\/`) + `"}`, []Attachment{{Width: 31, Height: 17}}},
		"webp, lossy":     {`{"data":"` + webp("VP8 ", "\x00\x00\x00\x9d\x01\x2a\x40\x01\xc8\x00") + `"}`, []Attachment{{Width: 320, Height: 200}}},
		"webp, lossless":  {`{"data":"` + webp("VP8L", "\x2f\x3f\xc1\x31\x00") + `"}`, []Attachment{{Width: 320, Height: 200}}},
		"webp, extended":  {`{"data":"` + webp("VP8X", "\x00\x00\x00\x00\x3f\x01\x00\xc7\x00\x00") + `"}`, []Attachment{{Width: 320, Height: 200}}},
		"pdf":             {`{"type":"base64","media_type":"application/pdf","data":"` + b64(long) + `"}`, []Attachment{{Pages: 3}}},
		"packed pdf":      {`{"data":"` + b64("%PDF-1.5 <</Type /ObjStm>>") + `"}`, nil},
		"address":         {`{"image_url":{"url":"https://x/y.png"}}`, nil},
		"nothing":         {`{"type":"input_image"}`, nil},
		"no base64":       {`{"url":"data:image/png;base64,%%%"}`, nil},
		"empty":           {`{"url":"","data":"","file_data":"data:"}`, nil},
		"cut off":         {`{"data":"` + drawn(t, "png", 9, 9)[:20] + `"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var r Request
			r.Attach([]byte(c.part))
			if !r.Opaque || r.Unsized != (c.want == nil) || !reflect.DeepEqual(r.Attachments, c.want) {
				t.Errorf("opaque %v, unsized %v, attached %+v; want %+v", r.Opaque, r.Unsized, r.Attachments, c.want)
			}
			if (r.AttachedBytes > 0) != (c.want != nil) || r.AttachedBytes > int64(len(c.part)) {
				t.Errorf("%d bytes of %d are attached", r.AttachedBytes, len(c.part))
			}
		})
	}
}

// A mark is counted once wherever the pieces that are read end.
func TestPagesOverPieces(t *testing.T) {
	for at := (32 << 10) - 40; at < (32<<10)+10; at++ {
		pdf := strings.Repeat(" ", at) + "/Type /Page>" + strings.Repeat(" ", 40)
		if n := countPages(strings.NewReader(pdf)); n != 1 {
			t.Fatalf("%d pages with the mark at %d", n, at)
		}
	}
}
