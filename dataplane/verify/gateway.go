package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/layers-dev/layers/dataplane/verify/client"
)

// Names of the environment variables of the gateway's suite.
const (
	EnvURL = "LAYERS_API_URL"
	EnvKey = "LAYERS_API_KEY"
)

// gatewaySubject is what checks of no model are of.
const gatewaySubject = "gateway"

// gateway is a Layers endpoint under verification.
type gateway struct {
	*target
	// demo says that it runs in demo mode; it does from "health" on.
	demo bool
	// listed are the models that it offers this key.
	listed []model
	// model is one that can be called; empty: none can.
	model model
	// unmetered says that the key's credit policy charges nothing; it does from "estimate" on.
	unmetered bool
}

// Gateway verifies a Layers endpoint. An error says that there is nothing to verify; what is wrong with the endpoint is in
// the report.
func Gateway(ctx context.Context, o Options) (Report, error) {
	o = o.withDefaults()
	o.URL, o.Key = cmp.Or(o.URL, o.Getenv(EnvURL)), cmp.Or(o.Key, o.Getenv(EnvKey))
	if o.URL == "" || o.Key == "" {
		return Report{}, fmt.Errorf("the gateway's address and a key are needed: --url or %s, --key or %s", EnvURL, EnvKey)
	}
	base, err := baseOf(o.URL)
	if err != nil {
		return Report{}, err
	}
	g := &gateway{target: &target{base: base, key: o.Key, transport: o.Transport, options: o}}
	report := Report{Suite: "gateway", Target: base, Checks: []Result{}}
	report.add(g.each(ctx, append(keyChecks(), modelChecks()...), g.edge)...)
	models, notes := g.choose(ctx)
	report.add(notes...)
	report.add(g.each(ctx, errorChecks(), g.edge)...)
	report.add(g.each(ctx, moneyChecks(), g.edge)...)
	for _, m := range models {
		if m.vectors() {
			report.add(g.each(ctx, embeddingChecks(m), g.edge)...)
		}
		if !m.speaks() {
			continue
		}
		todo, skipped := jobs(g.target, m, client.All())
		report.add(g.target.run(ctx, todo)...)
		report.add(skipped...)
		if len(o.Capabilities) == 0 { // else the gateway was not asked what the model has
			report.add(g.each(ctx, undeclared(m), g.edge)...)
		}
	}
	return report, ctx.Err()
}

// baseOf is a gateway's address without what is below it.
func baseOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("the gateway's address is not one like https://gateway.example.com")
	}
	return strings.TrimSuffix(strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), "/v1"), nil
}

// edge is a check of the gateway itself.
type edge struct {
	subject, protocol, name string
	run                     func(ctx context.Context, g *gateway) error
}

// each makes checks one after the other: what they count (a balance, a limit) is then theirs alone.
func (g *gateway) each(ctx context.Context, edges []edge, run func(context.Context, edge) Result) []Result {
	out := make([]Result, 0, len(edges))
	for _, e := range edges {
		out = append(out, run(ctx, e))
	}
	return out
}

func (g *gateway) edge(ctx context.Context, e edge) Result {
	return g.judge(ctx, Result{Subject: cmp.Or(e.subject, gatewaySubject), Protocol: e.protocol, Check: e.name}, func(ctx context.Context) error { return e.run(ctx, g) })
}

// judge runs one check within its time.
func (t *target) judge(ctx context.Context, r Result, run func(context.Context) error) Result {
	if err := ctx.Err(); err != nil {
		return r.judged(skip{"interrupted"}, t.key)
	}
	begun := t.options.Now()
	timed, cancel := context.WithTimeout(ctx, t.options.Timeout)
	defer cancel()
	r = r.judged(run(timed), t.key)
	r.Milliseconds = t.options.Now().Sub(begun).Milliseconds()
	return r
}

// run makes jobs, as many at once as the options say; the results are in the order of the jobs.
func (t *target) run(ctx context.Context, todo []job) []Result {
	out := make([]Result, len(todo))
	slots := make(chan struct{}, t.options.Parallel)
	var running sync.WaitGroup
	for i, j := range todo {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			r := Result{Subject: j.probe.model.id, Protocol: j.probe.p.Name(), Check: j.name}
			out[i] = t.judge(ctx, r, func(ctx context.Context) error { return j.run(ctx, j.probe) })
		})
	}
	running.Wait()
	return out
}

// vectors says that a model makes vectors: its list says so, or its name.
func (m model) vectors() bool {
	return m.can != nil && m.has(canEmbed) || strings.Contains(m.id, "embed")
}

// speaks says that a model makes text, too.
func (m model) speaks() bool {
	return !m.vectors() || m.can != nil && m.has(canEmbed) && m.has(canText)
}

// choose finds the models to verify and one that answers.
func (g *gateway) choose(ctx context.Context) ([]model, []Result) {
	if len(g.options.Models) > 0 {
		return g.named(ctx)
	}
	var out []model
	var notes []Result
	skipped := func(check, why string, args ...any) {
		notes = append(notes, Result{Subject: gatewaySubject, Check: check}.judged(skip{fmt.Sprintf(why, args...)}, g.key))
	}
	away, why := 0, ""
	for i, m := range g.listed {
		if len(out) == g.options.MaxModels {
			skipped("further models", "%d more models are listed; --max-models or --model has them verified", len(g.listed)-i)
			break
		}
		if said := g.unavailable(ctx, m); said != "" {
			if away++; away == 1 {
				why = said
			}
			continue
		}
		out = append(out, m)
		g.first(m)
	}
	if away > 0 {
		skipped("models without a provider", "%d models are listed and cannot be called; the first: %s", away, why)
	}
	return out, notes
}

func (g *gateway) named(ctx context.Context) ([]model, []Result) {
	var out []model
	for _, name := range g.options.Models {
		m := model{id: name}
		for _, l := range g.listed {
			if l.id == name {
				m = l
			}
		}
		m = g.overridden(m)
		out = append(out, m)
		if g.unavailable(ctx, m) == "" {
			g.first(m)
		}
	}
	return out, nil
}

func (g *gateway) first(m model) {
	if g.model.id == "" && m.speaks() {
		g.model = m
	}
}

func (g *gateway) overridden(m model) model {
	if len(g.options.Capabilities) > 0 {
		m.can = g.options.Capabilities
	}
	return m
}

// unavailable says why a model that is listed cannot be called; empty: it can, or something else is wrong with it. The
// question costs nothing: it is for an estimate.
func (g *gateway) unavailable(ctx context.Context, m model) string {
	timed, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	body := client.Completions{}.Body(client.Ask{Model: m.id, Turns: user("pong"), Limit: shortest})
	got, err := g.send(timed, http.MethodPost, estimatePath, g.keyed(), body)
	if err != nil || got.status != http.StatusServiceUnavailable {
		return ""
	}
	f, err := (client.Completions{}).Failure(got.body)
	if err != nil || f.Code != codeNotConfigured {
		return ""
	}
	return f.Message
}

// read gets a path with the key and reads its JSON.
func (g *gateway) read(ctx context.Context, path string, v any) (*reply, error) {
	got, err := g.patient(ctx, http.MethodGet, path, g.keyed(), nil)
	if err != nil {
		return nil, err
	}
	if err := got.good(client.Completions{}, "application/json"); err != nil {
		return got, err
	}
	if err := json.Unmarshal(got.body, v); err != nil {
		return got, wrong("JSON at "+path, "%s", got.body)
	}
	return got, nil
}
