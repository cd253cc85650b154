package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

func do(t *testing.T, body string, stream bool, limit, n int64) *chat.Response {
	t.Helper()
	u := New(Options{Delay: -1, Now: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	r, err := u.Do(context.Background(), chat.Call{Model: "demo", Request: &chat.Request{ID: "r1", Body: []byte(body), Stream: stream, MaxOutputTokens: limit, Choices: n}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decode(t *testing.T, data []byte) completion {
	t.Helper()
	var c completion
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return c
}

func say(content string, more string) string {
	return `{"model":"demo","messages":[{"role":"user","content":` + content + `}]` + more + `}`
}

const weather = `,"tools":[{"type":"function","function":{"name":"now"}},{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["c","f"]},"days":{"type":"integer"}},"required":["city","unit"]}}}]`

func TestUnary(t *testing.T) {
	r := do(t, say(`"hé <b>"`, ""), false, 0, 1)
	c := decode(t, r.Body)
	if c.ID != "chatcmpl-demo-r1" || c.Object != "chat.completion" || c.Created != 1_700_000_000 || c.Model != "demo" || r.UpstreamID != c.ID {
		t.Errorf("got %+v", c)
	}
	text := *c.Choices[0].Message.Content
	if !strings.Contains(text, "demo model") || !strings.Contains(text, "You said: hé <b>") || *c.Choices[0].FinishReason != "stop" {
		t.Errorf("got %q", text)
	}
	if r.OutputBytes != int64(len(text)) || r.Usage.Output != tokens(len(text)) || r.Usage.Input < 1 {
		t.Errorf("%d bytes, usage %+v", r.OutputBytes, r.Usage)
	}
	if want := (usage{r.Usage.Input, r.Usage.Output, r.Usage.Input + r.Usage.Output}); *c.Usage != want {
		t.Errorf("reported %+v, want %+v", *c.Usage, want)
	}
	if bytes.Contains(r.Body, []byte(`\u003c`)) || !bytes.Contains(r.Body, []byte(`"refusal":null`)) {
		t.Errorf("got %s", r.Body)
	}
}

func TestShapes(t *testing.T) {
	for name, c := range map[string]struct {
		body, text, tool, arguments string
	}{
		"image":         {say(`[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"https://x"}}]`, ""), "I received an image. You said: what?", "", ""},
		"two images":    {say(`[{"type":"image_url"},{"type":"image_url"}]`, ""), "I received 2 images.", "", ""},
		"first tool":    {say(`"x"`, weather), "", "now", "{}"},
		"forced tool":   {say(`"x"`, weather+`,"tool_choice":{"type":"function","function":{"name":"weather"}}`), "", "weather", `{"city":"demo","unit":"c"}`},
		"required":      {say(`"x"`, weather+`,"tool_choice":"required"`), "", "now", "{}"},
		"no tool":       {say(`"x"`, weather+`,"tool_choice":"none"`), "You said: x", "", ""},
		"tool's result": {`{"messages":[{"role":"tool","content":"22 degrees"}]` + weather + `}`, "result arrived, thank you. You said: 22 degrees", "", ""},
		"functions":     {say(`"x"`, `,"functions":[{"name":"f"}]`), "", "f", "{}"},
		"json":          {say(`"x"`, `,"response_format":{"type":"json_object"}`), `"demo":true`, "", ""},
		"json schema":   {say(`"x"`, `,"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object","properties":{"n":{"type":"number","minimum":3}},"required":["n"]}}}`), `{"n":3}`, "", ""},
		"long text":     {say(`"`+strings.Repeat("é", 500)+`"`, ""), strings.Repeat("é", 200) + "…", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := decode(t, do(t, c.body, false, 0, 1).Body).Choices[0]
			if c.tool == "" {
				if got.Message.Content == nil || !strings.Contains(*got.Message.Content, c.text) || got.Message.ToolCalls != nil {
					t.Errorf("got %+v", got.Message)
				}
				return
			}
			want := []toolCall{{ID: "call_chatcmpl-demo-r1_0", Type: "function", Function: called{c.tool, c.arguments}}}
			if d := cmp.Diff(want, got.Message.ToolCalls); d != "" || got.Message.Content != nil || *got.FinishReason != "tool_calls" {
				t.Error(d)
			}
		})
	}
}

// A stream says the same as the unary answer, with the same usage.
func TestStream(t *testing.T) {
	for name, body := range map[string]string{"text": say(`"hello there"`, ""), "tool": say(`"x"`, weather)} {
		t.Run(name, func(t *testing.T) {
			unary := do(t, body, false, 0, 2)
			want := decode(t, unary.Body)
			r := do(t, body, true, 0, 2)
			text, arguments, finish := map[int64]string{}, map[int64]string{}, map[int64]string{}
			var size int64
			var reported *pricing.Usage
			var last chat.Event
			for {
				e, err := r.Events.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if string(e.Raw) != "data: "+string(e.Data)+"\n\n" {
					t.Errorf("raw %q", e.Raw)
				}
				size += e.OutputBytes
				last = e
				if e.Done {
					continue
				}
				c := decode(t, e.Data)
				if e.UsageOnly {
					reported = e.Usage
					if len(c.Choices) != 0 || *c.Usage != *want.Usage || !bytes.Contains(e.Data, []byte(`"choices":[]`)) {
						t.Errorf("usage chunk %s", e.Data)
					}
					continue
				}
				ch := c.Choices[0]
				if ch.Delta.Content != nil {
					text[ch.Index] += *ch.Delta.Content
				}
				for _, call := range ch.Delta.ToolCalls {
					arguments[ch.Index] += call.Function.Name + call.Function.Arguments
				}
				if ch.FinishReason != nil {
					finish[ch.Index] = *ch.FinishReason
				}
			}
			for i, ch := range want.Choices {
				i := int64(i)
				if ch.Message.Content != nil && text[i] != *ch.Message.Content {
					t.Errorf("choice %d: %q", i, text[i])
				}
				for _, call := range ch.Message.ToolCalls {
					if arguments[i] != call.Function.Name+call.Function.Arguments {
						t.Errorf("choice %d: %q", i, arguments[i])
					}
				}
				if finish[i] != *ch.FinishReason {
					t.Errorf("choice %d: finish %q", i, finish[i])
				}
			}
			if d := cmp.Diff(unary.Usage, reported); d != "" || size != unary.OutputBytes || !last.Done {
				t.Errorf("%s; %d bytes, want %d; last %s", d, size, unary.OutputBytes, last.Data)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	r := do(t, say(`"ééééééééééééééééééé"`, ""), false, 27, 1)
	c := decode(t, r.Body)
	text := *c.Choices[0].Message.Content
	if *c.Choices[0].FinishReason != "length" || tokens(len(text)) > 27 || len(text) < 100 || !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) {
		t.Errorf("%q ends by %s", text, *c.Choices[0].FinishReason)
	}
	if c.Usage.CompletionTokens > 27 {
		t.Errorf("usage %+v", c.Usage)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := New(Options{Delay: time.Hour}).Do(ctx, chat.Call{Request: &chat.Request{Stream: true, Body: []byte(say(`"x"`, ""))}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Events.Next(); err != nil {
		t.Fatal("the role waits:", err)
	}
	cancel()
	var e *chat.Error
	if _, err := r.Events.Next(); !errors.As(err, &e) || e.Status != 499 {
		t.Errorf("got %v", err)
	}
	if _, err := New(Options{}).Do(ctx, chat.Call{Request: &chat.Request{Body: []byte(`{}`)}}); !errors.As(err, &e) || e.Status != 499 {
		t.Errorf("got %v", err)
	}
	if err := r.Events.Close(); err != nil {
		t.Error(err)
	}
}

func TestWrongTypes(t *testing.T) {
	var e *chat.Error
	_, err := New(Options{}).Do(context.Background(), chat.Call{Request: &chat.Request{Body: []byte(`{"messages":[{"role":1}]}`)}})
	if !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("got %v", err)
	}
}
