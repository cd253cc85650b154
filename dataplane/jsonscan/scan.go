package jsonscan

import (
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest, the outermost included.
const MaxDepth = 1000

// MaxMembers is how many members the outermost object may have: each costs memory beside its text.
const MaxMembers = 10_000

// SyntaxError says where and why a text is not accepted.
type SyntaxError struct {
	// Offset is the byte at which the error was seen.
	Offset int
	// Reason is for people: lower case, without any of the text's content.
	Reason string
}

// Error gives the reason and the offset.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at offset %d", e.Reason, e.Offset) }

const unexpectedEnd = "unexpected end of JSON input"

// Scan validates the whole of body against RFC 8259, with UTF-8 checked, nesting bounded by MaxDepth and members by
// MaxMembers, and returns the members of the object that it is. The error is a *SyntaxError.
func Scan(body []byte) (Object, error) {
	s := scanner{text: body, depth: 1}
	s.space()
	if !s.take('{') {
		return nil, s.fail("expected a JSON object")
	}
	o, err := s.members()
	if err != nil {
		return nil, err
	}
	s.space()
	if s.at < len(s.text) {
		return nil, s.fail("unexpected text after the JSON object")
	}
	return o, nil
}

// scanner walks over the text without recursion. Bit i of object says whether the container at depth i is an object.
type scanner struct {
	text   []byte
	at     int
	depth  int
	object [MaxDepth/64 + 1]uint64
}

func (s *scanner) fail(reason string) error {
	if s.at >= len(s.text) {
		reason = unexpectedEnd
	}
	return &SyntaxError{Offset: s.at, Reason: reason}
}

// members reads the outermost object from behind its opening brace.
func (s *scanner) members() (Object, error) {
	o := make(Object, 0, 16)
	s.space()
	if s.take('}') {
		return o, nil
	}
	for {
		m := Member{KeyStart: s.at}
		if err := s.key(); err != nil {
			return nil, err
		}
		m.Name = keyName(s.text[m.KeyStart:])
		s.space()
		m.ValueStart = s.at
		if err := s.value(); err != nil {
			return nil, err
		}
		m.ValueEnd = s.at
		if o = append(o, m); len(o) > MaxMembers {
			return nil, s.fail("too many members in the JSON object")
		}
		s.space()
		if s.take('}') {
			return o, nil
		}
		if !s.take(',') {
			return nil, s.fail("expected ',' or '}' after an object's member")
		}
		s.space()
	}
}

// value reads one value whole, however deep.
func (s *scanner) value() error {
	base := s.depth
	for {
		opened, err := s.begin()
		if err != nil {
			return err
		}
		if opened {
			continue
		}
		more, err := s.end(base)
		if err != nil || !more {
			return err
		}
	}
}

// begin reads a scalar, an empty container, or the opening of a container up to its first value; opened says the last.
func (s *scanner) begin() (opened bool, err error) {
	s.space()
	if s.at >= len(s.text) {
		return false, s.fail("")
	}
	switch c := s.text[s.at]; {
	case c == '"':
		return false, s.str()
	case c == '{', c == '[':
		return s.open(c == '{')
	case c == '-', c >= '0' && c <= '9':
		return false, s.number()
	case c == 't':
		return false, s.literal("true")
	case c == 'f':
		return false, s.literal("false")
	case c == 'n':
		return false, s.literal("null")
	}
	return false, s.fail("expected a value")
}

func (s *scanner) open(object bool) (bool, error) {
	if s.depth >= MaxDepth {
		return false, s.fail(fmt.Sprintf("nesting deeper than %d", MaxDepth))
	}
	s.at++
	s.space()
	if object && s.take('}') || !object && s.take(']') {
		return false, nil
	}
	s.depth++
	word, bit := s.depth/64, uint64(1)<<(s.depth%64)
	if !object {
		s.object[word] &^= bit
		return true, nil
	}
	s.object[word] |= bit
	return true, s.key()
}

// end reads what follows a value: closings down to depth base (more is false), or a comma and what leads to the next value.
func (s *scanner) end(base int) (more bool, err error) {
	for s.depth > base {
		s.space()
		inObject := s.object[s.depth/64]&(1<<(s.depth%64)) != 0
		switch {
		case s.take(','):
			if !inObject {
				return true, nil
			}
			s.space()
			return true, s.key()
		case inObject && s.take('}'), !inObject && s.take(']'):
			s.depth--
		case inObject:
			return false, s.fail("expected ',' or '}' after an object's member")
		default:
			return false, s.fail("expected ',' or ']' after an array's element")
		}
	}
	return false, nil
}

// key reads a member's name and its colon.
func (s *scanner) key() error {
	if s.at >= len(s.text) || s.text[s.at] != '"' {
		return s.fail("expected a member's name")
	}
	if err := s.str(); err != nil {
		return err
	}
	s.space()
	if !s.take(':') {
		return s.fail("expected ':' after a member's name")
	}
	return nil
}

// plain marks the bytes that need no look in a string: ASCII without controls, quote and backslash.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func (s *scanner) str() error {
	s.at++
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case plain[c]:
			s.at++
		case c == '"':
			s.at++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < 0x20:
			return s.fail("control character in a string")
		default:
			r, n := utf8.DecodeRune(s.text[s.at:])
			if r == utf8.RuneError && n == 1 {
				return &SyntaxError{Offset: s.at, Reason: "invalid UTF-8 in a string"}
			}
			s.at += n
		}
	}
	return s.fail("")
}

func (s *scanner) escape() error {
	s.at++
	if s.at >= len(s.text) {
		return s.fail("")
	}
	switch s.text[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return nil
	case 'u':
		for range 4 {
			s.at++
			if s.at >= len(s.text) || unhex(s.text[s.at]) < 0 {
				return s.fail("invalid \\u escape in a string")
			}
		}
		s.at++
		return nil
	}
	return s.fail("invalid escape in a string")
}

func (s *scanner) number() error {
	s.take('-')
	if !s.take('0') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('.') {
		if err := s.digits(); err != nil {
			return err
		}
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return nil
}

func (s *scanner) digits() error {
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	if s.at == start {
		return s.fail("expected a digit")
	}
	return nil
}

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if !s.take(word[i]) {
			return s.fail("expected " + word)
		}
	}
	return nil
}

func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
