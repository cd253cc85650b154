package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// The receipt of a client that left says what became of its call, one thing and never both: its provider was told to stop,
// or its answer was read on for the usage.
func TestReceiptsTellHowLeavingEnded(t *testing.T) {
	for name, c := range map[string]struct {
		stops    bool // cancelling ends the provider's bill
		full     bool // too many calls go on already
		want     string
		evidence ledger.Evidence
		charged  pricing.Nano
	}{
		"cancelled":             {true, false, ledger.DisconnectCancelled, ledger.EvidenceEstimated, estimated(helloStream, 8)},
		"drained":               {false, false, ledger.DisconnectDrained, ledger.EvidenceReported, 40_000_000},
		"too many: cancelled":   {false, true, ledger.DisconnectCancelled, ledger.EvidenceEstimated, estimated(helloStream, 8)},
		"cancelled, with drain": {true, true, ledger.DisconnectCancelled, ledger.EvidenceEstimated, estimated(helloStream, 8)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options, s *snapshot.Snapshot) { o.MaxDrained, s.Providers[0].CancelStopsBilling = 1, c.stops })
			w.key(goodKey, usd)
			if c.full && !w.server.drained.TryAcquire(1) {
				t.Fatal("no room at all")
			}
			ended, feed := make(chan struct{}), make(chan chat.Event)
			w.serve(func(ctx context.Context, _ chat.Call) (*chat.Response, error) {
				context.AfterFunc(ctx, func() { close(ended) })
				return &chat.Response{Events: script{ctx, feed}}, nil
			})
			ctx, leave := context.WithCancel(t.Context())
			go func() { feed <- content("12345678") }()
			resp := w.open(ctx, http.MethodPost, "/v1/chat/completions", goodKey, helloStream)
			leave()
			_ = resp.Body.Close()
			if c.want == ledger.DisconnectDrained {
				eventually(t, "the leaving is seen", func() bool {
					if w.server.drained.TryAcquire(1) {
						w.server.drained.Release(1)
						return false
					}
					return true
				})
				feed <- used(20, 10)
				feed <- done()
				close(feed)
			}
			r := w.receipt(reply{header: resp.Header})
			if r.Disconnect != c.want || r.Evidence != c.evidence || r.Charged != c.charged {
				t.Errorf("%q, %s, charged %d; want %q, %s, %d", r.Disconnect, r.Evidence, r.Charged, c.want, c.evidence, c.charged)
			}
			got := w.do(http.MethodGet, usagePath+r.RequestID, goodKey, "")
			if !strings.Contains(got.body, `"disconnect":"`+c.want+`"`) {
				t.Errorf("%s", got.body)
			}
			<-ended
			w.sound()
		})
	}
}

// A fallback to a dearer backend costs the client no more than was checked: it is charged the model's price, and its hold is
// for the most that any of the backends may do (litellm#41379).
func TestFallbackToADearerBackend(t *testing.T) {
	for name, body := range map[string]string{"unary": hello, "stream": helloStream} {
		t.Run(name, func(t *testing.T) {
			dearer := &snapshot.Price{Version: "dear", InputPerMillion: 9000 * usd, OutputPerMillion: 9000 * usd}
			w := newWorld(t, func(_ *Options, s *snapshot.Snapshot) { s.Models[0].Backends[1].Price = dearer })
			worst := int64(len(body))*perIn + 10*perOut
			w.key(goodKey, worst) // not a nano more
			w.serve(fails(500, true))
			w.serveModel("second", func(ctx context.Context, c chat.Call) (*chat.Response, error) {
				if got := w.reserved(); got != worst {
					t.Errorf("%d are held at the dearer backend, want %d", got, worst)
				}
				if c.Request.Stream {
					return streams(content("a"), used(20, 10), done())(ctx, c)
				}
				return answers(20, 10)(ctx, c)
			})
			got := w.chat(body)
			r := w.receipt(got)
			if got.status != 200 || r.Backend != "two" || r.Charged != 40_000_000 || r.Held != worst || r.ProviderCost != 30*9_000_000 || r.ProviderPrice != "dear" {
				t.Errorf("%d, charged %d of %d at %s, which asks %d by %q", got.status, r.Charged, r.Held, r.Backend, r.ProviderCost, r.ProviderPrice)
			}
			w.sound()
		})
	}
}

// An estimate tells what would be held, and how that comes about.
func TestEstimateTellsTheHold(t *testing.T) {
	for name, c := range map[string]struct {
		balance pricing.Nano
		body    string
		mode    string
		hold    pricing.Nano
		most    int64
		status  int
	}{
		"adaptive":   {200 * usd, openStream, "adaptive", estimatedHold(openStream, 1024), 0, 200},
		"worst case": {200 * usd, open, "worst_case", int64(len(open))*perIn + 20_000*perOut, 0, 200},
		"clamped":    {20 * usd, open, "clamped", 20 * usd, (20*usd - int64(len(open))*perIn) / perOut, 200},
		"short":      {0, open, "short", int64(len(open))*perIn + 256*perOut, 0, 402},
		"tied up":    {20 * usd, open, "tied_up", int64(len(open))*perIn + 256*perOut, 0, 429},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, long)
			w.key(goodKey, c.balance)
			if w.estimates(c.body); c.mode == "tied_up" { // which loads the account
				w.take(c.balance)
			}
			e := w.estimates(c.body)
			if e.HoldMode != c.mode || e.Hold["usd"] != pricing.FormatUSD(c.hold) || e.MaxTokens != c.most || e.Status != c.status || e.Admitted != (c.status == 200) {
				t.Errorf("%+v", e)
			}
			if want := pricing.FormatUSD(int64(len(c.body))*perIn + 20_000*perOut); e.WorstCase["usd"] != want {
				t.Errorf("worst case %v, want %s", e.WorstCase, want)
			}
		})
	}
}
