package sqldb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// attempts bounds how often a transaction is tried.
const attempts = 5

// migrationLock is the advisory lock of migrations: any number that nobody else uses ("layers" in ASCII).
const migrationLock = 0x6c6179657273

type postgres struct {
	arrays

	pool *pgxpool.Pool
}

// openPostgres makes a pool. Unless the URL chooses otherwise (default_query_exec_mode), statements go as unnamed ones in
// the extended protocol (mode "cache_describe"): nothing is prepared that a later statement needs, so that it works through
// a transaction pooler (PgBouncer, Supabase), where two transactions may run on two server connections. What types a
// statement has is asked once and remembered here, so that arrays go in the binary format, which is read in a third less time.
func openPostgres(ctx context.Context, rawURL string) (DB, error) {
	cfg, err := pgxpool.ParseConfig(rawURL)
	if err != nil {
		return nil, errURL // the parser's error may quote the password
	}
	// pgx's own default; written in a URL it would mean the same as leaving it out.
	if cfg.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	return postgres{pool: pool}, nil
}

// Close closes the pool.
func (p postgres) Close() { p.pool.Close() }

// ForUpdate locks the rows that a SELECT answers.
func (p postgres) ForUpdate() string { return " FOR UPDATE" }

// SkipLocked waits for nobody.
func (p postgres) SkipLocked() string { return " FOR UPDATE SKIP LOCKED" }

// Partitions is true: a table for each month.
func (p postgres) Partitions() bool { return true }

func (p postgres) migrations() string { return "migrations/postgres" }

func (p postgres) lockSchema(ctx context.Context, tx Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock))
	return err
}

// Each reads on any connection of the pool.
func (p postgres) Each(ctx context.Context, sql string, args []any, row func(func(...any) error) error) error {
	return again(ctx, func() error { return pgEach(ctx, p.pool, sql, args, row) })
}

// beginWrite begins a transaction that the server ends when its client says nothing for two seconds: a process that is stopped, or
// whose node is lost, would keep everybody else from the accounts that it has locked.
const beginWrite = "begin isolation level read committed; set local idle_in_transaction_session_timeout = '2s'"

// Write is READ COMMITTED: what is changed is locked first.
func (p postgres) Write(ctx context.Context, fn func(Tx) error) error {
	return p.begin(ctx, pgx.TxOptions{BeginQuery: beginWrite}, fn)
}

// Snapshot is REPEATABLE READ, read only.
func (p postgres) Snapshot(ctx context.Context, fn func(Tx) error) error {
	return p.begin(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, fn)
}

func (p postgres) begin(ctx context.Context, o pgx.TxOptions, fn func(Tx) error) error {
	return again(ctx, func() error {
		err := pgx.BeginTxFunc(ctx, p.pool, o, func(tx pgx.Tx) error { return fn(pgTx{tx: tx}) })
		return pgError(err)
	})
}

type pgTx struct {
	arrays

	tx pgx.Tx
}

// Exec runs a statement; without args in the simple protocol, which takes several.
func (t pgTx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := t.tx.Exec(ctx, sql, args...)
	return tag.RowsAffected(), pgError(err)
}

// Each reads in the transaction.
func (t pgTx) Each(ctx context.Context, sql string, args []any, row func(func(...any) error) error) error {
	return pgEach(ctx, t.tx, sql, args, row)
}

// Run sends all statements before it reads the first answer.
func (t pgTx) Run(ctx context.Context, statements ...Statement) (err error) {
	var b pgx.Batch
	for _, s := range statements {
		b.Queue(s.SQL, s.Args...)
	}
	answers := t.tx.SendBatch(ctx, &b)
	defer func() {
		if closing := answers.Close(); err == nil {
			err = pgError(closing)
		}
	}()
	for _, s := range statements {
		rows, err := answers.Query()
		if err == nil {
			err = pgRows(rows, s.Row)
		}
		if err != nil {
			return pgError(err)
		}
	}
	return nil
}

// pgQuerier is a pool or a transaction.
type pgQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func pgEach(ctx context.Context, q pgQuerier, sql string, args []any, row func(func(...any) error) error) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return pgError(err)
	}
	return pgRows(rows, row)
}

func pgRows(rows pgx.Rows, row func(func(...any) error) error) error {
	defer rows.Close()
	for rows.Next() {
		if row == nil {
			continue
		}
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return pgError(rows.Err())
}

// again runs fn until it succeeds or fails for a reason that trying again does not cure.
func again(ctx context.Context, fn func() error) error {
	var err error
	for range attempts {
		if err = fn(); err == nil || ctx.Err() != nil || !transient(err) {
			return err
		}
	}
	return err
}

// transient: the transaction was undone to let another one go on, or nothing was ever sent.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" // serialization_failure, deadlock_detected
	}
	return pgconn.SafeToRetry(err)
}

// pgError tells a missing table or column from other errors.
func pgError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "42703") && !errors.Is(err, ErrNoTable) {
		return fmt.Errorf("%w: %w", ErrNoTable, err)
	}
	return err
}
