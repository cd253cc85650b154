package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.
const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API string
	Stream            bool
	Status            int
	Files             struct {
		Body    string `json:"response_body"`
		Request string `json:"request_body"`
	}
	body []byte
}

func chatRecordings(t *testing.T) []recording { return recorded(t, "chat", 60) }

// recorded are the recordings of one API, of which there are at least a number.
func recorded(t *testing.T, api string, least int) []recording {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(recordings, "manifest.json"))
	if err != nil {
		t.Skip("no recorded traffic beside the checkout; the other tests cover the rules:", err)
	}
	var all, out []recording
	if err := json.Unmarshal(manifest, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.API != api || r.Files.Body == "" {
			continue
		}
		r.body, err = os.ReadFile(filepath.Join(recordings, r.Files.Body))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if len(out) < least {
		t.Fatalf("only %d recordings", len(out))
	}
	return out
}

// recordedUsage reads the last usage of an answer in another way than the package does.
func recordedUsage(t *testing.T, r recording) *pricing.Usage {
	texts := [][]byte{r.body}
	if r.Stream {
		texts = nil
		for _, line := range strings.FieldsFunc(string(r.body), func(c rune) bool { return c == '\n' || c == '\r' }) {
			if data, ok := strings.CutPrefix(line, "data:"); ok && strings.HasPrefix(strings.TrimSpace(data), "{") {
				texts = append(texts, []byte(data))
			}
		}
	}
	var last *pricing.Usage
	for _, text := range texts {
		var v struct {
			Usage *struct {
				P       int64 `json:"prompt_tokens"`
				C       int64 `json:"completion_tokens"`
				Details struct {
					Read  int64 `json:"cached_tokens"`
					Write int64 `json:"cache_write_tokens"`
				} `json:"prompt_tokens_details"`
				Out struct {
					Reasoning int64 `json:"reasoning_tokens"`
				} `json:"completion_tokens_details"`
				Created int64 `json:"cache_creation_input_tokens"`
				Tools   struct {
					Searches int64 `json:"web_search_requests"`
				} `json:"server_tool_use_details"`
			}
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		if u := v.Usage; u != nil {
			write := max(u.Details.Write, u.Created)
			if u.Out.Reasoning > u.C {
				// Vercel's Gemini: its recorded cost shows that both are billed.
				u.C += u.Out.Reasoning
			}
			last = &pricing.Usage{Input: u.P - u.Details.Read - write, CacheRead: u.Details.Read, CacheWrite: write, Output: u.C, Reasoning: u.Out.Reasoning, Searches: u.Tools.Searches}
		}
	}
	return last
}

func TestRecordedUnary(t *testing.T) {
	for _, r := range chatRecordings(t) {
		if r.Stream || r.Status != 200 || bytes.Contains(r.body, []byte(`{"error"`)) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "application/json", string(r.body))
			got, err := newUpstream(t).Do(context.Background(), call(t, base, plainBody, false))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Body, r.body) {
				t.Error("the body was changed")
			}
			if d := cmp.Diff(recordedUsage(t, r), got.Usage); d != "" {
				t.Error(d)
			}
			if got.OutputBytes == 0 && got.Usage != nil && got.Usage.Output > got.Usage.Reasoning {
				t.Error("no output was counted")
			}
		})
	}
}

func TestRecordedErrors(t *testing.T) {
	for _, r := range chatRecordings(t) {
		if r.Status == 200 && !bytes.Contains(r.body, []byte(`{"error"`)) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, r.Status, "application/json", string(r.body))
			_, err := newUpstream(t).Do(context.Background(), call(t, base, plainBody, false))
			e := chatError(t, err)
			if e.Status < 400 || e.Message == "" || e.Type == "" {
				t.Errorf("got %+v", e)
			}
			if r.Status == 401 && (e.Status != http.StatusBadGateway || e.Code != "upstream_auth") {
				t.Errorf("got %+v", e)
			}
			if r.Status == 400 && e.Status != 400 {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestRecordedStreams(t *testing.T) {
	for _, r := range chatRecordings(t) {
		if !r.Stream || r.Status != 200 {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			base := answer(t, 200, "text/event-stream; charset=utf-8", string(r.body))
			resp, err := newUpstream(t).Do(context.Background(), call(t, base, streamBody, true))
			if err != nil {
				t.Fatal(err)
			}
			got, err := collect(resp.Events)
			_ = resp.Events.Close()
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimPrefix(string(r.body), "\ufeff"); strings.TrimRight(got.raw, "\r\n") != strings.TrimRight(want, "\r\n") {
				t.Error("the bytes were changed")
			}
			if d := cmp.Diff(recordedUsage(t, r), got.usage); d != "" {
				t.Error(d)
			}
			thoughtOnly := got.usage != nil && got.usage.Output == got.usage.Reasoning
			if !thoughtOnly && (got.content == 0 || got.outputBytes == 0) {
				t.Errorf("%d events with content, %d bytes", got.content, got.outputBytes)
			}
			compareSplits(t, r.body, got, reading{}.stream)
		})
	}
}

// compareSplits replays a stream a byte at a time, and a small one cut in two at every offset.
func compareSplits(t *testing.T, body []byte, want collected, open func(*transport.Answer) chat.Stream) {
	t.Helper()
	slow, err := replay(t, iotest.OneByteReader(bytes.NewReader(body)), open)
	if d := cmp.Diff(want, slow, cmp.AllowUnexported(collected{})); d != "" || err != nil {
		t.Fatal("a byte at a time:", d, err)
	}
	if len(body) > 2500 {
		return
	}
	for i := range body {
		two := &cut{first: body[:i], rest: body[i:]}
		got, err := replay(t, two, open)
		if d := cmp.Diff(want, got, cmp.AllowUnexported(collected{})); d != "" || err != nil {
			t.Fatal("cut at", i, d, err)
		}
	}
}

// cut gives out its two parts in two reads or more, never in one.
type cut struct{ first, rest []byte }

func (c *cut) Read(b []byte) (int, error) {
	from := &c.first
	if len(c.first) == 0 {
		from = &c.rest
	}
	n := copy(b, *from)
	*from = (*from)[n:]
	if n == 0 && len(c.rest) == 0 {
		return 0, io.EOF
	}
	return n, nil
}
