package openai

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API, Capability string
	Stream                        bool
	Status                        int
	Files                         struct {
		Request  string `json:"request_body"`
		Response string `json:"response_body"`
	}
}

// chatRecordings are those of chat completions.
func chatRecordings(t *testing.T) []recording {
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout; the other tests cover the rules:", err)
	}
	var all, out []recording
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.API == "chat" {
			out = append(out, r)
		}
	}
	if len(out) < 60 {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

func (r recording) file(t *testing.T, name string) []byte {
	b, err := os.ReadFile(filepath.Join(recordings, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every request that a provider took is a prompt, with all its texts, calls and results.
func TestRecordedRequests(t *testing.T) {
	seen := 0
	for _, r := range chatRecordings(t) {
		if r.Files.Request == "" || r.Status != 200 {
			continue
		}
		seen++
		t.Run(r.ID, func(t *testing.T) {
			var sent map[string]json.RawMessage
			if err := json.Unmarshal(r.file(t, r.Files.Request), &sent); err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(sent)
			if err != nil {
				t.Fatal(err)
			}
			req, bad := Completions{}.Parse("req_1", nil, body)
			if r.Provider == "openrouter" && bytes.Contains(sent["tools"], []byte(`"openrouter:`)) {
				if bad == nil || bad.Param != "tools" {
					t.Errorf("tools of OpenRouter's own: %v", bad)
				}
				return
			}
			if bad != nil {
				t.Fatal(bad)
			}
			p, err := req.Translate()
			if err != nil {
				t.Fatal(err)
			}
			checkTexts(t, sent["messages"], p)
			checkTools(t, sent["tools"], p)
		})
	}
	if seen < 60 {
		t.Errorf("only %d requests", seen)
	}
}

// checkTexts reads the messages in another way, and looks for everything in the prompt.
func checkTexts(t *testing.T, raw []byte, p *chat.Prompt) {
	var messages []struct {
		Role       string
		Content    json.RawMessage
		ToolCallID string `json:"tool_call_id"`
		Reasoning  string `json:"reasoning_content"`
		ToolCalls  []struct {
			ID       string
			Function struct{ Name, Arguments string }
		} `json:"tool_calls"`
		Details []struct{ Type, Text, Summary, Data, Signature string } `json:"reasoning_details"`
	}
	if err := json.Unmarshal(raw, &messages); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range messages {
		var text string
		var parts []struct{ Type, Text string }
		if json.Unmarshal(m.Content, &text) == nil && text != "" {
			want = append(want, "text "+text)
		} else if json.Unmarshal(m.Content, &parts) == nil {
			for _, part := range parts {
				if part.Type == "text" && part.Text != "" {
					want = append(want, "text "+part.Text)
				} else if part.Type != "text" {
					want = append(want, "media")
				}
			}
		}
		for _, c := range m.ToolCalls {
			want = append(want, "call "+c.ID+" "+c.Function.Name+" "+c.Function.Arguments)
		}
		for _, d := range m.Details {
			for _, s := range []string{d.Text, d.Summary, d.Data, d.Signature} {
				if s != "" {
					want = append(want, "thought "+s)
				}
			}
		}
		if m.Reasoning != "" {
			want = append(want, "thought "+m.Reasoning)
		}
		if m.Role == "tool" {
			want = append(want, "result "+m.ToolCallID)
		}
	}
	got := map[string]int{}
	for _, m := range p.Messages {
		count(got, m.Parts)
	}
	for _, w := range want {
		if got[w]--; got[w] < 0 {
			t.Errorf("lost: %.120s", w)
		}
	}
	for g, n := range got {
		if n > 0 {
			t.Errorf("made up: %.120s", g)
		}
	}
}

func count(got map[string]int, parts []chat.Part) {
	for _, p := range parts {
		switch p.Kind {
		case chat.PartText:
			got["text "+p.Text]++
		case chat.PartImage, chat.PartDocument:
			got["media"]++
		case chat.PartCall:
			got["call "+p.Call.ID+" "+p.Call.Name+" "+p.Call.Arguments]++
			if p.Call.Signature != "" {
				got["thought "+p.Call.Signature]++
			}
		case chat.PartResult:
			got["result "+p.Result.ID]++
			count(got, p.Result.Parts)
		case chat.PartThought:
			for _, s := range []string{p.Thought.Text, p.Thought.Signature, p.Thought.Encrypted} {
				if s != "" {
					got["thought "+s]++
				}
			}
		}
	}
}

// compact takes the white space out, as writing the request anew did.
func compact(t *testing.T, raw []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func checkTools(t *testing.T, raw []byte, p *chat.Prompt) {
	var tools []struct {
		Function struct {
			Name, Description string
			Parameters        json.RawMessage
			Strict            *bool
		}
	}
	if raw != nil {
		if err := json.Unmarshal(raw, &tools); err != nil {
			t.Fatal(err)
		}
	}
	if len(tools) != len(p.Tools) {
		t.Fatalf("%d tools of %d", len(p.Tools), len(tools))
	}
	for i, want := range tools {
		got := p.Tools[i]
		if got.Name != want.Function.Name || got.Description != want.Function.Description || string(got.Schema) != compact(t, want.Function.Parameters) {
			t.Errorf("tool %d is %+v", i, got)
		}
		if (got.Strict == nil) != (want.Function.Strict == nil) || got.Strict != nil && *got.Strict != *want.Function.Strict {
			t.Errorf("tool %d: strict", i)
		}
	}
}
