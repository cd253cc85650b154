package verify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// moneyChecks are of credits, prices and limits.
func moneyChecks() []edge {
	out := []edge{
		{name: "estimate", run: estimate},
		{name: "prices as listed", run: prices},
		{name: "balance", run: balance},
		{name: "rate limits", run: rateLimits},
	}
	for _, p := range client.All() {
		out = append(out, edge{protocol: p.Name(), name: "cost and receipt", run: costs(p, false)}, edge{protocol: p.Name(), name: "cost and receipt, streamed", run: costs(p, true)})
	}
	return append(out, edge{name: "nobody else's receipt", run: noReceipt})
}

// amount is money twice.
type amount struct{ Credits, USD string }

// decimal reads one; nil: it is none.
func decimal(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/_xX") {
		return nil
	}
	return r
}

func estimate(ctx context.Context, g *gateway) error {
	if g.model.id == "" {
		return skip{noModel}
	}
	p := client.Completions{}
	got, err := g.post(ctx, estimatePath, pong(p, g.model.id))
	if err != nil {
		return err
	}
	if err := got.good(p, "application/json"); err != nil {
		return err
	}
	var e struct {
		Object, Model string
		Route         []json.RawMessage
		Cost          amount `json:"estimated_cost"`
		Hold          amount
		Unmetered     *bool
		Admitted      *bool
	}
	if unmarshal(got.body, &e) != nil || e.Object != "estimate" || e.Model != g.model.id || len(e.Route) == 0 || e.Unmetered == nil || e.Admitted == nil {
		return wrong("an estimate with model, route, unmetered and admitted", "%s", got.body)
	}
	g.unmetered = *e.Unmetered
	cost, hold := decimal(e.Cost.USD), decimal(e.Hold.USD)
	if cost == nil || hold == nil || !g.unmetered && hold.Cmp(cost) < 0 {
		return wrong("a hold that covers the estimated cost", "hold %q, cost %q", e.Hold.USD, e.Cost.USD)
	}
	if !*e.Admitted {
		return wrong("a request that would be admitted: later checks need it", "%s", got.body)
	}
	return nil
}

// prices holds the list to what an estimate counts with.
func prices(ctx context.Context, g *gateway) error {
	if g.model.id == "" {
		return skip{noModel}
	}
	var list struct {
		Data []struct {
			ID     string
			Prices *struct{ Input, Output json.Number } `json:"pricing_per_million"`
		}
	}
	if _, err := g.read(ctx, modelsPath, &list); err != nil {
		return err
	}
	p := client.Completions{}
	got, err := g.post(ctx, estimatePath, pong(p, g.model.id))
	if err != nil {
		return err
	}
	var e struct {
		Price *struct {
			Input  string `json:"input_usd_per_million"`
			Output string `json:"output_usd_per_million"`
		}
	}
	if err := first(got.good(p, "application/json"), unmarshal(got.body, &e)); err != nil {
		return err
	}
	for _, m := range list.Data {
		switch {
		case m.ID != g.model.id:
		case e.Price == nil && m.Prices == nil:
			return skip{"nothing is charged, and no price is listed"}
		case e.Price == nil || m.Prices == nil || !same(m.Prices.Input, e.Price.Input) || !same(m.Prices.Output, e.Price.Output):
			return wrong("the prices in the list and in an estimate to be the same", "%+v and %+v", m.Prices, e.Price)
		}
	}
	return nil
}

// same compares two decimals, which may be written in two ways.
func same(a json.Number, b string) bool {
	x, y := decimal(string(a)), decimal(b)
	return x != nil && y != nil && x.Cmp(y) == 0
}

// free says why there is nothing to charge; nil: there is.
func (g *gateway) free() error {
	switch {
	case g.model.id == "":
		return skip{noModel}
	case g.demo:
		return skip{"demo mode charges nothing"}
	case g.unmetered:
		return skip{"the key's credit policy charges nothing"}
	}
	return nil
}

