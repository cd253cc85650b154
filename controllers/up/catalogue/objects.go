package catalogue

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// SecretKey is the key under which a Provider's Secret holds its credential.
const SecretKey = "api-key"

// Served is what the environment allows.
type Served struct {
	Providers []v1alpha1.Provider
	// Secrets holds the credentials by the name of the Secret, which is the Provider's.
	Secrets map[string]string
	Models  []v1alpha1.Model
	// Unavailable are the models that no key of the environment opens.
	Unavailable []Unavailable
	// Unfit are the variables that are set to what cannot be a key, and are not used.
	Unfit []string
	// Titles names the providers that are served, for people.
	Titles []string
}

// Unavailable is a model and why it cannot be called: a sentence that names the variables.
type Unavailable struct {
	Model
	Why string
}

// Read makes objects of what the variables open, in one namespace. BaseURLs, by provider, replaces where they are; nil in
// all but tests.
func Read(namespace string, getenv func(string) string, baseURLs map[string]string) (Served, error) {
	f, err := read()
	if err != nil {
		return Served{}, err
	}
	out := Served{Secrets: map[string]string{}}
	for _, p := range Providers {
		key, unfit := p.key(getenv)
		out.Unfit = append(out.Unfit, unfit...)
		if key != "" {
			out.Secrets[p.Name] = key
			out.Titles = append(out.Titles, p.Title)
			out.Providers = append(out.Providers, provider(namespace, p, baseURLs[p.Name]))
		}
	}
	for _, m := range f.Models {
		backends := m.backends(out.Secrets)
		if len(backends) == 0 {
			out.Unavailable = append(out.Unavailable, Unavailable{m, m.why()})
			continue
		}
		out.Models = append(out.Models, object(namespace, m, backends))
	}
	return out, nil
}

func provider(namespace string, p Provider, baseURL string) v1alpha1.Provider {
	out := v1alpha1.Provider{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Provider"},
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: namespace},
	}
	out.Spec.Type, out.Spec.BaseURL = p.Type, baseURL
	out.Spec.Auth = &v1alpha1.ProviderAuth{SecretRef: v1alpha1.SecretKeyRef{Name: p.Name, Key: SecretKey}}
	return out
}

// owner is the provider that a model is of.
func (m Model) owner() Provider {
	name, _, _ := strings.Cut(string(m.Name), "/")
	return find(name)
}

// direct says whether the model's own provider can be asked for it.
func (m Model) direct() bool { return m.Direct != "No" }

// AllAliases are what clients may send besides the name. Those that know the provider alone send its own id, unless that
// says nothing by itself.
func (m Model) AllAliases() []v1alpha1.PublicName {
	id := v1alpha1.PublicName(m.ID)
	if id == "auto" || id == m.Name {
		return m.Aliases
	}
	return append([]v1alpha1.PublicName{id}, m.Aliases...)
}

// backends are the provider's own first, then Vercel AI Gateway, as far as there are keys.
func (m Model) backends(keys map[string]string) []v1alpha1.ModelBackend {
	var out []v1alpha1.ModelBackend
	if name := m.owner().Name; m.direct() && keys[name] != "" {
		out = append(out, v1alpha1.ModelBackend{Name: name, ProviderRef: v1alpha1.LocalRef{Name: name}, Model: m.ID})
	}
	if m.Vercel != "" && keys[vercel] != "" {
		second := int32(1)
		out = append(out, v1alpha1.ModelBackend{Name: vercel, ProviderRef: v1alpha1.LocalRef{Name: vercel}, Model: m.Vercel, Priority: &second})
	}
	return out
}

// why says what is missing.
func (m Model) why() string {
	var variables []string
	if m.direct() {
		variables = append(variables, m.owner().Variables...)
	}
	if m.Vercel != "" {
		variables = append(variables, find(vercel).Variables...)
	}
	note := ""
	if !m.direct() {
		note = fmt.Sprintf(" %s itself has it on an endpoint that chat completions do not reach.", m.owner().Title)
	}
	return fmt.Sprintf("for the model '%s' set %s.%s", m.Name, or(variables), note)
}

// or joins names as a sentence does.
func or(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func object(namespace string, m Model, backends []v1alpha1.ModelBackend) v1alpha1.Model {
	out := v1alpha1.Model{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Model"},
		ObjectMeta: metav1.ObjectMeta{Name: objectName(m.Name), Namespace: namespace},
	}
	out.Spec.PublicName, out.Spec.Aliases, out.Spec.Capabilities, out.Spec.Backends = m.Name, m.AllAliases(), slices.Clone(m.Can), backends
	out.Spec.Limits = v1alpha1.ModelLimits{ContextTokens: m.Context, MaxOutputTokens: m.Output}
	out.Spec.Pricing = &v1alpha1.ModelPricing{
		InputPerMillion: m.USD.Input, OutputPerMillion: m.USD.Output,
		CacheReadPerMillion: m.USD.CacheRead, CacheWritePerMillion: m.USD.CacheWrite, CacheWrite1hPerMillion: m.USD.CacheWrite1h,
		SearchPerThousand: m.USD.Search, Steps: m.steps(),
	}
	return out
}

// steps are the prices of large requests, where the model takes any that large.
func (m Model) steps() []v1alpha1.PricingStep {
	if m.Above == nil || m.Context <= m.Step {
		return nil
	}
	return []v1alpha1.PricingStep{{
		AboveInputTokens: m.Step, InputPerMillion: m.Above.Input, OutputPerMillion: m.Above.Output,
		CacheReadPerMillion: m.Above.CacheRead, CacheWritePerMillion: m.Above.CacheWrite, CacheWrite1hPerMillion: m.Above.CacheWrite1h,
	}}
}

// objectName is a public name as an object may be called.
func objectName(name v1alpha1.PublicName) string {
	return strings.ReplaceAll(strings.ToLower(string(name)), "/", ".")
}
