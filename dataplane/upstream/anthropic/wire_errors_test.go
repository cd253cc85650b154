package anthropic

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
)

func TestRecordedErrors(t *testing.T) {
	for _, r := range recorded(t) {
		if r.Status == 200 && !bytes.Contains(r.body, []byte("event: error")) {
			continue
		}
		t.Run(r.ID, func(t *testing.T) {
			want := map[int]struct {
				status     int
				kind, code string
			}{
				400: {400, "invalid_request_error", ""}, 401: {502, "api_error", "upstream_auth"}, 404: {404, "invalid_request_error", "model_not_found"},
				413: {413, "invalid_request_error", "request_too_large"}, 429: {429, "rate_limit_error", "rate_limit_exceeded"},
				500: {502, "api_error", "upstream_error"}, 529: {503, "overloaded_error", "upstream_overloaded"}, 200: {503, "overloaded_error", "upstream_overloaded"},
			}[r.Status]
			if bytes.Contains(r.body, []byte("prompt is too long")) {
				want.code = "context_length_exceeded"
			}
			for _, c := range []chat.Call{passes(t, served(t, r), plainBody, r.Stream), translated(t, served(t, r), hello(), r.Stream)} {
				out, err := newUpstream(t).Do(context.Background(), c)
				if err == nil {
					_, err = collect(out.Events)
				}
				e := chatError(t, err)
				if e.Status != want.status || e.Type != want.kind || e.Code != want.code || e.Message == "" {
					t.Errorf("got %+v", e)
				}
				if strings.Contains(e.Message, "00000000-0000") {
					t.Errorf("an organization in %q", e.Message)
				}
				if v := r.header.Get("Retry-After"); r.Status == 429 && v != "" && e.RetryAfter.String() != v+"s" && e.RetryAfter.Seconds() == 0 {
					t.Errorf("Retry-After %q became %v", v, e.RetryAfter)
				}
			}
		})
	}
}

func TestRecordedCounts(t *testing.T) {
	counted := 0
	for _, r := range recorded(t) {
		if r.API != "count_tokens" || r.Status != 200 {
			continue
		}
		counted++
		c := passes(t, served(t, r), string(r.request), false)
		c.Request.Protocol = chat.CountTokens
		out := do(t, c)
		if !bytes.Equal(out.Body, r.body) || out.Usage == nil || *out.Usage != (pricing.Usage{}) || out.OutputBytes != 0 {
			t.Errorf("%s: got %+v", r.ID, out)
		}
	}
	if counted == 0 {
		t.Error("no counts on record")
	}
}

func TestRecordedCompression(t *testing.T) {
	compressed := 0
	for _, r := range recorded(t) {
		raw, err := os.ReadFile(filepath.Join(recordings, filepath.Dir(r.Files.Body), "response.body.gz"))
		if err != nil {
			continue // it keeps none
		}
		compressed++
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(raw)
		})
		got, err := collect(do(t, passes(t, base, streamBody, true)).Events)
		if err != nil || strings.TrimRight(got.raw, "\n") != strings.TrimRight(string(r.body), "\n") {
			t.Errorf("%s: %v, %d bytes of %d", r.ID, err, len(got.raw), len(r.body))
		}
	}
	if compressed == 0 {
		t.Error("no compressed body on record")
	}
}
