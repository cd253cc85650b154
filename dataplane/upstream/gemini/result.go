package gemini

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// result adds what a tool answered.
func (b *builder) result(t *turns, r *chat.Result) error {
	if r.Name == "" {
		return invalid("messages", "A tool result answers no tool call of the conversation.", nil)
	}
	var texts []string
	var media []part
	for _, p := range r.Parts {
		switch {
		case p.Media != nil && p.Media.Text != "":
			texts = append(texts, p.Media.Text)
		case p.Media != nil:
			media = append(media, mediaPart(p.Kind, p.Media))
		case p.Text != "":
			texts = append(texts, p.Text)
		}
	}
	response, err := wrap(strings.Join(texts, "\n"), r.Failed)
	if err != nil {
		return invalid("messages", "A tool result cannot be written as JSON.", err)
	}
	out := &functionResponse{ID: b.sentID(r.ID), Name: r.Name, Response: response}
	if b.facts.resultMedia {
		out.Parts = media
		media = nil
	}
	t.add(roleUser, part{FunctionResponse: out, callID: r.ID})
	if len(media) > 0 {
		t.behind = append(append(t.behind, text("The files in the result of "+r.Name+":")), media...)
	}
	return nil
}

// wrap makes the object that a response must be: an object that a tool gave goes as it is, all else under a name that says
// whether the tool failed (Google's documentation of FunctionResponse has "error" for that).
func wrap(s string, failed bool) (json.RawMessage, error) {
	if failed {
		return encode(map[string]string{"error": s})
	}
	if _, err := jsonscan.Scan([]byte(s)); err == nil && !referring([]byte(s)) && exact([]byte(s)) {
		return json.RawMessage(strings.TrimSpace(s)), nil
	}
	return encode(map[string]string{"result": s})
}

// exact says that no number loses digits as a double, which is all that a protobuf Struct has: ids must reach the model whole.
func exact(raw []byte) bool {
	if len(raw) == 0 {
		return true
	}
	switch raw[0] {
	case '{':
		for _, v := range jsonscan.Members(raw) {
			if !exact(v) {
				return false
			}
		}
	case '[':
		for v := range jsonscan.Elements(raw) {
			if !exact(v) {
				return false
			}
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		const digits = 15 // that a double always keeps
		return len(strings.Trim(string(raw), "-0.")) <= digits
	}
	return true
}

// referring says that a name in the object is $ref, which Gemini reads as a reference to a file of the response.
func referring(raw []byte) bool {
	for v := range jsonscan.Elements(raw) {
		if referring(v) {
			return true
		}
	}
	for name, v := range jsonscan.Members(raw) {
		if name == "$ref" || referring(v) {
			return true
		}
	}
	return false
}
