package compile

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Defaults as the schema has them, for objects that did not pass through it.
const (
	defaultPerDollar = 100
	defaultIPHeader  = "X-Forwarded-For"
)

// gateway resolves the gateway's defaults. A default that is not usable is left out of the snapshot, and the keys that
// would take it are refused (see apiKeys): a broken reference never means "no limits".
func (r *run) gateway() {
	gw, s := r.in.Gateway, r.out.Snapshot
	k := keyOf(KindAIGateway, gw)
	if s.Mode == "" {
		s.Mode = snapshot.Live
	}
	s.CreditsPerDollar = r.perDollar()
	var bad refs
	if ref := gw.Spec.Defaults.TierRef; ref != nil {
		r.tierDefault = types.NamespacedName{Namespace: gw.Namespace, Name: ref.Name}
		if bad.check(r, ObjectKey{KindTier, gw.Namespace, ref.Name}) {
			s.DefaultTier = r.tierDefault.String()
		}
	}
	if ref := gw.Spec.Defaults.CreditPolicyRef; ref != nil {
		r.policyDefault = types.NamespacedName{Namespace: gw.Namespace, Name: ref.Name}
		if bad.check(r, ObjectKey{KindCreditPolicy, gw.Namespace, ref.Name}) {
			s.DefaultPolicy = r.policyDefault.String()
		}
	}
	if c := gw.Spec.ClientIP; c != nil {
		s.ClientIP = snapshot.ClientIP{TrustedProxies: sortedStrings(c.TrustedProxies), Header: cmp.Or(c.Header, defaultIPHeader)}
	}
	s.RejectWithoutRedis = gw.Spec.Redis != nil && gw.Spec.Redis.OnUnavailable == v1alpha1.RedisReject
	keyScope, err := newScope(gw.Namespace, gw.Spec.APIKeys)
	r.keyScope = keyScope
	if err != nil {
		r.set(k, *refused(v1alpha1.ReasonInvalid, fmt.Sprintf("In apiKeys %v; only keys of the own namespace are allowed until it is repaired.", err)))
	} else {
		r.set(k, accepted)
	}
	r.set(k, bad.condition("and keys that take them as their default are refused"))
	r.include(KindAIGateway, gw.ObjectMeta)
}

func (r *run) perDollar() int64 {
	if n := r.in.Gateway.Spec.Credits.PerDollar; n > 0 {
		return n
	}
	return defaultPerDollar
}
