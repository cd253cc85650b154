package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

const responsesBody = `{"model":"public","input":"hi"}`

// speaking is a call in another protocol than chat completions.
func speaking(t testing.TB, p chat.Protocol, base, body string, stream bool) chat.Call {
	c := call(t, base, body, stream)
	c.Request.Protocol, c.Provider.Type = p, snapshot.OpenAI
	return c
}

// dataOf are the payloads of an event stream that are JSON, found by lines.
func dataOf(body []byte) [][]byte {
	var out [][]byte
	for _, line := range strings.FieldsFunc(string(body), func(c rune) bool { return c == '\n' || c == '\r' }) {
		if data, ok := strings.CutPrefix(line, "data:"); ok && strings.HasPrefix(strings.TrimSpace(data), "{") {
			out = append(out, []byte(data))
		}
	}
	return out
}

// responseUsage reads the usage of a response in another way than the package does; nil: none.
func responseUsage(t *testing.T, raw json.RawMessage) *pricing.Usage {
	var v struct {
		Output []struct{ Type string }
		Usage  *struct {
			In      int64                     `json:"input_tokens"`
			Out     int64                     `json:"output_tokens"`
			Details map[string]int64          `json:"input_tokens_details"`
			More    map[string]int64          `json:"output_tokens_details"`
			Tools   map[string]map[string]any `json:"tool_calls_details"`
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if v.Usage == nil {
		return nil
	}
	read, write := v.Usage.Details["cached_tokens"], v.Usage.Details["cache_write_tokens"]+v.Usage.Details["cache_creation_input_tokens"]
	u := &pricing.Usage{Input: v.Usage.In - read - write, CacheRead: read, CacheWrite: write, Output: v.Usage.Out, Reasoning: v.Usage.More["reasoning_tokens"]}
	for _, item := range v.Output {
		if item.Type == "web_search_call" || item.Type == "search_results" {
			u.Searches++
		}
	}
	return u
}

func TestRecordedResponses(t *testing.T) {
	for _, r := range recorded(t, "responses", 30) {
		if r.Stream || r.Status != http.StatusOK {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "application/json", string(r.body))
			got, err := newUpstream(t).Do(context.Background(), speaking(t, chat.Responses, base, responsesBody, false))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Body, r.body) || got.Answer != nil {
				t.Error("the body was changed")
			}
			if d := cmp.Diff(responseUsage(t, r.body), got.Usage); d != "" {
				t.Error(d)
			}
			if got.OutputBytes == 0 || !strings.HasPrefix(got.UpstreamID, "resp_") {
				t.Errorf("%d bytes of output, id %q", got.OutputBytes, got.UpstreamID)
			}
		})
	}
}

func TestRecordedResponsesErrors(t *testing.T) {
	for _, r := range recorded(t, "responses", 30) {
		if r.Status == http.StatusOK {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			var want struct {
				Error struct{ Message, Code string }
			}
			if err := json.Unmarshal(r.body, &want); err != nil {
				t.Fatal(err)
			}
			base := answer(t, r.Status, "application/json", string(r.body))
			_, err := newUpstream(t).Do(context.Background(), speaking(t, chat.Responses, base, responsesBody, r.Stream))
			e := chatError(t, err)
			if r.Status == http.StatusUnauthorized {
				if e.Status != http.StatusBadGateway || e.Code != "upstream_auth" {
					t.Errorf("got %+v", e)
				}
				return
			}
			if e.Status != r.Status || e.Code != want.Error.Code || e.Message != want.Error.Message {
				t.Errorf("got %+v, want %+v", e, want)
			}
		})
	}
}

func TestRecordedResponseStreams(t *testing.T) {
	open := func(a *transport.Answer) chat.Stream { return dialect.Stream(a, true) }
	for _, r := range recorded(t, "responses", 30) {
		if !r.Stream || r.Status != http.StatusOK {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "text/event-stream", string(r.body))
			resp, err := newUpstream(t).Do(context.Background(), speaking(t, chat.Responses, base, responsesBody, true))
			if err != nil {
				t.Fatal(err)
			}
			got, err := collect(resp.Events)
			_ = resp.Events.Close()
			events := dataOf(r.body)
			var last struct {
				Type     string
				Response json.RawMessage
			}
			if err := json.Unmarshal(events[len(events)-1], &last); err != nil {
				t.Fatal(err)
			}
			if last.Type == "response.failed" {
				if e := chatError(t, err); e.Code != "insufficient_quota" || !e.Fallback {
					t.Errorf("got %+v", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimRight(got.raw, "\r\n") != strings.TrimRight(string(r.body), "\r\n") {
				t.Error("the bytes were changed")
			}
			if d := cmp.Diff(responseUsage(t, last.Response), got.usage); d != "" {
				t.Error(d)
			}
			if !got.done || got.id == "" || got.content == 0 && got.usage.Output > got.usage.Reasoning {
				t.Errorf("done %v, id %q, %d events with content, usage %+v", got.done, got.id, got.content, got.usage)
			}
			compareSplits(t, r.body, got, open)
		})
	}
}

func TestResponsesGoTheirWay(t *testing.T) {
	for name, c := range map[string]struct {
		protocol         chat.Protocol
		body, path       string
		answer, upstream string
	}{
		"responses":  {chat.Responses, `{"input":"hi", "cache":true,"model":"public"}`, "/responses", `{"output":[],"status":"completed"}`, `{"input":"hi","model":"theirs"}`},
		"embeddings": {chat.Embeddings, `{"input":["a","b"],"encoding_format":"base64","model":"public"}`, "/embeddings", `{"object":"list","data":[]}`, `{"input":["a","b"],"encoding_format":"base64","model":"theirs"}`},
		"chat":       {chat.Completions, `{"cache":"1h","model":"public","messages":[]}`, "/chat/completions", `{"choices":[]}`, `{"model":"theirs","messages":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var path string
			var body bytes.Buffer
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path
				_, _ = body.ReadFrom(r.Body)
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(c.answer))
			})
			if _, err := newUpstream(t).Do(context.Background(), speaking(t, c.protocol, base, c.body, false)); err != nil {
				t.Fatal(err)
			}
			if path != c.path || body.String() != c.upstream {
				t.Errorf("got %s %s", path, body.String())
			}
		})
	}
}
