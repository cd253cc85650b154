package openai

import (
	"encoding/json"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/sse"
)

// stream writes a translated stream. What ends a choice is held until End, because citations and sources may come behind it.
type stream struct {
	request *chat.Request
	legacy  bool
	// id is told by the first chunk, and the same in all.
	id      string
	choices []*streamChoice
	sources []chat.Source
}

func newStream(r *chat.Request) *stream { return &stream{request: r, legacy: legacy(r)} }

// maxStreamChoices bounds what a provider can make the writer remember.
const maxStreamChoices = maxChoices

// Write takes the next piece.
func (s *stream) Write(dst []byte, p *chat.Piece) []byte {
	switch p.Kind {
	case chat.PieceStart:
		if s.id == "" {
			s.id = answerID(s.request, p.ID)
		}
		return s.open(dst, 0)
	case chat.PieceSource:
		if p.Source != nil {
			s.sources = append(s.sources, *p.Source)
		}
		return dst
	case chat.PieceUsage:
		// End has the total.
		return dst
	}
	if p.Choice < 0 || p.Choice >= maxStreamChoices {
		return dst
	}
	dst = s.open(dst, p.Choice)
	return s.piece(dst, s.choice(p.Choice), p)
}

// open writes the chunk with the role, the first of a choice.
func (s *stream) open(dst []byte, index int64) []byte {
	if s.choice(index) != nil {
		return dst
	}
	c := &streamChoice{index: index}
	s.choices = append(s.choices, c)
	empty := ""
	return s.delta(dst, c, &deltaObject{Role: "assistant", Content: &empty})
}

func (s *stream) choice(index int64) *streamChoice {
	for _, c := range s.choices {
		if c.index == index {
			return c
		}
	}
	return nil
}

func (s *stream) piece(dst []byte, c *streamChoice, p *chat.Piece) []byte {
	switch p.Kind {
	case chat.PieceText:
		return s.text(dst, c, p.Text)
	case chat.PieceRefusal:
		return s.refusal(dst, c, p.Text)
	case chat.PieceReasoning:
		return s.reasoning(dst, c, p.Text)
	case chat.PieceSigned:
		return s.signed(dst, c, p.Thought)
	case chat.PieceCall:
		return s.call(dst, c, p)
	case chat.PieceArguments:
		return s.arguments(dst, c, p)
	case chat.PieceCitation:
		c.cite(p.Citation)
	case chat.PieceLogprobs:
		return s.logprobs(dst, c, p.Raw)
	case chat.PieceFinish:
		c.finish = p.Finish
	}
	return dst
}

func (s *stream) text(dst []byte, c *streamChoice, text string) []byte {
	if text == "" {
		return dst
	}
	c.write(text)
	return s.delta(dst, c, &deltaObject{Content: &text})
}

func (s *stream) refusal(dst []byte, c *streamChoice, text string) []byte {
	if text == "" {
		return dst
	}
	c.apart()
	c.refused = true
	return s.delta(dst, c, &deltaObject{Refusal: &text})
}

func (s *stream) reasoning(dst []byte, c *streamChoice, text string) []byte {
	if text == "" {
		return dst
	}
	index := c.think(text)
	return s.delta(dst, c, &deltaObject{extras: extras{
		ReasoningContent: text, Reasoning: text, ReasoningDetails: []detailObject{{Type: detailText, Text: text, Index: index}},
	}})
}

func (s *stream) signed(dst []byte, c *streamChoice, t *chat.Thought) []byte {
	if t == nil || !signed(t) {
		return dst
	}
	behindText := c.inText()
	index := c.sign(t)
	o := detailObject{Type: detailText, Signature: t.Signature, ID: t.ID, Format: t.Format, Index: index}
	if t.Encrypted != "" {
		o = detailObject{Type: detailEncrypted, Data: t.Encrypted, ID: t.ID, Format: t.Format, Index: index}
	}
	if behindText && isOfContent(t) {
		o = contentSignature(t.Signature, index)
	}
	return s.delta(dst, c, &deltaObject{extras: extras{ReasoningDetails: []detailObject{o}}})
}

func (s *stream) logprobs(dst []byte, c *streamChoice, raw json.RawMessage) []byte {
	if !json.Valid(raw) {
		return dst
	}
	o := choiceObject{Index: c.index, Delta: &deltaObject{}, Logprobs: raw}
	return s.chunk(dst, completion{Choices: []choiceObject{o}})
}

