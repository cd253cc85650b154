package gemini

import (
	"bytes"
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// itemKind says what a part of an answer is.
type itemKind int

const (
	// itemNothing is what the client cannot be told: code that Google ran, its results, files.
	itemNothing itemKind = iota
	itemText
	itemThought
	itemCall
)

// item is one part of an answer.
type item struct {
	kind            itemKind
	text, signature string
	call            *chat.ToolCall
	// bytes are those of an itemNothing.
	bytes int64
}

// size is the output in it.
func (it item) size() int64 {
	n := int64(len(it.text)) + it.bytes
	if it.call != nil {
		n += int64(len(it.call.Name) + len(it.call.Arguments))
	}
	return n
}

// item reads a part.
func (d *decoder) item(c *choice, raw []byte) (item, error) {
	var it item
	it.signature, _ = jsonscan.String(jsonscan.Field(raw, "thoughtSignature"))
	thought, _ := jsonscan.Bool(jsonscan.Field(raw, "thought"))
	if call := jsonscan.Field(raw, "functionCall"); !jsonscan.IsNull(call) {
		return d.call(it, call)
	}
	if s := jsonscan.Field(raw, "text"); len(s) > 0 && s[0] == '"' {
		it.text, _ = jsonscan.String(s)
		it.kind = itemText
		if thought {
			it.kind = itemThought
		}
		if it.text == "" && it.signature == "" {
			it.kind = itemNothing
		}
		return it, nil
	}
	it.bytes = hidden(raw)
	return it, nil
}

// hidden counts output that the client does not see, but pays for. A file counts as one byte: its bytes say nothing about its
// tokens.
func hidden(raw []byte) int64 {
	n := jsonscan.StringLen(jsonscan.Field(jsonscan.Field(raw, "executableCode"), "code"))
	n += jsonscan.StringLen(jsonscan.Field(jsonscan.Field(raw, "codeExecutionResult"), "output"))
	for _, name := range []string{"inlineData", "fileData"} {
		if !jsonscan.IsNull(jsonscan.Field(raw, name)) {
			n++
		}
	}
	return int64(n)
}

// call reads a functionCall.
func (d *decoder) call(it item, raw []byte) (item, error) {
	name, _ := jsonscan.String(jsonscan.Field(raw, "name"))
	args := arguments(jsonscan.Field(raw, "args"))
	if name == "" {
		it.bytes = int64(len(args))
		return it, nil
	}
	if name == d.plan.jsonTool {
		it.kind, it.text = itemText, args
		return it, nil
	}
	id, err := d.callID(raw)
	if err != nil {
		return it, err
	}
	it.kind = itemCall
	it.call = &chat.ToolCall{ID: id, Name: name, Arguments: args, Signature: it.signature}
	if d.plan.custom[name] {
		it.call.Custom = true
		if s, ok := jsonscan.String(jsonscan.Field(jsonscan.Field(raw, "args"), customInput)); ok {
			it.call.Arguments = s
		}
	}
	return it, nil
}

// callID is the model's id of a call, or one of our own where it gave none or gave it before.
func (d *decoder) callID(raw []byte) (string, error) {
	id, _ := jsonscan.String(jsonscan.Field(raw, "id"))
	if id == "" || d.used[id] {
		made, err := d.ids.next()
		if err != nil {
			return "", err
		}
		id = made
	}
	d.used[id] = true
	return id, nil
}

// arguments is the text of args without white space around its tokens; no args are an empty object.
func arguments(raw []byte) string {
	var b bytes.Buffer
	if len(raw) == 0 || raw[0] != '{' || json.Compact(&b, raw) != nil {
		return "{}"
	}
	return b.String()
}
