package jsonscan

import (
	"bytes"
	"iter"
)

// Elements yields the raw elements of an array; nothing for any other value. The text must be valid JSON.
func Elements(raw []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(raw) == 0 || raw[0] != '[' {
			return
		}
		for at := skipSpace(raw, 1); raw[at] != ']'; {
			end := skipValue(raw, at)
			if !yield(raw[at:end]) {
				return
			}
			at = next(raw, end)
		}
	}
}

// Members yields the names, unescaped, and the raw values of an object's members, duplicates included; nothing for any
// other value. The text must be valid JSON.
func Members(raw []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		if len(raw) == 0 || raw[0] != '{' {
			return
		}
		for at := skipSpace(raw, 1); raw[at] != '}'; {
			name := keyName(raw[at:])
			at = skipSpace(raw, skipSpace(raw, skipString(raw, at))+1)
			end := skipValue(raw, at)
			if !yield(name, raw[at:end]) {
				return
			}
			at = next(raw, end)
		}
	}
}

// Field returns the raw value of an object's last member of that name; nil: none. The text must be valid JSON.
func Field(raw []byte, name string) []byte {
	var found []byte
	for n, v := range Members(raw) {
		if n == name {
			found = v
		}
	}
	return found
}

// next goes from behind a value to the next one, or to the closing bracket.
func next(raw []byte, at int) int {
	at = skipSpace(raw, at)
	if raw[at] == ',' {
		return skipSpace(raw, at+1)
	}
	return at
}

func skipSpace(raw []byte, at int) int {
	for isSpace(raw[at]) {
		at++
	}
	return at
}

// skipString goes behind the string that begins at at, mostly in whole strides. The nearest quote is looked for again only
// once it is passed: a long string full of escapes costs one pass, not one for each escape.
func skipString(raw []byte, at int) int {
	at++
	quote := -1
	for {
		if quote < at {
			quote = at + bytes.IndexByte(raw[at:], '"')
		}
		escape := bytes.IndexByte(raw[at:quote], '\\')
		if escape < 0 {
			return quote + 1
		}
		at += escape + 2
	}
}

func skipValue(raw []byte, at int) int {
	depth := 0
	for {
		switch raw[at] {
		case '"':
			at = skipString(raw, at)
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		default:
			at++
			if depth == 0 {
				return skipScalar(raw, at)
			}
		}
		if depth == 0 {
			return at
		}
	}
}

func skipScalar(raw []byte, at int) int {
	for at < len(raw) && raw[at] != ',' && raw[at] != ']' && raw[at] != '}' && !isSpace(raw[at]) {
		at++
	}
	return at
}

// keyName reads the member name whose opening quote raw begins with.
func keyName(raw []byte) string {
	end := skipString(raw, 0)
	return unescape(raw[1 : end-1])
}
