package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

// gatewayThat answers every request so.
func gatewayThat(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Layers-Request-Id", "req_1")
		answer(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return New([]plan.Account{{ID: "a", Keys: []string{"k"}}}, []string{strings.TrimPrefix(s.URL, "http://")})
}

func nano(n pricing.Nano) *pricing.Nano { return &n }

func TestWhatAClientSees(t *testing.T) {
	events := func(lines ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for _, l := range lines {
				fmt.Fprintf(w, "data: %s\n\n", l)
			}
		}
	}
	whole := func(status int, cost, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Layers-Cost", cost)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	const delta, last = `{"choices":[{"delta":{"content":"abc abc "}}]}`, `{"choices":[],"usage":{"cost":0.0025}}`
	for name, c := range map[string]struct {
		gateway http.HandlerFunc
		q       plan.Request
		want    judge.Call
	}{
		"answer":     {whole(200, "0.25", `{"choices":[{"message":{"content":"abc abc "}}],"usage":{"cost":0.0025}}`), plan.Request{}, judge.Call{Status: 200, Whole: true, Seen: 2, Told: nano(2_500_000)}},
		"two costs":  {whole(200, "0.26", `{"choices":[],"usage":{"cost":0.0025}}`), plan.Request{}, judge.Call{Status: 200, Whole: true, Told: nano(-1)}},
		"refused":    {whole(402, "", `{"error":{"code":"insufficient_credits"}}`), plan.Request{}, judge.Call{Status: 402, Whole: true, Code: "insufficient_credits"}},
		"stream":     {events(delta, delta, last, "[DONE]"), plan.Request{Stream: true, Usage: true}, judge.Call{Status: 200, Stream: true, Usage: true, Whole: true, Seen: 4, Told: nano(2_500_000)}},
		"no end":     {events(delta), plan.Request{Stream: true}, judge.Call{Status: 200, Stream: true, Seen: 2}},
		"breaks off": {events(delta, `{"error":{"code":"upstream"}}`), plan.Request{Stream: true}, judge.Call{Status: 200, Stream: true, Seen: 2, Code: "upstream"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := gatewayThat(t, c.gateway).Do(t.Context(), c.q, 0, 0)
			c.want.Account, c.want.RequestID = "a", "req_1"
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(judge.Call{}, "Sent", "Ended")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAClientLeaves(t *testing.T) {
	left := make(chan struct{})
	c := gatewayThat(t, func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{\"content\":\"abc \"}}]}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		close(left)
	})
	got := c.Do(t.Context(), plan.Request{Stream: true, Leave: 2}, 0, 0)
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Fatal("it stayed")
	}
	if got.Whole || got.Seen < 2 || got.Err == "" || !got.Leaves {
		t.Errorf("%+v", got)
	}
}

func TestARequestSaysWhatItIs(t *testing.T) {
	var header http.Header
	c := gatewayThat(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		fmt.Fprint(w, `{"error":{}}`)
	})
	if got := c.Do(t.Context(), plan.Request{N: 5, Again: plan.After, Strict: true}, 1, 0); !got.Key || got.Attempt != 1 {
		t.Errorf("%+v", got)
	}
	want := map[string]string{"Idempotency-Key": "chaos-5", "X-Layers-Strict": "true", "X-Request-Id": "chaos-5-1", "Authorization": "Bearer k"}
	for name, v := range want {
		if header.Get(name) != v {
			t.Errorf("%s is %q", name, header.Get(name))
		}
	}
	if b := string(body(plan.Request{Input: 60, MaxTokens: 9, Stream: true, Usage: true})); !strings.Contains(b, `"max_tokens":9`) || !strings.Contains(b, `"include_usage":true`) {
		t.Error(b)
	}
}
