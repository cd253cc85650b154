package openai

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/layers-dev/layers/dataplane/chat"
)

// answer writes a translated unary answer.
func answer(r *chat.Request, a *chat.Answer, t chat.Total) ([]byte, error) {
	o := completion{
		ID: answerID(r, a.ID), Object: "chat.completion", Created: a.Created, Model: r.Model,
		Choices: make([]choiceObject, 0, len(a.Choices)), Usage: usageOf(t),
	}
	if o.Created == 0 {
		o.Created = r.Created
	}
	o.tell(a.Sources)
	for i := range a.Choices {
		o.Choices = append(o.Choices, choice(r, &a.Choices[i]))
	}
	body, err := encode(o)
	if err != nil {
		return nil, fmt.Errorf("writing a chat completion: %w", err)
	}
	return body, nil
}

func choice(r *chat.Request, c *chat.Choice) choiceObject {
	m := message{request: r, choice: c.Index, legacy: legacy(r)}
	for i := range c.Parts {
		m.add(&c.Parts[i])
	}
	if m.refusal.Len() == 0 && c.Reason == chat.FinishRefusal {
		m.refusal.WriteString(c.Explanation)
	}
	return choiceObject{
		Index: c.Index, Message: m.object(), Logprobs: orNullJSON(c.Logprobs),
		FinishReason: finishReason(&c.Finish, m.calls > 0, m.legacy), NativeFinishReason: c.Native,
	}
}

func orNullJSON(raw []byte) []byte {
	if len(raw) == 0 {
		return jsonNull
	}
	return raw
}

// message collects the parts of a unary answer.
type message struct {
	request *chat.Request
	choice  int64
	legacy  bool

	out                         messageObject
	content, refusal, reasoning strings.Builder
	// units is the length of content in UTF-16 code units, as offsets of citations are counted.
	units int64
	// thoughts stand between the call before and the next.
	thoughts []chat.Thought
	// index counts thoughts, calls counts calls.
	index, calls int
}

func (m *message) add(p *chat.Part) {
	switch p.Kind {
	case chat.PartText:
		m.text(p)
	case chat.PartRefusal:
		m.refusal.WriteString(p.Text)
	case chat.PartThought:
		if p.Thought != nil {
			m.thought(p.Thought)
		}
	case chat.PartCall:
		if p.Call != nil {
			m.call(p.Call)
		}
	}
}

// text appends to the content. Citations count from the beginning of their part, annotations from that of the content.
func (m *message) text(p *chat.Part) {
	start := m.units
	m.content.WriteString(p.Text)
	m.units += units(p.Text)
	for i := range p.Citations {
		c := &p.Citations[i]
		if c.URL == "" && c.Title == "" {
			continue
		}
		from, to := start+c.Start, start+c.End
		if c.Start == 0 && c.End == 0 {
			to = m.units
		}
		m.out.Annotations = append(m.out.Annotations, annotation(c, from, to))
	}
	if p.Signature != "" {
		m.out.ReasoningDetails = append(m.out.ReasoningDetails, contentSignature(p.Signature, m.index))
		m.thoughts = append(m.thoughts, ofContent(p.Signature))
		m.index++
	}
}

func (m *message) thought(t *chat.Thought) {
	m.reasoning.WriteString(t.Text)
	m.out.ReasoningDetails = append(m.out.ReasoningDetails, details(t, m.index)...)
	m.thoughts = append(m.thoughts, *t)
	m.index++
}

func (m *message) call(c *chat.ToolCall) {
	f := &functionObject{Name: c.Name, Arguments: arguments(c)}
	if m.legacy {
		if m.calls == 0 {
			m.out.FunctionCall = f
		}
		m.calls++
		return
	}
	o := callObject{ID: carry(callID(m.request, c.ID, m.choice, m.calls), m.thoughts, c.Signature), Type: "function", Function: f, Extra: extraOf(c.Signature)}
	if c.Custom {
		o.Type, o.Function, o.Custom = "custom", nil, &customObject{Name: c.Name, Input: c.Arguments}
	}
	m.out.ToolCalls = append(m.out.ToolCalls, o)
	m.thoughts = nil
	m.calls++
}

func (m *message) object() *messageObject {
	o := &m.out
	o.Role = "assistant"
	if content := m.content.String(); content != "" || m.calls == 0 && m.refusal.Len() == 0 {
		o.Content = &content
	}
	if refusal := m.refusal.String(); refusal != "" {
		o.Refusal = &refusal
	}
	o.ReasoningContent, o.Reasoning = m.reasoning.String(), m.reasoning.String()
	return o
}

// arguments are a call's, "{}" where the model wrote none.
func arguments(c *chat.ToolCall) string {
	if !c.Custom && strings.TrimSpace(c.Arguments) == "" {
		return "{}"
	}
	return c.Arguments
}

// callID is the provider's id of a call, or one of ours where it gives none: clients need a string.
func callID(r *chat.Request, id string, choice int64, n int) string {
	if id != "" {
		return id
	}
	return "call_" + strings.TrimPrefix(r.ID, "req_") + "_" + strconv.FormatInt(choice, 10) + "_" + strconv.Itoa(n)
}

// units is the length of a text in UTF-16 code units.
func units(s string) int64 {
	var n int64
	for _, r := range s {
		n++
		if r > 0xffff && r <= utf8.MaxRune {
			n++
		}
	}
	return n
}
