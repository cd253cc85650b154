package keys

import (
	"context"
	"errors"
	"fmt"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// Loader is what Publish needs of admission; admit.Admitter for one.
type Loader interface {
	LoadKey(ctx context.Context, account, digest, state string, version int64) error
}

// Publish tells admission and the shared cache (nil: there is none) of a row that changed, so that the next request sees
// it: whoever changes a row calls it after the change is committed. Calling it again changes nothing. Both are told even if
// one cannot be; the error says which.
func Publish(ctx context.Context, admission Loader, cache Cache, k ledger.Key) error {
	var errs []error
	if err := admission.LoadKey(ctx, k.Account, k.Digest, string(k.State), k.Version); err != nil {
		errs = append(errs, fmt.Errorf("telling admission of key %s: %w", k.ID, err))
	}
	if cache != nil {
		if err := cache.Del(ctx, cacheKey(k.Digest)); err != nil {
			errs = append(errs, fmt.Errorf("dropping the cached key %s: %w", k.ID, err))
		}
	}
	return errors.Join(errs...)
}
