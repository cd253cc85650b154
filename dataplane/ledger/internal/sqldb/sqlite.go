package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// readers bounds how many connections read at a time.
const readers = 4

// sqlite is one file: one connection that writes, in immediate transactions (a deferred one that turns into a writer fails
// at once when another process writes), and a few that read beside it, which the write-ahead log allows.
type sqlite struct {
	lists

	write, read *sql.DB
}

func openSQLite(path string) (DB, error) {
	if path == "" || strings.Contains(path, ":memory:") {
		return nil, errors.New("opening the ledger: SQLite needs the path of a file, as in sqlite:layers.db")
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	write, err := openFile(full, "_txlock=immediate")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := openFile(full, "_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(readers)
	return sqlite{write: write, read: read}, nil
}

// openFile opens the file with the settings that all connections share. A commit is on the disk when it returns
// (synchronous=FULL), as on PostgreSQL; a writer waits ten seconds for another process.
func openFile(path, option string) (*sql.DB, error) {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "_pragma=busy_timeout(10000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + option}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	return db, nil
}

// Close closes both pools.
func (s sqlite) Close() {
	_ = s.read.Close() // every commit is on the disk already
	_ = s.write.Close()
}

// ForUpdate is nothing: a transaction that writes is the only one.
func (s sqlite) ForUpdate() string { return "" }

// SkipLocked is nothing, as ForUpdate is.
func (s sqlite) SkipLocked() string { return "" }

// Partitions is false: SQLite has none.
func (s sqlite) Partitions() bool { return false }

func (s sqlite) migrations() string { return "migrations/sqlite" }

// lockSchema has nothing to do: the transaction is immediate, so that it is the only writer.
func (s sqlite) lockSchema(context.Context, Tx) error { return nil }

// Each reads beside the writer.
func (s sqlite) Each(ctx context.Context, query string, args []any, row func(func(...any) error) error) error {
	return sqliteTx{q: s.read}.Each(ctx, query, args, row)
}

// Write is an immediate transaction, after those that wait before it.
func (s sqlite) Write(ctx context.Context, fn func(Tx) error) error {
	return sqliteBegin(ctx, s.write, fn)
}

// Snapshot reads what was committed when it began.
func (s sqlite) Snapshot(ctx context.Context, fn func(Tx) error) error {
	return sqliteBegin(ctx, s.read, fn)
}

func sqliteBegin(ctx context.Context, db *sql.DB, fn func(Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return sqliteError(err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do, before it the first error counts
	if err := fn(sqliteTx{q: tx}); err != nil {
		return err
	}
	return sqliteError(tx.Commit())
}

// sqliteTx runs statements in a transaction or on a pool.
type sqliteTx struct {
	lists

	q interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

// Exec runs a statement, or several without args.
func (t sqliteTx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.q.ExecContext(ctx, numbered(query), args...)
	if err != nil {
		return 0, sqliteError(err)
	}
	return res.RowsAffected()
}

// Each reads in the transaction or on the pool.
func (t sqliteTx) Each(ctx context.Context, query string, args []any, row func(func(...any) error) error) error {
	rows, err := t.q.QueryContext(ctx, numbered(query), args...)
	if err != nil {
		return sqliteError(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return sqliteError(rows.Err())
}

// Run waits for nobody: the database is in this process.
func (t sqliteTx) Run(ctx context.Context, statements ...Statement) error {
	for _, s := range statements {
		var err error
		if s.Row == nil {
			_, err = t.Exec(ctx, s.SQL, s.Args...)
		} else {
			err = t.Each(ctx, s.SQL, s.Args, s.Row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// numbered turns $1, which SQLite takes for a name and counts by first occurrence, into ?1, which it counts by number.
func numbered(query string) string { return strings.ReplaceAll(query, "$", "?") }

// sqliteError tells a missing table or column from other errors; SQLite has no code for it.
func sqliteError(err error) error {
	if err != nil && (strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "no such column")) {
		return fmt.Errorf("%w: %w", ErrNoTable, err)
	}
	return err
}
