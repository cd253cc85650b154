package run

import (
	"github.com/layers-dev/layers/dataplane/admit/forecast"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
	"github.com/layers-dev/layers/hack/chaos/judge"
	"github.com/layers-dev/layers/hack/chaos/load"
	"github.com/layers-dev/layers/hack/chaos/plan"
)

const gatewayUID = "chaos"

// prices of the models.
var prices = map[string]snapshot.Price{
	plan.ModelCancel: {Version: "cancel-1", InputPerMillion: 3 * plan.USD, OutputPerMillion: 15 * plan.USD},
	plan.ModelDrain:  {Version: "drain-1", InputPerMillion: 2_500_000_001, OutputPerMillion: 9_999_999_999}, // no round numbers
	plan.ModelSteps: {
		Version: "steps-1", InputPerMillion: 2 * plan.USD, OutputPerMillion: 12 * plan.USD,
		Steps: []snapshot.PriceStep{{AboveInput: plan.StepAbove, InputPerMillion: 4 * plan.USD, OutputPerMillion: 18 * plan.USD}},
	},
	plan.ModelDear: {Version: "dear-1", InputPerMillion: 15 * plan.USD, OutputPerMillion: 75 * plan.USD},
}

var (
	providers = map[string]string{plan.ModelCancel: "chaos/stops", plan.ModelDrain: "chaos/goes-on", plan.ModelSteps: "chaos/goes-on", plan.ModelDear: "chaos/stops"}
	markups   = map[string]*snapshot.Ratio{plan.TierPlain: nil, plan.TierMarkup: {Num: 125, Den: 100}}
)

// configuration is what the gateways serve: two providers at these URLs.
func configuration(stops, goesOn string) *snapshot.Snapshot {
	s := &snapshot.Snapshot{
		Sequence: 1, Gateway: "chaos/gateway", GatewayUID: gatewayUID, AckToken: "chaos", Mode: snapshot.Live, CreditsPerDollar: load.CreditsPerDollar,
		Providers: []snapshot.Provider{
			{ID: "chaos/stops", Type: snapshot.OpenAICompatible, BaseURL: stops, Credential: "chaos", CancelStopsBilling: true},
			{ID: "chaos/goes-on", Type: snapshot.OpenAICompatible, BaseURL: goesOn, Credential: "chaos"},
		},
		DefaultTier: plan.TierPlain, DefaultPolicy: plan.PolicyInput,
		Policies: []snapshot.CreditPolicy{
			{Name: plan.PolicyInput, OrphanCharge: "Input"}, {Name: plan.PolicyNone, OrphanCharge: "None"}, {Name: plan.PolicyHold, OrphanCharge: "Hold"},
		},
	}
	for _, name := range []string{plan.TierPlain, plan.TierMarkup} {
		s.Tiers = append(s.Tiers, snapshot.Tier{Name: name, MaxBodyBytes: 1 << 20, Markup: markups[name]})
	}
	for _, name := range []string{plan.ModelCancel, plan.ModelDrain, plan.ModelSteps, plan.ModelDear} {
		price := prices[name]
		s.Models = append(s.Models, snapshot.Model{
			Object: name, PublicName: name, Capabilities: []string{"Text", "Streaming"}, Created: 1, Price: &price,
			Backends: []snapshot.Backend{{Name: "only", Provider: providers[name], Model: "chaos", Weight: 1}},
			Limits:   snapshot.Limits{ContextTokens: 16_384, MaxOutputTokens: judge.MaxOutput},
			Times:    snapshot.Timeout{ConnectSeconds: 5, FirstEventSeconds: 20, IdleSeconds: 20, TotalSeconds: 60},
		})
	}
	return s
}

// priceOf is what a model costs in a tier.
func priceOf(model, tier string) pricing.Price {
	from := prices[model]
	p := pricing.Price{Version: from.Version, Input: from.InputPerMillion, Output: from.OutputPerMillion}
	for _, s := range from.Steps {
		p.Steps = append(p.Steps, pricing.Step{Above: s.AboveInput, Input: s.InputPerMillion, Output: s.OutputPerMillion})
	}
	if m := markups[tier]; m != nil {
		p.Markup = pricing.Ratio{Num: m.Num, Den: m.Den}
	}
	return p
}

// sliceOf is what one slice of a hold costs in a tier, at the dearest step: by so much a stream may exceed what it held.
func sliceOf(model, tier string) pricing.Nano {
	p := priceOf(model, tier)
	for _, s := range p.Steps {
		p.Input, p.Output = max(p.Input, s.Input), max(p.Output, s.Output)
	}
	p.Steps = nil
	cost, _, err := pricing.Cost(pricing.Usage{Output: forecast.SliceTokens}, p)
	if err != nil { // prices of this file are no such numbers
		return 0
	}
	return cost
}
