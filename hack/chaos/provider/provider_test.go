package provider

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// post asks a provider and answers the open response.
func post(t *testing.T, ctx context.Context, url string, a Ask, more map[string]any) *http.Response {
	t.Helper()
	body := map[string]any{"model": "m", "messages": []any{map[string]any{"role": "user", "content": Prompt(a)}}}
	for k, v := range more {
		body[k] = v
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Client-Request-Id", "req_1")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// one waits until the only call has ended and answers it.
func one(t *testing.T, l *Log) Served {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		if calls := l.Calls(); len(calls) == 1 && !calls[0].End.IsZero() {
			return calls[0]
		}
		select {
		case <-deadline:
			t.Fatalf("calls: %+v", l.Calls())
		case <-time.Tick(5 * time.Millisecond):
		}
	}
}

var times = cmpopts.IgnoreFields(Served{}, "At", "End", "ID", "Nonce", "Provider", "RequestID", "Stops")

func TestPromptIsAsLongAsItSays(t *testing.T) {
	if got := len(Prompt(Ask{Nonce: 1, Input: 50, Output: 3})); got != 200 {
		t.Errorf("%d bytes for 50 tokens", got)
	}
	got, err := read(Prompt(Ask{Nonce: 9, Input: 60, Output: 3, Breaks: true}))
	if want := (Ask{Nonce: 9, Input: 60, Output: 3, Breaks: true}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWholeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		ask  Ask
		more map[string]any
		want Served
		text int
	}{
		"unary":         {Ask{Input: 40, Output: 7}, nil, Served{Billed: true, Input: 40, Output: 7, Sent: 7, Reported: true, Whole: true}, 7},
		"cut short":     {Ask{Input: 40, Output: 7}, map[string]any{"max_tokens": 3}, Served{Billed: true, Input: 40, Output: 3, Sent: 3, Reported: true, Whole: true}, 3},
		"nothing":       {Ask{Input: 40}, nil, Served{Reported: true, Whole: true}, 0},
		"stream":        {Ask{Input: 40, Output: 7, Chunks: 3}, map[string]any{"stream": true}, Served{Stream: true, Billed: true, Input: 40, Output: 7, Sent: 7, Whole: true}, 7},
		"broken stream": {Ask{Input: 40, Output: 8, Chunks: 4, Breaks: true}, map[string]any{"stream": true}, Served{Stream: true, Billed: true, Input: 40, Output: 4, Sent: 4}, 4},
		"usage": {Ask{Input: 40, Output: 7, Chunks: 3}, map[string]any{"stream": true, "stream_options": map[string]any{"include_usage": true}},
			Served{Stream: true, Billed: true, Input: 40, Output: 7, Sent: 7, Reported: true, Whole: true}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLog()
			s := httptest.NewServer(l.Handler("p", true))
			defer s.Close()
			resp := post(t, t.Context(), s.URL, c.ask, c.more)
			b, err := io.ReadAll(resp.Body)
			if err != nil || strings.Count(string(b), "abc ") != c.text {
				t.Errorf("%v: %s", err, b)
			}
			if diff := cmp.Diff(c.want, one(t, l), times); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestACutStreamIsBilledAsTheProviderDoes(t *testing.T) {
	for name, stops := range map[string]bool{"stops": true, "goes on": false} {
		t.Run(name, func(t *testing.T) {
			l := NewLog()
			s := httptest.NewServer(l.Handler("p", stops))
			defer s.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resp := post(t, ctx, s.URL, Ask{Input: 40, Output: 100, Chunks: 100, Interval: 50}, map[string]any{"stream": true})
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				if strings.Contains(lines.Text(), "abc ") {
					break
				}
			}
			cancel()
			got := one(t, l)
			if !got.Billed || got.Whole || got.Sent < 1 || got.Sent > 50 || stops && got.Output != got.Sent || !stops && got.Output != 100 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAFailureIsNotBilledAndComesOnce(t *testing.T) {
	l := NewLog()
	s := httptest.NewServer(l.Handler("p", true))
	defer s.Close()
	if resp := post(t, t.Context(), s.URL, Ask{Nonce: 3, Input: 40, Output: 7, Fails: true}, nil); resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("%d", resp.StatusCode)
	}
	if got := one(t, l); got.Billed || got.RequestID != "req_1" || got.Nonce != 3 || got.Provider != "p" {
		t.Errorf("%+v", got)
	}
	if resp := post(t, t.Context(), s.URL, Ask{Nonce: 3, Input: 40, Output: 7, Fails: true}, nil); resp.StatusCode != http.StatusOK {
		t.Errorf("again: %d", resp.StatusCode)
	}
}
