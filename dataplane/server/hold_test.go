package server

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// long lets the models write 20,000 tokens, for 40 dollars.
func long(_ *Options, s *snapshot.Snapshot) {
	for i := range s.Models {
		s.Models[i].Limits = snapshot.Limits{ContextTokens: 100_000, MaxOutputTokens: 20_000}
	}
}

const (
	perIn, perOut = pricing.Nano(1_000_000), pricing.Nano(2_000_000) // of the tests' models, a token
	open          = `{"model":"good","messages":[{"role":"user","content":"hi"}]}`
	openStream    = `{"model":"good","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}`
)

// estimatedHold is what is held by an estimate of so many tokens of output.
func estimatedHold(body string, out int64) pricing.Nano {
	return (16+(int64(len(body))+3)/4)*perIn + out*perOut
}

// How much is held, of how much, and what becomes of the answer's limit.
func TestHolds(t *testing.T) {
	worst := func(body string, out int64) pricing.Nano { return int64(len(body))*perIn + out*perOut }
	affords := func(body string, have pricing.Nano) int64 { return (have - int64(len(body))*perIn) / perOut }
	thinking := func(s *snapshot.Snapshot) { s.Models[0].Capabilities = append(s.Models[0].Capabilities, "Thinking") }
	none := func(*snapshot.Snapshot) {}
	two := strings.Replace(open, `{`, `{"n":2,`, 1)
	for name, c := range map[string]struct {
		balance pricing.Nano
		body    string
		strict  string
		change  func(*snapshot.Snapshot)
		status  int
		held    pricing.Nano
		most    int64 // for each choice, as the provider is told; 0: not cut
	}{
		"healthy: an estimate":                {200 * usd, openStream, "", none, 200, estimatedHold(openStream, 1024), 0},
		"healthy, but it comes as a whole":    {200 * usd, open, "", none, 200, worst(open, 20_000), 0},
		"healthy, of a model that thinks":     {200 * usd, openStream, "", thinking, 200, estimatedHold(openStream, 8192), 0},
		"healthy, as the policy says":         {200 * usd, openStream, "", func(s *snapshot.Snapshot) { s.Policies[0].DefaultOutputTokens = 300 }, 200, estimatedHold(openStream, 300), 0},
		"not four times the worst case":       {100 * usd, openStream, "", none, 200, worst(openStream, 20_000), 0},
		"something useful fits":               {30 * usd, openStream, "", none, 200, 30 * usd, affords(openStream, 30*usd)},
		"unary, something useful fits":        {30 * usd, open, "", none, 200, 30 * usd, affords(open, 30*usd)},
		"two choices share":                   {30 * usd, two, "", none, 200, 30 * usd, affords(two, 30*usd) / 2},
		"the least":                           {worst(open, 256), open, "", none, 200, worst(open, 256), 256},
		"less than the least":                 {worst(open, 256) - 1, open, "", none, 402, 0, 0},
		"the least of one that thinks":        {worst(open, 4096), open, "", thinking, 200, worst(open, 4096), 4096},
		"less than that":                      {worst(open, 4096) - 1, open, "", thinking, 402, 0, 0},
		"the least as the policy says":        {worst(open, 20), open, "", func(s *snapshot.Snapshot) { s.Policies[0].MinOutputTokens = 20 }, 200, worst(open, 20), 20},
		"never less than every provider does": {worst(open, 15), open, "", func(s *snapshot.Snapshot) { s.Policies[0].MinOutputTokens = 1 }, 402, 0, 0},
		"strict":                              {30 * usd, open, "true", none, 402, 0, 0},
		"strict, and it fits":                 {60 * usd, open, "true", none, 200, worst(open, 20_000), 0},
		"not strict":                          {30 * usd, open, "false", none, 200, 30 * usd, affords(open, 30*usd)},
		"strict or not":                       {30 * usd, open, "yes", none, 400, 0, 0},
		"an overdraft of the policy's":        {30 * usd, open, "", func(s *snapshot.Snapshot) { s.Policies[0].Overdraft = 20 * usd }, 200, worst(open, 20_000), 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, long, func(_ *Options, s *snapshot.Snapshot) { c.change(s) })
			w.key(goodKey, c.balance)
			var told int64
			w.serve(func(ctx context.Context, call chat.Call) (*chat.Response, error) {
				if told = call.Request.MaxOutputTokens; w.reserved() != c.held {
					t.Errorf("%d are held, want %d", w.reserved(), c.held)
				}
				if call.Request.Stream {
					return streams(content("a"), used(20, 10), done())(ctx, call)
				}
				return answers(20, 10)(ctx, call)
			})
			var headers []string
			if c.strict != "" {
				headers = []string{headerStrict, c.strict}
			}
			got := w.do(http.MethodPost, "/v1/chat/completions", goodKey, c.body, headers...)
			if got.status != c.status || told != c.most {
				t.Fatalf("%d %s; the provider may write %d, want %d", got.status, got.body, told, c.most)
			}
			if h := got.header.Get(headerMaxTokens); (h != "") != (c.most > 0) || h != "" && h != decimal(c.most) {
				t.Errorf("%s: %q, want %d", headerMaxTokens, h, c.most)
			}
			if c.status == 200 {
				if r := w.receipt(got); r.Held != c.held || r.Evidence != ledger.EvidenceReported {
					t.Errorf("the receipt says %d %s, want %d", r.Held, r.Evidence, c.held)
				}
			}
			if c.status != 400 { // then nobody has asked the store
				w.sound()
			}
		})
	}
}

