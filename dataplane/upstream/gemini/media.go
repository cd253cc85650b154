package gemini

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// mediaPart says an image or a document.
func mediaPart(kind chat.PartKind, m *chat.Media) part {
	switch {
	case m.Text != "":
		return text(m.Text)
	case m.URL != "":
		return part{FileData: &fileData{MimeType: mediaType(kind, m), FileURI: m.URL}}
	}
	return part{InlineData: &blob{MimeType: mediaType(kind, m), Data: m.Base64}}
}

// types has the media types that Gemini takes by the ending of a URL's path.
var types = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".heic": "image/heic", ".heif": "image/heif", ".gif": "image/gif",
	".pdf": "application/pdf", ".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".html": "text/html", ".json": "application/json",
	".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime", ".mp3": "audio/mpeg", ".wav": "audio/wav",
}

// mediaType finds the type, which Gemini wants with every file: what the client said, what the bytes or the URL look like, or
// the usual one.
func mediaType(kind chat.PartKind, m *chat.Media) string {
	if m.Type == "image/jpg" {
		return "image/jpeg" // as browsers call it, and Gemini does not
	}
	if m.Type != "" && !strings.HasSuffix(m.Type, "/*") {
		return m.Type
	}
	if t := sniff(m.Base64); t != "" {
		return t
	}
	for _, name := range []string{m.URL, m.Name} {
		if u, err := url.Parse(name); err == nil {
			if t := types[strings.ToLower(path.Ext(u.Path))]; t != "" {
				return t
			}
		}
	}
	if kind == chat.PartImage {
		return "image/jpeg"
	}
	return "application/pdf"
}

// sniff looks at the first bytes; empty: they say nothing.
func sniff(data string) string {
	const enough = 684 // base64 of the 512 bytes that DetectContentType looks at
	head, err := base64.StdEncoding.DecodeString(data[:min(len(data), enough)/4*4])
	if err != nil || len(head) == 0 {
		return ""
	}
	t, _, _ := strings.Cut(http.DetectContentType(head), ";")
	if t == "application/octet-stream" {
		return ""
	}
	return t
}
