package server

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// status sets the account's status and has the admission store hear of it, as upkeep does.
func (w *world) status(status ledger.AccountStatus) {
	w.t.Helper()
	a, err := w.books.SetAccountStatus(w.t.Context(), account, status, "chargeback 4711")
	if err == nil {
		err = w.redis.LoadAccount(w.t.Context(), admit.Copy{Account: account, Spendable: a.Spendable(), Version: a.Version, Suspended: a.Suspended})
	}
	if err != nil {
		w.t.Error(err)
	}
}

// counted fails the test unless so many decisions came to an outcome.
func (w *world) counted(outcome string, want float64) {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	got := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "layers_admission_decisions_total" && m.GetLabel()[0].GetValue() == outcome {
				got = m.GetCounter().GetValue()
			}
		}
	}
	if got != want {
		w.t.Errorf("%v decisions are %s, want %v", got, outcome, want)
	}
}

// A suspended account is told so in each protocol's words, whether limits are enforced or counted, and asked about in an estimate.
func TestSuspendedAccount(t *testing.T) {
	for name, enforcement := range map[string]func(*Options, *snapshot.Snapshot){
		"enforced": func(*Options, *snapshot.Snapshot) {},
		"counted":  func(_ *Options, s *snapshot.Snapshot) { s.Policies[0].Shadow = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, enforcement)
			w.key(goodKey, usd)
			w.serve(answers(20, 10))
			if got := w.chat(hello); got.status != http.StatusOK {
				t.Fatalf("before: %d %s", got.status, got.body)
			}
			eventually(t, "it is charged", func() bool { return w.balance() < usd })
			before := w.balance()
			w.status(ledger.AccountSuspended)
			for protocol, words := range map[chat.Protocol][]string{
				chat.Completions: {`"code":"account_suspended"`, `"type":"permission_error"`, `"object":"Account ` + account + `"`},
				chat.Messages:    {`"type":"error"`, `"type":"permission_error"`, "is suspended"},
				chat.Responses:   {`"code":"account_suspended"`, `"type":"permission_error"`},
			} {
				got := w.do(http.MethodPost, asked[protocol][0], goodKey, asked[protocol][1])
				if got.status != http.StatusForbidden || got.header.Get(headerShadow) != "" || strings.Contains(got.body, "4711") {
					t.Errorf("%s: %d %v %s", protocol, got.status, got.header, got.body)
				}
				for _, word := range words {
					if !strings.Contains(got.body, word) {
						t.Errorf("%s: no %s in %s", protocol, word, got.body)
					}
				}
			}
			e := w.do(http.MethodPost, "/v1/estimate", goodKey, hello)
			if e.status != http.StatusOK || !strings.Contains(e.body, `"admitted":false,"status":403`) || !strings.Contains(e.body, `"code":"account_suspended"`) || strings.Contains(e.body, `"bites":true`) {
				t.Errorf("estimate: %d %s", e.status, e.body)
			}
			if got := w.do(http.MethodGet, "/v1/models", goodKey, ""); got.status != http.StatusOK {
				t.Errorf("models: %d %s", got.status, got.body)
			}
			w.counted("account_suspended", 3)
			w.status(ledger.AccountActive)
			if w.balance() != before {
				t.Errorf("refusals cost money: %d, was %d", w.balance(), before)
			}
			if got := w.chat(hello); got.status != http.StatusOK {
				t.Errorf("resumed: %d %s", got.status, got.body)
			}
		})
	}
}

// A stream that runs when its account is suspended ends at its next slice, and what it has used is charged.
func TestStreamOfSuspendedAccount(t *testing.T) {
	w := newWorld(t, long)
	w.key(goodKey, 200*usd)
	w.provider(func(p *snapshot.Provider) { p.CancelStopsBilling = true })
	feed, over := make(chan chat.Event), make(chan struct{})
	w.serve(live(feed))
	var feeding sync.WaitGroup
	feeding.Go(func() {
		defer close(feed)
		for i := range 60 {
			if i == 1 {
				w.status(ledger.AccountSuspended)
			}
			select {
			case feed <- wordsOf(100, chat.Completions, false):
			case <-over: // nobody reads any more
				return
			}
		}
	})
	got := w.chat(openStream)
	close(over)
	feeding.Wait()
	r := w.receipt(got)
	if r.Held != estimatedHold(openStream, 1024) || r.Usage.Output > 1024+200 || r.Charged == 0 || w.balance() != 200*usd-r.Charged {
		t.Errorf("held %d, %d tokens, charged %d, left %d", r.Held, r.Usage.Output, r.Charged, w.balance())
	}
	if !strings.Contains(got.body, `"finish_reason":"length"`) {
		t.Error(strings.ReplaceAll(got.body, "abcd", ""))
	}
}
