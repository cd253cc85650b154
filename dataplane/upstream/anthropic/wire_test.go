package anthropic

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.

const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API, Model, Fidelity string
	Stream                             bool
	Status                             int
	Files                              struct {
		Request  string `json:"request_body"`
		Body     string `json:"response_body"`
		Exchange string
	}
	body, request []byte
	header        http.Header
}

// recorded are the exchanges with Messages, of every tier.

func recorded(t *testing.T) []recording {
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout; the other tests cover the rules:", err)
	}
	var all, out []recording
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Provider != "anthropic" || r.API != "messages" && r.API != "count_tokens" || r.Files.Body == "" {
			continue
		}
		r.body = file(t, r.Files.Body)
		if r.Files.Request != "" {
			r.request = file(t, r.Files.Request)
		}
		var e struct {
			Response struct{ Headers http.Header }
		}
		if err := json.Unmarshal(file(t, r.Files.Exchange), &e); err != nil {
			t.Fatal(err)
		}
		r.header = http.Header{}
		for name, values := range e.Response.Headers {
			r.header[http.CanonicalHeaderKey(name)] = values
		}
		out = append(out, r)
	}
	if len(out) < 60 {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(recordings, name))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// served is a server that answers as it is on record.

func served(t *testing.T, r recording) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Stream && r.Status == 200 {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		}
		for _, name := range []string{"Retry-After", "Request-Id", "Anthropic-Ratelimit-Requests-Limit"} {
			if v := r.header.Get(name); v != "" {
				w.Header().Set(name, v)
			}
		}
		w.Header().Set("Anthropic-Organization-Id", "org-id")
		w.WriteHeader(r.Status)
		_, _ = w.Write(r.body)
	})
}

// heard is what a client has to hear of an answer, read with encoding/json and by another way than the package goes.

type heard struct {
	ID, Model, Text, Thoughts string
	Signatures, Encrypted     []string
	Calls                     []chat.ToolCall
	Sources                   []string
	// Cited are the texts under citations, and the URL or the title cited.
	Cited  [][2]string
	Finish chat.FinishReason
	Native string
}

