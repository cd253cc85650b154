package mockprovider

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ask(prompt string, more string) string {
	return fmt.Sprintf(`{"model":"m","messages":[{"role":"system","content":"mock:status=500"},{"role":"user","content":%s}]%s}`, encode(prompt), more)
}

func post(t *testing.T, base, body string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, base+"/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Client-Request-Id", "client-1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return resp, string(out), err
}

func TestUnary(t *testing.T) {
	p, base := Start(t)
	for i, c := range []struct{ prompt, more, want string }{
		{"hi", "", `{"choices":[{"finish_reason":"stop","index":0,"logprobs":null,"message":{"content":"You said: hi","refusal":null,"role":"assistant"}}],"created":1700000000,"id":"chatcmpl-mock-000001","model":"m","object":"chat.completion","system_fingerprint":"fp_mock","usage":{"completion_tokens":3,"completion_tokens_details":{"accepted_prediction_tokens":0,"audio_tokens":0,"reasoning_tokens":0,"rejected_prediction_tokens":0},"prompt_tokens":4,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":0},"total_tokens":7}}`},
		{"mock:text=a b,usage=100/50/20", "", `{"choices":[{"finish_reason":"stop","index":0,"logprobs":null,"message":{"content":"a b","refusal":null,"role":"assistant"}}],"created":1700000000,"id":"chatcmpl-mock-000002","model":"m","object":"chat.completion","system_fingerprint":"fp_mock","usage":{"completion_tokens":50,"completion_tokens_details":{"accepted_prediction_tokens":0,"audio_tokens":0,"reasoning_tokens":0,"rejected_prediction_tokens":0},"prompt_tokens":100,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":20},"total_tokens":150}}`},
		{"mock:tool,no-usage", `,"tools":[{"type":"function","function":{"name":"f"}}]`, `{"choices":[{"finish_reason":"tool_calls","index":0,"logprobs":null,"message":{"content":null,"refusal":null,"role":"assistant","tool_calls":[{"function":{"arguments":"{\"query\":\"mock\"}","name":"f"},"id":"call_mock_3_0","type":"function"}]}}],"created":1700000000,"id":"chatcmpl-mock-000003","model":"m","object":"chat.completion","system_fingerprint":"fp_mock"}`},
	} {
		resp, got, err := post(t, base, ask(c.prompt, c.more))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" || resp.StatusCode != 200 {
			t.Error(d)
		}
		s := p.Served()[i]
		if s.ClientID != "client-1" || s.Status != 200 || !s.Complete || s.Reported == strings.Contains(c.prompt, "no-usage") || s.Usage == nil || s.Model != "m" {
			t.Errorf("recorded %+v", s)
		}
	}
	if got := p.Billed(); p.Requests() != 3 || got.Cached != 20 || got.Prompt <= 100 {
		t.Errorf("%d requests, billed %+v", p.Requests(), got)
	}
}

func TestErrors(t *testing.T) {
	p, base := Start(t)
	for prompt, c := range map[string]struct {
		status            int
		contentType, body string
		retryAfter        string
	}{
		"mock:status=429,retry-after=2,code=c,message=slow": {429, "application/json", `{"error":{"code":"c","message":"slow","param":null,"type":"rate_limit_error"}}`, "2"},
		"mock:status=503":      {503, "application/json", `{"error":{"code":null,"message":"mock error 503","param":null,"type":"server_error"}}`, ""},
		"mock:html,status=502": {502, "text/html; charset=utf-8", "<!DOCTYPE html><html><body>mock page</body></html>", ""},
		"mock:html":            {200, "text/html; charset=utf-8", "<!DOCTYPE html><html><body>mock page</body></html>", ""},
		"mock:garbage":         {200, "application/json", "mock garbage", ""},
		"mock:nonsense":        {400, "application/json", `{"error":{"code":"mock_script","message":"directive \"nonsense\": not known","param":null,"type":"invalid_request_error"}}`, ""},
		"mock:usage=1":         {400, "application/json", `{"error":{"code":"mock_script","message":"directive \"usage=1\": want PROMPT/COMPLETION, then CACHED, WRITTEN, WRITTEN1H and REASONING","param":null,"type":"invalid_request_error"}}`, ""},
	} {
		for _, more := range []string{"", `,"stream":true`} {
			resp, body, err := post(t, base, ask(prompt, more))
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != c.contentType || body != c.body || resp.Header.Get("Retry-After") != c.retryAfter {
				t.Errorf("%s: %d %v %s", prompt, resp.StatusCode, resp.Header, body)
			}
		}
	}
	if got := p.Billed(); got != (Usage{}) {
		t.Errorf("errors were billed: %+v", got)
	}
}

