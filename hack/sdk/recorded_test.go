package sdk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../shared/wire"

// recording is one recorded answer, and what a client must see of it; a refusal is text.
type recording struct {
	ID     string `json:"id"`
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	Text   string `json:"text"`
	Calls  []call `json:"calls"`

	path, contentType string
	body              []byte
}

// call is a tool call.
type call struct {
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`

	arguments string
}

// upstreams are the models that stand before each recorded API, and the paths by which the gateway asks for it.
var upstreams = map[string][2]string{
	"openai/chat": {"example/openai", "/v1/chat/completions"}, "openai/responses": {"example/openai", "/v1/responses"},
	"vercel/chat": {"example/small", "/v1/chat/completions"}, "anthropic/messages": {"example/anthropic", "/v1/messages"},
	"perplexity/responses":   {"example/perplexity", "/v1/responses"},
	"gemini/generateContent": {"example/gemini", ":generateContent"}, "gemini/streamGenerateContent": {"example/gemini", ":streamGenerateContent"},
}

// recorded are the recorded answers without errors; those that are for hints only are left out.
func recorded(t *testing.T) (out []recording) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout:", err)
	}
	var all []struct {
		ID, Tier, Provider, API, Capability, Fidelity string
		Stream                                        bool
		Status                                        int
		Files                                         struct {
			Body string `json:"response_body"`
		}
	}
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		up, ok := upstreams[r.Provider+"/"+r.API]
		hint := slices.Contains([]string{"hand-made", "composite", "doc-example", "vendor-mock", "quoted"}, r.Fidelity)
		if !ok || r.Tier != "core" || r.Status != 200 || hint || strings.Contains(r.Capability, "error") {
			continue
		}
		body, err := os.ReadFile(filepath.Join(recordings, r.Files.Body))
		if err != nil {
			t.Fatal(err)
		}
		one := recording{ID: r.ID, Model: up[0], Stream: r.Stream, path: up[1], body: body, contentType: "application/json"}
		if r.Stream {
			one.contentType = "text/event-stream"
		}
		one.see()
		out = append(out, one)
	}
	if len(out) < 50 {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

// see reads what a client must see, in another way than the gateway does.
func (r *recording) see() {
	bodies := []string{string(r.body)}
	if r.Stream {
		bodies = nil
		for line := range strings.Lines(string(r.body)) {
			if data, ok := strings.CutPrefix(line, "data:"); ok {
				bodies = append(bodies, data)
			}
		}
	}
	r.Calls = []call{}
	open := map[string]int{}
	for _, body := range bodies {
		var v seen
		if json.Unmarshal([]byte(body), &v) != nil {
			continue
		}
		for _, read := range []func(*seen, map[string]int){r.seeChat, r.seeMessages, r.seeGemini, r.seeResponses} {
			read(&v, open)
		}
	}
	for i, c := range r.Calls {
		if c.arguments != "" {
			r.Calls[i].Input = json.RawMessage(c.arguments)
		} else if c.Input == nil {
			r.Calls[i].Input = json.RawMessage("{}")
		}
	}
}

// seen has the members of all recorded APIs that matter here.
type seen struct {
	Type    string
	Index   int
	Choices []struct {
		Index          int
		Message, Delta seenChat
	}
	Content      []seenBlock
	ContentBlock *seenBlock `json:"content_block"`
	Delta        json.RawMessage
	Candidates   []struct {
		Content struct {
			Parts []struct {
				Text         string
				Thought      bool
				FunctionCall *struct {
					Name string
					Args json.RawMessage
				}
			}
		}
	}
	Output   []seenItem
	Response struct{ Output []seenItem }
}

type seenChat struct {
	Content   string
	Refusal   string
	ToolCalls []struct {
		Index    int
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
}

type seenBlock struct {
	Type, Text, Name string
	Input            json.RawMessage
}

type seenItem struct {
	Type, Name, Arguments string
	Content               []struct{ Type, Text, Refusal string }
}

func (r *recording) seeChat(v *seen, open map[string]int) {
	for _, c := range v.Choices {
		if c.Index != 0 {
			continue
		}
		for _, m := range []seenChat{c.Message, c.Delta} {
			r.Text += m.Content + m.Refusal
			for i, t := range m.ToolCalls {
				if t.Index == 0 && !r.Stream {
					t.Index = i
				}
				if t.Index >= len(r.Calls) {
					r.Calls = append(r.Calls, call{Name: t.Function.Name})
				}
				r.Calls[t.Index].arguments += t.Function.Arguments
			}
		}
	}
}

func (r *recording) seeMessages(v *seen, open map[string]int) {
	blocks := v.Content
	if v.ContentBlock != nil {
		blocks = append(blocks, *v.ContentBlock)
		open["block"] = -1
		if v.ContentBlock.Type == "tool_use" {
			open["block"] = len(r.Calls)
		}
	}
	for _, b := range blocks {
		switch b.Type {
		case "text":
			r.Text += b.Text
		case "tool_use":
			r.Calls = append(r.Calls, call{Name: b.Name, Input: b.Input})
		}
	}
	var d struct {
		Type, Text  string
		PartialJSON string `json:"partial_json"`
	}
	if v.Type != "content_block_delta" || json.Unmarshal(v.Delta, &d) != nil {
		return
	}
	r.Text += d.Text
	if at := open["block"]; d.Type == "input_json_delta" && at >= 0 {
		r.Calls[at].arguments += d.PartialJSON
	}
}

func (r *recording) seeGemini(v *seen, _ map[string]int) {
	for _, c := range v.Candidates {
		for _, p := range c.Content.Parts {
			if !p.Thought {
				r.Text += p.Text
			}
			if p.FunctionCall != nil {
				r.Calls = append(r.Calls, call{Name: p.FunctionCall.Name, Input: p.FunctionCall.Args})
			}
		}
	}
}

func (r *recording) seeResponses(v *seen, _ map[string]int) {
	items := v.Output
	if v.Type == "response.completed" || v.Type == "response.incomplete" {
		items = v.Response.Output
	}
	for _, it := range items {
		if it.Type == "reasoning" {
			continue
		}
		for _, c := range it.Content {
			r.Text += c.Text + c.Refusal
		}
		if it.Type == "function_call" {
			r.Calls = append(r.Calls, call{Name: it.Name, arguments: it.Arguments})
		}
	}
}
