package anthropic

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API string
	Status            int
	Stream            bool
	Files             struct {
		Request  string `json:"request_body"`
		Response string `json:"response_body"`
	}
	request, response []byte
}

// recorded are the exchanges on messages.
func recorded(t *testing.T) []recording {
	t.Helper()
	out := recordedAPIs(t, "messages", "count_tokens")
	if len(out) < 60 {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

// recordedAPIs are Anthropic's exchanges on some of its APIs.
func recordedAPIs(t *testing.T, apis ...string) []recording {
	t.Helper()
	return slices.DeleteFunc(allRecorded(t), func(r recording) bool {
		return r.Provider != "anthropic" || !slices.Contains(apis, r.API)
	})
}

func allRecorded(t *testing.T) []recording {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout; the other tests cover the rules:", err)
	}
	var all, out []recording
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		if name == "" {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(recordings, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, r := range all {
		r.request, r.response = read(r.Files.Request), read(r.Files.Response)
		out = append(out, r)
	}
	return out
}

// plainBlock is a block as the tests read it, in another way than the package does.
type plainBlock struct {
	Type, Text, ID, Name, Thinking, Signature, Data string
	Input                                           json.RawMessage
	ToolUseID                                       string `json:"tool_use_id"`
	Content                                         json.RawMessage
	Source                                          json.RawMessage
}

// said is what must survive of a request.
type said struct {
	Texts, Calls, Results, Thoughts, Tools []string
	Media                                  int
}

func plainBlocks(t *testing.T, raw json.RawMessage) []plainBlock {
	t.Helper()
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return []plainBlock{{Type: "text", Text: s}}
	}
	var out []plainBlock
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func (s *said) read(t *testing.T, raw json.RawMessage) {
	for _, b := range plainBlocks(t, raw) {
		switch b.Type {
		case "text":
			if b.Text != "" {
				s.Texts = append(s.Texts, b.Text)
			}
		case "tool_use":
			s.Calls = append(s.Calls, b.ID+" "+b.Name+" "+string(b.Input))
		case "tool_result":
			s.Results = append(s.Results, b.ToolUseID)
			s.read(t, b.Content)
		case "thinking":
			s.Thoughts = append(s.Thoughts, b.Thinking+" "+b.Signature)
		case "redacted_thinking":
			s.Thoughts = append(s.Thoughts, b.Data)
		case "image", "document":
			s.Media++
		case "search_result":
			for _, inner := range plainBlocks(t, b.Content) {
				s.Texts = append(s.Texts, inner.Text)
			}
		}
	}
}

func asked(t *testing.T, body []byte) said {
	t.Helper()
	var r struct {
		System   json.RawMessage
		Messages []struct{ Content json.RawMessage }
		Tools    []struct{ Type, Name string }
	}
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatal(err)
	}
	var s said
	s.read(t, r.System)
	for _, m := range r.Messages {
		s.read(t, m.Content)
	}
	for _, tool := range r.Tools {
		if tool.Type == "" || tool.Type == "custom" {
			s.Tools = append(s.Tools, tool.Name)
		}
	}
	return s
}

func (s *said) parts(parts []chat.Part) {
	for _, p := range parts {
		switch p.Kind {
		case chat.PartText:
			s.Texts = append(s.Texts, p.Text)
		case chat.PartCall:
			s.Calls = append(s.Calls, p.Call.ID+" "+p.Call.Name+" "+p.Call.Arguments)
		case chat.PartResult:
			s.Results = append(s.Results, p.Result.ID)
			s.parts(p.Result.Parts)
		case chat.PartThought:
			if p.Thought.Encrypted != "" {
				s.Thoughts = append(s.Thoughts, p.Thought.Encrypted)
				continue
			}
			s.Thoughts = append(s.Thoughts, p.Thought.Text+" "+p.Thought.Signature)
		case chat.PartImage, chat.PartDocument:
			s.Media++
		}
	}
}

func understood(p *chat.Prompt) said {
	var s said
	for _, m := range p.Messages {
		s.parts(m.Parts)
	}
	for _, tool := range p.Tools {
		s.Tools = append(s.Tools, tool.Name)
	}
	return s
}

// foreignOnly are the recordings that only Anthropic's own models can serve, and why.
func foreignOnly(body []byte) bool {
	return bytes.Contains(body, []byte(`"computer_2`)) || bytes.Contains(body, []byte(`"file_id"`))
}

// Every recorded request is taken as it is, and says the same in a prompt.
func TestRecordedRequests(t *testing.T) {
	seen, translated := 0, 0
	for _, r := range recorded(t) {
		if r.request == nil {
			continue
		}
		seen++
		t.Run(r.ID, func(t *testing.T) {
			var dialect chat.Dialect = Messages{}
			if r.API == "count_tokens" {
				dialect = CountTokens{}
			}
			req, e := dialect.Parse("req_1", http.Header{}, r.request)
			if e != nil {
				t.Fatal(e)
			}
			if !bytes.Equal(req.Body, r.request) {
				t.Error("the body has changed")
			}
			prompt, err := req.Translate()
			if foreignOnly(r.request) {
				if err == nil {
					t.Error("translated what only Anthropic's models know")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			translated++
			want, got := asked(t, r.request), understood(prompt)
			// What is told around a result of a client's search is ours.
			for i, text := range got.Texts {
				for _, inner := range want.Texts {
					if text != inner && strings.HasSuffix(text, "\n\n"+inner) {
						got.Texts[i] = inner
					}
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if seen < 50 || translated < 50 {
		t.Errorf("only %d requests, %d translated", seen, translated)
	}
}

// Every recorded answer that reports usage takes a cost, and is otherwise what it was.
func TestRecordedCosts(t *testing.T) {
	seen := 0
	for _, r := range recorded(t) {
		if r.Status != 200 || r.API != "messages" {
			continue
		}
		for _, data := range datas(r) {
			var v map[string]any
			if json.Unmarshal(data, &v) != nil {
				continue
			}
			usage, has := v["usage"].(map[string]any)
			out, ok := Messages{}.WithCost(data, "0.25")
			if ok != has {
				t.Fatalf("%s: usage %v, cost written %v: %s", r.ID, has, ok, data)
			}
			if !ok {
				continue
			}
			seen++
			var w map[string]any
			if err := json.Unmarshal(out, &w); err != nil {
				t.Fatal(err)
			}
			usage["cost"] = 0.25
			if d := cmp.Diff(v, w); d != "" {
				t.Errorf("%s: %s", r.ID, d)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d answers", seen)
	}
}

// datas are the JSON texts of an answer: the body, or the events' data.
func datas(r recording) [][]byte {
	if !strings.HasSuffix(r.Files.Response, ".sse") {
		return [][]byte{r.response}
	}
	var out [][]byte
	for line := range bytes.Lines(r.response) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			out = append(out, bytes.TrimSpace(data))
		}
	}
	return out
}
