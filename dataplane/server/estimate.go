package server

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/inbound/openai"
	"github.com/layers-dev/layers/dataplane/jsonscan"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/server/limits"
	"github.com/layers-dev/layers/dataplane/server/observe"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// estimate is the answer of POST /v1/estimate.
type estimate struct {
	Object string `json:"object"`
	Model  string `json:"model"`
	// Route are the backends by priority, the heaviest first: within a priority each request draws by weight.
	Route []stop `json:"route"`
	// Price is absent in demo mode.
	Price *priceList `json:"price,omitempty"`
	// Tokens are estimated, WorstTokens are what the hold is for.
	Tokens      tokenPair `json:"estimated_tokens"`
	WorstTokens tokenPair `json:"worst_tokens"`
	// WorstSearches is how many searches of the web the hold is for; the estimated cost has one of them.
	WorstSearches int64 `json:"worst_searches,omitempty"`
	// Cost is of the estimated tokens, Hold what is reserved while the request runs, or would have to be where it is refused;
	// its charge is of what it really used. HoldMode is adaptive (an estimate, extended as the answer gets longer), worst_case,
	// clamped (the answer is cut to MaxTokens for each choice), or why nothing is held: tied_up, short.
	Cost      map[string]string `json:"estimated_cost"`
	Hold      map[string]string `json:"hold"`
	HoldMode  string            `json:"hold_mode"`
	MaxTokens int64             `json:"max_tokens,omitempty"`
	WorstCase map[string]string `json:"worst_case"`
	Balance   map[string]string `json:"balance,omitempty"`
	Unmetered bool              `json:"unmetered"`
	// Admitted says that the request would be admitted now, Refusal is the error that it would get, Status its status.
	Admitted bool            `json:"admitted"`
	Status   int             `json:"status"`
	Refusal  json.RawMessage `json:"refusal,omitempty"`
	// Limits are the rules that the request counts against, each with what it would take.
	Limits []limitOf `json:"limits"`
}

type stop struct {
	Backend  string `json:"backend"`
	Provider string `json:"provider"`
	Priority int32  `json:"priority"`
	Weight   int32  `json:"weight"`
}

type priceList struct {
	Version    string `json:"version"`
	Input      string `json:"input_usd_per_million"`
	CacheRead  string `json:"cache_read_usd_per_million"`
	CacheWrite string `json:"cache_write_usd_per_million"`
	// CacheWrite1h and Search are absent where the model has no such price and refuses what needs it.
	CacheWrite1h string `json:"cache_write_1h_usd_per_million,omitempty"`
	Search       string `json:"search_usd_per_million,omitempty"`
	Output       string `json:"output_usd_per_million"`
	// Markup multiplies all of it; absent: nothing does.
	Markup string `json:"markup,omitempty"`
	// Steps are the prices of the whole request where its input exceeds a number of tokens.
	Steps []priceStep `json:"steps,omitempty"`
}

type priceStep struct {
	AboveInput   int64  `json:"above_input_tokens"`
	Input        string `json:"input_usd_per_million"`
	CacheRead    string `json:"cache_read_usd_per_million"`
	CacheWrite   string `json:"cache_write_usd_per_million"`
	CacheWrite1h string `json:"cache_write_1h_usd_per_million,omitempty"`
	Output       string `json:"output_usd_per_million"`
}

type tokenPair struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
}

type limitOf struct {
	Object string `json:"object"`
	Rule   string `json:"rule"`
	Limit  any    `json:"limit"`
	Takes  any    `json:"takes"`
	// Bites says that this rule alone would refuse the request now.
	Bites bool `json:"bites"`
}

// estimateFor is the query parameter that says for which path a body is; without it the body itself does.
const estimateFor = "for"

// estimable are the protocols of the paths that an estimate may be for.
var estimable = map[string]chat.Protocol{
	"/v1/chat/completions": chat.Completions, "/v1/messages": chat.Messages, "/v1/responses": chat.Responses, "/v1/embeddings": chat.Embeddings,
}