func balance(ctx context.Context, g *gateway) error {
	if err := g.free(); err != nil {
		return err
	}
	p := client.Completions{}
	got, err := g.post(ctx, p.Path(), pong(p, g.model.id))
	if err != nil {
		return err
	}
	if err := got.good(p, "application/json"); err != nil {
		return err
	}
	has, cost := decimal(got.header.Get("X-Layers-Balance")), decimal(got.header.Get("X-Layers-Cost"))
	if has == nil || has.Sign() < 0 || cost == nil || cost.Cmp(has) > 0 {
		return wrong("X-Layers-Balance and X-Layers-Cost, in credits, the cost within the balance", "%q and %q", got.header.Get("X-Layers-Balance"), got.header.Get("X-Layers-Cost"))
	}
	return nil
}

// receiptTries bounds how long a receipt may be under way: the answer waits for it, but not for ever.
const (
	receiptTries = 20
	receiptWait  = 250 * time.Millisecond
)

type receipt struct {
	Object, Model, Transaction, Evidence string
	Status                               int
	Stream                               bool
	Tokens                               struct {
		Input      int64 `json:"input"`
		CacheRead  int64 `json:"cache_read"`
		CacheWrite int64 `json:"cache_write"`
		Long       int64 `json:"cache_write_1h"`
		Output     int64 `json:"output"`
	}
	Cost, Charge amount
}

// costs holds an answer's price to the receipt: in the usage, in the header, and in the ledger it is one and the same.
func costs(p client.Protocol, stream bool) func(context.Context, *gateway) error {
	return func(ctx context.Context, g *gateway) error {
		if err := g.free(); err != nil {
			return err
		}
		if stream && !g.model.has(canStream) {
			return skip{"the model does not have " + canStream}
		}
		a, got, err := g.ask(ctx, p, client.Ask{Model: g.model.id, Turns: user("Reply with the single word pong."), Limit: outputLimit, Stream: stream, Usage: stream})
		if err != nil {
			return err
		}
		if err := counted(a); err != nil {
			return err
		}
		told := decimal(string(a.Usage.Cost))
		if told == nil {
			return wrong("cost in usage, a number of US dollars", "%q", a.Usage.Cost)
		}
		r, err := g.receipt(ctx, got.header.Get("X-Layers-Request-Id"))
		if err != nil {
			return err
		}
		return first(r.matches(a.Usage, g.model.id, stream), r.priced(told, got.header, stream))
	}
}

// receipt waits for one.
func (g *gateway) receipt(ctx context.Context, id string) (*receipt, error) {
	if id == "" {
		return nil, wrong("the header X-Layers-Request-Id", "none")
	}
	for n := 0; ; n++ {
		var r receipt
		got, err := g.read(ctx, usagePath+id, &r)
		if err == nil || got == nil || got.status != http.StatusNotFound || n == receiptTries {
			return &r, err
		}
		g.options.Wait(ctx, receiptWait)
	}
}

// matches compares tokens: each is in the receipt once.
func (r *receipt) matches(u *client.Usage, model string, stream bool) error {
	t := r.Tokens
	if r.Object != "usage.receipt" || r.Model != model || r.Stream != stream || r.Status != http.StatusOK {
		return wrong("a receipt of this request", "%+v", *r)
	}
	if in := t.Input + t.CacheRead + t.CacheWrite + t.Long; in != u.Input || t.Output != u.Output || t.CacheRead != u.CacheRead {
		return wrong("a receipt with the answer's tokens", "%+v in the receipt, %+v in the answer", t, *u)
	}
	return nil
}

// priced compares amounts.
func (r *receipt) priced(told *big.Rat, h http.Header, stream bool) error {
	cost, charge, credits := decimal(r.Cost.USD), decimal(r.Charge.USD), decimal(r.Charge.Credits)
	if cost == nil || charge == nil || credits == nil || cost.Cmp(charge) != 0 || charge.Cmp(told) != 0 {
		return wrong("a receipt whose cost and charge are the answer's cost", "cost %q, charge %q, told %s USD", r.Cost.USD, r.Charge.USD, told.FloatString(9))
	}
	if charge.Sign() > 0 && r.Transaction == "" {
		return wrong("a charge with its transaction in the ledger", "none")
	}
	if stream {
		return nil // the headers went before the price was known
	}
	if header := decimal(h.Get("X-Layers-Cost")); header == nil || header.Cmp(credits) != 0 {
		return wrong("X-Layers-Cost as the receipt has it, "+r.Charge.Credits, "%q", h.Get("X-Layers-Cost"))
	}
	return nil
}

