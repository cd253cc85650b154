package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Bodies of one short question in each protocol.
var asked = map[chat.Protocol][2]string{
	chat.Completions: {"/v1/chat/completions", hello},
	chat.Messages:    {"/v1/messages", `{"model":"good","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}`},
	chat.Responses:   {"/v1/responses", `{"model":"good","max_output_tokens":10,"input":"hi"}`},
}

// said is a short answer in no protocol's words.
func said() *chat.Answer {
	return &chat.Answer{ID: "up-1", Choices: []chat.Choice{{
		Parts: []chat.Part{{Kind: chat.PartText, Text: "hello"}}, Finish: chat.Finish{Reason: chat.FinishStop},
	}}}
}

// translates answers calls translated: unary, or as a stream of events.
func translates(dropped ...string) upstream {
	return func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		if _, err := c.Request.Translate(); err != nil {
			return nil, err
		}
		usage := &pricing.Usage{Input: 20, Output: 10}
		if !c.Request.Stream {
			return &chat.Response{Answer: said(), Usage: usage, OutputBytes: 5, Dropped: dropped}, nil
		}
		events := make(chan chat.Event, 4)
		for _, ev := range []chat.Event{
			{Pieces: []chat.Piece{{Kind: chat.PieceStart}}},
			{Pieces: []chat.Piece{{Kind: chat.PieceText, Text: "hello"}}, Content: true, OutputBytes: 5},
			{Pieces: []chat.Piece{{Kind: chat.PieceFinish, Finish: &chat.Finish{Reason: chat.FinishStop}}}, Usage: usage},
		} {
			events <- ev
		}
		close(events)
		return &chat.Response{Events: script{ctx, events}, Dropped: dropped}, nil
	}
}

// Every protocol is served by a provider of another, streamed and not, at the same price.
func TestTranslatedProtocols(t *testing.T) {
	for protocol, ask := range asked {
		for _, stream := range []bool{false, true} {
			w := newWorld(t)
			w.fit = map[chat.Protocol]chat.Fit{protocol: chat.Translates}
			w.key(goodKey, usd)
			w.serve(translates("seed", "top_k"))
			body := ask[1]
			if stream {
				body = strings.Replace(body, "{", `{"stream":true,`, 1)
			}
			got := w.do("POST", ask[0], goodKey, body)
			if got.status != 200 || !strings.Contains(got.body, "hello") || got.header.Get("X-Layers-Dropped-Params") != "seed, top_k" {
				t.Fatalf("%s, stream %v: %d %v %s", protocol, stream, got.status, got.header, got.body)
			}
			if cost := strings.Contains(got.body, `"cost":0.04`); !cost && (!stream || protocol != chat.Completions) {
				t.Errorf("%s, stream %v tells no cost: %s", protocol, stream, got.body)
			}
			eventually(t, "the answer is charged", func() bool { return w.balance() == usd-40_000_000 })
			w.sound()
		}
	}
}

// Refusals come in the client's own shape, before anything is held.
func TestErrorsInEachShape(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	for path, want := range map[string]string{
		"/v1/messages":         `"type":"error"`,
		"/v1/responses":        `"param":"model"`,
		"/v1/embeddings":       `"param":"model"`,
		"/v1/chat/completions": `"param":"model"`,
	} {
		if got := w.do("POST", path, goodKey, `{"max_tokens":1}`); got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if got := w.do("POST", path, "lyr_live_unknownunknownunknown", `{}`); got.status != 401 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if got := w.do("GET", path, goodKey, ""); got.status != 405 {
			t.Errorf("GET %s: %d", path, got.status)
		}
	}
}

func TestUnfit(t *testing.T) {
	w := newWorld(t)
	w.fit = map[chat.Protocol]chat.Fit{chat.Embeddings: chat.Unfit, chat.CountTokens: chat.Unfit}
	w.key(goodKey, usd)
	got := w.do("POST", "/v1/embeddings", goodKey, `{"model":"good","input":"x"}`)
	if e := got.failure(t); got.status != 400 || e["code"] != "unsupported_endpoint" || e["param"] != "model" {
		t.Errorf("%d %s", got.status, got.body)
	}
	got = w.do("POST", "/v1/messages/count_tokens", goodKey, `{"model":"good","messages":[{"role":"user","content":"12345678"}]}`)
	if got.status != 200 || !strings.Contains(got.body, `"input_tokens":`) || got.header.Get("X-Layers-Estimated") != "true" || w.balance() != usd {
		t.Errorf("%d %s, balance %d", got.status, got.body, w.balance())
	}
}

// Embeddings read and write nothing: they are held for and charged by their input alone.
func TestEmbeddingsCostTheirInput(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(func(_ context.Context, c chat.Call) (*chat.Response, error) {
		return &chat.Response{Body: []byte(`{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":20}}`), Usage: &pricing.Usage{Input: 20}, OutputBytes: 1}, nil
	})
	got := w.do("POST", "/v1/embeddings", goodKey, `{"model":"good","input":"x"}`)
	if got.status != 200 || !strings.Contains(got.body, `"cost":0.02`) || w.balance() != usd-20_000_000 {
		t.Errorf("%d %s, balance %d", got.status, got.body, w.balance())
	}
}