// judged is the protocol in which an estimate's body is judged: as the query says, or as its client and its shape do.
func (s *Server) judged(r *http.Request, body []byte) chat.Dialect {
	protocol := estimable[r.URL.Query().Get(estimateFor)]
	if protocol == "" {
		protocol = chat.Completions
		switch {
		case s.anthropic(r):
			protocol = chat.Messages
		case json.Valid(body) && jsonscan.Field(body, "messages") == nil && jsonscan.Field(body, "input") != nil:
			protocol = chat.Responses
		}
	}
	if d := s.o.Dialects[protocol]; d != nil {
		return d
	}
	return s.o.Dialects[chat.Completions]
}

// estimate is POST /v1/estimate: the body of a request, judged as one, and what it would cost and meet. It calls no
// provider, holds nothing and takes nothing of any limit. A body that its path would refuse is refused the same
// way; a limit or a balance that would refuse it is told in the answer.
func (s *Server) estimate(w *answer, r *http.Request, rec *observe.Record) error {
	if name := r.URL.Query().Get(estimateFor); name != "" && estimable[name] == "" {
		return errRequest("invalid_value", estimateFor, "Invalid 'for': an estimate is for /v1/chat/completions, /v1/messages, /v1/responses or /v1/embeddings.")
	}
	e, release, err := s.exchange(w, r, rec, func(body []byte) chat.Dialect { return s.judged(r, body) })
	defer release()
	if err != nil {
		return err
	}
	q := e.question(s.o.Admitter.Preview)
	q.heard = func(d admit.Decision) {
		e.tell(d)
		q.degraded(w.Header(), d)
	}
	d, err := q.decide()
	w.before = nil
	if err != nil {
		return err
	}
	out := e.estimateOf(d)
	if refused := e.refusal(d, q.spent); refused != nil {
		told := asError(refused)
		out.Admitted, out.Status, out.Refusal = false, told.Status, errorObject(told)
		if err := e.bite(out.Limits); err != nil {
			return err
		}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	s.writeJSON(w, body)
	return nil
}

func (e *exchange) estimateOf(d admit.Decision) estimate {
	perDollar := e.x.CreditsPerDollar
	out := estimate{
		Object: "estimate", Model: e.target.PublicName, Route: stops(e.backends), Unmetered: e.unmetered,
		Tokens: tokenPair{e.guess.Input, e.guess.Output}, WorstTokens: tokenPair{e.inBound, e.outBound}, WorstSearches: e.searches,
		Cost: limits.Amount(0, perDollar), WorstCase: limits.Amount(e.holds(), perDollar),
		Admitted: true, Status: http.StatusOK,
	}
	e.held(&out, d)
	out.Limits = e.limitsOf(out.Hold)
	if e.price == nil {
		return out
	}
	out.Price = pricesOf(*e.price)
	if cost, _, err := pricing.Cost(pricing.Usage{Input: e.guess.Input, Output: e.guess.Output, Searches: min(e.searches, 1)}, *e.price); err == nil {
		out.Cost = limits.Amount(cost, perDollar)
	}
	if !e.unmetered && (d.Outcome == admit.Admitted || d.Outcome == admit.InsufficientCredits) {
		out.Balance = limits.Amount(d.Spendable, perDollar)
	}
	return out
}

// held tells what would be held, and how that comes about.
func (e *exchange) held(out *estimate, d admit.Decision) {
	hold, mode := d.Held, e.modeOf(d)
	switch {
	case d.Outcome == admit.InsufficientCredits && d.TiedUp(e.least()):
		hold, mode = e.least(), forecast.TiedUp
	case d.Outcome == admit.InsufficientCredits || d.Outcome == admit.CapReached:
		hold, mode = e.least(), forecast.Short
	case d.Outcome != admit.Admitted: // it was not asked that far
		hold, mode = e.holds(), forecast.WorstCase
	case mode == forecast.Clamped:
		out.MaxTokens = e.affordable(d.Held)
	}
	out.Hold, out.HoldMode = limits.Amount(hold, e.x.CreditsPerDollar), modeNames[mode]
}

// stops are the backends that take requests, in the order that is likeliest.
func stops(backends []snapshot.Backend) []stop {
	out := make([]stop, 0, len(backends))
	for _, b := range backends {
		if b.Weight > 0 {
			out = append(out, stop{Backend: b.Name, Provider: b.Provider, Priority: b.Priority, Weight: b.Weight})
		}
	}
	slices.SortStableFunc(out, func(a, b stop) int {
		if a.Priority != b.Priority {
			return int(a.Priority) - int(b.Priority)
		}
		return int(b.Weight) - int(a.Weight)
	})
	return out
}

func pricesOf(p pricing.Price) *priceList {
	out := &priceList{
		Version: p.Version, CacheWrite1h: ifSet(p.CacheWrite1h), Search: ifSet(p.Search), Input: pricing.FormatUSD(p.Input), Output: pricing.FormatUSD(p.Output),
		CacheRead: orPrice(p.CacheRead, p.Input), CacheWrite: orPrice(p.CacheWrite, p.Input), Markup: p.Markup.String(),
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, priceStep{
			AboveInput: s.Above, Input: pricing.FormatUSD(s.Input), Output: pricing.FormatUSD(s.Output), CacheWrite1h: ifSet(s.CacheWrite1h),
			CacheRead: orPrice(s.CacheRead, s.Input), CacheWrite: orPrice(s.CacheWrite, s.Input),
		})
	}
	return out
}

