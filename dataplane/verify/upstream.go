package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/layers-dev/layers/dataplane/chat"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/dataplane/upstream/anthropic"
	"github.com/layers-dev/layers/dataplane/upstream/gemini"
	"github.com/layers-dev/layers/dataplane/upstream/openai"
	"github.com/layers-dev/layers/dataplane/upstream/perplexity"
	"github.com/layers-dev/layers/dataplane/upstream/transport"
	"github.com/layers-dev/layers/dataplane/verify/client"
)

// Upstream verifies providers, asked through the adapters and the protocols of this build. An error says that the options
// name nothing that can be verified; a provider without a key is skipped.
func Upstream(ctx context.Context, o Options) (Report, error) {
	o = o.withDefaults()
	chosen, err := chosenProviders(o)
	if err != nil {
		return Report{}, err
	}
	carrier := transport.New(transport.Options{Version: o.Version, Now: o.Now})
	defer carrier.CloseIdle()
	report := Report{Suite: "upstream", Target: strings.Join(namesOf(chosen), ", "), Checks: []Result{}}
	for _, p := range chosen {
		key := p.key(o.Getenv)
		if key == "" {
			report.add(Result{Subject: p.name, Check: "key", Outcome: Skipped, Reason: "no key in the environment: set " + strings.Join(p.variables, " or ")})
			continue
		}
		report.add(p.verify(ctx, o, adapter(p.kind, carrier), key)...)
	}
	return report, ctx.Err()
}

func namesOf(list []provider) []string {
	out := make([]string, 0, len(list))
	for _, p := range list {
		out = append(out, p.name)
	}
	return out
}

// chosenProviders are those that the options name, or all.
func chosenProviders(o Options) ([]provider, error) {
	if len(o.Providers) != 1 && (o.BaseURL != "" || len(o.Models) > 0) {
		return nil, errors.New("--model and --base-url are of one provider: name it with --provider")
	}
	if len(o.Providers) == 0 {
		return providers, nil
	}
	var out []provider
	for _, name := range o.Providers {
		p, ok := providerOf(name)
		if !ok {
			return nil, fmt.Errorf("there is no provider %q: the providers are %s", name, providerNames())
		}
		out = append(out, p)
	}
	return out, nil
}

// adapter is the one that the gateway uses for a type.
func adapter(kind snapshot.ProviderType, carrier *transport.Client) chat.Upstream {
	switch kind {
	case snapshot.Anthropic:
		return anthropic.New(carrier)
	case snapshot.Gemini:
		return gemini.New(carrier, gemini.Options{})
	case snapshot.Perplexity:
		return perplexity.New(carrier)
	}
	return openai.New(carrier)
}

// verify makes the checks of one provider.
func (p provider) verify(ctx context.Context, o Options, up chat.Upstream, key string) []Result {
	as := func(credential string) *target {
		d := newDirect(up, snapshot.Provider{ID: p.name, Type: p.kind, BaseURL: strings.TrimRight(o.BaseURL, "/"), Credential: credential}, o)
		return &target{base: "http://" + p.name, key: key, transport: d, options: o}
	}
	t := as(key)
	g := &gateway{target: t}
	var out []Result
	for _, m := range p.models(o) {
		out = append(out, g.each(ctx, p.refusals(as("layers-verify-bad-key"), m), g.edge)...)
		todo, skipped := jobs(t, m, t.transport.(*direct).protocols())
		out = append(append(out, t.run(ctx, todo)...), skipped...)
	}
	if p.vectors != "" && len(o.Models) == 0 {
		out = append(out, g.each(ctx, embeddingChecks(model{id: p.vectors}), g.edge)...)
	}
	for i := range out {
		out[i].Subject = p.name + " " + out[i].Subject
	}
	return out
}

// models are those that the options name, or the provider's own one.
func (p provider) models(o Options) []model {
	ids := o.Models
	if len(ids) == 0 {
		ids = []string{p.model.id}
	}
	var out []model
	for _, id := range ids {
		m := model{id: id}
		if id == p.model.id {
			m = p.model
		}
		if len(o.Capabilities) > 0 {
			m.can = o.Capabilities
		}
		out = append(out, m)
	}
	return out
}

// refusals are checks of what the provider refuses, and of what the adapter makes of it.
func (p provider) refusals(stranger *target, m model) []edge {
	c := client.Completions{}
	return []edge{
		{m.id, c.Name(), "refused key", func(ctx context.Context, _ *gateway) error {
			got, err := stranger.post(ctx, c.Path(), pong(c, m.id))
			if err != nil {
				return err
			}
			return got.refused(c, http.StatusBadGateway, refusal{code: "upstream_auth"})
		}},
		{m.id, c.Name(), "unknown model", func(ctx context.Context, g *gateway) error {
			got, err := g.post(ctx, c.Path(), pong(c, "layers-verify-no-such-model"))
			if err != nil {
				return err
			}
			f, err := c.Failure(got.body)
			if err == nil && got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
				err = wrong("404 or 400", "%d, %s", got.status, f)
			}
			return err
		}},
	}
}
