package anthropic

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

const message1 = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"text","text":"hé"}],` +
	`"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"cache_read_input_tokens":5,"cache_creation_input_tokens":7,` +
	`"cache_creation":{"ephemeral_5m_input_tokens":5,"ephemeral_1h_input_tokens":2},"output_tokens":4,"output_tokens_details":{"thinking_tokens":1},` +
	`"server_tool_use":{"web_search_requests":6}}}`

var usage1 = &pricing.Usage{Input: 3, CacheRead: 5, CacheWrite: 5, CacheWrite1h: 2, Output: 4, Reasoning: 1, Searches: 6}

// sent is what an upstream was sent.
type sent struct {
	path   string
	header http.Header
	body   string
}

// listen answers with body and keeps what was sent.
func listen(t *testing.T, contentType, body string) (base string, got *sent) {
	got = &sent{}
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		*got = sent{r.URL.Path, r.Header, string(raw)}
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}), got
}

func TestFit(t *testing.T) {
	u, p := newUpstream(t), &snapshot.Provider{Type: snapshot.Anthropic}
	got := map[chat.Protocol]chat.Fit{}
	for _, protocol := range []chat.Protocol{chat.Messages, chat.CountTokens, chat.Completions, chat.Responses, chat.Embeddings} {
		got[protocol] = u.Fit(p, protocol)
	}
	want := map[chat.Protocol]chat.Fit{
		chat.Messages: chat.Passes, chat.CountTokens: chat.Passes, chat.Completions: chat.Translates, chat.Responses: chat.Translates, chat.Embeddings: chat.Unfit,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	c := passes(t, "http://127.0.0.1:1", plainBody, false)
	c.Request.Protocol = chat.Embeddings
	_, err := u.Do(context.Background(), c)
	if e := chatError(t, err); e.Status != 400 || e.Code != "unsupported_protocol" {
		t.Errorf("got %+v", e)
	}
}

func TestPassThrough(t *testing.T) {
	base, got := listen(t, "application/json", message1)
	body := `{ "max_tokens": 10,"model" : "public", "x": 1.0e2, "messages":[{"role":"user","content":"<é>\u00e9"}]  }`
	c := passes(t, base+"/v1", body, false)
	c.Request.Header = http.Header{"Anthropic-Beta": {"a-1,b-2"}, "Anthropic-Version": {"2099-01-01"}, "X-Api-Key": {"the tenant's"}, "Authorization": {"Bearer x"}}
	out := do(t, c)
	if want := `{ "max_tokens": 10,"model" : "claude-sonnet-5", "x": 1.0e2, "messages":[{"role":"user","content":"<é>\u00e9"}]  }`; got.body != want {
		t.Errorf("sent %s", got.body)
	}
	if got.path != "/v1/messages" || string(out.Body) != message1 || out.UpstreamID != "msg_1" || out.OutputBytes != 3 {
		t.Errorf("path %q, %d bytes, %s", got.path, out.OutputBytes, out.Body)
	}
	if d := cmp.Diff(usage1, out.Usage); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{
		"X-Api-Key": "secret-credential", "Authorization": "", "Anthropic-Version": "2099-01-01", "Anthropic-Beta": "a-1,b-2", "Content-Type": "application/json",
	} {
		if v := got.header.Get(name); v != want {
			t.Errorf("%s is %q", name, v)
		}
	}
}

func TestAddress(t *testing.T) {
	for base, want := range map[string]string{
		"": "https://api.anthropic.com", "https://a.example": "https://a.example", "https://a.example/": "https://a.example",
		"https://a.example/v1": "https://a.example", "https://a.example/v1/": "https://a.example", "https://a.example/anthropic/v1": "https://a.example/anthropic",
	} {
		if got := address(base); got != want {
			t.Errorf("%q: got %q", base, got)
		}
	}
}

func TestCountTokens(t *testing.T) {
	base, got := listen(t, "application/json", `{"input_tokens":12}`)
	c := passes(t, base, plainBody, false)
	c.Request.Protocol = chat.CountTokens
	out := do(t, c)
	if got.path != "/v1/messages/count_tokens" || string(out.Body) != `{"input_tokens":12}` || out.OutputBytes != 0 {
		t.Errorf("path %q, %+v", got.path, out)
	}
	if d := cmp.Diff(&pricing.Usage{}, out.Usage); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{`{"tokens":1}`, `nothing`} {
		c.Provider.BaseURL = answer(t, 200, "application/json", bad)
		_, err := newUpstream(t).Do(context.Background(), c)
		if e := chatError(t, err); e.Code != "upstream_invalid_response" {
			t.Errorf("%s: got %+v", bad, e)
		}
	}
	c.Provider.BaseURL = answer(t, 200, "application/json", `{"type":"error","error":{"type":"not_found_error","message":"model: x"}}`)
	_, err := newUpstream(t).Do(context.Background(), c)
	if e := chatError(t, err); e.Status != 404 || e.Code != "model_not_found" {
		t.Errorf("got %+v", e)
	}
}

func TestTranslated(t *testing.T) {
	base, got := listen(t, "application/json", message1)
	c := translated(t, base, hello(), false)
	c.MaxOutputTokens = 77
	c.Request.Header = http.Header{"Anthropic-Beta": {"of another protocol"}}
	out := do(t, c)
	if want := `{"model":"claude-sonnet-5","max_tokens":77,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`; got.body != want {
		t.Errorf("sent %s", got.body)
	}
	if got.header.Get("Anthropic-Version") != version || got.header.Get("Anthropic-Beta") != "" {
		t.Errorf("sent %v", got.header)
	}
	want := &chat.Answer{ID: "msg_1", Model: "claude-sonnet-5", Choices: []chat.Choice{{
		Parts: []chat.Part{{Kind: chat.PartText, Text: "hé"}}, Finish: chat.Finish{Reason: chat.FinishStop, Native: "end_turn"},
	}}}
	if d := cmp.Diff(want, out.Answer); d != "" || out.Body != nil {
		t.Error(d)
	}
	if d := cmp.Diff(usage1, out.Usage); d != "" || out.OutputBytes != 3 {
		t.Errorf("%d bytes %s", out.OutputBytes, d)
	}
}

func TestPromptThatCannotBeRead(t *testing.T) {
	c := translated(t, "http://127.0.0.1:1", nil, false)
	broken := &chat.Error{Status: 400, Message: "no"}
	c.Request.Translate = func() (*chat.Prompt, error) { return nil, broken }
	if _, err := newUpstream(t).Do(context.Background(), c); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// What is no answer of the protocol is a 502 that another backend may put right.
func TestNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		status      int
		contentType string
		body        string
		stream      bool
		code        string
	}{
		"page":               {200, "text/html", "<html>", false, "upstream_invalid_response"},
		"page for a stream":  {200, "text/html; charset=utf-8", "<html>", true, "upstream_invalid_response"},
		"broken JSON":        {200, "application/json", `{"content":[`, false, "upstream_invalid_response"},
		"no content":         {200, "application/json", `{"id":"x"}`, false, "upstream_invalid_response"},
		"JSON for a stream":  {200, "application/json", message1, true, "upstream_invalid_response"},
		"error for a stream": {200, "application/json", `{"type":"error","error":{"type":"api_error","message":"no"}}`, true, "upstream_error"},
		"error in a 200":     {200, "application/json", `{"type":"error","error":{"type":"overloaded_error","message":"no"}}`, false, "upstream_overloaded"},
		"page with a 404":    {404, "text/html", "<html>", false, "upstream_invalid_response"},
		"stream for unary":   {200, "text/event-stream", "event: ping\ndata: {}\n\n", false, "upstream_invalid_response"},
	} {
		t.Run(name, func(t *testing.T) {
			base := answer(t, c.status, c.contentType, c.body)
			for _, call := range []chat.Call{passes(t, base, plainBody, c.stream), translated(t, base, hello(), c.stream)} {
				_, err := newUpstream(t).Do(context.Background(), call)
				if e := chatError(t, err); e.Code != c.code || !e.Fallback {
					t.Errorf("got %+v", e)
				}
			}
		})
	}
}
