package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// taken holds some of the account's credits until it is called again.
func (w *world) take(amount pricing.Nano) {
	w.t.Helper()
	k, err := w.books.KeyByDigest(w.t.Context(), w.digest())
	if err != nil {
		w.t.Fatal(err)
	}
	r := admit.Request{ID: "other", Account: account, KeyDigest: k.Digest, KeyVersion: k.Version, Hold: amount, HoldFor: time.Minute}
	if d, err := w.redis.Admit(w.t.Context(), r); err != nil || d.Outcome != admit.Admitted {
		w.t.Fatalf("%+v %v", d, err)
	}
}

// words are so many tokens of output in one event, in the words of a protocol that passes, or translated.
func wordsOf(tokens int64, protocol chat.Protocol, translated bool) chat.Event {
	text := strings.Repeat("abcd", int(tokens))
	data := map[chat.Protocol]string{
		chat.Completions: `{"id":"c1","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}`,
		chat.Messages:    `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"` + text + `"}}`,
		chat.Responses:   `{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"` + text + `"}`,
	}[protocol]
	ev := event(data)
	if translated {
		ev = chat.Event{Pieces: []chat.Piece{{Kind: chat.PieceText, Text: text}}}
	}
	ev.Content, ev.OutputBytes = true, int64(len(text))
	return ev
}

// begun is how a passing stream of each protocol begins.
var begun = map[chat.Protocol][]string{
	chat.Messages: {`{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":9,"output_tokens":1}}}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`},
	chat.Responses: {
		`{"type":"response.created","sequence_number":1,"response":{"id":"resp_1","object":"response","status":"in_progress","output":[]}}`,
		`{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}`,
		`{"type":"response.content_part.added","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}`,
	},
}

var openStreams = map[chat.Protocol][2]string{
	chat.Completions: {"/v1/chat/completions", openStream},
	chat.Messages:    {"/v1/messages", `{"model":"good","max_tokens":20000,"stream":true,"messages":[{"role":"user","content":"hi"}]}`},
	chat.Responses:   {"/v1/responses", `{"model":"good","stream":true,"input":"hi"}`},
}

// ends are what each protocol's clients wait for where an answer has reached its limit, and what stands in it.
var ends = map[chat.Protocol][]string{
	chat.Completions: {`"finish_reason":"length"`, `"cost":`, "data: [DONE]\n\n"},
	chat.Messages:    {`"type":"content_block_stop","index":0`, `"stop_reason":"max_tokens"`, `"cost":`, "event: message_stop\n"},
	chat.Responses:   {"event: response.output_text.done\n", "event: response.content_part.done\n", "event: response.output_item.done\n", `"status":"incomplete"`, "event: response.incomplete\n", `"reason":"max_output_tokens"`, `"cost":`},
}

// A stream that gets longer than estimated is held for as it grows; where there is no more to hold it ends as one that has
// reached its limit, and what is overspent is less than one slice.
func TestHoldsAreExtended(t *testing.T) {
	const events, each = 60, 100 // 6,000 tokens
	for protocol, ask := range openStreams {
		for _, translated := range []bool{false, true} {
			for name, c := range map[string]struct{ balance, taken pricing.Nano }{
				"granted": {200 * usd, 0}, "refused": {200 * usd, 200*usd - 3*usd - estimatedHold(ask[1], 1024)},
			} {
				t.Run(string(protocol)+" "+name, func(t *testing.T) {
					w := newWorld(t, long)
					if translated {
						w.fit = map[chat.Protocol]chat.Fit{protocol: chat.Translates}
					}
					w.key(goodKey, c.balance)
					feed := make(chan chat.Event)
					w.serve(live(feed))
					go func() {
						defer close(feed)
						first := begun[protocol]
						if translated {
							first = nil
						}
						for _, data := range first {
							feed <- event(data)
						}
						for i := range events {
							if i == 1 && c.taken > 0 {
								w.take(c.taken)
							}
							select {
							case feed <- wordsOf(each, protocol, translated):
							case <-time.After(time.Second): // nobody reads any more
								return
							}
						}
					}()
					w.provider(func(p *snapshot.Provider) { p.CancelStopsBilling = true })
					got := w.do(http.MethodPost, ask[0], goodKey, ask[1])
					r := w.receipt(got)
					if c.taken == 0 {
						if got.status != 200 || r.Held < 6000*perOut || strings.Contains(got.body, "max_tokens") || r.Disconnect != "" {
							t.Errorf("%d, held %d", got.status, r.Held)
						}
						return
					}
					for _, end := range ends[protocol] {
						if !strings.Contains(got.body, end) {
							t.Errorf("no %q in %s", end, strings.ReplaceAll(got.body, "abcd", ""))
						}
					}
					if spent := c.balance - w.balance(); spent > r.Held+each*perOut || r.Held > estimatedHold(ask[1], 1024)+3*usd || r.Usage.Output < 1024 || r.Evidence != ledger.EvidenceEstimated {
						t.Errorf("charged %d of %d held, %d tokens, %s", spent, r.Held, r.Usage.Output, r.Evidence)
					}
				})
			}
		}
	}
}

