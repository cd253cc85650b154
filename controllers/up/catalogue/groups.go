package catalogue

import (
	"strings"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Group is one provider with its models, as objects that name no namespace.
type Group struct {
	// Title of the provider, for people.
	Title string
	// Provider takes its key from the Secret of its own name, under SecretKey.
	Provider v1alpha1.Provider
	Models   []Entry
	LeftOut  []LeftOut
}

// Entry is one model as an object.
type Entry struct {
	// Model has its own provider as its one backend, or none where only Vercel AI Gateway serves it.
	Model v1alpha1.Model
	// Vercel is what serves it second; nil: Vercel AI Gateway does not have it.
	Vercel *v1alpha1.ModelBackend
}

// Groups are the providers with all that the catalogue has of them, in its order; the last, Vercel AI Gateway, has no models of
// its own.
func Groups() ([]Group, error) {
	f, err := read()
	if err != nil {
		return nil, err
	}
	var out []Group
	for _, p := range Providers {
		g := Group{Title: p.Title, Provider: provider("", p, "")}
		for _, m := range f.Models {
			if m.owner().Name == p.Name {
				g.Models = append(g.Models, m.entry())
			}
		}
		for _, l := range f.LeftOut {
			if strings.HasPrefix(l.Name, p.Name+"/") {
				g.LeftOut = append(g.LeftOut, l)
			}
		}
		out = append(out, g)
	}
	return out, nil
}

// entry makes objects of a model as if there were a key of its provider.
func (m Model) entry() Entry {
	owner := m.owner().Name
	e := Entry{Model: object("", m, m.backends(map[string]string{owner: "any"}))}
	for _, b := range m.backends(map[string]string{vercel: "any"}) {
		e.Vercel = &b
	}
	return e
}
