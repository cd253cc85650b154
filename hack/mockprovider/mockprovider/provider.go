// Package mockprovider is a provider for tests: OpenAI's chat completions, unary and streamed, and the list of models,
// scripted by the prompt. Nothing in it is random: the same requests in the same order get the same answers.
//
// The last message's text decides. Without a script the answer is "You said: TEXT". A script is "mock:" and directives with
// commas between, up to the end of the line:
//
//	text=WORDS          answer that (no commas)
//	chunks=8            cut the answer into so many chunks (default: one for each word)
//	delay=50ms          wait before the first byte
//	interval=10ms       wait between two chunks
//	status=429          answer that error; with code=..., message=... and retry-after=2
//	usage=100/50/20     report so many prompt, completion and cached tokens
//	no-usage            report none
//	tool                call the first tool, or "lookup", with {"query":"mock"}
//	empty               answer nothing
//	error=mid           streams: an error event after half of the chunks
//	disconnect=3        cut the connection after so many chunks; unary: in the middle of the body
//	no-done             streams: leave out [DONE]
//	hang                never answer, until the caller goes
//	garbage             answer what is not JSON
//	html                answer an HTML page, with status 200 or the given one
//
// GET /mock/served lists what was billed, for tests outside the process.
package mockprovider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// created is the time of every answer: nothing may depend on the clock.
const created = 1_700_000_000

// maxServed bounds what is remembered; the counters go on.
const maxServed = 200_000

// Served is one request that came in.
type Served struct {
	// ID is that of the answer, unique in this process; ClientID the caller's X-Client-Request-Id.
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	// Status is what was answered.
	Status int `json:"status"`
	// Usage is what was billed; nil: nothing, because the answer was an error.
	Usage *Usage `json:"usage"`
	// Reported says that the caller was told the usage. Complete says that the whole answer was sent.
	Reported bool `json:"reported"`
	Complete bool `json:"complete"`
	// Header and Body are the request's.
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`
}

// Provider is the handler.
type Provider struct {
	mux http.ServeMux

	mu       sync.Mutex
	requests int
	served   []Served
}

// New makes a provider.
func New() *Provider {
	p := &Provider{}
	p.mux.HandleFunc("POST /v1/chat/completions", p.chat)
	p.mux.HandleFunc("GET /v1/models", p.models)
	p.mux.HandleFunc("GET /mock/served", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, p.Served()) })
	return p
}

// ServeHTTP answers one request.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// TB is the part of testing.TB that Start needs; the command does not link the testing package.
type TB interface {
	Helper()
	Cleanup(func())
}

// Start serves a new provider for the time of a test and returns its base URL, which ends in /v1.
func Start(tb TB) (*Provider, string) {
	tb.Helper()
	p := New()
	s := httptest.NewServer(p)
	tb.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return p, s.URL + "/v1"
}

// Requests is how many chat completion requests came in.
func (p *Provider) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Served lists the requests that are answered, in the order of their ends.
func (p *Provider) Served() []Served {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Served{}, p.served...)
}

// Billed is the usage of all answers together.
func (p *Provider) Billed() Usage {
	var sum Usage
	for _, s := range p.Served() {
		if s.Usage != nil {
			sum.Prompt += s.Usage.Prompt
			sum.Completion += s.Usage.Completion
			sum.Cached += s.Usage.Cached
		}
	}
	return sum
}

func (p *Provider) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	return fmt.Sprintf("chatcmpl-mock-%06d", p.requests)
}

func (p *Provider) record(s Served) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.served) < maxServed {
		p.served = append(p.served, s)
	}
}

func (p *Provider) models(w http.ResponseWriter, _ *http.Request) {
	model := map[string]any{"id": "mock", "object": "model", "created": created, "owned_by": "mockprovider"}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{model}})
}

// request is what the provider reads of a body.
type request struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	N        int    `json:"n"`
	Messages []struct {
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
}

// prompt is the text of the last message.
func (r *request) prompt() string {
	if len(r.Messages) == 0 {
		return ""
	}
	raw := r.Messages[len(r.Messages)-1].Content
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var parts []struct {
		Text string `json:"text"`
	}
	// Content of another shape has no text.
	_ = json.Unmarshal(raw, &parts)
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(part.Text)
	}
	return b.String()
}

func (p *Provider) chat(w http.ResponseWriter, r *http.Request) {
	id := p.next()
	w.Header().Set("X-Request-Id", "mock-"+id)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e := &exchange{w: w, ctx: r.Context(), served: Served{ID: id, ClientID: r.Header.Get("X-Client-Request-Id"), Header: r.Header.Clone(), Body: body}}
	defer func() { p.record(e.served) }()
	if err := json.Unmarshal(body, &e.in); err != nil {
		e.fail(http.StatusBadRequest, "invalid_request_error", "", err.Error())
		return
	}
	e.served.Model, e.served.Stream = e.in.Model, e.in.Stream
	if e.script, err = parseScript(e.in.prompt()); err != nil {
		e.fail(http.StatusBadRequest, "invalid_request_error", "mock_script", err.Error())
		return
	}
	e.answer()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A caller that is gone cannot be told.
	_, _ = w.Write(encode(v))
}

// encode writes JSON; what the mock builds always encodes.
func encode(v any) []byte {
	out, _ := json.Marshal(v)
	return out
}