// Where a provider bills what is cancelled, the stream is read on for its usage, of which only what was let through is charged.
func TestStoppedStreamIsDrained(t *testing.T) {
	w := newWorld(t, long)
	w.key(goodKey, 200*usd)
	feed := make(chan chat.Event)
	w.serve(live(feed))
	go func() {
		defer close(feed)
		feed <- wordsOf(10, chat.Completions, false)
		w.take(200*usd - estimatedHold(openStream, 1024))
		for range 30 {
			feed <- wordsOf(100, chat.Completions, false) // all is read
		}
		feed <- used(33, 3010)
		feed <- done()
	}()
	got := w.chat(openStream)
	r := w.receipt(got)
	if r.Usage.Input != 33 || r.Usage.Output < 1024 || r.Usage.Output > 1200 || r.Evidence != ledger.EvidenceEstimated {
		t.Errorf("%+v %s", r.Usage, r.Evidence)
	}
	if !strings.Contains(got.body, `"finish_reason":"length"`) || strings.Count(got.body, "[DONE]") != 1 || !strings.Contains(got.body, `"cost":`+pricing.FormatUSD(r.Charged)) {
		t.Errorf("%s", strings.ReplaceAll(got.body, "abcd", ""))
	}
}

// What a model thinks in silence is held for by the clock.
func TestSilenceIsHeldFor(t *testing.T) {
	w := newWorld(t, long, func(_ *Options, s *snapshot.Snapshot) {
		s.Models[0].Capabilities = append(s.Models[0].Capabilities, "Thinking")
		s.Policies[0].DefaultOutputTokens, s.Policies[0].MinOutputTokens = 300, 100
	})
	w.key(goodKey, 200*usd)
	feed := make(chan chat.Event)
	w.serve(live(feed))
	go func() {
		defer close(feed)
		feed <- role()
		eventually(t, "extended in silence", func() bool { return w.reserved() > estimatedHold(openStream, 1000) })
		feed <- content("a")
		feed <- used(20, 900)
		feed <- done()
	}()
	if r := w.receipt(w.chat(openStream)); r.Usage.Output != 900 || r.Charged != 20*perIn+900*perOut || r.Held < r.Charged {
		t.Errorf("%+v, charged %d of %d held", r.Usage, r.Charged, r.Held)
	}
	w.sound()
}

// A store that does not answer lets a stream go on for one slice.
func TestExtensionWithoutAnswer(t *testing.T) {
	var dead *deaf
	w := newWorld(t, long, func(o *Options, _ *snapshot.Snapshot) {
		dead = &deaf{Admission: o.Admitter}
		o.Admitter = dead
	})
	w.key(goodKey, 200*usd)
	events := []chat.Event{}
	for range 60 {
		events = append(events, wordsOf(100, chat.Completions, false))
	}
	w.serve(streams(events...))
	r := w.receipt(w.chat(openStream))
	if first := estimatedHold(openStream, 1024); r.Held != first || r.Usage.Output < 1024 || r.Usage.Output > 1024+1024+200 {
		t.Errorf("held %d, want %d; %d tokens", r.Held, first, r.Usage.Output)
	}
}

