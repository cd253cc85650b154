package perplexity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
)

// recordings is the folder of recorded traffic beside the module, which a plain checkout does not have.

const recordings = "../../../../shared/wire"

type recording struct {
	ID, Provider, API string
	Stream            bool
	Status            int
	Files             struct {
		Body string `json:"response_body"`
	}
	body []byte
}

// recorded are Perplexity's recordings that the filter takes.

func recorded(t *testing.T, take func(recording) bool) []recording {
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
		if r.Provider != "perplexity" || !take(r) {
			continue
		}
		if r.body, err = os.ReadFile(filepath.Join(recordings, r.Files.Body)); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		t.Fatal("no recordings")
	}
	return out
}

func serve(t testing.TB, status int, kind, body string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("X-Request-Id", "theirs")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func hi() *chat.Prompt {
	return &chat.Prompt{Choices: 1, Messages: []chat.Message{{Role: chat.User, Parts: []chat.Part{{Kind: chat.PartText, Text: "hi"}}}}}
}

func call(base, model string, p *chat.Prompt, stream bool) chat.Call {
	return chat.Call{
		Request:  &chat.Request{Protocol: chat.Completions, Stream: stream, Translate: func() (*chat.Prompt, error) { return p, nil }},
		Provider: &snapshot.Provider{Type: snapshot.Perplexity, BaseURL: base, Credential: "pplx-secret"}, Model: model,
		Timeouts: snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 5, IdleSeconds: 5, TotalSeconds: 20},
	}
}

func newUpstream(t testing.TB) *Upstream {
	client := transport.New(transport.Options{Version: "test"})
	t.Cleanup(client.CloseIdle)
	return New(client)
}

// view is what a client can see of an answer.

type view struct {
	ID, Text  string
	Calls     []chat.ToolCall
	Citations []chat.Citation
	Sources   []chat.Source
	Finish    chat.FinishReason
	Usage     *pricing.Usage
}

func viewStream(s chat.Stream) (view, error) {
	var v view
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err == nil && e.Err != nil {
			err = e.Err
		}
		if err != nil {
			return v, err
		}
		for _, p := range e.Pieces {
			switch p.Kind {
			case chat.PieceStart:
				v.ID = p.ID
			case chat.PieceText:
				v.Text += p.Text
			case chat.PieceCall:
				v.Calls = append(v.Calls, *p.Call)
			case chat.PieceCitation:
				v.Citations = append(v.Citations, *p.Citation)
			case chat.PieceSource:
				v.Sources = append(v.Sources, *p.Source)
			case chat.PieceFinish:
				v.Finish = p.Finish.Reason
			case chat.PieceUsage:
				v.Usage = p.Usage
			}
		}
	}
}

func viewAnswer(r *chat.Response) view {
	c := r.Answer.Choices[0]
	v := view{ID: r.Answer.ID, Sources: r.Answer.Sources, Finish: c.Reason, Usage: r.Usage}
	for _, p := range c.Parts {
		v.Text += p.Text
		v.Citations = append(v.Citations, p.Citations...)
		if p.Call != nil {
			v.Calls = append(v.Calls, *p.Call)
		}
	}
	return v
}

// expect sees a recorded response independently of the package.

func expect(t *testing.T, raw []byte) view {
	t.Helper()
	var r struct {
		ID     string
		Output []struct {
			Type    string
			Results []struct {
				ID                        int
				URL, Title, Snippet, Date string
			}
			Content []struct{ Text string }
		}
		Usage struct {
			In      int64                                 `json:"input_tokens"`
			Out     int64                                 `json:"output_tokens"`
			Details map[string]int64                      `json:"input_tokens_details"`
			Tools   map[string]struct{ Invocation int64 } `json:"tool_calls_details"`
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	u := r.Usage
	read, write := u.Details["cache_read_input_tokens"], u.Details["cache_creation_input_tokens"]
	v := view{ID: r.ID, Finish: chat.FinishStop, Usage: &pricing.Usage{
		Input: u.In - read - write, CacheRead: read, CacheWrite: write, Output: u.Out, Searches: u.Tools["search_web"].Invocation,
	}}
	byMark := map[string]chat.Source{}
	for _, item := range r.Output {
		for _, s := range item.Results {
			v.Sources = append(v.Sources, chat.Source{URL: s.URL, Title: s.Title, Snippet: s.Snippet, Date: s.Date})
			byMark["["+string(rune('0'+s.ID))+"]"] = v.Sources[len(v.Sources)-1]
		}
		for _, part := range item.Content {
			v.Text += part.Text
		}
	}
	for m, s := range byMark {
		if at := strings.Index(v.Text, m); at >= 0 {
			v.Citations = append(v.Citations, chat.Citation{URL: s.URL, Title: s.Title, Start: int64(at), End: int64(at + len(m))})
		}
	}
	return v
}

func TestRecordedAgent(t *testing.T) {
	for _, r := range recorded(t, func(r recording) bool { return r.API == "responses" && r.Status == http.StatusOK }) {
		t.Run(r.ID, func(t *testing.T) {
			lines := bytes.Split(bytes.TrimSpace(r.body), []byte("data: "))
			var last struct{ Response json.RawMessage }
			if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
				t.Fatal(err)
			}
			want := expect(t, last.Response)
			if len(want.Citations) == 0 || len(want.Sources) == 0 || want.Usage.Searches == 0 {
				t.Fatalf("the recording has no search: %+v", want)
			}
			resp, err := newUpstream(t).Do(context.Background(), call(serve(t, 200, "text/event-stream", string(r.body)), "fast", hi(), true))
			if err != nil {
				t.Fatal(err)
			}
			got, err := viewStream(resp.Events)
			_ = resp.Events.Close()
			if d := cmp.Diff(want, got); d != "" || err != nil {
				t.Error(d, err)
			}
			unary, err := newUpstream(t).Do(context.Background(), call(serve(t, 200, "application/json", string(last.Response)), "fast", hi(), false))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, viewAnswer(unary)); d != "" || unary.Header.Get("X-Upstream-Request-Id") != "theirs" {
				t.Error(d, unary.Header)
			}
			for _, body := range []io.Reader{iotest.OneByteReader(bytes.NewReader(r.body)), iotest.HalfReader(bytes.NewReader(r.body)), iotest.DataErrReader(bytes.NewReader(r.body))} {
				again, err := viewStream(dialect().Stream(transport.Replay(io.NopCloser(body), true), false))
				if d := cmp.Diff(want, again); d != "" || err != nil {
					t.Fatal(d, err)
				}
			}
		})
	}
}

