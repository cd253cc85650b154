// Package mockprovider is a provider for tests, scripted by the prompt. It speaks as the providers do, unary and streamed,
// and refuses what they refuse:
//
//	POST /v1/chat/completions, /v1/responses, /v1/embeddings   OpenAI
//	POST /v1/messages, /v1/messages/count_tokens               Anthropic; x-api-key
//	POST /v1beta/models/MODEL:generateContent                  Gemini; x-goog-api-key
//	POST /v1beta/models/MODEL:streamGenerateContent?alt=sse    Gemini
//	GET  /v1/models, /v1beta/models                            each one's list
//
// Nothing in it is random: the same requests in the same order get the same answers.
//
// The last message's text, or the tools' results in it, decides. Without a script the answer is "You said: TEXT", what the
// asked JSON schema allows, or the call of the tool that is forced or has a word of its name in the text. A script is "mock:" and directives with commas between,
// up to the end of the line:
//
//	text=WORDS          answer that (no commas)
//	chunks=8            cut the answer into so many chunks (default: one for each word)
//	delay=50ms          wait before the first byte
//	interval=10ms       wait between two chunks
//	status=429          answer that error; with code=..., message=... and retry-after=2
//	fails=1             ... only to the first so many requests with this prompt
//	usage=100/50/20     report so many prompt, completion and cached tokens; then written, written for 1h, reasoning
//	no-usage            report none
//	tool                call the first tool, or "lookup", with what its schema allows
//	tools=2             call the first so many tools, or the only one so often
//	think               think first, where thinking is asked for; redacted: with nothing to read
//	thoughts            answer how many genuine thoughts the request brought back: "2 thoughts"
//	finish=length       end for that reason, or for filter
//	empty               answer nothing
//	error=mid           streams: an error event after half of the chunks
//	disconnect=3        cut the connection after so many chunks; unary: in the middle of the body
//	no-done             streams: leave out the last event, as [DONE]
//	hang                never answer, until the caller goes
//	garbage             answer what is not JSON
//	html                answer an HTML page, with status 200 or the given one
//
// GET /mock/served lists what was billed, for tests outside the process.
package mockprovider

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	// Path is the URL's.
	Path   string `json:"path"`
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	// Prompt is the text of the last message, the script.
	Prompt string `json:"prompt"`
	// Status is what was answered.
	Status int `json:"status"`
	// Usage is what was billed; nil: nothing, because the answer was an error.
	Usage *Usage `json:"usage"`
	// Reported says that the caller was told the usage. Complete says that the whole answer was sent.
	Reported bool `json:"reported"`
	Complete bool `json:"complete"`
	// Thoughts is how many thoughts came back with the signature that they were given.
	Thoughts int `json:"thoughts"`
	// Header and Body are the request's.
	Header http.Header `json:"-"`
	Body   []byte      `json:"-"`
}

// Provider is the handler.
type Provider struct {
	// Key, if set, is the only credential taken. Without one OpenAI's endpoints ask for none, the others for any.
	Key string

	mux http.ServeMux

	mu       sync.Mutex
	requests int
	failed   map[string]int
	served   []Served
}

// New makes a provider.
func New() *Provider {
	p := &Provider{failed: map[string]int{}}
	for pattern, d := range map[string]dialect{
		"POST /v1/chat/completions":     chatDialect{},
		"POST /v1/responses":            responsesDialect{},
		"POST /v1/embeddings":           embeddingsDialect{},
		"POST /v1/messages":             anthropicDialect{},
		"POST /v1beta/models/{call...}": geminiDialect{},
	} {
		p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, d) })
	}
	p.mux.HandleFunc("POST /v1/messages/count_tokens", p.countTokens)
	p.mux.HandleFunc("GET /v1/models", p.models)
	p.mux.HandleFunc("GET /v1beta/models", p.geminiModels)
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

// Requests is how many requests for an answer came in.
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
		if u := s.Usage; u != nil {
			sum.Prompt += u.Prompt
			sum.Completion += u.Completion
			sum.Cached += u.Cached
			sum.Written += u.Written
			sum.Written1h += u.Written1h
			sum.Reasoning += u.Reasoning
		}
	}
	return sum
}

func (p *Provider) next() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	return p.requests
}

// fails counts the failures of a prompt, and says whether one more of so many is due.
func (p *Provider) fails(prompt string, times int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed[prompt] >= times || len(p.failed) >= maxServed {
		return false
	}
	p.failed[prompt]++
	return true
}

func (p *Provider) record(s Served) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.served) < maxServed {
		p.served = append(p.served, s)
	}
}

// serve answers one request in a dialect.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request, d dialect) {
	n := p.next()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	e := &exchange{w: w, ctx: r.Context(), n: n, dialect: d, served: Served{
		ID: fmt.Sprintf(d.ids(), n), ClientID: r.Header.Get("X-Client-Request-Id"), Path: r.URL.Path, Header: r.Header.Clone(), Body: body,
	}}
	defer func() { p.record(e.served) }()
	e.in.Key = p.Key
	if f := d.read(r, body, &e.in); f != nil {
		e.fail(*f)
		return
	}
	e.served.Model, e.served.Stream, e.served.Prompt, e.served.Thoughts = e.in.Model, e.in.Stream, e.in.Prompt, e.in.Thoughts
	if e.script, err = parseScript(e.in.Prompt); err != nil {
		e.fail(failure{status: http.StatusBadRequest, code: "mock_script", message: err.Error()})
		return
	}
	if e.script.fails > 0 && !p.fails(r.URL.Path+" "+e.in.Prompt, e.script.fails) {
		e.script.status = 0
	}
	e.answer()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A caller that is gone cannot be told.
	_, _ = w.Write(encode(v))
}
