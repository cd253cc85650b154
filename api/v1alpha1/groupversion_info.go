// Package v1alpha1 holds the objects of group layers.dev: AIGateway, Provider, Model, Tier, CreditPolicy and APIKey.
//
// +kubebuilder:object:generate=true
// +groupName=layers.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every object in this package.
	GroupVersion = schema.GroupVersion{Group: "layers.dev", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the six kinds and their lists.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&AIGateway{}, &AIGatewayList{},
		&Provider{}, &ProviderList{},
		&Model{}, &ModelList{},
		&Tier{}, &TierList{},
		&CreditPolicy{}, &CreditPolicyList{},
		&APIKey{}, &APIKeyList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
