package responses

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// rawResponse is a response, as encoding/json reads it.
type rawResponse struct {
	ID, Status string
	Incomplete struct{ Reason string } `json:"incomplete_details"`
	Output     []struct {
		Type, Name, Arguments string
		Call                  string `json:"call_id"`
		Encrypted             string `json:"encrypted_content"`
		Summary               []struct{ Text string }
		Action                struct{ Sources []struct{ URL string } }
		Content               []struct {
			Type, Text, Refusal string
			Logprobs            []any
			Annotations         []struct {
				URL   string
				Start int64 `json:"start_index"`
				End   int64 `json:"end_index"`
			}
		}
	}
	Usage *struct {
		In      int64            `json:"input_tokens"`
		Out     int64            `json:"output_tokens"`
		Details map[string]int64 `json:"input_tokens_details"`
		More    map[string]int64 `json:"output_tokens_details"`
	}
}

// expect sees a response independently of the package's decoder.
func expect(t *testing.T, raw []byte) view {
	t.Helper()
	var r rawResponse
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	v := view{ID: r.ID, Finish: chat.FinishStop}
	searches := int64(0)
	for _, item := range r.Output {
		var summary []string
		for _, s := range item.Summary {
			summary = append(summary, s.Text)
		}
		v.Reasoning += strings.Join(summary, "\n\n")
		switch item.Type {
		case "reasoning":
			if item.Encrypted != "" {
				v.Encrypted = append(v.Encrypted, item.Encrypted)
			}
		case "function_call":
			v.Calls = append(v.Calls, viewCall{item.Call, item.Name, item.Arguments})
			v.Finish = chat.FinishTools
		case "web_search_call":
			searches++
			for _, s := range item.Action.Sources {
				v.Sources = append(v.Sources, s.URL)
			}
		}
		for _, part := range item.Content {
			v.Text += part.Text
			v.Refusal += part.Refusal
			v.Logprobs += len(part.Logprobs)
			for _, a := range part.Annotations {
				v.Citations = append(v.Citations, viewCitation{a.URL, a.Start, a.End})
			}
		}
	}
	if r.Incomplete.Reason == "max_output_tokens" {
		v.Finish = chat.FinishLength
	}
	if u := r.Usage; u != nil {
		read, write := u.Details["cached_tokens"], u.Details["cache_write_tokens"]
		v.Usage = &pricing.Usage{Input: u.In - read - write, CacheRead: read, CacheWrite: write, Output: u.Out, Reasoning: u.More["reasoning_tokens"], Searches: searches}
	}
	return v
}

func TestRecordedAnswers(t *testing.T) {
	for _, r := range recorded(t) {
		if r.Stream || r.Status != http.StatusOK {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			got, err := Dialect{}.Unary(transport.Replay(io.NopCloser(bytes.NewReader(r.body)), false), false)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(expect(t, r.body), viewAnswer(got.Answer, got.Usage), cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}

// recordedEvent is an event, as encoding/json reads it.
type recordedEvent struct {
	Type     string
	Response json.RawMessage
	Item     struct {
		Encrypted string `json:"encrypted_content"`
	}
}

func TestRecordedStreams(t *testing.T) {
	for _, r := range recorded(t) {
		if !r.Stream || r.Status != http.StatusOK {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			got, err := replay(t, Dialect{}, bytes.NewReader(r.body))
			var last recordedEvent
			var encrypted []string
			for line := range strings.SplitSeq(string(r.body), "\n") {
				data, ok := strings.CutPrefix(line, "data: ")
				if !ok {
					continue
				}
				last = recordedEvent{}
				if err := json.Unmarshal([]byte(data), &last); err != nil {
					t.Fatal(err)
				}
				if last.Type == "response.output_item.done" && last.Item.Encrypted != "" {
					encrypted = append(encrypted, last.Item.Encrypted)
				}
			}
			if r.Capability == "stream_error" {
				var e *chat.Error
				if !errors.As(err, &e) || e.Code != "insufficient_quota" {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := expect(t, last.Response)
			want.Encrypted = encrypted // anew in each event that tells it
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			for name, body := range splits(r.body) {
				again, err := replay(t, Dialect{}, body)
				if d := cmp.Diff(got, again); d != "" || err != nil {
					t.Fatal(name, d, err)
				}
			}
		})
	}
}
