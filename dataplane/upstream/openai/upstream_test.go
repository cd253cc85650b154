package openai

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

func TestRewrite(t *testing.T) {
	for in, want := range map[string]string{
		plainBody: `{"model":"a/\"b\"<c>","messages":[{"role":"user","content":"hi"}]}`,
		"{ \"x\" : 1.50 ,\n\"stream\":true, \"model\" : \"public\" }":                       "{ \"stream_options\":{\"include_usage\":true},\"x\" : 1.50 ,\n\"stream\":true, \"model\" : \"a/\\\"b\\\"<c>\" }",
		`{"stream":true,"stream_options":null,"model":"public"}`:                            `{"stream":true,"stream_options":{"include_usage":true},"model":"a/\"b\"<c>"}`,
		`{"stream":true,"stream_options":{ },"model":"public"}`:                             `{"stream":true,"stream_options":{"include_usage":true},"model":"a/\"b\"<c>"}`,
		`{"stream":true,"model":"public","stream_options":{"include_usage": false, "y":1}}`: `{"stream":true,"model":"a/\"b\"<c>","stream_options":{"include_usage": true, "y":1}}`,
		`{"stream":true,"model":"public","stream_options":{"include_obfuscation":false}}`:   `{"stream":true,"model":"a/\"b\"<c>","stream_options":{"include_usage":true,"include_obfuscation":false}}`,
	} {
		c := call(t, "", in, strings.Contains(in, `"stream":true`))
		c.Model = `a/"b"<c>`
		if d := cmp.Diff(want, rewritten(t, c)); d != "" {
			t.Error(d)
		}
	}
}

func TestRequestHeaders(t *testing.T) {
	var got http.Header
	var path string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, path = r.Header.Clone(), r.URL.Path
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[]}`)
	})
	c := call(t, base+"/v1", plainBody, false)
	c.Provider.Headers = []snapshot.Header{{Name: "X-Team", Value: "a"}, {Name: "accept-encoding", Value: "br"}, {Name: "Host", Value: "x"}}
	if _, err := newUpstream(t).Do(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	got.Del("Content-Length")
	want := http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Authorization": {"Bearer secret-credential"},
		"Content-Type": {"application/json"}, "User-Agent": {"layers/test"}, "X-Client-Request-Id": {"req_1"}, "X-Team": {"a"},
	}
	if d := cmp.Diff(want, got); d != "" || path != "/v1/chat/completions" {
		t.Errorf("%s: %s", path, d)
	}
}

func TestUnary(t *testing.T) {
	const body = "\n {\"id\":\"chatcmpl-1\", \"choices\":[{\"message\":{\"content\":\"h\\u00e9\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":4}}} "
	base := answer(t, 200, "application/json", body,
		"X-Request-Id", "theirs-1", "Openai-Organization", "org-x", "Set-Cookie", "a=b", "X-Ratelimit-Limit-Requests", "5", "Openai-Version", "v", "Retry-After", "9")
	got, err := newUpstream(t).Do(context.Background(), call(t, base, plainBody, false))
	if err != nil {
		t.Fatal(err)
	}
	want := &chat.Response{
		Header:     http.Header{"X-Upstream-Request-Id": {"theirs-1"}, "Openai-Version": {"v"}},
		UpstreamID: "chatcmpl-1", Body: []byte(body), OutputBytes: 6, Usage: &pricing.Usage{Input: 6, CacheRead: 4, Output: 2},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUnaryGzip(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, `{"choices":[]}`)
	_ = w.Close()
	base := answer(t, 200, "application/json", z.String(), "Content-Encoding", "gzip")
	got, err := newUpstream(t).Do(context.Background(), call(t, base, plainBody, false))
	if err != nil || string(got.Body) != `{"choices":[]}` || got.Usage != nil || got.OutputBytes != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		stream            bool
	}{
		"html":               {"text/html; charset=utf-8", "<html>", false},
		"html for a stream":  {"text/html", "<html>", true},
		"cut JSON":           {"application/json", `{"choices":[`, false},
		"no choices":         {"application/json", `{"object":"list"}`, false},
		"JSON for a stream":  {"application/json", `{"choices":[]}`, true},
		"array":              {"application/json", `[]`, false},
		"stream for a unary": {"text/event-stream", "data: {}\n\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			base := answer(t, 200, c.contentType, c.body)
			body := plainBody
			if c.stream {
				body = streamBody
			}
			_, err := newUpstream(t).Do(context.Background(), call(t, base, body, c.stream))
			if e := chatError(t, err); e.Status != 502 || e.Code != "upstream_invalid_response" || !e.Fallback {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestBrokenUnary(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"choices":[]}`)
	})
	_, err := newUpstream(t).Do(context.Background(), call(t, base, plainBody, false))
	if e := chatError(t, err); e.Status != 502 || e.Code != "upstream_incomplete" || !e.Fallback {
		t.Errorf("got %+v", e)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, err = newUpstream(t).Do(context.Background(), call(t, "http://"+address, plainBody, false))
	e := chatError(t, err)
	if e.Status != 502 || e.Code != "upstream_unreachable" || !e.Fallback || strings.Contains(e.Message, address) {
		t.Errorf("got %+v", e)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the credential went elsewhere: %v", r.Header)
	})
	base := answer(t, 307, "text/plain", "", "Location", elsewhere)
	_, err := newUpstream(t).Do(context.Background(), call(t, base, plainBody, false))
	if e := chatError(t, err); e.Status != 502 || !e.Fallback {
		t.Errorf("got %+v", e)
	}
}

