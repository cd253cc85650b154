package compile

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// scope is a NamespaceScope of an object, ready to be asked.
type scope struct {
	own      string
	from     v1alpha1.NamespacesFrom
	selector labels.Selector
}

// newScope reads the scope of an object in a namespace. Where its selector is wrong, it allows the own namespace alone.
func newScope(own string, s v1alpha1.NamespaceScope) (scope, error) {
	out := scope{own: own, from: s.From, selector: labels.Nothing()}
	if s.From != v1alpha1.NamespacesSelector {
		return out, nil
	}
	selector, err := newSelector(s.Selector)
	if err != nil {
		return out, err
	}
	out.selector = selector
	return out, nil
}

// allows says whether a namespace with these labels is in the scope.
func (s scope) allows(namespaces map[string]map[string]string, namespace string) bool {
	switch {
	case namespace == s.own || s.from == v1alpha1.NamespacesAll:
		return true
	case s.from == v1alpha1.NamespacesSelector:
		known, there := namespaces[namespace]
		return there && s.selector.Matches(labels.Set(known))
	}
	return false
}

// newSelector is a selector whose error is a clause for people; nil takes nothing.
func newSelector(s *metav1.LabelSelector) (labels.Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing(), fmt.Errorf("the selector is wrong: %w", err)
	}
	return selector, nil
}
