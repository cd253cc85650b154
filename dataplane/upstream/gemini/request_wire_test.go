package gemini

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sent is a request as a provider gets it.
type sent struct {
	path, query string
	header      http.Header
	body        []byte
}

// capture answers every request with body and remembers the last one.
func capture(t testing.TB, contentType, body string) (string, *sent) {
	var last sent
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = sent{path: r.URL.Path, query: r.URL.RawQuery, header: r.Header}
		last.body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL, &last
}

const (
	good       = `{"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":"STOP"}]}`
	goodStream = "data: " + good + "\n\n"
)

func parsed(t *testing.T, body []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(body, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// unsent are the parameters that recorded clients sent although the Gemini API refuses them, by the name they are dropped under.
var unsent = map[string][]string{
	"presence_penalty": {"presencePenalty"}, "frequency_penalty": {"frequencyPenalty"}, "logprobs": {"responseLogprobs", "logprobs"},
	"reasoning_effort": {"thinkingConfig"},
}

func TestRecordedRequests(t *testing.T) {
	compared := 0
	for _, r := range recorded(t) {
		if r.request == nil {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			want := tidy(plain(parsed(t, r.request), false).(object))
			if name := inexpressible(want); name != "" {
				t.Skip("no client's protocol has", name)
			}
			stream := r.API == "streamGenerateContent"
			contentType, body := "application/json", good
			if stream {
				contentType, body = "text/event-stream", goodStream
			}
			base, got := capture(t, contentType, body)
			resp, err := newUpstream(t).Do(context.Background(), call(base, r.Model, toPrompt(t, want), stream))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Events != nil {
				_ = resp.Events.Close()
			}
			for _, name := range resp.Dropped {
				if unsent[name] == nil {
					t.Error("dropped", name)
				}
				for _, field := range unsent[name] {
					delete(want["generationConfig"].(object), field)
				}
			}
			if d := cmp.Diff(want, tidy(parsed(t, got.body))); d != "" {
				t.Error(d)
			}
			if got.header.Get("X-Goog-Api-Key") != "secret-credential" || strings.Contains(got.query, "key") {
				t.Error("the credential is in the wrong place")
			}
			if wantPath := "/models/" + strings.TrimPrefix(r.Model, "models/") + ":" + r.API; got.path != wantPath || (got.query == "alt=sse") != stream {
				t.Errorf("called %s?%s, want %s", got.path, got.query, wantPath)
			}
			compared++
		})
	}
	if compared < 40 {
		t.Errorf("only %d requests were compared", compared)
	}
}
