package server

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// A client that has left waits for no other backend: it would pay for an answer that nobody reads.
func TestNoRetryForNobody(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	entered, goOn := make(chan struct{}), make(chan struct{})
	var seconds atomic.Int32
	w.serveModel("second", func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		seconds.Add(1)
		return answers(20, 10)(ctx, c)
	})
	w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		close(entered)
		<-goOn
		return fails(503, true)(ctx, c)
	})
	conn, err := net.Dial("tcp", w.api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	request := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + goodKey + "\r\nContent-Length: " + strconv.Itoa(len(hello)) + "\r\n\r\n" + hello
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	<-entered
	_ = conn.Close()
	eventually(t, "the server knows", func() bool {
		if !w.server.drained.TryAcquire(DefaultMaxDrained) {
			return true
		}
		w.server.drained.Release(DefaultMaxDrained)
		return false
	})
	close(goOn)
	eventually(t, "the end", func() bool { return strings.Contains(w.log.String(), "clientLeft=true") })
	if seconds.Load() > 0 || w.balance() != usd {
		t.Errorf("%d more calls, balance %d", seconds.Load(), w.balance())
	}
	w.sound()
}

// Clients that leave say nothing of a backend, whatever the ended call says.
func TestLeavingOpensNoCircuit(t *testing.T) {
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) { s.Providers[0].CancelStopsBilling = true })
	w.key(goodKey, usd)
	for range 8 {
		events := make(chan chat.Event)
		w.serve(live(events))
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			events <- content("1234")
			leave()
		}()
		w.leaves(ctx, plainStream)
	}
	eventually(t, "the ends", func() bool { return strings.Count(w.log.String(), "clientLeft=true") == 8 })
	if open := w.server.router.Open(); len(open) > 0 {
		t.Errorf("open are %v", open)
	}
	log := w.log.String()
	if strings.Contains(log, "Backend failed") || strings.Contains(log, "outcome=upstream_error") || strings.Count(log, "outcome=client_gone") != 8 {
		t.Errorf("the log blames the provider: %s", log)
	}
}

// mixed is a model with one backend that gets the body as it is, and one that it is translated for.
func mixed(first, second int32) func(*Options, *snapshot.Snapshot) {
	return func(_ *Options, s *snapshot.Snapshot) {
		s.Providers = append(s.Providers, snapshot.Provider{ID: "ns/other", Type: snapshot.Anthropic, BaseURL: "http://y"})
		b := s.Models[0].Backends
		b[0].Weight, b[1].Weight, b[1].Provider = first, second, "ns/other"
	}
}

// translating is an upstream that everything has to be translated for.
type translating struct{ *world }

// Fit implements chat.Upstream.
func (translating) Fit(*snapshot.Provider, chat.Protocol) chat.Fit { return chat.Translates }

// A body that cannot be translated is refused only where no backend gets it as it is.
func TestOneTranslationRefuses(t *testing.T) {
	const odd = `{"model":"good","max_tokens":10,"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{broken"}}]},{"role":"tool","tool_call_id":"c","content":"x"}]}`
	for name, c := range map[string]struct {
		first, second int32
		status        int
	}{
		"one passes": {1, 1, 200}, "the other takes none": {1, 0, 200}, "the one that passes takes none": {0, 1, 400},
	} {
		w := newWorld(t, mixed(c.first, c.second))
		w.server.o.Upstreams[snapshot.Anthropic] = translating{w}
		w.key(goodKey, usd)
		w.serve(answers(20, 10))
		w.serveModel("second", translates())
		if got := w.chat(odd); got.status != c.status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// What one provider has nothing for goes to one that has.
func TestUnsupportedFallsBack(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(func(context.Context, chat.Call) (*chat.Response, error) {
		return nil, errRequest("unsupported_parameter", "n", "no n here")
	})
	w.serveModel("second", answers(20, 10))
	if got := w.chat(hello); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	w.serveModel("second", fails(400, false))
	if got := w.chat(hello); got.status != 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A beginning too long to be held back is sent; then no other backend may begin again.
func TestLongBeginning(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	long := event(`{"choices":[{"delta":{"role":"assistant"}}],"x":"` + strings.Repeat("x", maxHeldBack) + `"}`)
	w.serve(streams(long, event("", func(e *chat.Event) { e.Err = &chat.Error{Status: 503, Message: "broken", Fallback: true} })))
	w.serveModel("second", streams(role(), content("never"), done()))
	if got := w.chat(plainStream); strings.Contains(got.body, "never") || !strings.Contains(got.body, "broken") {
		t.Errorf("two beginnings in one answer, or none")
	}
}

// All turns of a conversation go one way, and conversations do not go the same way.
func TestAffinityOfConversations(t *testing.T) {
	hash := func(protocol chat.Protocol, body string) uint64 {
		t.Helper()
		req, bad := dialects()[protocol].Parse("req_1", nil, []byte(body))
		if bad != nil {
			t.Fatal(bad)
		}
		return affinity(account, req)
	}
	const answer = `,{"role":"assistant","content":"a"},{"role":"user","content":"more"}`
	for name, c := range map[string]struct {
		protocol chat.Protocol
		body     string // %s is where later turns go
		later    string
	}{
		"chat":        {chat.Completions, `{"model":"good","messages":[{"role":"user","content":"X"}%s]}`, answer},
		"with system": {chat.Completions, `{"model":"good","messages":[{"role":"system","content":"s"},{"role":"user","content":"X"}%s]}`, answer},
		"messages":    {chat.Messages, `{"model":"good","max_tokens":9,"system":"s","messages":[{"role":"user","content":"X"}%s]}`, answer},
		"breakpoints": {chat.Messages, `{"model":"good","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"X"%s}]}]}`, `,"cache_control":{"type":"ephemeral"}`},
		"responses":   {chat.Responses, `{"model":"good","input":[{"role":"user","content":"X"}%s]}`, answer},
	} {
		first := hash(c.protocol, strings.Replace(c.body, "%s", "", 1))
		if later := hash(c.protocol, strings.Replace(c.body, "%s", c.later, 1)); later != first {
			t.Errorf("%s: the conversation moves", name)
		}
		if other := hash(c.protocol, strings.Replace(strings.Replace(c.body, "%s", "", 1), "X", "Y", 1)); other == first {
			t.Errorf("%s: two conversations are one", name)
		}
	}
}

// Open circuits are a metric, for as long as they are open.
func TestOpenCircuitsAreTold(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	w.serve(fails(500, true))
	w.serveModel("second", answers(1, 1))
	const open = `layers_circuit_open{backend="one",object="ns/good"} 1`
	for range 5 {
		if strings.Contains(w.metrics(), open) {
			t.Fatal("it is open too soon")
		}
		w.chat(hello)
	}
	if m := w.metrics(); !strings.Contains(m, open) {
		t.Errorf("no open circuit in %s", m)
	}
}
