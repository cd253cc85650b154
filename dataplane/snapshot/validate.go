package snapshot

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Validate says whether s can be served: names are unique, references resolve, live models are priced, limits are
// positive. It names everything that is wrong.
func Validate(s *Snapshot) error {
	errs := []error{validateHeader(s)}
	providers := map[string]bool{}
	for i := range s.Providers {
		errs = append(errs, claim(providers, "provider", s.Providers[i].ID))
	}
	names := map[string]bool{}
	for i := range s.Models {
		m := &s.Models[i]
		for _, name := range append([]string{m.PublicName}, m.Aliases...) {
			errs = append(errs, claim(names, "model name", name))
		}
		errs = append(errs, validateModel(m, s.Mode, providers))
	}
	errs = append(errs, validateTiers(s), validatePolicies(s), validateClientIP(s.ClientIP))
	return errors.Join(errs...)
}

func validateHeader(s *Snapshot) error {
	var errs []error
	if s.Mode != Live && s.Mode != Demo {
		errs = append(errs, fmt.Errorf("mode %q is unknown", s.Mode))
	}
	if s.CreditsPerDollar <= 0 {
		errs = append(errs, fmt.Errorf("creditsPerDollar is %d, not positive", s.CreditsPerDollar))
	}
	if s.Sequence < 0 {
		errs = append(errs, fmt.Errorf("sequence is %d, negative", s.Sequence))
	}
	return errors.Join(errs...)
}

func validateModel(m *Model, mode Mode, providers map[string]bool) error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("model %q: "+format, append([]any{m.PublicName}, args...)...))
	}
	if len(m.Backends) == 0 && m.Unavailable == "" {
		bad("no backends")
	}
	if len(m.Backends) > 0 && m.Unavailable != "" {
		bad("backends of a model that is unavailable")
	}
	for _, b := range m.Backends {
		if !providers[b.Provider] {
			bad("backend %q: provider %q is not in the snapshot", b.Name, b.Provider)
		}
		if b.Weight < 0 || b.Priority < 0 {
			bad("backend %q: negative weight or priority", b.Name)
		}
		if err := b.Price.check(); err != nil {
			bad("backend %q: %w", b.Name, err)
		}
	}
	if m.Price == nil && mode == Live && m.Unavailable == "" {
		bad("no price")
	}
	if err := m.Price.check(); err != nil {
		bad("%w", err)
	}
	if m.Limits.ContextTokens <= 0 || m.Limits.MaxOutputTokens <= 0 {
		bad("limits are not positive")
	}
	if t := m.Times; t.ConnectSeconds <= 0 || t.FirstEventSeconds <= 0 || t.IdleSeconds <= 0 || t.TotalSeconds <= 0 {
		bad("timeouts are not positive")
	}
	return errors.Join(errs...)
}

// check says whether a price can be charged; one that is not there can.
func (p *Price) check() error {
	if p == nil {
		return nil
	}
	optional := func(values ...*int64) bool {
		return !slices.ContainsFunc(values, func(v *int64) bool { return v != nil && *v < 0 })
	}
	if p.InputPerMillion < 0 || p.OutputPerMillion < 0 ||
		!optional(p.CacheReadPerMillion, p.CacheWritePerMillion, p.CacheWrite1hPerMillion, p.SearchPerMillion) {
		return errors.New("negative price")
	}
	above := int64(0)
	for _, s := range p.Steps {
		if s.InputPerMillion < 0 || s.OutputPerMillion < 0 || !optional(s.CacheReadPerMillion, s.CacheWritePerMillion, s.CacheWrite1hPerMillion) {
			return errors.New("negative price in a step")
		}
		if s.AboveInput <= above {
			return errors.New("steps of the price are not in ascending order")
		}
		above = s.AboveInput
	}
	return nil
}

// valid says whether a ratio is one that can be charged by.
func (r *Ratio) valid() bool {
	return r == nil || r.Num >= 0 && r.Den > 0 && r.Den <= maxDen && maxDen%r.Den == 0 && r.Num <= maxRatio*r.Den
}

// maxDen and maxRatio bound a Ratio, as package pricing does.
const (
	maxDen   = 1_000_000_000
	maxRatio = 1000
)

