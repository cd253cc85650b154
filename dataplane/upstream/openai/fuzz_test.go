package openai

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// scripted are the choices of a chunk that a byte of a script stands for: bytes alone seldom make two that belong together.
var scripted = []string{
	`"delta":{"role":"assistant","content":""}`, `"delta":{"content":"h\u00e9"}`, `"delta":{"reasoning":"r"}`, `"delta":{"refusal":"n"}`,
	`"delta":{"reasoning_details":[{"type":"reasoning.text","text":"r","signature":"s"}]}`, `"delta":{"content":"\ud83d\ude00"}`,
	`"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"u","start_index":0,"end_index":2}}]}`,
	`"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}`, `"delta":{"tool_calls":[{"index":1,"id":"b","function":{"arguments":"{"}}]}`,
	`"delta":{"tool_calls":[{"index":1,"function":{"name":"g","arguments":"}"}}]}`, `"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`,
	`"delta":{"tool_calls":[{"id":"c","function":{"name":"h","arguments":"1"}}]}`, `"index":1,"delta":{"content":"i"}`, `"index":1,"delta":{},"finish_reason":"length"`,
	`"delta":{"function_call":{"name":"k","arguments":"{}"}}`, `"delta":{},"finish_reason":"stop"`,
}

// written is the stream of a script.
func written(script []byte) []byte {
	var out []byte
	for _, b := range script {
		out = append(out, "data: {\"choices\":[{"+scripted[int(b)%len(scripted)]+"}]}\n\n"...)
	}
	return out
}

// checkTexts checks that no text of a script is lost.
func checkTexts(t *testing.T, script []byte, got viewed) {
	t.Helper()
	want := viewed{}
	for _, b := range script {
		choice := []byte("{" + scripted[int(b)%len(scripted)] + "}")
		delta := jsonscan.Field(choice, "delta")
		v := want.choice(number(choice, "index"))
		v.Text += text(delta, "content")
		v.Refusal += text(delta, "refusal")
		v.Reasoning += text(delta, "reasoning")
		for d := range jsonscan.Elements(jsonscan.Field(delta, "reasoning_details")) {
			v.Reasoning += text(d, "text")
			v.Signatures = append(v.Signatures, text(d, "signature"))
		}
		for a := range jsonscan.Elements(jsonscan.Field(delta, "annotations")) {
			v.Citations = append(v.Citations, text(jsonscan.Field(a, "url_citation"), "url"))
		}
	}
	for i, v := range want.Choices {
		is := *got.choice(i)
		is.Calls, is.Finish = nil, ""
		if d := cmp.Diff(*v, is, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	}
}

// FuzzTranslatedStream: whatever an upstream streams, however it is cut, gives the same pieces, each call once and nothing lost, and no panic.
func FuzzTranslatedStream(f *testing.F) {
	for _, s := range []string{
		"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"h\\u00e9\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},{\"id\":\"b\",\"function\":{\"name\":\"g\"}}]}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
		"data: {\"choices\":[{\"delta\":{\"reasoning\":\"r\",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"r\",\"signature\":\"s\"}],\"annotations\":[{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"u\",\"start_index\":5}}]}}],\"citations\":[\"u\"],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n",
		"data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"},\"finish_reason\":7}]}\n\n",
		"data: {\"error\":{\"message\":\"x\"}}\n\n", "data: {\"choices\":[{\"index\":-1,\"delta\":{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"text\":\"t\"}]}]}}]}\n\n",
	} {
		f.Add([]byte(s), []byte(nil))
	}
	f.Add([]byte(nil), []byte{0, 2, 4, 1, 6, 5, 7, 10, 8, 9, 11, 12, 13, 15})
	f.Fuzz(func(t *testing.T, body, script []byte) {
		made := len(body) == 0
		body = append(body[:len(body):len(body)], written(script)...)
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
		var e *chat.Error
		if err != nil && (!errors.As(err, &e) || e.Status < 400 || e.Message == "") {
			t.Fatal(err)
		}
		if made {
			checkTexts(t, script, whole)
		}
		for _, c := range whole.Choices {
			if err == nil && c.Finish == "" && !cmp.Equal(*c, view{}) { // the start alone is of no choice
				t.Fatalf("a choice that does not end: %+v", c)
			}
		}
	})
}

// FuzzAnswer: any JSON object is an answer, if an empty one.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"id":"x","choices":[{"message":{"content":"a","reasoning_content":"r","tool_calls":[{"id":"c","function":{"name":"f","arguments":{"a":1}}}]},"finish_reason":"stop","logprobs":{"content":[]}}]}`))
	f.Add([]byte(`{"choices":[{"index":0,"message":{"content":"a","annotations":[{"type":"url_citation","url_citation":{"url":"u","start_index":-1,"end_index":1}}],"reasoning_details":[{"type":"reasoning.text","text":"r"},{"type":"reasoning.text","signature":"s"},{"type":"reasoning.encrypted","data":"e","format":"openai-responses-v1"}]},"finish_reason":"length"},{"index":1,"message":{"refusal":"no","reasoning":"q"}}]}`))
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
				for _, cited := range p.Citations {
					if cited.Start < 0 || cited.End < cited.Start {
						t.Fatalf("%+v", cited)
					}
				}
			}
		}
		compareStream(t, body, a)
	})
}

