package server

import (
	"context"
	"net/http"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
)

// Worst-case holds block agents (litellm#38647): an agent that runs twenty streams at once, of which each may cost 40 dollars and
// none costs a tenth of a dollar, is refused nothing with 220 dollars; worst cases would have let five through.
func TestWorstCaseHoldsDoNotBlockAgents(t *testing.T) {
	w := newWorld(t, long)
	w.key(goodKey, 220*usd)
	const agents = 20
	entered, release := make(chan struct{}), make(chan struct{})
	w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
		entered <- struct{}{}
		<-release
		return streams(content("a"), used(20, 10), done())(ctx, c)
	})
	answers := make(chan reply, agents)
	for range agents {
		go func() { answers <- w.chat(openStream) }()
	}
	for range agents {
		select {
		case <-entered:
		case got := <-answers:
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got, want := w.reserved(), agents*estimatedHold(openStream, 1024); got != want {
		t.Errorf("%d are held, want %d", got, want)
	}
	close(release)
	for range agents {
		if got := <-answers; got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if want := 220*usd - agents*40_000_000; w.balance() != want {
		t.Errorf("balance %d, want %d", w.balance(), want)
	}
	w.sound()
}

// Explicit zero usage is billed by an estimate (litellm#37992): a provider that says that it used nothing is believed, whole or
// as a stream; only one that says nothing is estimated.
func TestExplicitZeroUsageIsReported(t *testing.T) {
	for name, body := range map[string]string{"unary": hello, "stream": helloStream} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.key(goodKey, usd)
			w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
				if c.Request.Stream {
					return streams(content("an answer"), used(0, 0), done())(ctx, c)
				}
				return answers(0, 0)(ctx, c)
			})
			if r := w.receipt(w.chat(body)); r.Evidence != ledger.EvidenceReported || r.Charged != 0 || r.Cost != 0 {
				t.Errorf("%s, charged %d, cost %d", r.Evidence, r.Charged, r.Cost)
			}
			if w.balance() != usd {
				t.Errorf("balance %d", w.balance())
			}
			w.sound()
		})
	}
}
