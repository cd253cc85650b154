package jsonscan

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// IsNull says that the raw value is null, or that there is none.
func IsNull(raw []byte) bool { return len(raw) == 0 || raw[0] == 'n' }

// Bool reads true or false.
func Bool(raw []byte) (value, ok bool) {
	if len(raw) == 0 || raw[0] != 't' && raw[0] != 'f' {
		return false, false
	}
	return raw[0] == 't', true
}

// Int reads an integer written without fraction and exponent that fits.
func Int(raw []byte) (int64, bool) {
	if len(raw) == 0 || len(raw) > 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

// String reads a string and unescapes it; an unpaired surrogate becomes U+FFFD.
func String(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return unescape(raw[1 : len(raw)-1]), true
}

// StringLen is the length in bytes of the string that raw is, unescaped; 0 for any other value. It allocates nothing.
func StringLen(raw []byte) int {
	if len(raw) < 2 || raw[0] != '"' {
		return 0
	}
	raw = raw[1 : len(raw)-1]
	n := 0
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return n + len(raw)
		}
		r, size := escaped(raw[i:])
		n += i + utf8.RuneLen(r)
		raw = raw[i+size:]
	}
	return n
}

// Quote writes a string as JSON, with <, > and & as they are.
func Quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// A string always encodes.
	_ = e.Encode(s)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func unescape(s []byte) string {
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return string(s)
	}
	out := make([]byte, 0, len(s))
	for ; i >= 0; i = bytes.IndexByte(s, '\\') {
		out = append(out, s[:i]...)
		r, size := escaped(s[i:])
		out = utf8.AppendRune(out, r)
		s = s[i+size:]
	}
	return string(append(out, s...))
}

// escaped reads the escape that s begins with: its rune and how many bytes it takes.
func escaped(s []byte) (rune, int) {
	switch s[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return unicode4(s)
	}
	return rune(s[1]), 2
}

// unicode4 reads \uXXXX and, where it begins a surrogate pair, the second half too.
func unicode4(s []byte) (rune, int) {
	r := hex4(s[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(s[8:])); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(s []byte) rune {
	var r rune
	for _, c := range s[:4] {
		r = r<<4 | rune(unhex(c))
	}
	return r
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