func TestTimeouts(t *testing.T) {
	hang := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/begun/chat/completions" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"choices\":[]}\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	for name, c := range map[string]struct {
		path   string
		stream bool
		times  snapshot.Timeout
	}{
		"total, unary": {"", false, snapshot.Timeout{TotalSeconds: 1, FirstEventSeconds: 60}},
		"first event":  {"", true, snapshot.Timeout{TotalSeconds: 60, FirstEventSeconds: 1, IdleSeconds: 60}},
		"idle":         {"/begun", true, snapshot.Timeout{TotalSeconds: 60, FirstEventSeconds: 60, IdleSeconds: 1}},
		"total":        {"/begun", true, snapshot.Timeout{TotalSeconds: 1, FirstEventSeconds: 60, IdleSeconds: 60}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			call := call(t, hang+c.path, map[bool]string{false: plainBody, true: streamBody}[c.stream], c.stream)
			call.Timeouts = c.times
			resp, err := newUpstream(t).Do(context.Background(), call)
			if err == nil {
				_, err = collect(resp.Events)
				_ = resp.Events.Close()
			}
			if e := chatError(t, err); e.Status != 504 || e.Code != "upstream_timeout" || !e.Fallback {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestCallerCancels(t *testing.T) {
	started := make(chan struct{})
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(started)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-started; cancel() }()
	_, err := newUpstream(t).Do(ctx, call(t, base, plainBody, false))
	if e := chatError(t, err); e.Status != 499 || e.Fallback {
		t.Errorf("got %+v", e)
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	addresses := map[string]bool{}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		addresses[r.RemoteAddr] = true
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"choices\":[]}\n\ndata: [DONE]\n\n")
	})
	u := newUpstream(t)
	for range 3 {
		resp, err := u.Do(context.Background(), call(t, base, streamBody, true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := collect(resp.Events); err != nil {
			t.Fatal(err)
		}
		if err := resp.Events.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(addresses) != 1 {
		t.Errorf("%d connections for three streams one after the other", len(addresses))
	}
}

func TestCloseFromAnotherGoroutine(t *testing.T) {
	gone := make(chan struct{})
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	resp, err := newUpstream(t).Do(context.Background(), call(t, base, streamBody, true))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := resp.Events.Next(); ended <- err }()
	_ = resp.Events.Close()
	_ = resp.Events.Close()
	for _, c := range []func() bool{
		func() bool {
			select {
			case err := <-ended:
				return err != nil
			case <-time.After(10 * time.Second):
				return false
			}
		},
		func() bool {
			select {
			case <-gone:
				return true
			case <-time.After(10 * time.Second):
				return false
			}
		},
	} {
		if !c() {
			t.Fatal("Close did not end the call")
		}
	}
}
