package compile

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// baseURLs are the defaults of the providers' own SDKs.
var baseURLs = map[snapshot.ProviderType]string{
	snapshot.OpenAI:          "https://api.openai.com/v1",
	snapshot.Anthropic:       "https://api.anthropic.com",
	snapshot.Gemini:          "https://generativelanguage.googleapis.com/v1beta",
	snapshot.Perplexity:      "https://api.perplexity.ai",
	snapshot.Morph:           "https://api.morphllm.com/v1",
	snapshot.VercelAIGateway: "https://ai-gateway.vercel.sh/v1",
}

// drained are the types whose providers bill a stream to its end, whoever listens (measured by others; see the manual).
var drained = map[snapshot.ProviderType]bool{snapshot.Gemini: true, snapshot.Perplexity: true}

func cancelStopsBilling(p *v1alpha1.Provider) bool {
	switch p.Spec.CancelStopsBilling {
	case v1alpha1.CancelYes:
		return true
	case v1alpha1.CancelNo:
		return false
	}
	return !drained[snapshot.ProviderType(p.Spec.Type)]
}

func (r *run) providers() {
	for _, p := range sorted(r.in.Providers, byName) {
		k := keyOf(KindProvider, p)
		if !r.here(k) {
			continue
		}
		out, problem := provider(p)
		credential, cond := r.credential(p)
		out.Credential = credential
		if problem != "" {
			r.set(k, *refused(v1alpha1.ReasonInvalid, problem))
		} else {
			r.set(k, accepted)
		}
		r.set(k, cond)
		if problem != "" || cond.Status != metav1.ConditionTrue {
			continue
		}
		r.usable[k] = true
		r.out.Snapshot.Providers = append(r.out.Snapshot.Providers, out)
		r.include(KindProvider, p.ObjectMeta)
	}
}

// provider translates the spec; problem is a sentence for people, empty if there is none.
func provider(p *v1alpha1.Provider) (out snapshot.Provider, problem string) {
	out = snapshot.Provider{ID: nameOf(p).String(), Type: snapshot.ProviderType(p.Spec.Type), BaseURL: strings.TrimRight(p.Spec.BaseURL, "/")}
	if out.BaseURL == "" {
		out.BaseURL = baseURLs[out.Type]
	}
	out.CancelStopsBilling, out.MaxConcurrent = cancelStopsBilling(p), orDefault(p.Spec.MaxConcurrentRequests, 0)
	if out.BaseURL != "" {
		if u, err := url.Parse(out.BaseURL); err != nil || u.Hostname() == "" {
			return out, "The baseURL is not a URL with a host."
		}
	}
	for _, h := range p.Spec.Headers {
		out.Headers = append(out.Headers, snapshot.Header{Name: h.Name, Value: h.Value})
	}
	slices.SortFunc(out.Headers, func(a, b snapshot.Header) int {
		return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	for i := 1; i < len(out.Headers); i++ {
		if strings.EqualFold(out.Headers[i-1].Name, out.Headers[i].Name) {
			return out, fmt.Sprintf("The header %q is given twice.", strings.ToLower(out.Headers[i].Name))
		}
	}
	return out, ""
}

// credential resolves a Provider's credential and says so in a condition that never quotes it.
func (r *run) credential(p *v1alpha1.Provider) (string, Condition) {
	ok := Condition{v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonResolved, "The credential is resolved."}
	bad := func(reason, format string, args ...any) (string, Condition) {
		return "", Condition{v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
	}
	if p.Spec.Auth == nil {
		ok.Message = "No credential is needed."
		return "", ok
	}
	ref := p.Spec.Auth.SecretRef
	data, found := r.in.Secrets[types.NamespacedName{Namespace: p.Namespace, Name: ref.Name}]
	if !found {
		return bad(v1alpha1.ReasonSecretNotFound, "Secret %q does not exist.", ref.Name)
	}
	raw, found := data[ref.Key]
	if !found {
		return bad(v1alpha1.ReasonSecretKeyMissing, "Secret %q has no key %q.", ref.Name, ref.Key)
	}
	// Files and `kubectl create secret --from-file` leave a newline at the end.
	value := strings.TrimSpace(string(raw))
	if value == "" {
		return bad(v1alpha1.ReasonInvalid, "Key %q of Secret %q is empty.", ref.Key, ref.Name)
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
		return bad(v1alpha1.ReasonInvalid, "Key %q of Secret %q holds characters that no header can carry.", ref.Key, ref.Name)
	}
	return value, ok
}
