package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// rawMessage is a message or a delta, as encoding/json reads it.
type rawMessage struct {
	Content   string
	Refusal   string
	Reasoning string
	Deepseek  string                                   `json:"reasoning_content"`
	Details   []struct{ Type, Data, Signature string } `json:"reasoning_details"`
	Calls     []struct {
		Index    *int64
		ID       string
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
	Annotations []struct {
		Citation struct{ URL string } `json:"url_citation"`
	}
}

type rawChunk struct {
	ID      string
	Choices []struct {
		Index          int64
		Message, Delta rawMessage
		Finish         string `json:"finish_reason"`
		Logprobs       json.RawMessage
	}
	Citations []string
}

// expect sees recorded chat completions independently of the package's decoder.
func expect(t *testing.T, r recording) viewed {
	t.Helper()
	var v viewed
	texts := [][]byte{r.body}
	if r.Stream {
		texts = dataOf(r.body)
	}
	sources := map[string]bool{}
	for _, text := range texts {
		var c rawChunk
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		if v.ID == "" {
			v.ID = c.ID
		}
		for _, s := range c.Citations {
			if !sources[s] {
				sources[s] = true
				v.Sources = append(v.Sources, s)
			}
		}
		for _, choice := range c.Choices {
			m := choice.Message
			if r.Stream {
				m = choice.Delta
			}
			w := v.choice(choice.Index)
			w.raw(m)
			w.Logprobs += countTokens(choice.Logprobs)
			if choice.Finish != "" {
				w.Finish = map[string]chat.FinishReason{"stop": chat.FinishStop, "length": chat.FinishLength, "tool_calls": chat.FinishTools}[choice.Finish]
			}
		}
	}
	for _, w := range v.Choices {
		if w.Refusal != "" {
			w.Finish = chat.FinishRefusal
		}
	}
	v.Usage = recordedUsage(t, r)
	return v
}

func (v *view) raw(m rawMessage) {
	v.Text += m.Content
	v.Refusal += m.Refusal
	v.Reasoning += m.Reasoning + m.Deepseek
	for _, d := range m.Details {
		if s := d.Data + d.Signature; s != "" {
			v.Signatures = append(v.Signatures, s)
		}
	}
	for i, c := range m.Calls {
		at := int64(len(v.Calls))
		if c.Index != nil {
			at = *c.Index
		} else if c.ID == "" {
			at = int64(i)
		}
		for int64(len(v.Calls)) <= at {
			v.Calls = append(v.Calls, viewCall{})
		}
		v.Calls[at].ID += c.ID
		v.Calls[at].Name += c.Function.Name
		v.Calls[at].Arguments += c.Function.Arguments
	}
	for _, a := range m.Annotations {
		v.Citations = append(v.Citations, a.Citation.URL)
	}
}

// messagesCall is a call in a protocol that chat completions are translated for.
func messagesCall(t testing.TB, base string, stream bool) chat.Call {
	c := call(t, base, `{"model":"public"}`, stream)
	c.Request.Protocol = chat.Messages
	c.Request.Translate = func() (*chat.Prompt, error) {
		return &chat.Prompt{Choices: 1, Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartText, Text: "hi"}}}}}, nil
	}
	return c
}

func isError(r recording) bool {
	return r.Status != http.StatusOK || bytes.Contains(r.body, []byte(`{"error"`))
}

func TestRecordedTranslatedUnary(t *testing.T) {
	for _, r := range chatRecordings(t) {
		if r.Stream || isError(r) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "application/json", string(r.body))
			got, err := newUpstream(t).Do(context.Background(), messagesCall(t, base, false))
			if err != nil {
				t.Fatal(err)
			}
			if got.Body != nil {
				t.Error("a translated answer has bytes")
			}
			if d := cmp.Diff(expect(t, r), viewAnswer(got), cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRecordedTranslatedStreams(t *testing.T) {
	open := func(body io.Reader) chat.Stream {
		return reading{translate: true}.stream(transport.Replay(io.NopCloser(body), true))
	}
	for _, r := range chatRecordings(t) {
		if !r.Stream || isError(r) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "text/event-stream", string(r.body))
			resp, err := newUpstream(t).Do(context.Background(), messagesCall(t, base, true))
			if err != nil {
				t.Fatal(err)
			}
			got, err := viewStream(t, resp.Events)
			_ = resp.Events.Close()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(expect(t, r), got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			for name, body := range splits(r.body) {
				again, err := viewStream(t, open(body))
				if d := cmp.Diff(got, again, cmpopts.EquateEmpty()); d != "" || err != nil {
					t.Fatal(name, d, err)
				}
			}
		})
	}
}

// splits are ways to cut a body: a byte at a time, and a small one in two at every offset.
func splits(body []byte) map[string]io.Reader {
	out := map[string]io.Reader{"a byte at a time": iotest.OneByteReader(bytes.NewReader(body))}
	if len(body) > 2500 {
		return out
	}
	for i := range body {
		out["cut before "+string(body[i:])] = &cut{first: body[:i], rest: body[i:]}
	}
	return out
}

func TestTranslatedErrors(t *testing.T) {
	for _, r := range chatRecordings(t) {
		if !isError(r) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			kind := "application/json"
			if strings.HasPrefix(string(r.body), "<") {
				kind = "text/html"
			}
			base := answer(t, r.Status, kind, string(r.body))
			for _, stream := range []bool{false, true} {
				_, passed := newUpstream(t).Do(context.Background(), call(t, base, plainBody, false))
				_, err := newUpstream(t).Do(context.Background(), messagesCall(t, base, stream))
				if d := cmp.Diff(chatError(t, passed), chatError(t, err), cmpopts.IgnoreFields(chat.Error{}, "Cause")); d != "" {
					t.Error(d)
				}
			}
		})
	}
}
