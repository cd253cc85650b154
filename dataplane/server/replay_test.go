package server

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// named sends a request under a name.
func (w *world) named(name, body string) reply {
	w.t.Helper()
	return w.do(http.MethodPost, "/v1/chat/completions", goodKey, body, headerIdempotency, name)
}

// counted counts the calls of an upstream.
func counted(calls *atomic.Int64, up upstream) upstream {
	return func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		calls.Add(1)
		return up(ctx, c)
	}
}

// A name is answered once: while the first runs others hear so, and when it has ended where its receipt is.
func TestReplay(t *testing.T) {
	for name, body := range map[string]string{"unary": hello, "stream": helloStream} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key(goodKey, usd)
			var calls atomic.Int64
			entered, goOn := make(chan struct{}), make(chan struct{})
			w.serve(counted(&calls, func(ctx context.Context, c chat.Call) (*chat.Response, error) {
				close(entered)
				<-goOn
				if c.Request.Stream {
					return streams(content("a"), used(20, 10), done())(ctx, c)
				}
				return answers(20, 10)(ctx, c)
			}))
			var first reply
			var wait sync.WaitGroup
			wait.Go(func() { first = w.named("once", body) })
			<-entered
			running := w.named("once", body)
			e := running.failure(t)
			if running.status != 409 || e["code"] != "request_in_progress" || running.header.Get("Retry-After") == "" {
				t.Errorf("running: %d %s %v", running.status, running.body, running.header)
			}
			other := w.named("once", strings.Replace(body, "hi", "ho", 1))
			if e := other.failure(t); other.status != 422 || e["code"] != "idempotency_key_reused" {
				t.Errorf("another body: %d %s", other.status, other.body)
			}
			close(goOn)
			wait.Wait()
			id := w.receipt(first).RequestID
			again := w.named("once", body)
			e = again.failure(t)
			if again.status != 409 || e["code"] != "already_processed" || e["receipt"] != usagePath+id || again.header.Get(headerReceipt) != usagePath+id || again.header.Get("X-Should-Retry") != "false" {
				t.Errorf("again: %d %s", again.status, again.body)
			}
			if got := w.do(http.MethodGet, again.header.Get(headerReceipt), goodKey, ""); got.status != 200 || !strings.Contains(got.body, id) {
				t.Errorf("its receipt: %d %s", got.status, got.body)
			}
			if calls.Load() != 1 || w.balance() != usd-40_000_000 {
				t.Errorf("%d calls, balance %d", calls.Load(), w.balance())
			}
			w.sound()
		})
	}
}

// Of many at once, one runs.
func TestReplayRace(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, 10*usd)
	var calls atomic.Int64
	w.serve(counted(&calls, answers(20, 10)))
	var good, conflicts atomic.Int64
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			switch got := w.named("race", hello); got.status {
			case 200:
				good.Add(1)
			case 409:
				conflicts.Add(1)
			default:
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	wait.Wait()
	if calls.Load() != 1 || good.Load() != 1 || conflicts.Load() != 19 || w.balance() != 10*usd-40_000_000 {
		t.Errorf("%d calls, %d answered, %d conflicts, balance %d", calls.Load(), good.Load(), conflicts.Load(), w.balance())
	}
	w.sound()
}

// What was refused, or failed and cost nothing, may be tried again under its name; what was charged may not.
func TestNamesAreGivenUp(t *testing.T) {
	fail := chat.Event{Err: &chat.Error{Status: 503, Type: "api_error", Message: "busy"}}
	for name, c := range map[string]struct {
		up     upstream
		body   string
		grant  int64
		status int
		again  int
	}{
		"no credits":           {answers(20, 10), hello, 0, 402, 200},
		"refused upstream":     {fails(429, false), hello, usd, 429, 200},
		"failed":               {fails(500, false), hello, usd, 500, 200},
		"panicked":             {func(context.Context, chat.Call) (*chat.Response, error) { panic("boom") }, hello, usd, 500, 200},
		"broken off, no text":  {streams(role(), fail), helloStream, usd, 503, 200},
		"broken off, charged":  {streams(content("a"), fail), helloStream, usd, 200, 409},
		"empty, and free":      {streams(role(), done()), helloStream, usd, 200, 409},
		"answered and charged": {answers(1, 1), hello, usd, 200, 409},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key(goodKey, c.grant)
			w.serve(c.up)
			first := w.named("n", c.body)
			if first.status != c.status {
				t.Fatalf("first %d %s", first.status, first.body)
			}
			if c.again == 409 {
				w.receipt(first)
			}
			if c.grant == 0 {
				if _, err := w.books.Grant(t.Context(), ledger.Grant{ID: "g", Account: account, Amount: usd, Kind: "manual", Reason: "test"}); err != nil {
					t.Fatal(err)
				}
			}
			w.serve(answers(20, 10))
			if c.body == helloStream {
				w.serve(streams(content("a"), used(20, 10), done()))
			}
			if got := w.named("n", c.body); got.status != c.again {
				t.Errorf("again %d %s", got.status, got.body)
			}
			w.sound()
		})
	}
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	w.key(goodKey, usd)
	other := goodKey + "2"
	w.key(other, usd)
	w.serve(answers(1, 1))
	for name, status := range map[string]int{
		"a": 200, strings.Repeat("x", 255): 200, strings.Repeat("x", 256): 400, "": 400, "with space": 400, "t\u00e4b": 400,
	} {
		if got := w.named(name, hello); got.status != status {
			t.Errorf("%q: %d %s", name, got.status, got.body)
		}
	}
	if got := w.do(http.MethodPost, "/v1/chat/completions", other, hello, headerIdempotency, "a"); got.status != 200 {
		t.Errorf("another key: %d %s", got.status, got.body)
	}
	if got := w.do(http.MethodPost, "/v1/messages", goodKey, asked[chat.Messages][1], headerIdempotency, "a"); got.status != 200 {
		t.Errorf("another path: %d %s", got.status, got.body)
	}
}

// In demo mode nothing is charged and nothing recorded: a name means nothing.
func TestNamesInDemoMode(t *testing.T) {
	w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) { s.Mode = snapshot.Demo })
	w.serve(answers(1, 1))
	for range 2 {
		if got := w.named("a", hello); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// A name whose request died before it held anything is free again when that would long have had a receipt.
func TestStaleNames(t *testing.T) {
	for name, c := range map[string]struct {
		age    time.Duration
		status int
	}{"young": {time.Hour, 409}, "old": {2 * time.Hour, 200}} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			w := newWorld(t, func(o *Options, _ *snapshot.Snapshot) { o.Now = func() time.Time { return now.Add(c.age) } })
			k := w.key(goodKey, usd)
			w.serve(answers(1, 1))
			dead := "req_" + uuid.Must(uuid.NewV7()).String() + " " + digest(hello)[:32]
			if holder, err := w.redis.Claim(t.Context(), account, digest(k.ID, "n", "/v1/chat/completions"), dead, claimKept); err != nil || holder != dead {
				t.Fatal(holder, err)
			}
			if got := w.named("n", hello); got.status != c.status {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}