type recordedUsage struct {
	Input    *int64 `json:"input_tokens"`
	Read     *int64 `json:"cache_read_input_tokens"`
	Created  *int64 `json:"cache_creation_input_tokens"`
	Creation *struct {
		Hour int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	Output  *int64 `json:"output_tokens"`
	Details *struct {
		Thinking int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
	Server *struct {
		Searches int64 `json:"web_search_requests"`
	} `json:"server_tool_use"`
}

// priced is what the usage of an answer comes to.

func priced(usages ...*recordedUsage) *pricing.Usage {
	var all recordedUsage
	for _, u := range usages {
		if u == nil {
			continue
		}
		raw, _ := json.Marshal(u)
		var members map[string]json.RawMessage
		_ = json.Unmarshal(raw, &members)
		for name, value := range members {
			if string(value) != "null" {
				_ = json.Unmarshal([]byte(`{"`+name+`":`+string(value)+`}`), &all)
			}
		}
	}
	if all.Input == nil || all.Output == nil {
		return nil
	}
	value := func(n *int64) int64 {
		if n == nil {
			return 0
		}
		return *n
	}
	out := &pricing.Usage{Input: *all.Input, CacheRead: value(all.Read), CacheWrite: value(all.Created), Output: *all.Output}
	if all.Creation != nil {
		out.CacheWrite -= all.Creation.Hour
		out.CacheWrite1h = all.Creation.Hour
	}
	if all.Details != nil {
		out.Reasoning = all.Details.Thinking
	}
	if all.Server != nil {
		out.Searches = all.Server.Searches
	}
	return out
}

type recordedBlock struct {
	Type, Text, Thinking, Signature, Data, ID, Name string
	Input                                           json.RawMessage
	Content                                         json.RawMessage
	Citations                                       []recordedCitation
	partial                                         string
}

type recordedCitation struct {
	URL, Source   string
	Title         string
	DocumentTitle string `json:"document_title"`
}

type recordedMessage struct {
	ID, Model  string
	Content    []recordedBlock
	StopReason string `json:"stop_reason"`
	Usage      *recordedUsage
}

func hear(t *testing.T, m recordedMessage) heard {
	out := heard{ID: m.ID, Model: m.Model, Native: m.StopReason}
	for _, b := range m.Content {
		switch b.Type {
		case "text":
			out.Text += b.Text
			for _, c := range b.Citations {
				where := c.URL + c.Source
				if where == "" {
					where = c.DocumentTitle
				}
				out.Cited = append(out.Cited, [2]string{b.Text, where})
			}
		case "thinking":
			out.Thoughts += b.Thinking
			out.Signatures = append(out.Signatures, b.Signature)
		case "redacted_thinking":
			out.Encrypted = append(out.Encrypted, b.Data)
		case "tool_use":
			arguments := string(b.Input)
			if b.partial != "" {
				arguments = b.partial
			}
			out.Calls = append(out.Calls, chat.ToolCall{ID: b.ID, Name: b.Name, Arguments: canonical(t, arguments)})
		case "web_search_tool_result":
			var results []struct{ URL string }
			_ = json.Unmarshal(b.Content, &results) // an error object has none
			for _, r := range results {
				out.Sources = append(out.Sources, r.URL)
			}
		}
	}
	out.Finish = map[string]chat.FinishReason{
		"end_turn": chat.FinishStop, "stop_sequence": chat.FinishSequence, "max_tokens": chat.FinishLength, "tool_use": chat.FinishTools,
		"refusal": chat.FinishRefusal, "pause_turn": chat.FinishPause,
	}[m.StopReason]
	return out
}

func canonical(t *testing.T, raw string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("arguments %q: %v", raw, err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// told is what the package's answer tells, in the same words.

func told(t *testing.T, a *chat.Answer) heard {
	out := heard{ID: a.ID, Model: a.Model}
	if len(a.Choices) != 1 {
		t.Fatalf("%d choices", len(a.Choices))
	}
	c := a.Choices[0]
	out.Finish, out.Native = c.Reason, c.Native
	for _, p := range c.Parts {
		switch p.Kind {
		case chat.PartText:
			out.Text += p.Text
			units := utf16Text(p.Text)
			for _, cited := range p.Citations {
				where := cited.URL
				if where == "" {
					where = cited.Title
				}
				out.Cited = append(out.Cited, [2]string{units[cited.Start:cited.End].String(), where})
			}
		case chat.PartThought:
			if p.Thought.Format != chat.FormatAnthropic {
				t.Errorf("a thought of format %q", p.Thought.Format)
			}
			out.Thoughts += p.Thought.Text
			if p.Thought.Encrypted != "" {
				out.Encrypted = append(out.Encrypted, p.Thought.Encrypted)
			} else {
				out.Signatures = append(out.Signatures, p.Thought.Signature)
			}
		case chat.PartCall:
			out.Calls = append(out.Calls, chat.ToolCall{ID: p.Call.ID, Name: p.Call.Name, Arguments: canonical(t, p.Call.Arguments)})
		}
	}
	for _, s := range a.Sources {
		out.Sources = append(out.Sources, s.URL)
	}
	return out
}

func TestRecordedUnary(t *testing.T) {
	for _, r := range recorded(t) {
		if r.Stream || r.Status != 200 || r.API != "messages" {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			var m recordedMessage
			if err := json.Unmarshal(r.body, &m); err != nil {
				t.Fatal(err)
			}
			base := served(t, r)
			raw := do(t, passes(t, base, plainBody, false))
			if !bytes.Equal(raw.Body, r.body) {
				t.Error("the body was changed")
			}
			out := do(t, translated(t, base, hello(), false))
			if d := cmp.Diff(hear(t, m), told(t, out.Answer)); d != "" {
				t.Error(d)
			}
			for _, got := range []*chat.Response{raw, out} {
				if d := cmp.Diff(priced(m.Usage), got.Usage); d != "" {
					t.Error(d)
				}
				if got.UpstreamID != m.ID || got.Header.Get("X-Upstream-Request-Id") != r.header.Get("Request-Id") || len(got.Header) > 1 {
					t.Errorf("id %q, headers %v", got.UpstreamID, got.Header)
				}
				if (got.OutputBytes == 0) != (len(m.Content) == 0) {
					t.Errorf("%d bytes of %d blocks", got.OutputBytes, len(m.Content))
				}
			}
		})
	}
}

// retell reads a recorded stream to the message that it tells.
