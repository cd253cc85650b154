package upkeep

import (
	"context"
	"errors"

	"github.com/layers-dev/layers/dataplane/ledger"
)

// storePrices stores the versions of a snapshot that is new.
func (u *Upkeep) storePrices(ctx context.Context) error {
	x := u.o.Source.Current()
	if x == nil || x == u.stored {
		return nil
	}
	versions, err := ledger.PricesOf(x.Snapshot)
	if err != nil {
		return err
	}
	if err := u.put(ctx, versions); err != nil {
		return err
	}
	u.stored = x
	return nil
}

// put stores versions, each alone where one of them is there with another content: that one is told, and stays as it was.
func (u *Upkeep) put(ctx context.Context, versions []ledger.PriceVersion) error {
	err := u.call(ctx, func(ctx context.Context) error { return u.o.Ledger.PutPriceVersions(ctx, versions) })
	if !errors.Is(err, ledger.ErrConflict) {
		return err
	}
	for _, v := range versions {
		err := u.call(ctx, func(ctx context.Context) error { return u.o.Ledger.PutPriceVersions(ctx, []ledger.PriceVersion{v}) })
		if errors.Is(err, ledger.ErrConflict) {
			u.conflict()
			u.o.Log.Error("A version of prices is stored with another content, which stays", "version", v.Version, "error", err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
