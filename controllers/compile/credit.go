package compile

import (
	"cmp"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/layers-dev/layers/api/v1alpha1"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// firstGrant is what an account is given when it is made: in nano-USD, and how many days it lasts (0: for ever).
type firstGrant struct {
	nano int64
	days int32
}

func (r *run) creditPolicies() {
	for _, p := range sorted(r.in.CreditPolicies, byName) {
		k := keyOf(KindCreditPolicy, p)
		if !r.here(k) {
			continue
		}
		out, err := creditPolicy(p, r.perDollar())
		if err != nil {
			r.set(k, Condition{v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonInvalid,
				fmt.Sprintf("%s at %d credits a dollar: %v.", err.what, r.perDollar(), err.cause)})
			continue
		}
		r.usable[k] = true
		r.grants[nameOf(p)] = firstGrant{out.FirstGrant, out.GrantExpireDays}
		r.set(k, accepted)
		r.out.Snapshot.Policies = append(r.out.Snapshot.Policies, out)
		r.include(KindCreditPolicy, p.ObjectMeta)
	}
}

// amountError says which amount of credits is wrong, and what is wrong with it.
type amountError struct {
	what  string
	cause error
}

// creditPolicy is what a policy means to the data plane; amounts of credits must be exact in nano-USD and within what a
// balance can be.
func creditPolicy(p *v1alpha1.CreditPolicy, perDollar int64) (snapshot.CreditPolicy, *amountError) {
	out := snapshot.CreditPolicy{
		Name:         nameOf(p).String(),
		Unmetered:    p.Spec.Mode == v1alpha1.CreditUnmetered,
		OrphanCharge: string(cmp.Or(p.Spec.OrphanCharge, v1alpha1.OrphanInput)),
		Shadow:       p.Spec.Enforcement == v1alpha1.CreditShadow,
		TopUpURL:     p.Spec.TopUpURL,
	}
	if h := p.Spec.Hold; h != nil {
		out.MinOutputTokens, out.DefaultOutputTokens = orDefault(h.MinOutputTokens, 0), orDefault(h.DefaultOutputTokens, 0)
	}
	var err error
	if g := p.Spec.Grant; g != nil {
		out.GrantExpireDays = orDefault(g.ExpireDays, 0)
		if out.FirstGrant, err = credits(g.Amount, perDollar); err != nil {
			return out, &amountError{"The grant is wrong", err}
		}
	}
	if o := p.Spec.Overdraft; o != nil {
		if out.Overdraft, err = credits(*o, perDollar); err != nil {
			return out, &amountError{"The overdraft is wrong", err}
		}
	}
	return out, nil
}

// credits reads an amount that an account is to have.
func credits(amount v1alpha1.Decimal, perDollar int64) (int64, error) {
	nano, err := pricing.ParseCredits(string(amount), perDollar)
	if err == nil && nano > snapshot.MaxAmount {
		return 0, fmt.Errorf("%s credits are more than the %s that an account can have", amount, pricing.FormatCredits(snapshot.MaxAmount, perDollar))
	}
	return nano, err
}
