package snapshot

import (
	"net/netip"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*Snapshot)
		want   string // part of the error; empty: valid
	}{
		"sample":           {func(*Snapshot) {}, ""},
		"empty":            {func(s *Snapshot) { s.Models = nil }, ""},
		"unpriced in demo": {func(s *Snapshot) { s.Mode, s.Models[0].Price = Demo, nil }, ""},
		"unpriced":         {func(s *Snapshot) { s.Models[0].Price = nil }, "no price"},
		"negative price":   {func(s *Snapshot) { s.Models[0].Price.OutputPerMillion = -1 }, "negative price"},
		"steps": {func(s *Snapshot) {
			s.Models[0].Price.Steps = []PriceStep{{AboveInput: 100, InputPerMillion: 1}, {AboveInput: 101, InputPerMillion: 2}}
		}, ""},
		"steps out of order": {func(s *Snapshot) {
			s.Models[0].Price.Steps = []PriceStep{{AboveInput: 100}, {AboveInput: 100}}
		}, "ascending order"},
		"a step for all":       {func(s *Snapshot) { s.Models[0].Price.Steps = []PriceStep{{}} }, "ascending order"},
		"a negative step":      {func(s *Snapshot) { s.Models[0].Price.Steps = []PriceStep{{AboveInput: 1, OutputPerMillion: -1}} }, "in a step"},
		"a provider's":         {func(s *Snapshot) { s.Models[0].Backends[0].Price = &Price{InputPerMillion: 1} }, ""},
		"a negative one":       {func(s *Snapshot) { s.Models[0].Backends[0].Price = &Price{InputPerMillion: -1} }, "negative price"},
		"markup":               {func(s *Snapshot) { s.Tiers[0].Markup = &Ratio{12, 10} }, ""},
		"no markup":            {func(s *Snapshot) { s.Tiers[0].Markup = &Ratio{} }, "no ratio"},
		"a third":              {func(s *Snapshot) { s.Tiers[0].Markup = &Ratio{1, 3} }, "no ratio"},
		"too large":            {func(s *Snapshot) { s.Tiers[0].Markup = &Ratio{1001, 1} }, "no ratio"},
		"a negative ratio":     {func(s *Snapshot) { s.Tiers[0].Markup = &Ratio{-1, 1} }, "no ratio"},
		"mode":                 {func(s *Snapshot) { s.Mode = "x" }, `mode "x"`},
		"credits":              {func(s *Snapshot) { s.CreditsPerDollar = 0 }, "creditsPerDollar"},
		"sequence":             {func(s *Snapshot) { s.Sequence = -1 }, "sequence"},
		"alias is a name":      {func(s *Snapshot) { s.Models[0].Aliases = []string{"openai/mini"} }, `"openai/mini" is there twice`},
		"two models, one name": {func(s *Snapshot) { s.Models = append(s.Models, s.Models[0]) }, "twice"},
		"empty name":           {func(s *Snapshot) { s.Models[0].PublicName = "" }, "model name is empty"},
		"no backends":          {func(s *Snapshot) { s.Models[0].Backends = nil }, "no backends"},
		"dangling provider":    {func(s *Snapshot) { s.Providers = nil }, `provider "ai/openai" is not`},
		"negative weight":      {func(s *Snapshot) { s.Models[0].Backends[0].Weight = -1 }, "negative weight"},
		"two providers":        {func(s *Snapshot) { s.Providers = append(s.Providers, s.Providers[0]) }, `provider "ai/openai" is there twice`},
		"limits":               {func(s *Snapshot) { s.Models[0].Limits.MaxOutputTokens = 0 }, "limits"},
		"timeouts":             {func(s *Snapshot) { s.Models[0].Times.IdleSeconds = 0 }, "timeouts"},
		"body":                 {func(s *Snapshot) { s.Tiers[0].MaxBodyBytes = 0 }, "maxBodyBytes"},
		"burst":                {func(s *Snapshot) { s.Tiers[0].Limits[0].Burst = 0 }, "burst"},
		"burst of a day":       {func(s *Snapshot) { s.Tiers[0].Limits[0] = RateLimit{RequestsPerDay, 10, 1} }, "RequestsPerDay"},
		"a day":                {func(s *Snapshot) { s.Tiers[0].Limits[0] = RateLimit{RequestsPerDay, 10, 0} }, ""},
		"no value":             {func(s *Snapshot) { s.Tiers[0].Limits[0].Value = 0 }, "RequestsPerMinute of 0"},
		"unit":                 {func(s *Snapshot) { s.Tiers[0].Limits[0].Unit = "Bytes" }, `unknown unit "Bytes"`},
		"unit twice":           {func(s *Snapshot) { s.Tiers[0].Limits = append(s.Tiers[0].Limits, s.Tiers[0].Limits[0]) }, "is there twice"},
		"concurrent":           {func(s *Snapshot) { s.Tiers[0].MaxConcurrent = -1 }, "maxConcurrent"},
		"no models, and some":  {func(s *Snapshot) { s.Tiers[0].NoModels = true }, "noModels"},
		"unavailable": {func(s *Snapshot) {
			s.Models[0].Backends, s.Models[0].Price, s.Models[0].Unavailable = nil, nil, "no key"
		}, ""},
		"unavailable, served":  {func(s *Snapshot) { s.Models[0].Unavailable = "no key" }, "unavailable"},
		"proxy":                {func(s *Snapshot) { s.ClientIP = ClientIP{[]string{"10.0.0.1"}, "X-Forwarded-For"} }, `"10.0.0.1" is no CIDR`},
		"proxy without header": {func(s *Snapshot) { s.ClientIP.TrustedProxies = []string{"10.0.0.0/8"} }, "without a header"},
		"default tier":         {func(s *Snapshot) { s.DefaultTier = "ai/none" }, `default tier "ai/none"`},
		"default policy":       {func(s *Snapshot) { s.DefaultPolicy = "ai/none" }, `default credit policy "ai/none"`},
		"grant":                {func(s *Snapshot) { s.Policies[0].FirstGrant = -1 }, "first grant is -1"},
		"absurd grant":         {func(s *Snapshot) { s.Policies[0].FirstGrant = MaxAmount + 1 }, "first grant"},
		"grant of -1 days":     {func(s *Snapshot) { s.Policies[0].GrantExpireDays = -1 }, "in days is -1"},
		"grant of ages":        {func(s *Snapshot) { s.Policies[0].GrantExpireDays = 3651 }, "in days is 3651"},
		"least output":         {func(s *Snapshot) { s.Policies[0].MinOutputTokens = -1 }, "minOutputTokens is -1"},
		"absurd least output":  {func(s *Snapshot) { s.Policies[0].MinOutputTokens = 10_000_001 }, "minOutputTokens"},
		"estimate":             {func(s *Snapshot) { s.Policies[0].DefaultOutputTokens = -1 }, "defaultOutputTokens is -1"},
		"absurd estimate":      {func(s *Snapshot) { s.Policies[0].DefaultOutputTokens = 10_000_001 }, "defaultOutputTokens"},
		"overdraft":            {func(s *Snapshot) { s.Policies[0].Overdraft = -1 }, "overdraft is -1"},
		"absurd overdraft":     {func(s *Snapshot) { s.Policies[0].Overdraft = MaxAmount + 1 }, "overdraft"},
		"orphans":              {func(s *Snapshot) { s.Policies[0].OrphanCharge = "All" }, `orphans are charged "All"`},
		"orphans by default":   {func(s *Snapshot) { s.Policies[0].OrphanCharge = "" }, ""},
		"at the bounds": {func(s *Snapshot) {
			s.Policies[0] = CreditPolicy{Name: "ai/prepaid", FirstGrant: MaxAmount, GrantExpireDays: 3650, MinOutputTokens: 10_000_000,
				DefaultOutputTokens: 10_000_000, OrphanCharge: "Hold", Overdraft: MaxAmount, Shadow: true}
		}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := sample()
			c.change(s)
			_, err := NewIndex(s)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestIndex(t *testing.T) {
	s := sample()
	other := s.Models[0]
	other.PublicName, other.Aliases = "openai/max", nil
	s.Models = append(s.Models, other)
	s.Tiers = append(s.Tiers, Tier{Name: "ai/all", MaxBodyBytes: 1}, Tier{Name: "ai/gone", Models: []string{"deleted"}, MaxBodyBytes: 1},
		Tier{Name: "ai/none", NoModels: true, MaxBodyBytes: 1})
	s.ClientIP = ClientIP{TrustedProxies: []string{"10.1.2.3/8", "fd00::/8"}, Header: "X-Forwarded-For"}
	x, err := NewIndex(s)
	if err != nil {
		t.Fatal(err)
	}
	mini := x.Model("mini")
	if mini == nil || mini != x.Model("openai/mini") || x.Model("none") != nil {
		t.Error("models are found by name and alias only")
	}
	if x.Provider("ai/openai") == nil || x.Provider("x") != nil || x.Policy("ai/prepaid") == nil || x.Tier("x") != nil {
		t.Error("wrong lookup")
	}
	for tier, want := range map[string][2]bool{"ai/free": {true, false}, "ai/all": {true, true}, "ai/gone": {false, false}, "ai/none": {false, false}, "": {true, true}} {
		got := [2]bool{x.Allows(x.Tier(tier), mini), x.Allows(x.Tier(tier), x.Model("openai/max"))}
		if got != want {
			t.Errorf("tier %q allows %v, want %v", tier, got, want)
		}
	}
	for ip, want := range map[string]bool{"10.9.9.9": true, "::ffff:10.9.9.9": true, "11.0.0.1": false, "fd00::1": true, "fe80::1": false} {
		if got := x.TrustedProxy(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s is trusted: %v, want %v", ip, got, want)
		}
	}
}
