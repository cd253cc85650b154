package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/snapshot"
)

// Versions are the prices that requests of a snapshot may be charged by, and those that its providers ask, each version once:
// a version consists of its snapshot.Price as JSON.
func Versions(s *snapshot.Snapshot) ([]ledger.PriceVersion, error) {
	var out []ledger.PriceVersion
	seen := map[string]bool{}
	add := func(p *snapshot.Price) error {
		if p == nil || p.Version == "" || seen[p.Version] {
			return nil
		}
		seen[p.Version] = true
		components, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("writing the prices of version %s: %w", p.Version, err)
		}
		out = append(out, ledger.PriceVersion{Version: p.Version, Components: components})
		return nil
	}
	for _, m := range s.Models {
		if err := add(m.Price); err != nil {
			return nil, err
		}
		for _, b := range m.Backends {
			if err := add(b.Price); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// storePrices stores the versions of a snapshot that is new.
func (u *Upkeep) storePrices(ctx context.Context) error {
	x := u.o.Source.Current()
	if x == nil || x == u.stored {
		return nil
	}
	versions, err := Versions(x.Snapshot)
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