// A 402 says what would have helped: whoever asks for as many tokens as it names is let in, though the body is longer by that.
func TestRefusalSaysWhatIsAffordable(t *testing.T) {
	think := func(_ *Options, s *snapshot.Snapshot) {
		s.Models[0].Capabilities = append(s.Models[0].Capabilities, "Thinking")
		s.Models[0].Limits = snapshot.Limits{ContextTokens: 100_000, MaxOutputTokens: 60_000}
	}
	for name, c := range map[string]struct {
		change func(*Options, *snapshot.Snapshot)
		body   string
		tokens int64 // that the balance pays for, beside the input
		worst  int64 // tokens that the request may write
		strict string
	}{
		"not said":         {long, open, 100, 20_000, "false"},
		"not said, strict": {long, open, 9000, 20_000, "true"},
		"said":             {long, strings.Replace(open, "{", `{"max_tokens":20000,`, 1), 100, 20_000, "false"},
		"several choices":  {long, strings.Replace(open, "{", `{"n":4,`, 1), 400, 80_000, "false"},
		"an effort that is translated": {
			func(o *Options, s *snapshot.Snapshot) { long(o, s); think(o, s) }, `{"model":"good","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000},"messages":[{"role":"user","content":"hi"}]}`, 28_000, 9000 + effortBudget, "true",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			w.fit = map[chat.Protocol]chat.Fit{chat.Messages: chat.Translates}
			w.key(goodKey, int64(len(c.body))*perIn+c.tokens*perOut)
			w.serve(answers(20, 10))
			path := "/v1/chat/completions"
			if strings.Contains(c.body, "thinking") {
				path = "/v1/messages"
			}
			ask := func(body string) reply { return w.do(http.MethodPost, path, goodKey, body, headerStrict, c.strict) }
			got := ask(c.body)
			e := got.failure(t)
			most, ok := e["affordable_max_tokens"].(float64)
			if worst := e["worst_case"].(map[string]any)["usd"]; worst != pricing.FormatUSD(int64(len(c.body))*perIn+c.worst*perOut) {
				t.Errorf("the worst case is %v: %s", worst, got.body)
			}
			if got.status != 402 || !strings.Contains(got.body, `code":"insufficient_credits"`) || !ok || most <= 0 || !strings.Contains(got.body, fmt.Sprintf("Ask for at most %.0f tokens", most)) {
				t.Fatalf("%d %s", got.status, got.body)
			}
			limited := saidLimit.ReplaceAllString(c.body, fmt.Sprintf(`"max_tokens":%.0f,`, most))
			if limited == c.body {
				limited = strings.Replace(c.body, "{", fmt.Sprintf("{\n    \"max_completion_tokens\": %.0f,", most), 1)
			}
			if got := ask(limited); got.status != 200 {
				t.Errorf("%d %s", got.status, got.body)
			}
			w.sound()
		})
	}
}

var saidLimit = regexp.MustCompile(`"max_tokens":[0-9]+,`)

// What an answer took is remembered for the next one's hold, by key and model; what was cut is not.
func TestEstimatesAreLearned(t *testing.T) {
	w := newWorld(t, long)
	w.key(goodKey, 2000*usd)
	w.serve(streams(content("a"), used(20, 50), done()))
	for range 20 {
		if got := w.chat(openStream); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got, want := w.receipt(w.chat(openStream)).Held, int64(len(openStream))*perIn+256*perOut; got != want { // nothing below what is of use
		t.Errorf("held %d, want %d", got, want)
	}
}
