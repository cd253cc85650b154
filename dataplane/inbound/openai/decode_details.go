package openai

import (
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
)

// detail is one of the reasoning_details that a client sends back, with OpenRouter's and Vercel's members.
type detail struct {
	Type, Text, Summary, Data, Signature, ID, Format string
	// Index is null where it is not said.
	Index json.RawMessage
}

// readDetails joins details into thoughts: clients that streamed send many pieces of one back. Gemini's signatures are
// returned apart, because they belong to a call or to the text.
func readDetails(param string, raw []byte) (out []chat.Thought, signatures []detail, err error) {
	if raw[0] != '[' {
		return nil, nil, wrongType(param, "an array", raw)
	}
	j := joiner{}
	i := 0
	for element := range jsonscan.Elements(raw) {
		var d detail
		if err := object(at(param, i), element, &d); err != nil {
			return nil, nil, err
		}
		i++
		if d.Type == detailEncrypted && d.Format == chat.FormatGemini {
			if d.Data != "" {
				signatures = append(signatures, d)
			}
			continue
		}
		j.add(&d)
	}
	return j.out, signatures, nil
}

// joiner makes thoughts out of details. The last thought is open until it is signed.
type joiner struct {
	out   []chat.Thought
	open  bool
	index string
}

func (j *joiner) add(d *detail) {
	switch d.Type {
	case detailText, detailSummary:
		if d.Text == "" && d.Summary == "" && d.Signature == "" {
			return
		}
		t := j.thought(d)
		t.Text += d.Text + d.Summary
		t.Signature = d.Signature
		j.open = d.Signature == ""
	case detailEncrypted:
		if d.Data == "" {
			return
		}
		// What Anthropic encrypts stands for itself; OpenAI has it beside a summary.
		j.open = j.open && d.Format == chat.FormatOpenAI
		t := j.thought(d)
		// A client that joined the pieces of one index has both in one.
		t.Text += d.Text + d.Summary
		t.Encrypted = d.Data
		j.open = false
	}
}

// thought is the one that a detail goes on with, or a new one.
func (j *joiner) thought(d *detail) *chat.Thought {
	if !j.open || !j.goesOn(d) {
		j.out = append(j.out, chat.Thought{})
		j.open, j.index = true, string(d.Index)
	}
	t := &j.out[len(j.out)-1]
	t.ID = first(t.ID, d.ID)
	t.Format = first(t.Format, d.Format)
	return t
}

func (j *joiner) goesOn(d *detail) bool {
	t := &j.out[len(j.out)-1]
	return fits(j.index, string(d.Index)) && fits(t.ID, d.ID) && fits(t.Format, d.Format)
}

// fits says that two values are the same, or one of them is not said.
func fits(a, b string) bool { return a == b || a == "" || b == "" || a == "null" || b == "null" }

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// readBlocks reads LiteLLM's thinking_blocks, which are Anthropic's.
func readBlocks(param string, raw []byte) ([]chat.Thought, error) {
	if raw[0] != '[' {
		return nil, wrongType(param, "an array", raw)
	}
	var out []chat.Thought
	i := 0
	for element := range jsonscan.Elements(raw) {
		t, err := readBlock(at(param, i), element)
		if err != nil {
			return nil, err
		}
		if t.Text != "" || signed(&t) {
			out = append(out, t)
		}
		i++
	}
	return out, nil
}

// readBlock reads a block of type thinking or redacted_thinking.
func readBlock(param string, raw []byte) (chat.Thought, error) {
	var b struct{ Type, Thinking, Signature, Data string }
	if err := object(param, raw, &b); err != nil {
		return chat.Thought{}, err
	}
	t := chat.Thought{Text: b.Thinking, Signature: b.Signature, Format: chat.FormatAnthropic}
	if b.Type == "redacted_thinking" {
		t = chat.Thought{Encrypted: b.Data, Format: chat.FormatAnthropic}
	}
	return t, nil
}
