// Package provider is the model of a chaos run: it writes as many tokens as the prompt says, in OpenAI's chat completions,
// and keeps a record of each call with what it billed.
//
// A token is four bytes of text. The prompt's first line is what Prompt writes: what to do, by name.
package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Ask is what a prompt asks of the provider.
type Ask struct {
	// Nonce is the client's number of the request.
	Nonce int `json:"nonce"`
	// Input is how many tokens the prompt is billed as, Output how many the answer wants to have.
	Input  int64 `json:"in"`
	Output int64 `json:"out"`
	Chunks int   `json:"chunks,omitempty"`
	// First is the pause before the answer, Interval that between two chunks, both in milliseconds.
	First    int64 `json:"first,omitempty"`
	Interval int64 `json:"interval,omitempty"`
	Fails    bool  `json:"fails,omitempty"`
	Breaks   bool  `json:"breaks,omitempty"`
}

// TokenBytes is how long a token is.
const TokenBytes = 4

// Prompt writes an ask as a text of its Input tokens.
func Prompt(a Ask) string {
	b, _ := json.Marshal(a) // numbers and flags always marshal
	return string(b) + "\n" + strings.Repeat("x", max(0, int(a.Input)*TokenBytes-len(b)-1))
}

func read(prompt string) (a Ask, err error) {
	line, _, _ := strings.Cut(prompt, "\n")
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		return a, fmt.Errorf("reading the prompt: %w", err)
	}
	return a, nil
}

// Served is one call.
type Served struct {
	// ID is the answer's, RequestID the gateway's own of the request.
	ID, RequestID string
	Nonce         int
	Provider      string
	// Stops says that the provider bills nothing more of a stream that is cut.
	Stops, Stream bool
	At, End       time.Time
	// Billed says that it costs something: Input and Output tokens. Sent is how many tokens of output left.
	Billed              bool
	Input, Output, Sent int64
	// Reported says that the usage was written; the caller may still not have read it. Whole says that the answer was.
	Reported, Whole bool
}

// Log is what the providers of a run have served.
type Log struct {
	mu     sync.Mutex
	calls  []*Served
	failed map[int]bool
	n      int
}

// NewLog makes an empty log.
func NewLog() *Log { return &Log{failed: map[int]bool{}} }

// Calls are all calls so far, in the order in which they began.
func (l *Log) Calls() []Served {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Served, len(l.calls))
	for i, c := range l.calls {
		out[i] = *c
	}
	return out
}

// begin records a call; fails says that it is to fail, which it does once for each nonce.
func (l *Log) begin(s *Served, wants bool) (fails bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	s.ID = fmt.Sprintf("chaos-%06d", l.n)
	l.calls = append(l.calls, s)
	fails = wants && !l.failed[s.Nonce]
	l.failed[s.Nonce] = true
	return fails
}

// change changes a record.
func (l *Log) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// Handler is a provider of a name. stops says that it bills nothing more of a stream that is cut.
func (l *Log) Handler(name string, stops bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q request
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || len(q.Messages) == 0 {
			http.Error(w, `{"error":{"message":"no JSON","type":"invalid_request_error"}}`, http.StatusBadRequest)
			return
		}
		ask, err := read(q.Messages[len(q.Messages)-1].Content)
		if err != nil {
			http.Error(w, `{"error":{"message":"no chaos","type":"invalid_request_error"}}`, http.StatusBadRequest)
			return
		}
		c := &call{w: w, r: r, q: q, ask: ask, log: l, stops: stops, record: &Served{
			RequestID: r.Header.Get("X-Client-Request-Id"), Nonce: ask.Nonce, Provider: name, Stops: stops, Stream: q.Stream, At: time.Now(),
		}}
		fails := l.begin(c.record, ask.Fails)
		defer l.change(func() { c.record.End = time.Now() })
		c.answer(fails)
	})
}

type request struct {
	Model     string `json:"model"`
	Stream    bool   `json:"stream"`
	MaxTokens int64  `json:"max_tokens"`
	// MaxCompletionTokens is the newer name of the same.
	MaxCompletionTokens int64 `json:"max_completion_tokens"`
	Messages            []struct {
		Content string `json:"content"`
	} `json:"messages"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}