// orPrice is an optional price, or the one that is charged instead.
func orPrice(optional *pricing.Nano, instead pricing.Nano) string {
	if optional == nil {
		return pricing.FormatUSD(instead)
	}
	return pricing.FormatUSD(*optional)
}

// ifSet is an optional price, or nothing.
func ifSet(optional *pricing.Nano) string {
	if optional == nil {
		return ""
	}
	return pricing.FormatUSD(*optional)
}

// limitsOf are the rules that e counts against, and what it takes of each: hold of what is counted in credits.
func (e *exchange) limitsOf(hold map[string]string) []limitOf {
	out := []limitOf{}
	for _, r := range limits.Rates(e.tier, e.guess) {
		out = append(out, limitOf{Object: "Tier " + e.tierName(), Rule: string(r.Unit), Limit: r.Value, Takes: r.Cost})
	}
	if e.tier != nil && e.tier.MaxConcurrent > 0 {
		out = append(out, limitOf{Object: "Tier " + e.tierName(), Rule: admit.RuleConcurrency, Limit: e.tier.MaxConcurrent, Takes: 1})
	}
	if e.unmetered {
		return out
	}
	if e.key.CapAmount > 0 {
		out = append(out, limitOf{Object: "APIKey " + e.key.Name, Rule: admit.RuleCap, Limit: limits.Amount(e.key.CapAmount, e.x.CreditsPerDollar), Takes: hold})
	}
	return append(out, limitOf{Object: "Account " + e.key.Account, Rule: admit.RuleCredits, Limit: nil, Takes: hold})
}

// bite asks of each rule alone whether it would refuse e: the decision names only the first that does.
func (e *exchange) bite(rules []limitOf) error {
	for i := range rules {
		q := e.question(e.s.o.Admitter.Preview)
		q.heard = func(admit.Decision) {}
		q.build = func() (admit.Request, error) {
			ask, err := e.ask()
			return alone(ask, rules[i].Rule), err
		}
		d, err := q.decide()
		if err != nil {
			return err
		}
		rules[i].Bites = d.Refusal.Rule == rules[i].Rule
	}
	return nil
}

// alone is a request that only one rule may refuse; the cap is followed by the credits.
func alone(ask admit.Request, rule string) admit.Request {
	one := ask
	one.Rates, one.MaxConcurrent, one.Cap, one.Unmetered = nil, 0, nil, true
	switch rule {
	case admit.RuleConcurrency:
		one.MaxConcurrent = ask.MaxConcurrent
	case admit.RuleCap:
		one.Cap, one.Unmetered = ask.Cap, ask.Unmetered
	case admit.RuleCredits:
		one.Unmetered = ask.Unmetered
	}
	for _, r := range ask.Rates {
		if string(r.Unit) == rule {
			one.Rates = []admit.Rate{r}
		}
	}
	return one
}

// errorObject is the error as the chat completion would answer it, without the envelope.
func errorObject(e *chat.Error) json.RawMessage {
	var envelope struct {
		Error json.RawMessage `json:"error"`
	}
	_ = json.Unmarshal(openai.ErrorBody(e), &envelope) // it was just written
	return envelope.Error
}
