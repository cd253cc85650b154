package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/anthropic"
	inbound "github.com/layers-dev/layers/dataplane/inbound/openai"
	stateless "github.com/layers-dev/layers/dataplane/inbound/responses"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Keys and models of the fake.
const (
	fakeKey    = "lyr_live_the-key-of-this-test"
	fakeModel  = "acme/all"
	fakeVector = "acme/embed-1"
	fakePlain  = "acme/plain"
)

// fake is a gateway, written with the dialects that clients are really answered in, whose model knows what the checks ask.
// As a RoundTripper it is its own network. break* change what is right into what is not.
type fake struct {
	ids atomic.Int64

	mu       sync.Mutex
	seen     map[string]bool
	receipts map[string]string
	requests int

	// breakAnswer changes what the model says, breakUsage what it used, breakReply any reply before it goes.
	breakAnswer func(p *chat.Prompt, a *chat.Answer)
	breakUsage  func(p *chat.Prompt, u *pricing.Usage)
	breakReply  func(r *http.Request, w *recorder)
	// breakKey lets this key in.
	breakKey string
	demo     bool
	// forgetful says that thoughts need not come back: OpenAI's chat completions have no place for them.
	forgetful bool
	now       func() time.Time
}

func newFake() *fake {
	return &fake{now: fakeNow, seen: map[string]bool{}, receipts: map[string]string{}}
}

// RoundTrip implements http.RoundTripper.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	f.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r}, nil
}

// ServeHTTP answers as the gateway would, and then breaks the reply.
func (f *fake) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	f.serve(w, r)
	if f.breakReply != nil {
		f.breakReply(r, w)
	}
	for name, values := range w.header {
		rw.Header()[name] = values
	}
	rw.WriteHeader(w.status)
	_, _ = rw.Write(w.body.Bytes())
}

var fakeDialects = map[string]chat.Dialect{
	"/v1/chat/completions": inbound.Completions{}, "/v1/messages": anthropic.Messages{},
	"/v1/responses": stateless.New(inbound.Completions{}), "/v1/embeddings": inbound.Embeddings{}, "/v1/messages/count_tokens": anthropic.CountTokens{},
}

func (f *fake) serve(w *recorder, r *http.Request) {
	id := fmt.Sprintf("req_%d", f.ids.Add(1))
	w.header.Set("X-Layers-Request-Id", id)
	w.header.Set("X-Request-Id", id)
	if theirs := r.Header.Get("X-Request-Id"); theirs != "" {
		w.header.Set("X-Request-Id", theirs)
	}
	dialect := fakeDialects[r.URL.Path]
	var shape chat.Dialect = inbound.Completions{}
	if dialect != nil {
		shape = dialect
	}
	if r.URL.Path == healthPath && r.Method == http.MethodGet {
		mode := "Live"
		if f.demo {
			mode = "Demo"
		}
		f.json(w, `{"status":"ok","service":"layers","version":"x","mode":"`+mode+`"}`)
		return
	}
	if bad := f.admit(w, r); bad != nil {
		shape.Error(w, bad)
		return
	}
	switch {
	case dialect != nil && r.Method != http.MethodPost:
		w.header.Set("Allow", "POST")
		shape.Error(w, &chat.Error{Status: http.StatusMethodNotAllowed, Type: "invalid_request_error", Message: "POST only."})
	case dialect != nil:
		f.chat(w, r, id, dialect)
	default:
		f.rest(w, r)
	}
}

func (f *fake) json(w *recorder, body string) {
	w.header.Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body))
}

// admit looks at the key and tells the limits.
func (f *fake) admit(w *recorder, r *http.Request) *chat.Error {
	key := r.Header.Get("X-Api-Key") + r.Header.Get("Api-Key")
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		key = token
	}
	if key != fakeKey && (key != f.breakKey || key == "") {
		return &chat.Error{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key", Message: "Invalid API key: there is no such key."}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	for name, value := range map[string]string{
		"X-RateLimit-Limit": "100000", "X-RateLimit-Remaining": "99999", "X-RateLimit-Reset": fmt.Sprint(f.now().Unix() + 60),
		"x-ratelimit-limit-requests": "100000", "x-ratelimit-remaining-requests": "99999", "x-ratelimit-reset-requests": "1m0s",
		"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "10", "x-ratelimit-reset-tokens": "12ms",
		"X-Layers-Balance": "500",
	} {
		w.header.Set(name, value)
	}
	return nil
}

const fakeList = `{"id":"` + fakeModel + `","object":"model","created":1,"owned_by":"acme","capabilities":["Text","Streaming","Vision","Tools","JSON","Thinking","WebSearch","PromptCache"],"pricing_per_million":{"input":1,"output":10}},` +
	`{"id":"` + fakeVector + `","object":"model","created":1,"owned_by":"acme"},{"id":"acme/later","object":"model","created":1,"owned_by":"acme"},` +
	`{"id":"` + fakePlain + `","object":"model","created":1,"owned_by":"acme","capabilities":["Text"],"pricing_per_million":{"input":1.0,"output":10}}`

