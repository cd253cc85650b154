package snapshot

import (
	"fmt"
	"net/netip"
)

// Index is a valid snapshot with its lookups, built once. It is immutable and safe for concurrent use.
type Index struct {
	*Snapshot
	models    map[string]*Model
	providers map[string]*Provider
	tiers     map[string]*Tier
	policies  map[string]*CreditPolicy
	// allowed holds, by tier, the models of a tier that names some.
	allowed map[*Tier]map[*Model]bool
	proxies []netip.Prefix
}

// NewIndex validates s and builds its lookups. The caller must not change s afterwards.
func NewIndex(s *Snapshot) (*Index, error) {
	if err := Validate(s); err != nil {
		return nil, fmt.Errorf("validating snapshot %d: %w", s.Sequence, err)
	}
	x := &Index{
		Snapshot:  s,
		models:    make(map[string]*Model, len(s.Models)),
		providers: make(map[string]*Provider, len(s.Providers)),
		tiers:     make(map[string]*Tier, len(s.Tiers)),
		policies:  make(map[string]*CreditPolicy, len(s.Policies)),
		allowed:   map[*Tier]map[*Model]bool{},
	}
	for i := range s.Models {
		m := &s.Models[i]
		x.models[m.PublicName] = m
		for _, alias := range m.Aliases {
			x.models[alias] = m
		}
	}
	for i := range s.Providers {
		x.providers[s.Providers[i].ID] = &s.Providers[i]
	}
	for i := range s.Policies {
		x.policies[s.Policies[i].Name] = &s.Policies[i]
	}
	for i := range s.Tiers {
		x.addTier(&s.Tiers[i])
	}
	for _, cidr := range s.ClientIP.TrustedProxies {
		if p, err := netip.ParsePrefix(cidr); err == nil { // Validate has seen to it
			x.proxies = append(x.proxies, p.Masked())
		}
	}
	return x, nil
}

func (x *Index) addTier(t *Tier) {
	x.tiers[t.Name] = t
	if len(t.Models) == 0 && !t.NoModels {
		return
	}
	set := make(map[*Model]bool, len(t.Models))
	for _, name := range t.Models {
		if m := x.models[name]; m != nil {
			set[m] = true
		}
	}
	x.allowed[t] = set
}

// Model finds a model by its public name or an alias; nil: there is none.
func (x *Index) Model(name string) *Model { return x.models[name] }

// Provider finds a provider by its id; nil: there is none.
func (x *Index) Provider(id string) *Provider { return x.providers[id] }

// Tier finds a tier by name; nil: there is none.
func (x *Index) Tier(name string) *Tier { return x.tiers[name] }

// Policy finds a credit policy by name; nil: there is none.
func (x *Index) Policy(name string) *CreditPolicy { return x.policies[name] }

// Allows says whether t may use m. A nil tier, and one that names no models, may use all; one with NoModels none.
func (x *Index) Allows(t *Tier, m *Model) bool {
	if t == nil || (len(t.Models) == 0 && !t.NoModels) {
		return true
	}
	return x.allowed[t][m]
}

// TrustedProxy says whether the forwarding header of what connects from that address is believed.
func (x *Index) TrustedProxy(ip netip.Addr) bool {
	ip = ip.Unmap()
	for _, p := range x.proxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
