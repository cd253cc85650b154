package anthropic

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
)

// mediaBlock writes an image or a document, by what it is rather than by what the client calls it.
func mediaBlock(p *chat.Part) (block, error) {
	m := p.Media
	kind, isImage := sniff(m), p.Kind == chat.PartImage
	if kind != "" {
		isImage = strings.HasPrefix(kind, "image/")
	}
	out := block{Type: "image", Cache: cacheOf(p.Cache)}
	if !isImage {
		out.Type, out.Title = "document", m.Name
	}
	switch {
	case m.URL != "":
		out.Source = &source{Type: "url", URL: m.URL}
	case m.Base64 == "" && m.Text != "":
		out.Source = &source{Type: "text", MediaType: "text/plain", Data: m.Text}
	case strings.HasPrefix(kind, "text/"):
		text, err := base64.StdEncoding.DecodeString(m.Base64)
		if err != nil {
			return block{}, invalid("messages", "A document's data is not base64.")
		}
		out.Source = &source{Type: "text", MediaType: "text/plain", Data: strings.ToValidUTF8(string(text), "\ufffd")}
	case kind == "":
		return block{}, invalid("messages", "The media type of a file is not known: its data URL must name it.")
	default:
		out.Source = &source{Type: "base64", MediaType: kind, Data: m.Base64}
	}
	return out, nil
}

// sniff is the media type of some bytes: the API refuses an image whose declared type is not that of its bytes. What cannot be
// told is as declared; empty: nothing is known.
func sniff(m *chat.Media) string {
	declared, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(m.Type)), ";")
	if declared == "image/jpg" {
		declared = "image/jpeg"
	}
	if m.Base64 == "" {
		return declared
	}
	head := m.Base64[:min(len(m.Base64), 64)/4*4]
	raw, err := base64.StdEncoding.DecodeString(head)
	if err != nil {
		return declared
	}
	switch found := http.DetectContentType(raw); found {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf":
		return found
	}
	return declared
}
