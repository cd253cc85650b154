package responses

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// This file writes what is said about a text: where it was found, and how probable its tokens were.

// source adds to what a search found. It ends no item: a text goes on behind it. Another source may follow, so that the item is
// written only when something else begins: an item that is done changes no more.
func (w *items) source(s *chat.Source) { w.found = append(w.found, *s) }

// tell writes the sources so far as an item of a search. No other item is open.
func (w *items) tell() {
	found := w.found
	if len(found) == 0 {
		return
	}
	w.found = nil
	w.begin("web_search_call", outputItem{Sources: found})
	w.close()
}

// wholeText writes a part of an answer. Texts that follow each other are one, in which the offsets of the later ones count on.
func (w *items) wholeText(p *chat.Part) {
	if o := w.last(); o != nil && o.Type == "message" && len(o.Content) > 0 {
		if last := o.Content[len(o.Content)-1]; last.Text != nil {
			w.base = utf16Len(*last.Text)
		}
	}
	w.text(p.Text)
	for i := range p.Citations {
		w.cite(&p.Citations[i])
	}
	w.base = 0
}

// cite adds a citation to the text so far, which something else may stand behind already.
func (w *items) cite(c *chat.Citation) {
	if c.URL == "" && c.Title == "" { // it names nothing
		return
	}
	i, n, p := w.spoken()
	a := note(c, w.base, *p.Text)
	p.Annotations = append(p.Annotations, a)
	w.hooks.annotated(i, n, len(p.Annotations)-1, a)
}

// spoken is the text that was written last.
func (w *items) spoken() (i, n int, p *outputPart) {
	for i = len(w.list) - 1; i >= 0; i-- {
		content := w.list[i].Content
		if n = len(content) - 1; n >= 0 && content[n].Text != nil {
			return i, n, &content[n]
		}
	}
	return w.content("output_text", func() outputPart { return textPart("", nil) })
}

// logprobs adds those of the tokens in OpenAI's object for a choice of chat completions, whose tokens are those of Responses.
func (w *items) logprobs(choice json.RawMessage) {
	if _, err := jsonscan.Scan(choice); err != nil {
		return
	}
	var list []any
	for token := range jsonscan.Elements(jsonscan.Field(choice, "content")) {
		list = append(list, json.RawMessage(token))
	}
	if len(list) == 0 {
		return
	}
	i, n, p := w.spoken()
	p.Logprobs = append(p.Logprobs, list...)
	w.hooks.tokens(i, n, list)
}
