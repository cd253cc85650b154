package anthropic

import "strings"

// arguments follows the JSON text of a call's arguments, to know when the object is whole. It checks nothing else.
type arguments struct {
	// held is text that does not begin as an object: it cannot be told before its end.
	held strings.Builder
	// begun says that the object has begun.
	begun, done, quoted, escaped bool
	depth                        int
}

// add takes the next bytes and returns those that can be told at once.
func (a *arguments) add(text string) string {
	if !a.begun {
		if a.held.Len() == 0 {
			text = strings.TrimLeft(text, " \t\r\n")
		}
		if a.held.Len() > 0 || text != "" && text[0] != '{' {
			a.held.WriteString(text)
			return ""
		}
		a.begun = text != ""
	}
	for i := 0; i < len(text); i++ {
		if a.done {
			return text[:i] // nothing follows an object
		}
		a.step(text[i])
	}
	return text
}

func (a *arguments) step(c byte) {
	switch {
	case a.escaped:
		a.escaped = false
	case a.quoted:
		a.escaped = c == '\\'
		a.quoted = c != '"'
	case c == '"':
		a.quoted = true
	case c == '{', c == '[':
		a.depth++
	case c == '}', c == ']':
		a.depth--
		a.done = a.depth == 0
	}
}

// whole says that nothing more can follow.
func (a *arguments) whole() bool { return a.done }

// rest is what is still to be told at the end: an object where there was none. What was cut short stays so.
func (a *arguments) rest() string {
	if a.begun {
		return ""
	}
	return string(inputOf(a.held.String()))
}