func noReceipt(ctx context.Context, g *gateway) error {
	got, err := g.patient(ctx, http.MethodGet, usagePath+"req_layers-verify", g.keyed(), nil)
	if err != nil {
		return err
	}
	return got.refused(client.Completions{}, http.StatusNotFound, refusal{kind: "invalid_request_error", code: "receipt_not_found"})
}

// rateLimits holds the headers of limits to each other.
func rateLimits(ctx context.Context, g *gateway) error {
	got, err := g.patient(ctx, http.MethodGet, modelsPath, g.keyed(), nil)
	if err != nil {
		return err
	}
	if err := got.good(client.Completions{}, "application/json"); err != nil {
		return err
	}
	h := got.header
	requests, tokens := family(h, "requests"), family(h, "tokens")
	if requests.none() && tokens.none() && h.Get("X-RateLimit-Limit") == "" {
		return skip{"the key's tier has no limits"}
	}
	if err := first(requests.consistent("requests"), tokens.consistent("tokens")); err != nil {
		return err
	}
	if h.Get("X-RateLimit-Limit") != requests.limit || h.Get("X-RateLimit-Remaining") != requests.remaining {
		return wrong("X-RateLimit-Limit and -Remaining as in x-ratelimit-*-requests", "%q, %q and %q, %q",
			h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), requests.limit, requests.remaining)
	}
	if requests.none() {
		return nil
	}
	// A day is the longest limit; the clocks of the two may differ.
	at, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if from := g.options.Now().Unix(); err != nil || at < from-300 || at > from+86400+300 {
		return wrong("X-RateLimit-Reset in Unix seconds, within a day", "%q", h.Get("X-RateLimit-Reset"))
	}
	return nil
}

// standing is where one limit stands, as its headers say.
type standing struct{ limit, remaining, reset string }

func family(h http.Header, what string) standing {
	return standing{h.Get("x-ratelimit-limit-" + what), h.Get("x-ratelimit-remaining-" + what), h.Get("x-ratelimit-reset-" + what)}
}

func (s standing) none() bool { return s == standing{} }

func (s standing) consistent(what string) error {
	if s.none() {
		return nil
	}
	limit, err := strconv.ParseInt(s.limit, 10, 64)
	left, errLeft := strconv.ParseInt(s.remaining, 10, 64)
	reset, errReset := time.ParseDuration(s.reset)
	if err != nil || errLeft != nil || errReset != nil || limit < 1 || left < 0 || left > limit || reset < 0 {
		return wrong("x-ratelimit-{limit,remaining,reset}-"+what+", the remaining within the limit, the reset a duration", "%q, %q, %q", s.limit, s.remaining, s.reset)
	}
	return nil
}

// embeddingChecks are those of a model that makes vectors.
func embeddingChecks(m model) []edge {
	ask := func(ctx context.Context, g *gateway, format string) ([]json.RawMessage, error) {
		got, err := g.post(ctx, client.EmbeddingsPath, client.EmbeddingsBody(m.id, format, "one", "another"))
		if err != nil {
			return nil, err
		}
		if err := got.good(client.Completions{}, "application/json"); err != nil {
			return nil, err
		}
		vectors, usage, err := client.Embeddings(got.body, 2)
		if err == nil && usage.Input < 1 {
			err = wrong("usage with tokens of input", "%+v", *usage)
		}
		return vectors, err
	}
	return []edge{
		{m.id, client.EmbeddingsName, "vectors", func(ctx context.Context, g *gateway) error {
			vectors, err := ask(ctx, g, "float")
			var a, b []json.Number
			if err == nil && (unmarshal(vectors[0], &a) != nil || unmarshal(vectors[1], &b) != nil || len(a) == 0 || len(a) != len(b)) {
				err = wrong("two arrays of numbers of one length", "%s", vectors[0])
			}
			return err
		}},
		{m.id, client.EmbeddingsName, "vectors in base64", func(ctx context.Context, g *gateway) error {
			vectors, err := ask(ctx, g, "base64")
			if err != nil {
				return err
			}
			var text string
			raw, bad := []byte(nil), unmarshal(vectors[0], &text)
			if bad == nil {
				raw, bad = base64.StdEncoding.DecodeString(text)
			}
			if bad != nil || len(raw) == 0 || len(raw)%4 != 0 {
				return wrong("32-bit floats in base64", "%s", vectors[0])
			}
			return nil
		}},
	}
}
