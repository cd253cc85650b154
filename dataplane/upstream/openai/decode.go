package openai

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// answerOf reads a unary answer of chat completions, which must be valid JSON.
func answerOf(body []byte) *chat.Answer {
	out := &chat.Answer{ID: text(body, "id"), Model: text(body, "model"), Created: number(body, "created"), Sources: sourcesOf(body)}
	for raw := range jsonscan.Elements(jsonscan.Field(body, "choices")) {
		message := jsonscan.Field(raw, "message")
		c := chat.Choice{Index: number(raw, "index"), Parts: partsOf(message)}
		c.Finish = finishOf(text(raw, "finish_reason"), kinds(c.Parts))
		if lp := jsonscan.Field(raw, "logprobs"); !jsonscan.IsNull(lp) {
			c.Logprobs = append(json.RawMessage(nil), lp...)
		}
		out.Choices = append(out.Choices, c)
	}
	return out
}

// text is an object's string member; empty: there is none.
func text(object []byte, name string) string {
	s, _ := jsonscan.String(jsonscan.Field(object, name))
	return s
}

// number is an object's integer member; 0: there is none.
func number(object []byte, name string) int64 {
	n, _ := jsonscan.Int(jsonscan.Field(object, name))
	return n
}

// partsOf are the parts of a message: reasoning, text, refusal, calls.
func partsOf(message []byte) []chat.Part {
	var parts []chat.Part
	for _, t := range thoughtsOf(message) {
		parts = append(parts, chat.Part{Kind: chat.PartThought, Thought: &t})
	}
	said, _ := contentOf(jsonscan.Field(message, "content"))
	if said != "" {
		p := chat.Part{Kind: chat.PartText, Text: said}
		for a := range jsonscan.Elements(jsonscan.Field(message, "annotations")) {
			if c := citationOf(a); c != nil {
				p.Citations = append(p.Citations, *c)
			}
		}
		parts = append(parts, p)
	}
	if refusal := text(message, "refusal"); refusal != "" {
		parts = append(parts, chat.Part{Kind: chat.PartRefusal, Text: refusal})
	}
	for _, c := range callsOf(message) {
		parts = append(parts, chat.Part{Kind: chat.PartCall, Call: &c})
	}
	return parts
}

// contentOf reads content: a string, or parts, which some upstreams use to tell reasoning from text.
func contentOf(raw []byte) (said, thought string) {
	if s, ok := jsonscan.String(raw); ok {
		return s, ""
	}
	var texts, thoughts strings.Builder
	for part := range jsonscan.Elements(raw) {
		switch text(part, "type") {
		case "thinking", "reasoning":
			inner, _ := contentOf(jsonscan.Field(part, "thinking"))
			thoughts.WriteString(inner)
			thoughts.WriteString(text(part, "text"))
		default:
			texts.WriteString(text(part, "text"))
		}
	}
	return texts.String(), thoughts.String()
}

// thoughtsOf reads the reasoning of a message: reasoning_details where they say anything, which keep signatures, or else
// reasoning_content, or reasoning, or the parts of the content. Upstreams that have several repeat one in the other.
func thoughtsOf(message []byte) []chat.Thought {
	var out []chat.Thought
	plain := plainReasoning(message)
	told := false
	for raw := range jsonscan.Elements(jsonscan.Field(message, "reasoning_details")) {
		t := thoughtOf(raw)
		last := len(out) - 1
		switch {
		case t.Text == "" && t.Signature == "" && t.Encrypted == "":
			continue
		case last >= 0 && t.Encrypted != "" && t.Format == chat.FormatOpenAI && out[last].Encrypted == "" && out[last].ID == t.ID:
			out[last].Encrypted = t.Encrypted // OpenAI's summary stands before what is encrypted of it
		case last >= 0 && t.Text == "" && t.Signature != "" && out[last].Signature == "" && out[last].Encrypted == "":
			out[last].Signature = t.Signature
		default:
			out = append(out, t)
		}
		told = told || t.Text != ""
	}
	if !told && plain != "" {
		out = append([]chat.Thought{{Text: plain}}, out...)
	}
	return out
}

// plainReasoning is reasoning without signatures.
func plainReasoning(message []byte) string {
	for _, name := range []string{"reasoning_content", "reasoning"} {
		if s := text(message, name); s != "" {
			return s
		}
	}
	_, thought := contentOf(jsonscan.Field(message, "content"))
	return thought
}

