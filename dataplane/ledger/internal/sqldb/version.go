package sqldb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// ErrServer says that the database server is older than what the ledger needs.
var ErrServer = errors.New("the database server is too old")

// oldestPostgres is the oldest PostgreSQL that is taken, as server_version_num has it: 14 is the oldest that its makers still
// mend, and all that is used here is in it (partitions with generated columns and keys, idle_in_transaction_session_timeout,
// DROP DATABASE ... WITH (FORCE) in tests). `make test-versions` runs on it.
const oldestPostgres = 140_000

// newestPostgres is the newest series that the tests run on; newer ones are taken with a warning.
const newestPostgres = 18

// Server is the server's version, as it says itself.
func (p postgres) Server(ctx context.Context) (string, error) {
	return oneText(ctx, p, "SELECT current_setting('server_version_num')")
}

// Server is the version of the library in this program.
func (s sqlite) Server(ctx context.Context) (string, error) {
	return oneText(ctx, s, "SELECT sqlite_version()")
}

// Suits is empty for servers that the ledger knows, a warning where one is newer than that, and ErrServer where it is too old.
func (p postgres) Suits(ctx context.Context) (warning string, err error) {
	text, err := p.Server(ctx)
	if err != nil {
		return "", fmt.Errorf("asking PostgreSQL for its version: %w", err)
	}
	return suits(text)
}

// suits reads a server_version_num, such as 150018 for 15.18.
func suits(text string) (warning string, err error) {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n <= 0:
		return "", fmt.Errorf("%w: PostgreSQL says that its version is %.40q", ErrServer, text)
	case n < oldestPostgres:
		return "", fmt.Errorf("%w: it is PostgreSQL %s, the ledger needs %s or newer", ErrServer, release(n), release(oldestPostgres))
	case n/10_000 > newestPostgres:
		return fmt.Sprintf("it is PostgreSQL %s, which is newer than what the ledger is tested on, %d to %d",
			release(n), oldestPostgres/10_000, newestPostgres), nil
	}
	return "", nil
}

// release writes a version number as people do: 15.18, and 9.6.24 before 10.
func release(n int) string {
	if n < 100_000 {
		return fmt.Sprintf("%d.%d.%d", n/10_000, n/100%100, n%100)
	}
	return fmt.Sprintf("%d.%d", n/10_000, n%10_000)
}

// Suits is always so: the library is part of this program.
func (s sqlite) Suits(context.Context) (string, error) { return "", nil }

func oneText(ctx context.Context, db DB, sql string) (text string, err error) {
	err = db.Each(ctx, sql, nil, func(scan func(...any) error) error { return scan(&text) })
	return text, err
}