// compareStream streams the choices of an answer, each in one delta, and holds what is said against the answer. The calls of a
// stream are numbered otherwise, and those without a name are not told.
func compareStream(t *testing.T, body []byte, a *chat.Answer) {
	t.Helper()
	want, chunk, seen := viewAnswer(&chat.Response{Answer: a}), []byte(`{"choices":[`), map[int64]bool{}
	for raw := range jsonscan.Elements(jsonscan.Field(bytes.TrimSpace(body), "choices")) {
		index, message := number(raw, "index"), jsonscan.Field(raw, "message")
		if seen[index] || index < 0 || len(seen) == maxChoices {
			return // against the protocol: an answer has it twice, a stream goes on with it
		}
		if len(seen) > 0 {
			chunk = append(chunk, ',')
		}
		seen[index] = true
		chunk = fmt.Appendf(chunk, `{"index":%d,"finish_reason":"stop"`, index)
		if message != nil {
			chunk = append(append(chunk, `,"delta":`...), message...)
		}
		chunk = append(chunk, '}')
	}
	var line bytes.Buffer
	if json.Compact(&line, append(chunk, "]}"...)) != nil {
		t.Fatalf("not JSON: %s", chunk)
	}
	got, err := viewStream(t, reading{translate: true}.stream(transport.Replay(noClose("data: "+line.String()+"\n\n"), true)))
	if err != nil {
		return // no choice
	}
	for index := range seen {
		is, shall := got.choice(index), want.choice(index)
		if is.Text != shall.Text || is.Refusal != shall.Refusal || is.Reasoning != shall.Reasoning || cmp.Diff(shall.Citations, is.Citations, cmpopts.EquateEmpty()) != "" && shall.Text != "" {
			t.Fatalf("choice %d is %+v, streamed %+v", index, shall, is)
		}
	}
}

func noClose(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }

// FuzzPassedStream: the client gets what came, all of it, however it is cut, and no panic.
func FuzzPassedStream(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"))
	f.Add([]byte(": x\r\n\r\ndata: {\"choices\":[],\r\ndata: \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		whole, err := streamFrom(t, bytes.NewReader(body))
		halves, err2 := streamFrom(t, &cut{first: body[:len(body)/2], rest: body[len(body)/2:]})
		if (err == nil) != (err2 == nil) || whole.raw != halves.raw || whole.outputBytes != halves.outputBytes || whole.content != halves.content {
			t.Fatalf("%+v, %v; %+v, %v", whole, err, halves, err2)
		}
		var e *chat.Error
		if err != nil && (!errors.As(err, &e) || e.Status < 400 || e.Message == "") {
			t.Fatal(err)
		}
		// Line ends may be completed at the end of a stream.
		bare := strings.NewReplacer("\r", "", "\n", "")
		came, given := bare.Replace(strings.TrimPrefix(string(body), "\xef\xbb\xbf")), bare.Replace(whole.raw)
		if !strings.HasPrefix(came, given) || err == nil && !whole.done && came != given {
			t.Fatalf("of %q comes %q", came, given)
		}
	})
}

// FuzzBareID: an id is itself, or where it carries an object what stands before that, which is never nothing.
func FuzzBareID(f *testing.F) {
	f.Add("call_1~q1YqVrJSqlCqBQA", `{"s":"x"}`)
	f.Add("", `{}`)
	f.Fuzz(func(t *testing.T, id, text string) {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestSpeed)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		made := id + "~" + base64.RawURLEncoding.EncodeToString(b.Bytes())
		for _, id := range []string{id, made} {
			if bare := bareID(id); !strings.HasPrefix(id, bare) || id != "" && bare == "" {
				t.Fatalf("%q of %q", bare, id)
			}
		}
		carries := id != "" && strings.HasPrefix(text, "{") && json.Valid([]byte(text)) && len(text) <= maxCarried
		if got := bareID(made); carries != (got == id) {
			t.Fatalf("%q of %q", got, made)
		}
	})
}

// FuzzUsage: no count is below zero, and those of the input are together what was reported.
func FuzzUsage(f *testing.F) {
	f.Add(int64(10), int64(5), int64(4), int64(3), int64(2))
	f.Fuzz(func(t *testing.T, input, output, read, write, reasoning int64) {
		u := usage(fmt.Appendf(nil, `{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}`, input, output, read, write, reasoning))
		if u == nil {
			if input >= 0 && input <= maxTokens && output >= 0 && output <= maxTokens {
				t.Fatal("not read")
			}
			return
		}
		if u.Input < 0 || u.CacheRead < 0 || u.CacheWrite < 0 || u.Output < output || u.Reasoning < 0 || u.Reasoning > u.Output || u.Input+u.CacheRead+u.CacheWrite != input {
			t.Fatalf("%+v of %d, %d, %d, %d, %d", u, input, output, read, write, reasoning)
		}
	})
}
