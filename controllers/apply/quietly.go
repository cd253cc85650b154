package apply

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// conflictWait is how long to wait for the caches after somebody else was faster.
const conflictWait = 100 * time.Millisecond

// Quietly reconciles as inner does, and tries again without a word where all that went wrong is that somebody else wrote
// an object first: that is how optimistic writers meet, and nothing that anybody has to look at.
func Quietly(inner reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		result, err := inner.Reconcile(ctx, req)
		if err != nil && onlyConflicts(err) {
			return reconcile.Result{RequeueAfter: conflictWait}, nil
		}
		return result, err
	})
}

// onlyConflicts says whether every error of a joined one is that an object changed, or was made, meanwhile.
func onlyConflicts(err error) bool {
	switch e := err.(type) { //nolint:errorlint // it takes the tree of errors apart itself
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if !onlyConflicts(one) {
				return false
			}
		}
		return true
	case apierrors.APIStatus:
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		return inner != nil && onlyConflicts(inner)
	}
	return false
}
