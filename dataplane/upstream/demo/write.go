package demo

import (
	"bytes"
	"encoding/json"

	"github.com/layers-dev/layers/dataplane/pricing"
)

const fingerprint = "fp_demo"

// completion is an answer or a chunk of one, its members in OpenAI's order.
type completion struct {
	ID          string   `json:"id"`
	Object      string   `json:"object"`
	Created     int64    `json:"created"`
	Model       string   `json:"model"`
	Fingerprint string   `json:"system_fingerprint"`
	Choices     []choice `json:"choices"`
	Usage       *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index        int64   `json:"index"`
	Message      *full   `json:"message,omitempty"`
	Delta        *delta  `json:"delta,omitempty"`
	Logprobs     *string `json:"logprobs"`
	FinishReason *string `json:"finish_reason"`
}

// full is a whole message: content and refusal are null rather than absent.
type full struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Refusal   *string    `json:"refusal"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

type delta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

// toolCall has an index in streams only, and there id, type and name in its first piece only.
type toolCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function called `json:"function"`
}

type called struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
}

func report(u pricing.Usage) *usage {
	return &usage{PromptTokens: u.Input, CompletionTokens: u.Output, TotalTokens: u.Input + u.Output}
}

func (a *answer) completion(object string) completion {
	return completion{ID: a.id, Object: object, Created: a.created, Model: a.model, Fingerprint: fingerprint, Choices: []choice{}}
}

// body is the whole answer.
func (a *answer) body() []byte {
	out := a.completion("chat.completion")
	out.Usage = report(a.usage)
	finish := a.finish()
	for i := range a.choices {
		m := &full{Role: "assistant"}
		if a.tool == "" {
			m.Content = &a.text
		} else {
			m.ToolCalls = []toolCall{{ID: a.callID(i), Type: "function", Function: called{Name: a.tool, Arguments: a.arguments}}}
		}
		out.Choices = append(out.Choices, choice{Index: i, Message: m, FinishReason: &finish})
	}
	return encode(out)
}

// encode writes JSON without HTML escapes.
func encode(v completion) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// Strings and integers always encode.
	_ = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
