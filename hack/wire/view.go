package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf16"
)

// View is what an answer says, in no protocol's words.
type View struct {
	Choices []Choice
	// Sources are the addresses that a search found, sorted, each once.
	Sources []string
	// Usage is nil where none was told.
	Usage *Usage
	// Failure is nil where the answer is good, or for streams was till then.
	Failure *Failure
}

// Choice is one of the answers.
type Choice struct {
	Text, Reasoning string
	// Refusal is what the model, or its provider for it, says in declining.
	Refusal string
	// Opaque are signatures and encrypted thoughts, sorted, each once.
	Opaque []string
	Calls  []Call
	// Cited are the citations in their order, each once.
	Cited []Cited
	// Finish is one of the Finish constants; empty: not said.
	Finish string
}

// Reasons of an end.
const (
	FinishStop   = "stop"
	FinishLength = "length"
	FinishTools  = "tools"
	FinishFilter = "filter"
)

// Call is a tool call. Arguments is JSON with sorted keys and no spaces, or the text as it is where it is no JSON.
type Call struct{ ID, Name, Arguments string }

// Cited is a place that an answer names; Text is what it stands behind; empty: not known.
type Cited struct{ Where, Text string }

// Usage counts each token in one class, but for Reasoning, which is a part of Output.
type Usage struct{ Input, Read, Write, WriteHour, Output, Reasoning, Searches int64 }

// Failure is an error as a client hears it.
type Failure struct {
	// Status is the HTTP status; 200 within a stream.
	Status              int
	Type, Code, Message string
}

// choice is the choice at an index, made if need be.
func (v *View) choice(i int) *Choice {
	for len(v.Choices) <= i && len(v.Choices) < 64 {
		v.Choices = append(v.Choices, Choice{})
	}
	return &v.Choices[min(i, len(v.Choices)-1)]
}

// settle sorts what has no order, and writes arguments in one way.
func (v *View) settle() View {
	v.Sources = once(v.Sources)
	for i := range v.Choices {
		c := &v.Choices[i]
		c.Opaque = once(c.Opaque)
		var cited []Cited
		for _, one := range c.Cited {
			if !slices.Contains(cited, one) {
				cited = append(cited, one)
			}
		}
		c.Cited = cited
		for j := range c.Calls {
			c.Calls[j].Arguments = canonical(c.Calls[j].Arguments)
		}
	}
	return *v
}

func once(list []string) []string {
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	slices.Sort(list)
	if list = slices.Compact(list); len(list) == 0 {
		return nil
	}
	return list
}

// canonical writes JSON in one way; numbers keep their text.
func canonical(text string) string {
	if strings.TrimSpace(text) == "" {
		return "{}"
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return text
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return text
	}
	return strings.TrimSpace(b.String())
}

// between is a part of a text, by UTF-16 code units; empty: it has no such part.
func between(text string, from, to int64) string {
	units := utf16.Encode([]rune(text))
	if from < 0 || from > to || to > int64(len(units)) {
		return ""
	}
	return string(utf16.Decode(units[from:to]))
}

// sseEvent is one event of a stream.
type sseEvent struct{ name, data string }

// events takes a stream apart, whose whole text is there: no event is cut.
func events(body []byte) []sseEvent {
	text := strings.ReplaceAll(strings.TrimPrefix(string(body), "\ufeff"), "\r\n", "\n")
	var out []sseEvent
	for _, block := range strings.Split(text, "\n\n") {
		var e sseEvent
		var data []string
		for _, line := range strings.Split(block, "\n") {
			if name, ok := strings.CutPrefix(line, "event:"); ok {
				e.name = strings.TrimSpace(name)
			}
			if text, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimPrefix(text, " "))
			}
		}
		if len(data) > 0 {
			e.data = strings.Join(data, "\n")
			out = append(out, e)
		}
	}
	return out
}