// call begins a tool call. The older functions have one a choice.
func (s *stream) call(dst []byte, c *streamChoice, p *chat.Piece) []byte {
	if p.Call == nil || p.Index != len(c.calls) {
		return dst
	}
	thoughts := c.take()
	id := carry(callID(s.request, p.Call.ID, c.index, p.Index), thoughts, p.Call.Signature)
	c.calls = append(c.calls, streamCall{custom: p.Call.Custom, filled: strings.TrimSpace(p.Call.Arguments) != ""})
	f := &functionObject{Name: p.Call.Name, Arguments: p.Call.Arguments}
	if s.legacy {
		if p.Index > 0 {
			return dst
		}
		return s.delta(dst, c, &deltaObject{FunctionCall: f})
	}
	index := p.Index
	o := callObject{Index: &index, ID: id, Type: "function", Function: f, Extra: extraOf(p.Call.Signature)}
	if p.Call.Custom {
		o.Type, o.Function, o.Custom = "custom", nil, &customObject{Name: p.Call.Name, Input: p.Call.Arguments}
	}
	return s.delta(dst, c, &deltaObject{ToolCalls: []callObject{o}})
}

func (s *stream) arguments(dst []byte, c *streamChoice, p *chat.Piece) []byte {
	if p.Text == "" || p.Index < 0 || p.Index >= len(c.calls) {
		return dst
	}
	call := &c.calls[p.Index]
	call.filled = call.filled || strings.TrimSpace(p.Text) != ""
	if s.legacy {
		if p.Index > 0 {
			return dst
		}
		return s.delta(dst, c, &deltaObject{FunctionCall: &functionObject{Arguments: p.Text}})
	}
	index := p.Index
	o := callObject{Index: &index, Function: &functionObject{Arguments: p.Text}}
	if call.custom {
		o = callObject{Index: &index, Custom: &customObject{Input: p.Text}}
	}
	return s.delta(dst, c, &deltaObject{ToolCalls: []callObject{o}})
}

// End closes the choices, tells the usage where the client asked for it, and ends the stream.
func (s *stream) End(dst []byte, t chat.Total) []byte {
	dst = s.open(dst, 0)
	for i, c := range s.choices {
		dst = s.close(dst, c, i == len(s.choices)-1)
	}
	if s.request.IncludeUsage {
		dst = s.chunk(dst, completion{Choices: []choiceObject{}, Usage: usageOf(t)})
	}
	return sse.Append(dst, "", []byte("[DONE]"))
}

// close writes what a choice still lacks and its finish; the last one tells the sources.
func (s *stream) close(dst []byte, c *streamChoice, last bool) []byte {
	for i := range c.calls {
		if call := &c.calls[i]; !call.filled && !call.custom {
			dst = s.arguments(dst, c, &chat.Piece{Index: i, Text: "{}"})
		}
	}
	finish := c.finish
	if finish == nil {
		finish = &chat.Finish{Reason: chat.FinishStop}
	}
	if finish.Reason == chat.FinishRefusal && !c.refused {
		dst = s.refusal(dst, c, finish.Explanation)
	}
	if len(c.annotations) > 0 {
		// In one delta, as OpenAI does: of several, clients keep the last, or want each of them numbered.
		dst = s.delta(dst, c, &deltaObject{extras: extras{Annotations: c.annotations}})
	}
	o := completion{Choices: []choiceObject{{
		Index: c.index, Delta: &deltaObject{}, FinishReason: finishReason(finish, len(c.calls) > 0, s.legacy), NativeFinishReason: finish.Native,
	}}}
	if last {
		o.tell(s.sources)
	}
	return s.chunk(dst, o)
}

func (s *stream) delta(dst []byte, c *streamChoice, d *deltaObject) []byte {
	return s.chunk(dst, completion{Choices: []choiceObject{{Index: c.index, Delta: d}}})
}

// chunk completes an object and appends it as an event.
func (s *stream) chunk(dst []byte, o completion) []byte {
	if s.id == "" {
		s.id = answerID(s.request, "")
	}
	o.ID, o.Object, o.Created, o.Model = s.id, "chat.completion.chunk", s.request.Created, s.request.Model
	if o.Usage == nil && s.request.IncludeUsage {
		o.Usage = jsonNull
	}
	// What is raw in a chunk was seen to be valid; the rest always encodes.
	body, err := encode(o)
	if err != nil {
		return dst
	}
	return sse.Append(dst, "", body)
}