// thoughtOf reads one of the reasoning_details.
func thoughtOf(raw []byte) chat.Thought {
	t := chat.Thought{ID: text(raw, "id"), Format: text(raw, "format")}
	switch text(raw, "type") {
	case detailText:
		t.Text, t.Signature = text(raw, "text"), text(raw, "signature")
	case detailSummary:
		t.Text = text(raw, "summary")
	case detailEncrypted:
		t.Encrypted = text(raw, "data")
	}
	if t.Format == "unknown" { // OpenRouter's word for it
		t.Format = ""
	}
	return t
}

// callsOf are the calls of a message; the older function_call is one, without an id.
func callsOf(message []byte) []chat.ToolCall {
	var out []chat.ToolCall
	for raw := range jsonscan.Elements(jsonscan.Field(message, "tool_calls")) {
		out = append(out, callOf(raw))
	}
	if f := jsonscan.Field(message, "function_call"); len(out) == 0 && !jsonscan.IsNull(f) {
		out = append(out, chat.ToolCall{Name: text(f, "name"), Arguments: argumentsOf(f)})
	}
	return out
}

func callOf(raw []byte) chat.ToolCall {
	c := chat.ToolCall{ID: text(raw, "id"), Signature: text(jsonscan.Field(jsonscan.Field(raw, "extra_content"), "google"), "thought_signature")}
	if f := jsonscan.Field(raw, "custom"); !jsonscan.IsNull(f) {
		c.Custom, c.Name, c.Arguments = true, text(f, "name"), text(f, "input")
		return c
	}
	f := jsonscan.Field(raw, "function")
	c.Name, c.Arguments = text(f, "name"), argumentsOf(f)
	return c
}

// argumentsOf are a function's arguments: a string, or, against the protocol, the object itself.
func argumentsOf(function []byte) string {
	raw := jsonscan.Field(function, "arguments")
	if len(raw) > 0 && raw[0] == '{' {
		return string(raw)
	}
	s, _ := jsonscan.String(raw)
	return s
}

// citationOf reads an annotation that names a page; nil: it names none.
func citationOf(annotation []byte) *chat.Citation {
	c := jsonscan.Field(annotation, "url_citation")
	if text(annotation, "type") != "url_citation" || c == nil {
		return nil
	}
	out := &chat.Citation{
		URL: text(c, "url"), Title: text(c, "title"), Quote: text(c, "content"), Start: number(c, "start_index"), End: number(c, "end_index"),
		Native: append(json.RawMessage(nil), annotation...),
	}
	if out.Start < 0 || out.End < out.Start {
		out.Start, out.End = 0, 0 // nonsense counts as not told
	}
	return out
}

// sourcesOf are what a search found, as Perplexity's models tell it beside the choices: search_results, or addresses alone.
func sourcesOf(body []byte) []chat.Source {
	var out []chat.Source
	for r := range jsonscan.Elements(jsonscan.Field(body, "search_results")) {
		if url := text(r, "url"); url != "" {
			out = append(out, chat.Source{URL: url, Title: text(r, "title"), Snippet: text(r, "snippet"), Date: text(r, "date")})
		}
	}
	if len(out) > 0 {
		return out
	}
	for c := range jsonscan.Elements(jsonscan.Field(body, "citations")) {
		if url, ok := jsonscan.String(c); ok {
			out = append(out, chat.Source{URL: url})
		}
	}
	return out
}

// said is what a choice has.
type said struct{ text, refusal, calls bool }

func kinds(parts []chat.Part) said {
	var s said
	for _, p := range parts {
		s.text = s.text || p.Kind == chat.PartText
		s.refusal = s.refusal || p.Kind == chat.PartRefusal
		s.calls = s.calls || p.Kind == chat.PartCall
	}
	return s
}

// finishOf reads a finish_reason. A word that is not OpenAI's is an end like any other: never an error.
func finishOf(reason string, s said) chat.Finish {
	f := chat.Finish{Reason: chat.FinishStop, Native: reason}
	switch strings.ToLower(reason) {
	case "length", "max_tokens", "model_length":
		f.Reason = chat.FinishLength
	case "content_filter", "safety":
		f.Reason = chat.FinishFilter
	case "tool_calls", "function_call", "tool_use":
		f.Reason = chat.FinishTools
	default:
		switch {
		case s.calls:
			f.Reason = chat.FinishTools
		case s.refusal && !s.text:
			f.Reason = chat.FinishRefusal
		}
	}
	return f
}
