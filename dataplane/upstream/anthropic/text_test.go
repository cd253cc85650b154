package anthropic

import "unicode/utf16"

// utf16Text is a text in UTF-16 units, as JavaScript slices it.
func utf16Text(s string) units { return utf16.Encode([]rune(s)) }

type units []uint16

// String gives the text back.
func (u units) String() string { return string(utf16.Decode(u)) }
