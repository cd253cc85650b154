package sqldb

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// files are the migrations of each dialect: NNNN_name.sql, numbered from 1 without gaps, never changed once released.
//
//go:embed migrations
var files embed.FS

// Latest is the schema version of this build, the same for both dialects.
const Latest = 4

// Version is the schema's version; 0: there is none yet.
func Version(ctx context.Context, db DB) (int64, error) {
	v, err := version(ctx, db)
	if errors.Is(err, ErrNoTable) {
		return 0, nil
	}
	return v, err
}

// Migrate brings the schema to Latest in one transaction, now in microseconds being its time. Callers at the same time wait
// for one another; a newer schema is left alone.
func Migrate(ctx context.Context, db DB, now int64) error {
	steps, err := fs.Glob(files, db.migrations()+"/*.sql") // sorted
	if err != nil {
		return fmt.Errorf("listing migrations: %w", err)
	}
	return db.Write(ctx, func(tx Tx) error {
		if err := db.lockSchema(ctx, tx); err != nil {
			return fmt.Errorf("locking the schema: %w", err)
		}
		const table = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY, applied_at BIGINT NOT NULL)"
		if _, err := tx.Exec(ctx, table); err != nil {
			return fmt.Errorf("creating the schema's version: %w", err)
		}
		have, err := version(ctx, tx)
		if err != nil {
			return err
		}
		for n := have + 1; n <= int64(len(steps)); n++ {
			if err := apply(ctx, tx, steps[n-1], n, now); err != nil {
				return fmt.Errorf("applying %s: %w", path.Base(steps[n-1]), err)
			}
		}
		return nil
	})
}

// apply runs one migration and notes it.
func apply(ctx context.Context, tx Tx, file string, n, now int64) error {
	script, err := files.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, string(script)); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO schema_version (version, applied_at) VALUES ($1, $2)", n, now)
	return err
}

// version reads the newest version that was applied.
func version(ctx context.Context, q interface {
	Each(ctx context.Context, sql string, args []any, row func(func(...any) error) error) error
}) (int64, error) {
	var v int64
	err := q.Each(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version", nil, func(scan func(...any) error) error {
		return scan(&v)
	})
	if err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", err)
	}
	return v, nil
}
