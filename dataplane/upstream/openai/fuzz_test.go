package openai

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// FuzzTranslatedStream: whatever an upstream streams, however it is cut, gives the same pieces, each call once, and no panic.
func FuzzTranslatedStream(f *testing.F) {
	for _, s := range []string{
		"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"h\\u00e9\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},{\"id\":\"b\",\"function\":{\"name\":\"g\"}}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
		"data: {\"choices\":[{\"delta\":{\"reasoning\":\"r\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"r\",\"signature\":\"s\"}],\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"u\",\"start_index\":5}}]}}],\"citations\":[\"u\"],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n",
		"data: {\"error\":{\"message\":\"x\"}}\n\n", "data: {\"choices\":[{\"index\":-1,\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"text\":\"t\"}]}]}}]}\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		read := func(r io.Reader) (viewed, error) {
			return viewStream(t, reading{translate: true}.stream(transport.Replay(io.NopCloser(r), true)))
		}
		whole, err := read(bytes.NewReader(body))
		cutInTwo, err2 := read(&cut{first: body[:len(body)/2], rest: body[len(body)/2:]})
		if (err == nil) != (err2 == nil) {
			t.Fatal(err, err2)
		}
		if d := cmp.Diff(whole, cutInTwo, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		for _, c := range whole.Choices {
			if err == nil && c.Finish == "" && len(whole.Choices) > 1 {
				t.Fatalf("a choice that does not end: %+v", c)
			}
		}
	})
}

// FuzzAnswer: any JSON object is an answer, if an empty one.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"id":"x","choices":[{"message":{"content":"a","reasoning_content":"r","tool_calls":[{"id":"c","function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"stop","logprobs":{"content":[]}}]}`))
	f.Add([]byte(`{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"thinking","thinking":"x"}],"refusal":"no","function_call":{"name":"f","arguments":"{}"}}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := jsonscan.Scan(body); err != nil {
			return
		}
		a := answerOf(bytes.TrimSpace(body))
		for _, c := range a.Choices {
			if c.Reason == "" {
				t.Fatalf("no reason: %+v", c)
			}
			for _, p := range c.Parts {
				if p.Kind == chat.PartCall && p.Call == nil || p.Kind == chat.PartThought && p.Thought == nil {
					t.Fatalf("an empty part: %+v", p)
				}
			}
		}
	})
}

// FuzzPassedStream: the client gets what came, however it is cut, and no panic.
func FuzzPassedStream(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	f.Add([]byte(": x\r\n\r\ndata: {\"choices\":[],\r\ndata: \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		whole, err := streamFrom(t, bytes.NewReader(body))
		halves, err2 := streamFrom(t, &cut{first: body[:len(body)/2], rest: body[len(body)/2:]})
		if (err == nil) != (err2 == nil) || whole.raw != halves.raw || whole.outputBytes != halves.outputBytes || whole.content != halves.content {
			t.Fatalf("%+v, %v; %+v, %v", whole, err, halves, err2)
		}
	})
}

// FuzzBareID: an id is itself or a beginning of itself.
func FuzzBareID(f *testing.F) {
	f.Add("call_1~q1YqVrJSqlCqBQA")
	f.Fuzz(func(t *testing.T, id string) {
		if bare := bareID(id); !strings.HasPrefix(id, bare) || id != "" && bare == "" {
			t.Fatalf("%q of %q", bare, id)
		}
	})
}