// read takes a stream's data lines.
func read(body string) (data []string) {
	for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); {
		if d, ok := strings.CutPrefix(s.Text(), "data: "); ok {
			data = append(data, d)
		}
	}
	return data
}

func texts(t *testing.T, data []string) (all []string) {
	t.Helper()
	for _, d := range data {
		var c struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if d == "[DONE]" {
			continue
		}
		if err := json.Unmarshal([]byte(d), &c); err != nil {
			t.Fatal(d, err)
		}
		for _, ch := range c.Choices {
			if ch.Delta.Content != "" {
				all = append(all, ch.Delta.Content)
			}
		}
	}
	return all
}

func TestStream(t *testing.T) {
	p, base := Start(t)
	for _, c := range []struct {
		prompt, more       string
		want               []string
		usage, done, broke bool
	}{
		{"hi you", `,"stream_options":{"include_usage":true}`, []string{"You ", "said: ", "hi ", "you"}, true, true, false},
		{"hi", ``, []string{"You ", "said: ", "hi"}, false, true, false},
		{"mock:text=abcdéf,chunks=3,interval=1ms,delay=1ms", ``, []string{"ab", "cd", "éf"}, false, true, false},
		{"mock:text=ab,chunks=9,no-done,no-usage", `,"stream_options":{"include_usage":true}`, []string{"a", "b"}, false, false, false},
		{"mock:text=abcd,chunks=4,error=mid", ``, []string{"a", "b"}, false, false, false},
		{"mock:text=abcd,chunks=4,disconnect=3", ``, []string{"a", "b", "c"}, false, false, true},
		{"mock:empty", ``, nil, false, true, false},
		{"mock:text=x", `,"n":2`, []string{"x", "x"}, false, true, false},
	} {
		_, body, err := post(t, base, ask(c.prompt, `,"stream":true`+c.more))
		if (err != nil) != c.broke {
			t.Errorf("%s: %v", c.prompt, err)
		}
		data := read(body)
		if d := cmp.Diff(c.want, texts(t, data)); d != "" {
			t.Error(c.prompt, d)
		}
		if usage := strings.Contains(body, `"usage"`); usage != c.usage {
			t.Errorf("%s: usage %v", c.prompt, usage)
		}
		if done := data[len(data)-1] == "[DONE]"; done != c.done {
			t.Errorf("%s: done %v", c.prompt, done)
		}
		if mid := strings.Contains(body, "mock_mid"); mid != strings.Contains(c.prompt, "error=mid") {
			t.Errorf("%s: error %v", c.prompt, mid)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(p.Served()) < 8 && time.Now().Before(deadline) {
		<-time.After(5 * time.Millisecond)
	}
	for _, s := range p.Served() {
		cut := strings.Contains(string(s.Body), "disconnect") || strings.Contains(string(s.Body), "error=mid")
		if s.Complete == cut || !s.Stream || s.Usage == nil {
			t.Errorf("recorded %+v for %s", s, s.Body)
		}
	}
}

func TestUnaryDisconnect(t *testing.T) {
	_, base := Start(t)
	if _, body, err := post(t, base, ask("mock:disconnect=0", "")); err == nil {
		t.Errorf("got a whole answer: %s", body)
	}
}

func TestOthers(t *testing.T) {
	_, base := Start(t)
	for path, want := range map[string]string{
		base + "/models": `{"data":[{"created":1700000000,"id":"mock","object":"model","owned_by":"mockprovider"}],"object":"list"}`,
		strings.TrimSuffix(base, "/v1") + "/mock/served": `[]`,
	} {
		resp, err := http.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	resp, body, err := post(t, base, `{"model":1}`)
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("got %v, %s", err, body)
	}
}