func validateTiers(s *Snapshot) error {
	var errs []error
	seen := map[string]bool{}
	for _, t := range s.Tiers {
		errs = append(errs, claim(seen, "tier", t.Name))
		if t.MaxBodyBytes <= 0 {
			errs = append(errs, fmt.Errorf("tier %q: maxBodyBytes is not positive", t.Name))
		}
		if t.MaxConcurrent < 0 {
			errs = append(errs, fmt.Errorf("tier %q: maxConcurrent is %d, negative", t.Name, t.MaxConcurrent))
		}
		if !t.Markup.valid() {
			errs = append(errs, fmt.Errorf("tier %q: the markup is no ratio", t.Name))
		}
		if t.NoModels && len(t.Models) > 0 {
			errs = append(errs, fmt.Errorf("tier %q: noModels, and names models", t.Name))
		}
		errs = append(errs, validateLimits(t))
	}
	if s.DefaultTier != "" && !seen[s.DefaultTier] {
		errs = append(errs, fmt.Errorf("default tier %q is not in the snapshot", s.DefaultTier))
	}
	return errors.Join(errs...)
}

// validateLimits says whether the admission script can enforce a tier's limits.
func validateLimits(t Tier) error {
	var errs []error
	seen := map[string]bool{}
	for _, l := range t.Limits {
		errs = append(errs, claim(seen, "tier "+t.Name+": limit", string(l.Unit)))
		least := int64(1)
		switch l.Unit {
		case RequestsPerMinute, InputTokensPerMinute, OutputTokensPerMinute:
		case RequestsPerDay:
			least = 0
		default:
			errs = append(errs, fmt.Errorf("tier %q: limit of unknown unit %q", t.Name, l.Unit))
			continue
		}
		if l.Value < 1 || l.Burst < least || (l.Unit == RequestsPerDay && l.Burst != 0) {
			errs = append(errs, fmt.Errorf("tier %q: %s of %d with burst %d", t.Name, l.Unit, l.Value, l.Burst))
		}
	}
	return errors.Join(errs...)
}

func validateClientIP(c ClientIP) error {
	var errs []error
	for _, cidr := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			errs = append(errs, fmt.Errorf("client IP: trusted proxy %q is no CIDR", cidr))
		}
	}
	if len(c.TrustedProxies) > 0 && c.Header == "" {
		errs = append(errs, errors.New("client IP: trusted proxies without a header"))
	}
	return errors.Join(errs...)
}

// Bounds of a CreditPolicy: MaxAmount in nano-USD is the most that an account can have, as the ledger and the admission
// script count it.
const (
	MaxAmount       = 9_000_000_000_000_000
	maxGrantDays    = 3650
	maxOutputTokens = 10_000_000
)

// check says whether a policy can be acted on.
func (p *CreditPolicy) check() error {
	var errs []error
	within := func(what string, n, most int64) {
		if n < 0 || n > most {
			errs = append(errs, fmt.Errorf("credit policy %q: %s is %d, not between 0 and %d", p.Name, what, n, most))
		}
	}
	within("the first grant", p.FirstGrant, MaxAmount)
	within("the life of the first grant in days", int64(p.GrantExpireDays), maxGrantDays)
	within("minOutputTokens", p.MinOutputTokens, maxOutputTokens)
	within("defaultOutputTokens", p.DefaultOutputTokens, maxOutputTokens)
	within("the overdraft", p.Overdraft, MaxAmount)
	if !slices.Contains([]string{"", "None", "Input", "Hold"}, p.OrphanCharge) {
		errs = append(errs, fmt.Errorf("credit policy %q: orphans are charged %q", p.Name, p.OrphanCharge))
	}
	return errors.Join(errs...)
}

func validatePolicies(s *Snapshot) error {
	var errs []error
	seen := map[string]bool{}
	for i := range s.Policies {
		p := &s.Policies[i]
		errs = append(errs, claim(seen, "credit policy", p.Name))
		errs = append(errs, p.check())
	}
	if s.DefaultPolicy != "" && !seen[s.DefaultPolicy] {
		errs = append(errs, fmt.Errorf("default credit policy %q is not in the snapshot", s.DefaultPolicy))
	}
	return errors.Join(errs...)
}

// claim takes name for the first that asks and refuses the second.
func claim(taken map[string]bool, what, name string) error {
	if name == "" {
		return fmt.Errorf("%s is empty", what)
	}
	if taken[name] {
		return fmt.Errorf("%s %q is there twice", what, name)
	}
	taken[name] = true
	return nil
}