const agentStream = `event: response.created
data: {"type":"response.created","response":{"id":"resp_1","model":"m"}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"x","name":"search_web","arguments":"{}"}}

event: response.reasoning.search_results
data: {"type":"response.reasoning.search_results","results":[{"id":1,"url":"https://a"}]}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":0,"item":{"type":"search_results","results":[{"id":1,"url":"https://a","title":"A","snippet":"s","date":"2026-01-02"},{"id":2,"url":""}]}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":1,"item":{"type":"message","content":null}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"\ud83d\ude00 x[1"}

event: response.output_text.delta
data: {"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"][9] y"}

event: response.output_text.done
data: {"type":"response.output_text.done","output_index":1,"content_index":0,"text":"\ud83d\ude00 x[1][9] y"}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":1}","thought_signature":"sig"}}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_1","status":"requires_action","output":[{"type":"search_results","results":[{"id":1,"url":"https://a"}]},{"type":"message","content":[{"type":"output_text","text":"\ud83d\ude00 x[1][9] y"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}],"usage":{"input_tokens":9,"output_tokens":3,"input_tokens_details":{"cache_read_input_tokens":4,"cached_tokens":4},"tool_calls_details":{"search_web":{"invocation":2}},"cost":{"total_cost":9.9}}}}

`

var agentView = view{
	ID: "resp_1", Text: "😀 x[1][9] y", Calls: []chat.ToolCall{{ID: "c", Name: "f", Arguments: `{"a":1}`, Signature: "sig"}},
	Citations: []chat.Citation{{URL: "https://a", Title: "A", Start: 4, End: 7}},
	Sources:   []chat.Source{{URL: "https://a", Title: "A", Snippet: "s", Date: "2026-01-02"}},
	Finish:    chat.FinishTools, Usage: &pricing.Usage{Input: 5, CacheRead: 4, Output: 3, Searches: 2},
}

func TestAgentStreamAtEverySplit(t *testing.T) {
	for i := range len(agentStream) + 1 {
		body := io.MultiReader(strings.NewReader(agentStream[:i]), strings.NewReader(agentStream[i:]))
		got, err := viewStream(dialect().Stream(transport.Replay(io.NopCloser(body), true), false))
		if d := cmp.Diff(agentView, got); d != "" || err != nil {
			t.Fatal(i, d, err)
		}
	}
}

func TestWhereItGoes(t *testing.T) {
	for _, base := range []string{"", "/v1"} {
		var path, key string
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			path, key = r.URL.Path, r.Header.Get("Authorization")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"output":[]}`)
		}))
		t.Cleanup(s.Close)
		if _, err := newUpstream(t).Do(context.Background(), call(s.URL+base, "sonar", hi(), false)); err != nil {
			t.Fatal(err)
		}
		if path != "/v1/responses" || key != "Bearer pplx-secret" {
			t.Errorf("%s %s", path, key)
		}
	}
	if got := address(""); got != "https://api.perplexity.ai/v1/responses" {
		t.Error(got)
	}
}

func TestFit(t *testing.T) {
	for p, want := range map[chat.Protocol]chat.Fit{
		chat.Completions: chat.Translates, chat.Messages: chat.Translates, chat.Responses: chat.Translates, chat.Embeddings: chat.Unfit, chat.CountTokens: chat.Unfit,
	} {
		if got := New(nil).Fit(nil, p); got != want {
			t.Errorf("%s: %d", p, got)
		}
	}
}
