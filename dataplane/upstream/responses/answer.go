package responses

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// paragraph stands between the parts of a reasoning summary, which are paragraphs of their own.
const paragraph = "\n\n"

// Answer reads a response object, which must be valid JSON. Items and parts of unknown types are passed over.
func (d Dialect) Answer(response []byte) *chat.Answer {
	r := reading{dialect: d}
	for item := range jsonscan.Elements(jsonscan.Field(response, "output")) {
		r.item(item)
	}
	for i := range r.parts {
		if p := &r.parts[i]; p.Kind == chat.PartText && len(p.Citations) == 0 {
			p.Citations = d.citations(p.Text, r.sources)
		}
	}
	choice := chat.Choice{Parts: r.parts, Finish: finish(response, r.called)}
	if len(r.logprobs) > 0 {
		choice.Logprobs = logprobs(r.logprobs)
	}
	return &chat.Answer{
		ID: text(response, "id"), Model: text(response, "model"), Created: number(response, "created_at"),
		Choices: []chat.Choice{choice}, Sources: r.sources,
	}
}

// reading collects the output of one response.
type reading struct {
	dialect  Dialect
	parts    []chat.Part
	sources  []chat.Source
	logprobs []json.RawMessage
	called   bool
}

func (r *reading) item(item []byte) {
	switch text(item, "type") {
	case "message":
		for part := range jsonscan.Elements(jsonscan.Field(item, "content")) {
			r.part(part)
		}
	case "reasoning":
		if t := thought(item); t != nil {
			r.parts = append(r.parts, chat.Part{Kind: chat.PartThought, Thought: t})
		}
	case "function_call", "custom_tool_call":
		call := toolCall(item)
		r.called = true
		r.parts = append(r.parts, chat.Part{Kind: chat.PartCall, Call: &call})
	default:
		r.sources = append(r.sources, r.dialect.sources(item)...)
	}
}

func (r *reading) part(part []byte) {
	switch text(part, "type") {
	case "output_text":
		p := chat.Part{Kind: chat.PartText, Text: text(part, "text")}
		for a := range jsonscan.Elements(jsonscan.Field(part, "annotations")) {
			if c := citation(a, 0); c != nil {
				p.Citations = append(p.Citations, *c)
			}
		}
		for token := range jsonscan.Elements(jsonscan.Field(part, "logprobs")) {
			r.logprobs = append(r.logprobs, json.RawMessage(token))
		}
		r.parts = append(r.parts, p)
	case "refusal":
		r.parts = append(r.parts, chat.Part{Kind: chat.PartRefusal, Text: text(part, "refusal")})
	}
}

// toolCall reads a function_call or a custom_tool_call. The call's id is call_id; id is the item's.
func toolCall(item []byte) chat.ToolCall {
	c := chat.ToolCall{ID: text(item, "call_id"), Name: text(item, "name"), Arguments: text(item, "arguments"), Signature: text(item, "thought_signature")}
	if c.ID == "" {
		c.ID = text(item, "id")
	}
	if text(item, "type") == "custom_tool_call" {
		c.Custom, c.Arguments = true, text(item, "input")
	}
	return c
}

// thought reads a reasoning item: its summary, or where there is none the reasoning itself, which open models give. nil: it
// has nothing that could be shown or given back.
func thought(item []byte) *chat.Thought {
	t := &chat.Thought{
		Text: joined(jsonscan.Field(item, "summary")), Encrypted: text(item, "encrypted_content"),
		ID: text(item, "id"), Format: chat.FormatOpenAI,
	}
	if t.Text == "" {
		t.Text = joined(jsonscan.Field(item, "content"))
	}
	if t.Text == "" && t.Encrypted == "" {
		return nil
	}
	return t
}

// joined are the texts of an array of parts.
func joined(parts []byte) string {
	var all []string
	for part := range jsonscan.Elements(parts) {
		if s := text(part, "text"); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, paragraph)
}

// citation reads an annotation that names a page; nil: it names none. base is how much text stands before its part.
func citation(annotation []byte, base int64) *chat.Citation {
	if text(annotation, "type") != "url_citation" {
		return nil
	}
	c := &chat.Citation{
		URL: text(annotation, "url"), Title: text(annotation, "title"), Native: append(json.RawMessage(nil), annotation...),
		Start: base + number(annotation, "start_index"), End: base + number(annotation, "end_index"),
	}
	if c.Start < 0 || c.End < c.Start {
		c.Start, c.End = 0, 0 // nonsense counts as not told
	}
	return c
}

// finish says why a response ended. called says that it has calls of tools. A refusal ends as any text does, as in OpenAI's chat
// completions, whose finish_reason is then "stop": with another, SDKs raise an error instead of showing it.
func finish(response []byte, called bool) chat.Finish {
	status := text(response, "status")
	reason := text(jsonscan.Field(response, "incomplete_details"), "reason")
	switch {
	case reason == "max_output_tokens", reason == "max_tokens":
		return chat.Finish{Reason: chat.FinishLength, Native: reason}
	case reason == "content_filter":
		return chat.Finish{Reason: chat.FinishFilter, Native: reason}
	case called:
		return chat.Finish{Reason: chat.FinishTools, Native: status}
	case status == "incomplete" && reason != "":
		status = reason
	}
	return chat.Finish{Reason: chat.FinishStop, Native: status}
}

// logprobs writes OpenAI's object of log probabilities as a choice of chat completions has it.
func logprobs(tokens []json.RawMessage) json.RawMessage {
	out := []byte(`{"content":[`)
	for i, t := range tokens {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, t...)
	}
	return append(out, `],"refusal":null}`...)
}
