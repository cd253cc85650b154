// Package sqldb runs the ledger's statements on PostgreSQL and on SQLite: transactions, what to do again, and the schema.
//
// Statements are written once, with $1 parameters, in what both understand; where they differ, the dialect says how. On
// SQLite there is one writer at a time, so row locks are no question there.
package sqldb

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
)

// ErrNoTable says that a table or a column which the statement names is not there: the schema is older than the code.
var ErrNoTable = errors.New("table or column missing")

// Tx runs statements.
type Tx interface {
	Dialect
	// Exec runs one statement, or, without args, several; it answers how many rows the statement changed.
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	// Each calls row for every row that the statement answers.
	Each(ctx context.Context, sql string, args []any, row func(scan func(...any) error) error) error
	// Run runs statements one after the other, if it can without waiting for each one's answer.
	Run(ctx context.Context, statements ...Statement) error
	// Copy inserts new rows, which have the values that Values takes; ErrTaken, and the transaction is over: a key is there.
	Copy(ctx context.Context, table, columns string, rows [][]any) error
}

// Statement is one with its parameters, and what is called for every row that it answers; nil: nobody asks.
type Statement struct {
	SQL  string
	Args []any
	Row  func(scan func(...any) error) error
}

// DB is a database of either dialect. Each reads outside of any transaction.
type DB interface {
	Dialect
	Each(ctx context.Context, sql string, args []any, row func(scan func(...any) error) error) error
	// Write runs fn in one transaction, all or nothing. Where the database asks for it (deadlock, lost connection before
	// anything was sent), fn runs again from the start.
	Write(ctx context.Context, fn func(Tx) error) error
	// Snapshot runs fn on one consistent view; fn only reads.
	Snapshot(ctx context.Context, fn func(Tx) error) error
	// ForUpdate is what a SELECT ends in to lock its rows until the transaction ends.
	ForUpdate() string
	// SkipLocked is the same, without the rows that another transaction has locked.
	SkipLocked() string
	// Partitions says whether usage_logs has months that must be made ahead.
	Partitions() bool
	// Server is the version of the server or the library, for people; Suits is ErrServer where it is too old, and a warning
	// where it is newer than what is tested.
	Server(ctx context.Context) (string, error)
	Suits(ctx context.Context) (warning string, err error)
	Close()

	// migrations is the folder of the dialect's migrations; lockSchema makes other migrators wait for this transaction.
	migrations() string
	lockSchema(ctx context.Context, tx Tx) error
}

// errURL never shows the URL: it may hold a password.
var errURL = errors.New("the ledger URL is not understood: expected postgres://..., postgresql://... or sqlite:PATH")

// Open opens postgres://, postgresql://, sqlite:PATH and file:PATH URLs. PostgreSQL is connected to when first used, so
// that a process can start before its database does.
func Open(ctx context.Context, rawURL string) (DB, error) {
	scheme, rest, _ := strings.Cut(rawURL, ":")
	switch scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, rawURL)
	case "sqlite":
		return openSQLite(strings.TrimPrefix(rest, "//"))
	case "file":
		u, err := url.Parse(rawURL)
		if err != nil || u.RawQuery != "" || (u.Host != "" && u.Host != "localhost") {
			return nil, errURL
		}
		path := u.Path
		if u.Opaque != "" {
			if path, err = url.PathUnescape(u.Opaque); err != nil {
				return nil, errURL
			}
		}
		return openSQLite(filepath.FromSlash(path))
	default:
		return nil, errURL
	}
}
