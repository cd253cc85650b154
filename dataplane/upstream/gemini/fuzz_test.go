package gemini

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/sse"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// scripted are the parts of a chunk's candidate that a byte of a script stands for.
var scripted = []string{
	`"content":{"parts":[{"text":"a"}]}`, `"content":{"parts":[{"text":"\ud83d\ude00"},{"text":"b","thought":true},{"text":"c"}]}`,
	`"content":{"parts":[{"text":"","thoughtSignature":"s"}]}`, `"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"t"},{"functionCall":{"name":"f","id":"x"}}]}`,
	`"index":1,"content":{"parts":[{"text":"d"}]}`, `"index":1,"finishReason":"STOP"`, `"content":{"parts":[{"executableCode":{"code":"1"}},{}]}`,
	`"groundingMetadata":{"webSearchQueries":["q"],"groundingChunks":[{"web":{"uri":"u","title":"t"}}],"groundingSupports":[{"segment":{"startIndex":1,"endIndex":6,"text":""},"groundingChunkIndices":[0]},{"segment":{"text":"c"},"groundingChunkIndices":[0]}]}`,
	`"logprobsResult":{"chosenCandidates":[{"token":"a","logProbability":-1}]}`, `"finishReason":"STOP"`, `"finishReason":"MAX_TOKENS","finishMessage":"m"`,
}

// written is the stream of a script.
func written(script []byte) []byte {
	var out []byte
	for _, b := range script {
		out = append(out, "data: {\"candidates\":[{"+scripted[int(b)%len(scripted)]+"}]}\n\n"...)
	}
	return out
}

// FuzzStream: no stream panics, how it is cut changes nothing, and what it says is what its chunks say in one list.
func FuzzStream(f *testing.F) {
	f.Add([]byte(everything), []byte(nil))
	f.Add([]byte(`data: {"candidates":[{"groundingMetadata":`+meta(support(`{"startIndex":1,"endIndex":9,"text":"a"}`, `[0,1]`))+`}]}`), []byte(nil))
	f.Add([]byte("data: {\"error\":{\"code\":503,\"details\":[{\"retryDelay\":\"1s\"}]}}\n\n"), []byte{0})
	f.Add([]byte("[{\"candidates\":[{}]},{}]"), []byte(nil))
	f.Add([]byte(nil), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, body, script []byte) {
		body = append(body[:len(body):len(body)], written(script)...)
		got, err := streamFrom(bytes.NewReader(body))
		slow, slowErr := streamFrom(iotest.OneByteReader(bytes.NewReader(body)))
		if d := cmp.Diff(got, slow, every); d != "" || (err == nil) != (slowErr == nil) {
			t.Error(d, err, slowErr)
		}
		if err != nil {
			if e := chatError(t, err); e.Status < 400 || e.Message == "" {
				t.Errorf("got %+v", e)
			}
			return
		}
		for i, finish := range got.finish {
			if finish.Reason == "" {
				t.Errorf("choice %d ended for no reason", i)
			}
		}
		for _, calls := range got.calls {
			for _, c := range calls {
				if c.ID == "" || c.Name == "" || !json.Valid([]byte(c.Arguments)) {
					t.Errorf("got %+v", c)
				}
			}
		}
		if got.err == nil {
			compareList(t, body, got)
		}
	})
}

// compareList holds what a stream said against a list of the same chunks, read whole.
func compareList(t *testing.T, body []byte, got told) {
	t.Helper()
	var chunks [][]byte
	events := sse.NewReader(bytes.NewReader(body), 1<<20)
	for {
		e, err := events.Next()
		if err != nil {
			break
		}
		if !json.Valid(e.Data) || e.Data[0] != '{' {
			return // chunks that come in another way
		}
		chunks = append(chunks, bytes.Clone(e.Data))
	}
	a := transport.Replay(io.NopCloser(strings.NewReader("["+string(bytes.Join(chunks, []byte(",")))+"]")), false)
	resp, err := whole(a, newDecoder(a, plan{perQuery: true}, &idSource{random: zeros{}}), false)
	if err != nil {
		t.Fatal(err)
	}
	unary := told{text: map[int64]string{}, reasoning: map[int64]string{}, calls: map[int64][]chat.ToolCall{}, finish: map[int64]chat.Finish{}}
	for _, c := range resp.Answer.Choices {
		unary.finish[c.Index] = c.Finish
		for _, p := range c.Parts {
			unary.text[c.Index] += p.Text
			if p.Thought != nil {
				unary.reasoning[c.Index] += p.Thought.Text
			}
			if p.Call != nil {
				unary.calls[c.Index] = append(unary.calls[c.Index], *p.Call)
			}
		}
	}
	for i := range unary.finish {
		if got.text[i] != unary.text[i] || got.reasoning[i] != unary.reasoning[i] || cmp.Diff(got.calls[i], unary.calls[i]) != "" || got.finish[i] != unary.finish[i] {
			t.Errorf("choice %d is streamed as %q, %q, %+v, %+v; whole it is %q, %q, %+v, %+v",
				i, got.text[i], got.reasoning[i], got.calls[i], got.finish[i], unary.text[i], unary.reasoning[i], unary.calls[i], unary.finish[i])
		}
	}
}

