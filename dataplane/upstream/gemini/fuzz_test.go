package gemini

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// FuzzStream: no stream panics, and how it is cut changes nothing.
func FuzzStream(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(`data: {"candidates":[{"groundingMetadata":` + meta(support(`{"startIndex":1,"endIndex":9,"text":"a"}`, `[0,1]`)) + `}]}`))
	f.Add([]byte("data: {\"error\":{\"code\":503,\"details\":[{\"retryDelay\":\"1s\"}]}}\n\n"))
	f.Add([]byte("[{\"candidates\":[{}]},{}]"))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := streamFrom(bytes.NewReader(body))
		slow, slowErr := streamFrom(iotest.OneByteReader(bytes.NewReader(body)))
		if d := cmp.Diff(got, slow, every); d != "" || (err == nil) != (slowErr == nil) {
			t.Error(d, err, slowErr)
		}
		if err != nil {
			chatError(t, err)
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
	})
}

// FuzzAnswer: no answer panics; a good one has a choice and counts that are none below zero.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(good))
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
					if cited.Start > cited.End || cited.End > units([]byte(p.Text)) {
						t.Errorf("%+v of %q", cited, p.Text)
					}
				}
			}
		}
	})
}

// FuzzSchema: valid JSON stays valid, and no const is left where one counts.
func FuzzSchema(f *testing.F) {
	f.Add([]byte(`{"anyOf":[{"const":1},{"properties":{"a":{"const":"x"}}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := schema(raw)
		if got == nil {
			return
		}
		var v map[string]any
		if err := json.Unmarshal(got, &v); err != nil {
			t.Fatal(err)
		}
		if _, left := v["const"]; left {
			t.Errorf("%s became %s", raw, got)
		}
	})
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
