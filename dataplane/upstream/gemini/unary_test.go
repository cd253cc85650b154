package gemini

import (
	"context"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// Every part of an answer keeps its place and its signature.
func TestParts(t *testing.T) {
	resp, err := ask(t, `{"responseId":"r1","modelVersion":"m1","candidates":[{"content":{"role":"model","parts":[
		{"text":"hm","thought":true},{"text":"hm2","thought":true,"thoughtSignature":"s0"},
		{"text":"a"},{"text":"","thoughtSignature":"s1"},{"text":""},
		{"executableCode":{"language":"PYTHON","code":"1+1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"2"}},
		{"inlineData":{"mimeType":"image/png","data":"AAAA"}},{"toolCall":{"toolType":"GOOGLE_SEARCH_WEB","args":{}}},{"new":1},7,
		{"functionCall":{"name":"f","args":{"z": 1.50,"a":[ ]}},"thoughtSignature":"s2"},
		{"functionCall":{"name":"g","id":"x"}},{"functionCall":{"name":"g","id":"x","args":null}},{"functionCall":{"args":{"q":1}}},
		{"text":"b","thoughtSignature":"s3"}]},"finishReason":"STOP"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	thought := func(text, signature string) chat.Part {
		return chat.Part{Kind: chat.PartThought, Thought: &chat.Thought{Text: text, Signature: signature, Format: chat.FormatGemini}}
	}
	want := &chat.Answer{ID: "r1", Model: "m1", Choices: []chat.Choice{{
		Parts: []chat.Part{
			thought("hm", ""), thought("hm2", "s0"), said("a"), {Kind: chat.PartText, Signature: "s1"},
			calls(zeroID, "f", `{"z":1.50,"a":[]}`, "s2"), calls("x", "g", `{}`, ""), calls(zeroID, "g", `{}`, ""),
			{Kind: chat.PartText, Text: "b", Signature: "s3"},
		},
		Finish: chat.Finish{Reason: chat.FinishTools, Native: "STOP"},
	}}}
	if d := cmp.Diff(want, resp.Answer); d != "" {
		t.Error(d)
	}
	if want := int64(len("hmhm2a1+12!") + len(`f{"z":1.50,"a":[]}g{}g{}{"q":1}b`)); resp.OutputBytes != want {
		t.Errorf("%d bytes, want %d", resp.OutputBytes, want)
	}
	if resp.Usage != nil || resp.UpstreamID != "r1" || resp.Header == nil {
		t.Errorf("got %+v", resp)
	}
}

func TestFinish(t *testing.T) {
	const text, call = `{"text":"a"}`, `{"functionCall":{"name":"f","args":{}}}`
	for _, c := range []struct {
		reason, parts string
		want          chat.Finish
	}{
		{`"STOP"`, text, chat.Finish{Reason: chat.FinishStop, Native: "STOP"}},
		{`1`, text, chat.Finish{Reason: chat.FinishStop, Native: "STOP"}},
		{`"STOP"`, call, chat.Finish{Reason: chat.FinishTools, Native: "STOP"}},
		{`1`, call, chat.Finish{Reason: chat.FinishTools, Native: "STOP"}},
		{`"MAX_TOKENS"`, call, chat.Finish{Reason: chat.FinishLength, Native: "MAX_TOKENS"}},
		{`2`, ``, chat.Finish{Reason: chat.FinishLength, Native: "MAX_TOKENS"}},
		{`"CONTINUATION"`, text, chat.Finish{Reason: chat.FinishLength, Native: "CONTINUATION"}},
		{`"SAFETY"`, ``, chat.Finish{Reason: chat.FinishFilter, Native: "SAFETY", Explanation: "why"}},
		{`"RECITATION"`, ``, chat.Finish{Reason: chat.FinishFilter, Native: "RECITATION", Explanation: "why"}},
		{`10`, ``, chat.Finish{Reason: chat.FinishFilter, Native: "MODEL_ARMOR", Explanation: "why"}},
		{`"UNEXPECTED_TOOL_CALL"`, call, chat.Finish{Reason: chat.FinishTools, Native: "UNEXPECTED_TOOL_CALL"}},
		{`"MALFORMED_FUNCTION_CALL"`, ``, chat.Finish{Reason: chat.FinishStop, Native: "MALFORMED_FUNCTION_CALL"}},
		{`"SOMETHING_NEW"`, text, chat.Finish{Reason: chat.FinishStop, Native: "SOMETHING_NEW"}},
		{`99`, text, chat.Finish{Reason: chat.FinishStop, Native: "99"}},
		{`{"odd":1}`, text, chat.Finish{Reason: chat.FinishStop, Native: `{"odd":1}`}},
		{`null`, text, chat.Finish{Reason: chat.FinishStop}},
		{`0`, text, chat.Finish{Reason: chat.FinishStop}},
	} {
		resp, err := ask(t, `{"candidates":[{"content":{"parts":[`+c.parts+`]},"finishReason":`+c.reason+`,"finishMessage":"why"}]}`)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, resp.Answer.Choices[0].Finish); d != "" {
			t.Errorf("%s: %s", c.reason, d)
		}
	}
}

func TestBlockedPrompt(t *testing.T) {
	for _, c := range []struct {
		feedback, usage string
		want            chat.Finish
		used            *pricing.Usage
	}{
		{`{"blockReason":"SAFETY"}`, `{"promptTokenCount":7}`, chat.Finish{Reason: chat.FinishFilter, Native: "SAFETY"}, &pricing.Usage{Input: 7}},
		{`{"blockReason":"NEW","blockReasonMessage":"why"}`, `{"trafficType":"ON_DEMAND"}`, chat.Finish{Reason: chat.FinishFilter, Native: "NEW", Explanation: "why"}, &pricing.Usage{}},
		{`{"blockReason":1}`, `null`, chat.Finish{Reason: chat.FinishFilter, Native: "SAFETY"}, nil},
	} {
		resp, err := ask(t, `{"promptFeedback":`+c.feedback+`,"usageMetadata":`+c.usage+`}`)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]chat.Choice{{Finish: c.want}}, resp.Answer.Choices); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(c.used, resp.Usage); d != "" || resp.OutputBytes != 0 {
			t.Error(d, resp.OutputBytes)
		}
	}
	_, err := ask(t, `{"promptFeedback":{"blockReason":"BLOCK_REASON_UNSPECIFIED"}}`)
	if e := chatError(t, err); e.Status != 502 || !e.Fallback {
		t.Errorf("got %+v", e)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		usage string
		want  *pricing.Usage
	}{
		{`{"promptTokenCount":10,"candidatesTokenCount":2}`, &pricing.Usage{Input: 10, Output: 2}},
		{`{"promptTokenCount":10,"candidatesTokenCount":2,"thoughtsTokenCount":5,"toolUsePromptTokenCount":3,"cachedContentTokenCount":4}`,
			&pricing.Usage{Input: 9, CacheRead: 4, Output: 7, Reasoning: 5}},
		{`{"promptTokenCount":10,"cachedContentTokenCount":40}`, &pricing.Usage{CacheRead: 10}},
		{`{"promptTokenCount":0,"candidatesTokenCount":0}`, &pricing.Usage{}},
		{`{"promptTokenCount":1,"candidatesTokenCount":-1,"thoughtsTokenCount":1e9,"cachedContentTokenCount":99999999999999999999}`, &pricing.Usage{Input: 1}},
		// Without its prompt an answer's usage is not known.
		{`{"candidatesTokenCount":2}`, nil},
		{`{"trafficType":"ON_DEMAND"}`, nil},
		{`{}`, nil}, {`null`, nil}, {`[]`, nil}, {`7`, nil},
	} {
		resp, err := ask(t, `{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":`+c.usage+`}`)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, resp.Usage); d != "" {
			t.Errorf("%s: %s", c.usage, d)
		}
	}
}

func TestCandidates(t *testing.T) {
	resp, err := ask(t, `[{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"index":1,"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS"}]},
		{"candidates":[{"content":{"parts":[{"text":"c"}]},"finishReason":"STOP","logprobsResult":{"chosenCandidates":[{"token":"é","logProbability":-0.125},{"token":"x"}],
		"topCandidates":[{"candidates":[{"token":"é","logProbability":-0.125},{"token":"e","logProbability":-3}]},{}]}}]}]`)
	if err != nil {
		t.Fatal(err)
	}
	want := []chat.Choice{
		{Parts: []chat.Part{said("a"), said("c")}, Finish: chat.Finish{Reason: chat.FinishStop, Native: "STOP"}, Logprobs: []byte(`{"content":[` +
			`{"token":"é","logprob":-0.125,"bytes":[195,169],"top_logprobs":[{"token":"é","logprob":-0.125,"bytes":[195,169]},{"token":"e","logprob":-3,"bytes":[101]}]},` +
			`{"token":"x","logprob":0,"bytes":[120],"top_logprobs":[]}],"refusal":null}`)},
		{Index: 1, Parts: []chat.Part{said("b")}, Finish: chat.Finish{Reason: chat.FinishLength, Native: "MAX_TOKENS"}},
	}
	if d := cmp.Diff(want, resp.Answer.Choices, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
}

func TestFit(t *testing.T) {
	u := newUpstream(t)
	for protocol, want := range map[chat.Protocol]chat.Fit{
		chat.Completions: chat.Translates, chat.Messages: chat.Translates, chat.Responses: chat.Translates, chat.Embeddings: chat.Unfit, chat.CountTokens: chat.Unfit,
	} {
		if got := u.Fit(nil, protocol); got != want {
			t.Errorf("%s: got %v", protocol, got)
		}
	}
}

func TestAddress(t *testing.T) {
	for model, want := range map[string]string{
		"gemini-2.5-pro":        DefaultBaseURL + "/models/gemini-2.5-pro:generateContent",
		"models/gemini-2.5-pro": DefaultBaseURL + "/models/gemini-2.5-pro:generateContent",
		"tunedModels/mine":      DefaultBaseURL + "/tunedModels/mine:generateContent",
		"a/b/../c?key=1":        DefaultBaseURL + "/a/b%2F..%2Fc%3Fkey=1:generateContent",
	} {
		if got := address(call("", model, nil, false)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := address(call("https://x.y/v1", "m", nil, true)); got != "https://x.y/v1/models/m:streamGenerateContent?alt=sse" {
		t.Error(got)
	}
}

func TestRequestFails(t *testing.T) {
	u := newUpstream(t)
	c := call("http://127.0.0.1:1", third35, hello(), false)
	_, err := u.Do(context.Background(), c)
	if e := chatError(t, err); e.Code != "upstream_unreachable" || !e.Fallback {
		t.Errorf("got %+v", e)
	}
	c.Request.Translate = nil
	_, err = u.Do(context.Background(), c)
	if e := chatError(t, err); e.Status != 400 {
		t.Errorf("got %+v", e)
	}
	c.Request.Translate = func() (*chat.Prompt, error) { return nil, errors.New("plain") }
	_, err = u.Do(context.Background(), c)
	if e := chatError(t, err); e.Status != 400 {
		t.Errorf("got %+v", e)
	}
	own := &chat.Error{Status: 400, Message: "own"}
	c.Request.Translate = func() (*chat.Prompt, error) { return nil, own }
	if _, err = u.Do(context.Background(), c); !errors.Is(err, own) {
		t.Error(err)
	}
	p := hello()
	p.Temperature = "hot"
	_, err = u.Do(context.Background(), call("", third35, p, false))
	if e := chatError(t, err); e.Status != 400 {
		t.Errorf("got %+v", e)
	}
}

// Without randomness there is no id, and no call that somebody else's answer could be taken for.
func TestNoRandomness(t *testing.T) {
	u := New(transport.New(transport.Options{}), Options{Random: iotest.ErrReader(errors.New("empty"))})
	base := answer(t, 200, "application/json", `{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]},"finishReason":"STOP"}]}`)
	_, err := u.Do(context.Background(), call(base, second25, hello(), false))
	if e := chatError(t, err); e.Status != 500 {
		t.Errorf("got %+v", e)
	}
	if New(transport.New(transport.Options{}), Options{}).ids.random == nil {
		t.Error("no default")
	}
	if id, err := New(transport.New(transport.Options{}), Options{}).ids.next(); err != nil || !madeUp(id) || id == zeroID {
		t.Error(id, err)
	}
}

// A provider without a credential gets no header of it, and one with a header of its own keeps that.
func TestHeaders(t *testing.T) {
	base, got := capture(t, "application/json", good)
	c := call(base, third35, hello(), false)
	c.Provider.Credential, c.Provider.Headers = "", []snapshot.Header{{Name: "X-Goog-User-Project", Value: "p"}}
	if _, err := newUpstream(t).Do(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if _, has := got.header["X-Goog-Api-Key"]; has || got.header.Get("X-Goog-User-Project") != "p" {
		t.Error(got.header)
	}
}