// What the model has no price for is refused by name.
func TestUnpricedNeeds(t *testing.T) {
	search, long := 10_000*usd, 3000*usd
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) {
		s.Models[0].Capabilities = append(s.Models[0].Capabilities, "WebSearch", "PromptCache")
		priced := s.Models[0]
		priced.Object, priced.PublicName, priced.Aliases = "ns/priced", "test/priced", []string{"priced"}
		price := *priced.Price
		price.SearchPerMillion, price.CacheWrite1hPerMillion = &search, &long
		priced.Price = &price
		s.Models = append(s.Models, priced)
		s.Tiers[0].Models = append(s.Tiers[0].Models, "test/priced")
	})
	w.key(goodKey, 1000*usd)
	w.serve(answers(1, 1))
	for _, body := range []string{
		`{"model":"good","max_tokens":10,"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":2}]}`,
		`{"model":"good","max_tokens":10,"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}`,
	} {
		if got := w.do("POST", "/v1/messages", goodKey, body); got.status != 400 || !strings.Contains(got.body, "no price") {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := w.do("POST", "/v1/messages", goodKey, strings.Replace(body, `"good"`, `"priced"`, 1)); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// A client that leaves ends the call where the provider then bills nothing more, and is billed for what was produced.
func TestLeavingStopsBilling(t *testing.T) {
	for _, stops := range []bool{true, false} {
		w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) { s.Providers[0].CancelStopsBilling = stops })
		w.key(goodKey, usd)
		events, ended := make(chan chat.Event), make(chan struct{})
		w.serve(func(ctx context.Context, _ chat.Call) (*chat.Response, error) {
			context.AfterFunc(ctx, func() { close(ended) })
			return &chat.Response{Events: script{ctx, events}}, nil
		})
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			events <- content("12345678")
			leave()
			if !stops {
				events <- used(20, 10)
				close(events)
			}
		}()
		w.leaves(ctx, plainStream)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("stops %v: the call goes on", stops)
		}
		want := int64(40_000_000)
		if stops {
			want = estimated(plainStream, 8)
		}
		eventually(t, "the right charge", func() bool { return usd-w.balance() == want })
	}
}

// leaves asks and reads until its context ends.
func (w *world) leaves(ctx context.Context, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.api.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+goodKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 512)
	for err == nil {
		_, err = resp.Body.Read(buf)
	}
}

// A provider that fails for a moment is tried again, and its client never hears of it.
func TestRetriesOfOneBackend(t *testing.T) {
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) { s.Models[0].Backends = s.Models[0].Backends[:1] })
	w.key(goodKey, usd)
	for _, tc := range []struct {
		failure chat.Error
		calls   int
		status  int
	}{
		{chat.Error{Status: 503, Type: typeServer, Fallback: true}, 2, 200},
		{chat.Error{Status: 429, Type: typeRate, Fallback: true, RetryAfter: 50 * time.Millisecond}, 2, 200},
		{chat.Error{Status: 429, Type: typeRate, Code: "insufficient_quota", Fallback: true}, 1, 429},
		{chat.Error{Status: 429, Type: typeRate, Fallback: true, RetryAfter: time.Hour}, 1, 429},
		{chat.Error{Status: 502, Type: typeServer, Code: "upstream_auth", Fallback: true}, 1, 502},
		{chat.Error{Status: 400, Type: typeRequest}, 1, 400},
	} {
		calls := 0
		w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
			if calls++; calls == 1 {
				failure := tc.failure
				return nil, &failure
			}
			return answers(1, 1)(ctx, c)
		})
		if got := w.chat(hello); got.status != tc.status || calls != tc.calls {
			t.Errorf("%+v: %d after %d calls: %s", tc.failure, got.status, calls, got.body)
		}
	}
}

// A stream that breaks off after a report at its beginning is charged for what came since, too.
func TestBrokenOffAfterItsReport(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	early := event(`{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":1}}`, func(e *chat.Event) { e.Usage = &pricing.Usage{Input: 20, Output: 1} })
	w.serve(streams(early, content("1234567890123456"), event("", func(e *chat.Event) { e.Err = &chat.Error{Status: 502, Message: "broken"} })))
	if got := w.chat(plainStream); !strings.Contains(got.body, "broken") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	eventually(t, "the right charge", func() bool { return usd-w.balance() == 20*1_000_000+4*2_000_000 })
	w.serve(streams(early, content("1234567890123456"), done()))
	w.chat(plainStream)
	eventually(t, "a whole answer's report is believed", func() bool { return usd-w.balance() == 2*20*1_000_000+(4+1)*2_000_000 })
}

// What the dialect took out is named where the body passes, and not where it was translated from the whole.
func TestDroppedByTheDialect(t *testing.T) {
	for fit, want := range map[chat.Fit]string{chat.Passes: "anthropic-beta.context-1m-2025-08-07", chat.Translates: ""} {
		w := newWorld(t)
		w.fit = map[chat.Protocol]chat.Fit{chat.Messages: fit}
		w.key(goodKey, usd)
		w.serve(answers(1, 1))
		if fit == chat.Translates {
			w.serve(translates())
		}
		got := w.do("POST", "/v1/messages", goodKey, asked[chat.Messages][1], "Anthropic-Beta", "context-1m-2025-08-07", "Anthropic-Version", "2023-06-01")
		if got.status != 200 || got.header.Get("X-Layers-Dropped-Params") != want || !strings.HasPrefix(got.header.Get("Request-Id"), "req_") {
			t.Errorf("%d %v", got.status, got.header)
		}
	}
}

// The lists of models come in the shape of the client's protocol.
func TestModelListsInEachShape(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	for path, want := range map[string][2]string{
		"/v1/models":           {`"pricing"`, `"first_id"`},
		"/v1/models/test/good": {`"owned_by":"test"`, `"display_name"`},
	} {
		if got := w.do("GET", path, goodKey, ""); got.status != 200 || !strings.Contains(got.body, want[0]) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if got := w.do("GET", path, goodKey, "", "Anthropic-Version", "2023-06-01"); got.status != 200 || !strings.Contains(got.body, want[1]) {
			t.Errorf("%s for Anthropic's clients: %d %s", path, got.status, got.body)
		}
	}
}
