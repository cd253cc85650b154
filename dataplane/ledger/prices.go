package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
)

// PriceVersion is what a version of a model's prices consists of. It never changes.
type PriceVersion struct {
	Version string
	// Components is a snapshot.Price as JSON: NewPriceVersion writes it, Price reads it.
	Components json.RawMessage
}

// PutPriceVersions stores versions, in one order, so that two transactions never wait for each other.
func (s *store) PutPriceVersions(ctx context.Context, versions []PriceVersion) error {
	for _, v := range versions {
		if v.Version == "" || len(v.Version) > maxText || !json.Valid(v.Components) {
			return fmt.Errorf("%w price version %q of %d bytes", errInvalid, v.Version, len(v.Components))
		}
	}
	versions = slices.SortedFunc(slices.Values(versions), func(a, b PriceVersion) int { return cmp.Compare(a.Version, b.Version) })
	err := s.db.Write(ctx, func(tx sqldb.Tx) error {
		for _, v := range versions {
			const sql = "INSERT INTO price_versions (version, components, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
			made, err := tx.Exec(ctx, sql, v.Version, string(v.Components), s.now().UnixMicro())
			if err != nil {
				return err
			}
			if made == 1 {
				continue
			}
			has, err := readPriceVersion(ctx, tx, v.Version)
			if err != nil {
				return err
			}
			if string(has.Components) != string(v.Components) {
				return fmt.Errorf("price version %s: %w", v.Version, ErrConflict)
			}
		}
		return nil
	})
	return wrap("storing price versions", err)
}

// PriceVersion reads a version.
func (s *store) PriceVersion(ctx context.Context, version string) (PriceVersion, error) {
	v, err := readPriceVersion(ctx, s.db, version)
	return v, wrap("reading a price version", err)
}

// PriceVersions reads all versions.
func (s *store) PriceVersions(ctx context.Context) ([]PriceVersion, error) {
	var out []PriceVersion
	err := s.db.Each(ctx, "SELECT version, components FROM price_versions ORDER BY version", nil, func(scan func(...any) error) error {
		var version, text string
		err := scan(&version, &text)
		out = append(out, PriceVersion{version, json.RawMessage(text)})
		return err
	})
	return out, wrap("reading price versions", err)
}

func readPriceVersion(ctx context.Context, q each, version string) (PriceVersion, error) {
	v := PriceVersion{Version: version}
	found := false
	err := q.Each(ctx, "SELECT components FROM price_versions WHERE version = $1", []any{version}, func(scan func(...any) error) error {
		found = true
		var text string
		err := scan(&text)
		v.Components = json.RawMessage(text)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("price version %s: %w", version, ErrNotFound)
	}
	return v, err
}
