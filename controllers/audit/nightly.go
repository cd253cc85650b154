package audit

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/layers-dev/layers/api/v1alpha1"
)

// Nightly checks one ledger where no cluster does. It begins with the last week, because nobody wrote down what was checked
// before. What it finds is in the log and in Metrics.
type Nightly struct {
	Ledger  Checker
	Gateway types.NamespacedName
	Metrics *Metrics
	Log     *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Run checks whenever a day is due, until ctx ends.
func (n Nightly) Run(ctx context.Context) {
	last := Due(n.Now().Add(-missed * day))
	for {
		wait := againIll
		if report, err := n.check(ctx, last); err == nil {
			last = report.Day
			wait = next(n.Now())
		} else if ctx.Err() == nil {
			n.Log.Warn("The ledger is not checked yet; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// check checks what is due since last; nothing, where that is the last day that is due.
func (n Nightly) check(ctx context.Context, last string) (Report, error) {
	if last >= Due(n.Now()) {
		return Report{Day: last}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	report, err := Days(ctx, n.Ledger, last, n.Now())
	if err != nil {
		return Report{}, err
	}
	for i, p := range report.Problems {
		if i == maxLogged {
			break
		}
		n.Log.Error("The ledger does not agree with itself; `layers ledger check` tells all", "problem", p)
	}
	n.Metrics.set(n.Gateway, report.status())
	return report, nil
}

// status is a report as an AIGateway's status and the metrics have it.
func (r Report) status() v1alpha1.GatewayAudit {
	out := v1alpha1.GatewayAudit{Day: r.Day, CheckedAt: metav1.NewTime(r.CheckedAt.Truncate(time.Second))}
	for _, d := range r.Drift {
		out.Drift = append(out.Drift, v1alpha1.GatewayDrift{Kind: d.Kind, Count: d.Count})
	}
	return out
}