// FuzzAnswer: no answer panics; a good one has a choice and counts that are none below zero.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"candidates":[{"content":{"parts":[{"text":"a€b"},{"text":"x","thought":true},{"text":"cd"}]},"finishReason":"STOP",
		"groundingMetadata":` + meta(support(`{"startIndex":1,"endIndex":6,"text":"€bc"}`, `[0]`)) + `}]}`))
	f.Add([]byte(`{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":1,"cachedContentTokenCount":9}}`))
	f.Add([]byte(`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1}}},{"text":"€"}]},"logprobsResult":{"chosenCandidates":[{"token":"x"}]},
		"groundingMetadata":` + meta(support(`{"endIndex":2}`, `[0]`)) + `}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a := transport.Replay(io.NopCloser(bytes.NewReader(body)), false)
		resp, err := whole(a, newDecoder(a, plan{}, &idSource{random: zeros{}}), false)
		if err != nil {
			chatError(t, err)
			return
		}
		if len(resp.Answer.Choices) == 0 {
			t.Error("no choice")
		}
		if u := resp.Usage; u != nil && (u.Input < 0 || u.Output < 0 || u.CacheRead < 0 || u.Searches < 0 || u.Reasoning > u.Output) {
			t.Errorf("got %+v", u)
		}
		for _, c := range resp.Answer.Choices {
			for _, p := range c.Parts {
				for _, cited := range p.Citations {
					text := utf16.Encode([]rune(p.Text))
					if cited.Start < 0 || cited.Start > cited.End || cited.End > int64(len(text)) {
						t.Errorf("%+v of %q", cited, p.Text)
						continue
					}
					if s := string(utf16.Decode(text[cited.Start:cited.End])); cited.Quote != "" && !strings.Contains(cited.Quote, s) {
						t.Errorf("%+v is %q of %q", cited, s, p.Text)
					}
				}
			}
		}
	})
}

// FuzzSchema: valid JSON stays valid, no const is left where one counts, and all else stays.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"anyOf":[{"const":1},{"properties":{"a":{"const":"x"}}}]}`))
	f.Add([]byte(`{"const":1,"properties":{"a":true,"b":{},"c":{"const":"x"}},"anyOf":[true,{},false]}`))
	f.Add([]byte(`{"type":"object","properties":{"const":{"enum":[1],"const":1},"b":{"items":[{},{"const":null}]}},"default":{"const":1},"required":["const"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := schema(raw)
		if got == nil {
			return
		}
		var v, in map[string]any
		if err := json.Unmarshal(got, &v); err != nil {
			if json.Unmarshal(raw, &in) != nil {
				return // a number that is too large for the test
			}
			t.Fatal(err)
		}
		if _, left := v["const"]; left && bytes.Contains(raw, []byte(`"const"`)) {
			t.Errorf("%s became %s", raw, got)
		}
		if err := json.Unmarshal(raw, &in); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(`"const"`)) {
			if d := cmp.Diff(withoutConst(in, 0), any(v)); d != "" {
				t.Errorf("%s became %s: %s", raw, got, d)
			}
		}
	})
}

// withoutConst is what a schema shall become, made without the package's way of writing.
func withoutConst(s any, depth int) any {
	in, ok := s.(map[string]any)
	if !ok || depth > maxSchemaDepth {
		return s
	}
	out := map[string]any{}
	for name, v := range in {
		list, isList := v.([]any)
		inner, isMap := v.(map[string]any)
		switch {
		case name == "const":
			continue
		case schemaLists[name] && isList:
			all := []any{}
			for _, one := range list {
				all = append(all, withoutConst(one, depth+1))
			}
			v = all
		case schemaKeys[name]:
			v = withoutConst(v, depth+1)
		case schemaMaps[name] && isMap:
			all := map[string]any{}
			for key, one := range inner {
				all[key] = withoutConst(one, depth+1)
			}
			v = all
		}
		out[name] = v
	}
	if c, ok := in["const"]; ok {
		out["enum"] = []any{c}
	}
	return out
}

// FuzzRequest: whatever a client says becomes valid JSON or a 400.
func FuzzRequest(f *testing.F) {
	f.Add("gemini-2.5-flash", "text", `{"a":1}`, "sig", `{"type":"object"}`, byte(0))
	f.Add("gemini-3.5-flash", "", `{`, "", `{"const":1}`, byte(255))
	f.Add("gemma-3", "\xff", ``, "s", ``, byte(37))
	f.Fuzz(func(t *testing.T, model, words, args, signature, raw string, bits byte) {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		p := &chat.Prompt{Choices: 1, Messages: []chat.Message{
			system(words),
			user(said(words), image(chat.Media{Base64: args, URL: model})),
			assistant(thinks(chat.Thought{Text: words, Signature: signature, Format: chat.FormatGemini}), said(words), calls(words, model, args, signature), thinks(chat.Thought{Encrypted: signature, Format: chat.FormatGemini, ID: words})),
			user(answers(words, model, said(args), image(chat.Media{Base64: words}))),
		}}
		if bit(0) {
			p.Tools = []chat.Tool{{Name: model, Schema: json.RawMessage(raw), Custom: bit(1), Grammar: json.RawMessage(raw)}}
		}
		if bit(2) {
			p.Format = &chat.Format{Schema: json.RawMessage(raw)}
		}
		if bit(3) {
			p.ToolChoice = chat.ToolChoice{Mode: chat.ChoiceMode(words), Allowed: []string{model}}
		}
		if bit(4) {
			p.Reasoning = &chat.Reasoning{Off: bit(5), Effort: words, Budget: int64(bits)}
		}
		if bit(6) {
			p.Search = &chat.Search{Location: json.RawMessage(raw)}
			p.Temperature = json.Number(words)
		}
		if bit(7) {
			p.Messages = p.Messages[2:]
		}
		b, err := prepare(chat.Call{Request: &chat.Request{Translate: func() (*chat.Prompt, error) { return p, nil }}, Model: model})
		if err != nil {
			if e := chatError(t, err); e.Status != 400 {
				t.Errorf("got %+v", e)
			}
			return
		}
		if !json.Valid(b.body) {
			t.Errorf("broken: %s", b.body)
		}
	})
}
