package openai

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/layers-dev/layers/dataplane/chat"
)

// uploads is why file_id is refused.
const uploads = "this gateway keeps no files; send the file itself in 'file_data'"

// plainText is the media type of documents that have no other.
const plainText = "text/plain"

func looksLikeURL(s string) bool { return hasScheme(s, "data:") || isWeb(s) }

func isWeb(s string) bool { return hasScheme(s, "https://") || hasScheme(s, "http://") }

func hasScheme(s, scheme string) bool {
	return len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme)
}

// media checks what the fields say: a URL of the web, bytes, or text. Param names the member in an error.
func (f *mediaFields) media(param string) (*chat.Media, error) {
	m := &chat.Media{Name: f.name, Detail: f.detail, Type: strings.ToLower(f.kind)}
	switch {
	case f.text != "":
		m.Type, m.Text = first(m.Type, plainText), f.text
		return m, nil
	case hasScheme(f.url, "data:"):
		return f.fromURL(param, m)
	case f.url != "":
		if u, err := url.Parse(f.url); err != nil || !isWeb(f.url) || u.Host == "" {
			return nil, refuse(param, "invalid_value", "Invalid '%s': expected a data URL, or one that begins with https:// or http://.", param)
		}
		m.URL = f.url
		return m, nil
	case f.data != "":
		return fill(param, m, f.data)
	}
	return nil, refuse(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
}

// fromURL reads a data URL: "data:" type *(";" parameter) [";base64"] "," data (RFC 2397).
func (f *mediaFields) fromURL(param string, m *chat.Media) (*chat.Media, error) {
	head, data, ok := strings.Cut(f.url[len("data:"):], ",")
	if !ok {
		return nil, refuse(param, "invalid_value", "Invalid '%s': the data URL has no data.", param)
	}
	kind, params, _ := strings.Cut(head, ";")
	m.Type = strings.ToLower(strings.TrimSpace(kind))
	for p := range strings.SplitSeq(params, ";") {
		if strings.EqualFold(strings.TrimSpace(p), "base64") {
			return fill(param, m, data)
		}
	}
	text, err := url.PathUnescape(data)
	if err != nil || strings.HasPrefix(m.Type, "image/") || !utf8.ValidString(text) {
		return nil, refuse(param, "invalid_value", "Invalid '%s': expected a data URL with base64, as in \"data:image/png;base64,...\".", param)
	}
	m.Type, m.Text = first(m.Type, plainText), text
	return m, nil
}

// fill takes base64: its type is what its first bytes say, or what the client says, or what the name ends with, because
// providers refuse a type that does not match the bytes. Text is decoded.
func fill(param string, m *chat.Media, data string) (*chat.Media, error) {
	data, ok := cleanBase64(data)
	if !ok {
		return nil, refuse(param, "invalid_base64", "Invalid '%s': expected base64-encoded data.", param)
	}
	m.Type = first(sniff(data), m.Type)
	if m.Type == "" || m.Type == "application/octet-stream" {
		m.Type = first(extensions[strings.ToLower(path.Ext(m.Name))], m.Type)
	}
	if m.Type == "image/jpg" {
		m.Type = "image/jpeg"
	}
	if strings.HasPrefix(m.Type, "text/") {
		text, err := base64.StdEncoding.DecodeString(data)
		if err != nil || !utf8.Valid(text) {
			return nil, refuse(param, "invalid_value", "Invalid '%s': the text is not UTF-8.", param)
		}
		m.Text = string(text)
		return m, nil
	}
	m.Base64 = data
	return m, nil
}

// extensions tell the type of a file by its name, where nothing else does.
var extensions = map[string]string{
	".pdf": "application/pdf", ".txt": plainText, ".md": "text/markdown", ".csv": "text/csv", ".html": "text/html",
	".json": "application/json", ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}

// signatures are the first bytes of what models take.
var signatures = []struct{ prefix, kind string }{
	{"\x89PNG\r\n\x1a\n", "image/png"},
	{"\xff\xd8\xff", "image/jpeg"},
	{"GIF87a", "image/gif"},
	{"GIF89a", "image/gif"},
	{"%PDF-", "application/pdf"},
}

// sniff tells the type of base64 data by its first bytes; empty: not one that is known.
func sniff(data string) string {
	head := make([]byte, 12)
	n, err := base64.StdEncoding.Decode(head, []byte(data[:min(len(data), 16)]))
	if err != nil {
		return ""
	}
	head = head[:n]
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.prefix)) {
			return s.kind
		}
	}
	if len(head) == 12 && string(head[:4]) == "RIFF" && string(head[8:]) == "WEBP" {
		return "image/webp"
	}
	return ""
}

// cleanBase64 gives data the standard encoding, padded and in one line; ok is false where it is no base64, or none at all.
func cleanBase64(data string) (string, bool) {
	if strings.ContainsAny(data, "\r\n\t ") {
		data = strings.NewReplacer("\r", "", "\n", "", "\t", "", " ", "").Replace(data)
	}
	bare := strings.TrimRight(data, "=")
	if len(data)-len(bare) > 2 || len(bare)%4 == 1 || bare == "" {
		return "", false
	}
	for i := range len(bare) {
		if !inBase64[bare[i]] {
			return "", false
		}
	}
	if len(data)%4 == 0 {
		return data, true
	}
	return bare + "==="[:(4-len(bare)%4)%4], true
}

var inBase64 = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = true
	}
	return t
}()

// isImage tells images from documents, by what they are, or else by what the client calls them.
func isImage(m *chat.Media, kind string) bool {
	if m.Type != "" {
		return strings.HasPrefix(m.Type, "image/")
	}
	return kind == "image_url" || kind == "input_image" || kind == "image"
}