// rest is all that calls no model.
func (f *fake) rest(w *recorder, r *http.Request) {
	refuse := func(status int, code, param string) {
		inbound.Completions{}.Error(w, &chat.Error{Status: status, Type: "invalid_request_error", Code: code, Param: param, Message: "Refused."})
	}
	switch path := r.URL.Path; {
	case path == modelsPath && r.Header.Get("Anthropic-Version") != "":
		f.json(w, `{"data":[{"type":"model","id":"acme/all","display_name":"All","created_at":"2026-01-01T00:00:00Z"}],"first_id":"acme/all","has_more":false,"last_id":"acme/all"}`)
	case path == modelsPath:
		f.json(w, `{"object":"list","data":[`+fakeList+`]}`)
	case path == modelsPath+"/"+fakeModel:
		f.json(w, `{"id":"`+fakeModel+`","object":"model","created":1,"owned_by":"acme"}`)
	case strings.HasPrefix(path, modelsPath+"/"):
		refuse(http.StatusNotFound, "model_not_found", "model")
	case path == estimatePath:
		f.estimate(w, r)
	case strings.HasPrefix(path, usagePath):
		f.mu.Lock()
		defer f.mu.Unlock()
		if text := f.receipts[strings.TrimPrefix(path, usagePath)]; text != "" {
			f.json(w, text)
			return
		}
		refuse(http.StatusNotFound, "receipt_not_found", "request_id")
	default:
		refuse(http.StatusNotFound, "not_found", "")
	}
}

func (f *fake) estimate(w *recorder, r *http.Request) {
	var ask struct{ Model string }
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || ask.Model == "acme/later" {
		inbound.Completions{}.Error(w, &chat.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: codeNotConfigured, RetryAfter: 5e9, Message: "AI Gateway not configured: set KEY."})
		return
	}
	f.json(w, `{"object":"estimate","model":"`+ask.Model+`","route":[{"backend":"b"}],"price":{"input_usd_per_million":"1","output_usd_per_million":"10"},`+
		`"estimated_cost":{"credits":"0.01","usd":"0.0001"},"hold":{"credits":"1","usd":"0.01"},"unmetered":false,"admitted":true,"status":200,"limits":[]}`)
}

// chat parses a request and lets the model answer it.
func (f *fake) chat(w *recorder, r *http.Request, id string, dialect chat.Dialect) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		dialect.Error(w, &chat.Error{Status: 400, Type: "invalid_request_error", Message: "no body"})
		return
	}
	req, bad := dialect.Parse(id, r.Header, body)
	if bad == nil {
		bad = f.known(req)
	}
	if bad == nil && dialect.Protocol() == chat.CountTokens {
		f.json(w, `{"input_tokens":8}`)
		return
	}
	if bad == nil && dialect.Protocol() == chat.Embeddings {
		f.vectors(w, req, body)
		return
	}
	if bad == nil {
		req.Created = f.now().Unix()
		bad = f.answer(w, dialect, req)
	}
	if bad != nil {
		dialect.Error(w, bad)
	}
}

func (f *fake) known(req *chat.Request) *chat.Error {
	switch {
	case strings.HasPrefix(req.Model, "acme/"), providerModel(req.Model):
	default:
		return &chat.Error{Status: http.StatusNotFound, Type: "invalid_request_error", Code: "model_not_found", Param: "model", Message: "The model does not exist."}
	}
	if len(req.Needs) > 0 && req.Model == fakePlain {
		return &chat.Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "unsupported_capability", Param: "tools", Message: "The model does not support " + req.Needs[0] + "."}
	}
	return nil
}

// providerModel says that the fake stands for a provider with that model.
func providerModel(id string) bool {
	for _, p := range providers {
		if p.model.id == id || p.vectors == id {
			return true
		}
	}
	return false
}

func (f *fake) vectors(w *recorder, req *chat.Request, body []byte) {
	vector := "[0.5,-0.25]"
	if bytes.Contains(body, []byte("base64")) {
		vector = `"AAAAPwAAgL4="`
	}
	f.json(w, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":`+vector+`},{"object":"embedding","index":1,"embedding":`+vector+`}],"model":"`+
		req.Model+`","usage":{"prompt_tokens":4,"total_tokens":4}}`)
}

// answer writes what the model says, and its receipt.
func (f *fake) answer(w *recorder, dialect chat.Dialect, req *chat.Request) *chat.Error {
	p, err := req.Translate()
	if err != nil {
		var bad *chat.Error
		if !errors.As(err, &bad) {
			bad = &chat.Error{Status: 400, Type: "invalid_request_error", Message: err.Error()}
		}
		return bad
	}
	a, u, bad := f.think(req, p)
	if bad != nil {
		return bad
	}
	if f.breakAnswer != nil {
		f.breakAnswer(p, a)
	}
	if f.breakUsage != nil {
		f.breakUsage(p, &u)
	}
	cost := u.Input*1000 + u.CacheRead*100 + u.CacheWrite*1000 + u.Output*10000
	f.settle(req, u, cost)
	total := chat.Total{Usage: u, CostUSD: pricing.FormatUSD(cost)}
	if !req.Stream {
		out, err := dialect.Answer(req, a, total)
		if err != nil {
			return &chat.Error{Status: 500, Type: "server_error", Message: err.Error()}
		}
		w.header.Set("X-Layers-Cost", pricing.FormatCredits(cost, 100))
		f.json(w, string(out))
		return nil
	}
	w.header.Set("Content-Type", "text/event-stream")
	writer := dialect.Stream(req)
	var out []byte
	for _, piece := range pieces(a) {
		out = writer.Write(out, &piece)
	}
	_, _ = w.Write(writer.End(out, total))
	return nil
}

func (f *fake) settle(req *chat.Request, u pricing.Usage, cost pricing.Nano) {
	f.mu.Lock()
	defer f.mu.Unlock()
	money := fmt.Sprintf(`{"credits":%q,"usd":%q}`, pricing.FormatCredits(cost, 100), pricing.FormatUSD(cost))
	f.receipts[req.ID] = fmt.Sprintf(`{"object":"usage.receipt","id":%q,"model":%q,"status":200,"stream":%v,"evidence":"reported","transaction":"tx_1",`+
		`"tokens":{"input":%d,"cache_read":%d,"cache_write":%d,"output":%d},"cost":%s,"charge":%s}`, req.ID, req.Model, req.Stream, u.Input, u.CacheRead, u.CacheWrite, u.Output, money, money)
}