// deaf is a store that extends nothing.
type deaf struct{ Admission }

// Extend implements admit.Extender.
func (deaf) Extend(context.Context, admit.Extension) (admit.Decision, error) {
	return admit.Decision{}, context.DeadlineExceeded
}

// A model that only thinks in silence until nothing is left to hold for it ends, too, in every protocol, and costs nothing.
func TestSilenceEnds(t *testing.T) {
	for protocol, ask := range openStreams {
		for _, translated := range []bool{false, true} {
			w := newWorld(t, long, func(_ *Options, s *snapshot.Snapshot) {
				s.Models[0].Capabilities = append(s.Models[0].Capabilities, "Thinking")
				s.Policies[0].DefaultOutputTokens, s.Policies[0].MinOutputTokens = 300, 100
				s.Providers[0].CancelStopsBilling = true
			})
			if translated {
				w.fit = map[chat.Protocol]chat.Fit{protocol: chat.Translates}
			}
			w.key(goodKey, 200*usd)
			w.serve(func(ctx context.Context, c chat.Call) (*chat.Response, error) {
				w.take(200*usd - w.reserved())
				return live(make(chan chat.Event))(ctx, c)
			})
			got := w.do(http.MethodPost, ask[0], goodKey, ask[1])
			for _, end := range ends[protocol] {
				if open := strings.Contains(end, "content") || strings.Contains(end, "output_"); !open && !strings.Contains(got.body, end) {
					t.Errorf("%s, translated %v: no %q in %s", protocol, translated, end, got.body)
				}
			}
			if r := w.receipt(got); r.Charged != 0 || r.Evidence != ledger.EvidenceFree {
				t.Errorf("charged %d, %s", r.Charged, r.Evidence)
			}
		}
	}
}

// fickle is a store whose copies go again and again: it wants to be told so often before it extends to an amount.
type fickle struct {
	Admission
	wants, left, asked int
	to                 pricing.Nano
}

// Extend implements admit.Extender.
func (f *fickle) Extend(ctx context.Context, e admit.Extension) (admit.Decision, error) {
	if f.asked++; e.To != f.to {
		f.to, f.left = e.To, f.wants
	}
	if f.left > 0 {
		f.left--
		return admit.Decision{Outcome: admit.ReloadAccount}, nil
	}
	return f.Admission.Extend(ctx, e)
}

// A stream is not cut because the account's copy went more than once, nor because a grant is newer than it.
func TestExtensionsReadAgain(t *testing.T) {
	for name, change := range map[string]func(w *world, store *fickle){
		"the copy goes three times": func(_ *world, store *fickle) { store.wants = 3 },
		"a grant is newer than the copy": func(w *world, _ *fickle) {
			w.take(200*usd - w.reserved())
			grant := ledger.Grant{ID: "more", Account: account, Amount: 100 * usd, Kind: ledger.GrantManual, Reason: "test"}
			if _, err := w.books.Grant(w.t.Context(), grant); err != nil {
				w.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := &fickle{}
			w := newWorld(t, long, func(o *Options, _ *snapshot.Snapshot) {
				store.Admission = o.Admitter
				o.Admitter = store
			})
			w.key(goodKey, 200*usd)
			feed := make(chan chat.Event)
			w.serve(live(feed))
			go func() {
				defer close(feed)
				feed <- wordsOf(100, chat.Completions, false)
				change(w, store)
				for range 30 {
					select {
					case feed <- wordsOf(100, chat.Completions, false):
					case <-time.After(5 * time.Second): // nobody reads any more
						return
					}
				}
				feed <- used(20, 3100)
				feed <- done()
			}()
			got := w.chat(openStream)
			if r := w.receipt(got); r.Usage.Output != 3100 || r.Held < r.Charged || strings.Contains(got.body, `"finish_reason":"length"`) || store.asked < 2 {
				t.Errorf("%+v, charged %d of %d held, asked %d times", r.Usage, r.Charged, r.Held, store.asked)
			}
		})
	}
}
