package compile_test

import (
	"bytes"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/controllers/compile"
)

// read makes an Input of a file of objects. The first AIGateway is the one to compile for; a document of kind Input
// sets `local`.
func read(t *testing.T, file string) compile.Input {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := compile.Input{Secrets: map[types.NamespacedName]map[string][]byte{}, Namespaces: map[string]map[string]string{}}
	for _, doc := range bytes.Split(raw, []byte("\n---\n")) {
		var head metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch head.Kind {
		case "Input":
			in.Local = true
		case "Namespace":
			ns := decode[corev1.Namespace](t, file, doc)
			in.Namespaces[ns.Name] = ns.Labels
		case "Secret":
			s := decode[corev1.Secret](t, file, doc)
			data := s.Data
			if data == nil {
				data = map[string][]byte{}
			}
			for k, v := range s.StringData {
				data[k] = []byte(v)
			}
			in.Secrets[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}] = data
		case compile.KindAIGateway:
			gw := decode[v1alpha1.AIGateway](t, file, doc)
			if in.Gateway == nil {
				in.Gateway = &gw
			}
			in.Gateways = append(in.Gateways, gw.Name)
		case compile.KindProvider:
			in.Providers = append(in.Providers, decode[v1alpha1.Provider](t, file, doc))
		case compile.KindModel:
			in.Models = append(in.Models, decode[v1alpha1.Model](t, file, doc))
		case compile.KindTier:
			in.Tiers = append(in.Tiers, decode[v1alpha1.Tier](t, file, doc))
		case compile.KindCreditPolicy:
			in.CreditPolicies = append(in.CreditPolicies, decode[v1alpha1.CreditPolicy](t, file, doc))
		case compile.KindAPIKey:
			in.APIKeys = append(in.APIKeys, decode[v1alpha1.APIKey](t, file, doc))
		default:
			t.Fatalf("%s: kind %q", file, head.Kind)
		}
	}
	return in
}

func decode[T any](t *testing.T, file string, doc []byte) T {
	t.Helper()
	var out T
	if err := yaml.UnmarshalStrict(doc, &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}
