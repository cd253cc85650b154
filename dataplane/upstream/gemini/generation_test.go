package gemini

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

func n(i int64) *int64 { return &i }

func TestGeneration(t *testing.T) {
	for name, c := range map[string]struct {
		model   string
		stream  bool
		p       chat.Prompt
		want    string
		dropped []string
	}{
		"nothing": {third35, false, chat.Prompt{}, `{}`, nil},
		"all": {"gemini-2.0-flash", false, chat.Prompt{
			Temperature: "0.20", TopP: "0.95", TopK: n(3), MaxOutputTokens: 77, Stop: []string{"a", "b"}, PresencePenalty: "0.5", FrequencyPenalty: "-1",
			Seed: n(42), Choices: 3, Logprobs: true, TopLogprobs: 2,
		}, `{"temperature":0.20,"topP":0.95,"topK":3,"maxOutputTokens":77,"stopSequences":["a","b"],"presencePenalty":0.5,"frequencyPenalty":-1,"seed":42,
			"candidateCount":3,"responseLogprobs":true,"logprobs":2}`, nil},
		"penalties of later models":  {second25, false, chat.Prompt{PresencePenalty: "0.5", FrequencyPenalty: "0.0"}, `{}`, []string{"presence_penalty"}},
		"log probabilities later":    {third35, false, chat.Prompt{Logprobs: true}, `{}`, []string{"logprobs"}},
		"log probabilities streamed": {"gemini-2.0-flash", true, chat.Prompt{Logprobs: true, TopLogprobs: 1}, `{}`, []string{"logprobs"}},
		"six stops":                  {third35, false, chat.Prompt{Stop: []string{"1", "2", "3", "4", "5", "6"}}, `{"stopSequences":["1","2","3","4","5"]}`, []string{"stop"}},
		"a long seed":                {third35, false, chat.Prompt{Seed: n(1 << 40)}, `{"seed":256}`, nil},
		"a lowest seed":              {third35, false, chat.Prompt{Seed: n(-1 << 31)}, `{"seed":-2147483648}`, nil},
		"JSON":                       {third35, false, chat.Prompt{Format: &chat.Format{}}, `{"responseMimeType":"application/json"}`, nil},
		"a schema": {third35, false, chat.Prompt{Format: &chat.Format{Schema: json.RawMessage(`{"type":"object","properties":{"a":{"const":1}}}`)}},
			`{"responseMimeType":"application/json","responseJsonSchema":{"type":"object","properties":{"a":{"enum":[1]}}}}`, nil},
		"JSON where a call is forced": {third35, false, chat.Prompt{Format: &chat.Format{}, Tools: []chat.Tool{{Name: "f"}}, ToolChoice: chat.ToolChoice{Mode: chat.ChooseRequired}}, `{}`, nil},
		"JSON of a model without":     {"gemma-3-4b-it", false, chat.Prompt{Format: &chat.Format{}}, `{}`, []string{"response_format"}},
		"what is not served": {third35, false, chat.Prompt{
			LogitBias: json.RawMessage(`{"1":2}`), User: "u", Verbosity: "low", ParallelTools: new(bool), Tools: []chat.Tool{{Name: "f"}},
			Others: []chat.Parameter{{Name: "store", Value: json.RawMessage("false")}, {Name: "service_tier", Value: json.RawMessage(`"auto"`)}, {Name: "service_tier", Value: json.RawMessage(`"flex"`)}, {Name: "metadata", Value: json.RawMessage("{}")}},
		}, `{}`, []string{"logit_bias", "user", "verbosity", "parallel_tool_calls", "service_tier", "metadata"}},
		"what is served by itself": {third35, false, chat.Prompt{ParallelTools: yes(), Cache: "1h"}, `{}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.p.Messages, c.p.Choices = hello().Messages, max(c.p.Choices, 1)
			b, err := build(call("", c.model, &c.p, c.stream), &c.p)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(jsonValue(t, c.want), parsed(t, b.body)["generationConfig"]); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.dropped, b.unsupported, nilIsEmpty); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestThinking(t *testing.T) {
	type r = chat.Reasoning
	for _, c := range []struct {
		model string
		r     r
		want  string
	}{
		{second25, r{Effort: "minimal"}, `{"includeThoughts":true,"thinkingBudget":1024}`},
		{second25, r{Effort: "low"}, `{"includeThoughts":true,"thinkingBudget":1024}`},
		{second25, r{Effort: "medium"}, `{"includeThoughts":true,"thinkingBudget":8192}`},
		{second25, r{Effort: "high"}, `{"includeThoughts":true,"thinkingBudget":24576}`},
		{second25, r{Effort: "xhigh"}, `{"includeThoughts":true,"thinkingBudget":24576}`},
		{second25, r{Effort: "none"}, `{"thinkingBudget":0}`},
		{second25, r{Off: true, Budget: 5}, `{"thinkingBudget":0}`},
		{second25, r{Effort: "low", Budget: 5000}, `{"includeThoughts":true,"thinkingBudget":5000}`},
		{second25, r{Adaptive: true}, `{"includeThoughts":true,"thinkingBudget":-1}`},
		{second25, r{}, `{"includeThoughts":true}`},
		{third35, r{Adaptive: true}, `{"includeThoughts":true}`},
		{second25, r{Budget: 99999, Summary: "omitted"}, `{"thinkingBudget":24576}`},
		{"gemini-2.5-pro", r{Off: true}, `{"thinkingBudget":128}`},
		{"gemini-2.5-pro", r{Effort: "max"}, `{"includeThoughts":true,"thinkingBudget":32768}`},
		{"gemini-2.5-flash-lite", r{Budget: 100}, `{"includeThoughts":true,"thinkingBudget":512}`},
		{third35, r{Effort: "minimal"}, `{"includeThoughts":true,"thinkingLevel":"minimal"}`},
		{third35, r{Effort: "high", Budget: 3}, `{"includeThoughts":true,"thinkingLevel":"high"}`},
		{third35, r{Effort: "max"}, `{"includeThoughts":true,"thinkingLevel":"high"}`},
		{third35, r{Off: true}, `{"thinkingLevel":"minimal"}`},
		{third35, r{Budget: 512}, `{"includeThoughts":true,"thinkingBudget":512}`},
		{third35, r{}, `{"includeThoughts":true}`},
		{third35, r{Summary: "omitted"}, `null`},
		{"models/gemini-3.1-pro-preview", r{Effort: "minimal"}, `{"includeThoughts":true,"thinkingLevel":"low"}`},
		{"gemini-3.7-flash", r{Effort: "minimal"}, `{"includeThoughts":true,"thinkingLevel":"low"}`},
		{fourth, r{Effort: "none"}, `{"thinkingLevel":"low"}`},
		{fourth, r{Budget: 1024}, `{"includeThoughts":true,"thinkingLevel":"low"}`},
		{fourth, r{Budget: 10000}, `{"includeThoughts":true,"thinkingLevel":"medium"}`},
		{fourth, r{Budget: 30000}, `{"includeThoughts":true,"thinkingLevel":"high"}`},
		{"gemini-4-hydrogen", r{Effort: "max"}, `{"includeThoughts":true,"thinkingLevel":"xhigh"}`},
		{"something-new", r{Effort: "medium"}, `{"includeThoughts":true,"thinkingLevel":"medium"}`},
		{"gemini-2.0-flash", r{Off: true}, `null`},
	} {
		p := hello()
		p.Reasoning = &c.r
		o, b := requestOf(t, c.model, p)
		if d := cmp.Diff(jsonValue(t, c.want), o["generationConfig"].(object)["thinkingConfig"]); d != "" || len(b.dropped) > 0 {
			t.Errorf("%s %+v: %s, dropped %v", c.model, c.r, d, b.dropped)
		}
	}
}

// A client of Responses reads reasoning only where it asked for a summary.
func TestThinkingForResponses(t *testing.T) {
	for summary, want := range map[string]string{"": `{"thinkingLevel":"low"}`, "auto": `{"includeThoughts":true,"thinkingLevel":"low"}`} {
		p := hello()
		p.Reasoning = &chat.Reasoning{Effort: "low", Summary: summary}
		c := call("", third35, p, false)
		c.Request.Protocol = chat.Responses
		b, err := build(c, p)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(jsonValue(t, want), parsed(t, b.body)["generationConfig"].(object)["thinkingConfig"]); d != "" {
			t.Error(d)
		}
	}
}

// The client's protocol names what is dropped.
func TestDroppedNames(t *testing.T) {
	p := &chat.Prompt{
		Choices: 1, User: "u", ParallelTools: new(bool), Tools: []chat.Tool{{Name: "f"}}, Reasoning: &chat.Reasoning{Effort: "low"}, Stop: make([]string, 6),
		Search:   &chat.Search{},
		Messages: []chat.Message{{Role: chat.User, Name: "bob", Parts: []chat.Part{said("a")}}, assistant(thinks(chat.Thought{Signature: "s", Format: chat.FormatAnthropic}), said("b"))},
	}
	for protocol, want := range map[chat.Protocol][]string{
		chat.Completions: {"web_search_options", "reasoning_effort", "stop", "user", "parallel_tool_calls", "messages.name", "reasoning_details"},
		chat.Messages:    {"tools.web_search", "thinking", "stop_sequences", "metadata.user_id", "tool_choice.disable_parallel_tool_use", "messages.name", "messages.thinking"},
		chat.Responses:   {"tools.web_search", "reasoning", "stop", "user", "parallel_tool_calls", "messages.name", "input.reasoning"},
	} {
		c := call(answer(t, 200, "application/json", good), "gemini-2.0-flash", p, false)
		c.Request.Protocol = protocol
		resp, err := newUpstream(t).Do(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, resp.Dropped); d != "" {
			t.Error(protocol, d)
		}
		c.Strict = true
		_, err = newUpstream(t).Do(context.Background(), c)
		if e := chatError(t, err); e.Status != 400 || e.Code != "unsupported_parameter" || e.Param != want[0] {
			t.Errorf("strict: got %+v", e)
		}
	}
}

// Signed thoughts of another provider are left out by rule, which a strict model allows.
func TestStrictAllowsRules(t *testing.T) {
	p := &chat.Prompt{Choices: 1, Messages: []chat.Message{assistant(thinks(chat.Thought{Signature: "s", Format: chat.FormatAnthropic}), said("b"))}}
	c := call(answer(t, 200, "application/json", good), third35, p, false)
	c.Strict = true
	resp, err := newUpstream(t).Do(context.Background(), c)
	if err != nil || len(resp.Dropped) != 1 {
		t.Errorf("got %+v, %v", resp, err)
	}
}
