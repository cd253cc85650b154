package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/layers-dev/layers/dataplane/admit"
	"github.com/layers-dev/layers/dataplane/ledger"
	"github.com/layers-dev/layers/dataplane/pricing"
	"github.com/layers-dev/layers/dataplane/settle"
	"github.com/layers-dev/layers/dataplane/settle/wal"
	"github.com/layers-dev/layers/hack/testenv"
)

// startPostgres starts a server in dir, with its own defaults or without fsync, and answers its URL.
func startPostgres(ctx context.Context, dir string, durable bool) (url string, server *testenv.Program, err error) {
	bin, as, err := testenv.Cluster(ctx, dir, os.Stderr)
	if err != nil {
		return "", nil, err
	}
	ports, err := testenv.FreePorts(1)
	if err != nil {
		return "", nil, err
	}
	args := []string{"-D", filepath.Join(dir, "data"), "-h", "127.0.0.1", "-p", strconv.Itoa(ports[0]), "-c", "unix_socket_directories="}
	if !durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	p, err := testenv.Launch(dir, as, syscall.SIGQUIT, filepath.Join(bin, "postgres"), args...)
	if err != nil {
		return "", nil, err
	}
	url = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", ports[0])
	err = p.Until(ctx, func(ctx context.Context) error {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return c.Close(ctx)
	})
	if err != nil {
		p.Kill()
		return "", nil, err
	}
	return url, p, nil
}

// world is a ledger, a settler before it, and tables for bare inserts in the same database.
type world struct {
	accounts int
	books    ledger.Ledger
	conn     *pgx.Conn
	log      *wal.Log
	settler  *settle.Settler
	told     *counter
	n        int
}

func newWorld(ctx context.Context, url, dir string, accounts int) (*world, error) {
	w := &world{accounts: accounts, told: &counter{}}
	var err error
	if w.books, err = ledger.Open(ctx, url, ledger.Options{}); err != nil {
		return nil, err
	}
	if err := w.books.Migrate(ctx); err != nil {
		return nil, err
	}
	for i := range accounts {
		if _, err := w.books.Grant(ctx, ledger.Grant{ID: account(i), Account: account(i), Amount: 1 << 50, Kind: ledger.GrantPurchased}); err != nil {
			return nil, err
		}
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parsing the URL: %w", err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // as the ledger: what works through a pooler of connections
	if w.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	if _, err := w.conn.Exec(ctx, bareSchema); err != nil {
		return nil, fmt.Errorf("making tables: %w", err)
	}
	if w.log, err = wal.Open(filepath.Join(dir, "wal"), wal.Options{}); err != nil {
		return nil, err
	}
	w.settler = settle.New(settle.Options{Ledger: w.books, Confirmer: w.told, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), WAL: w.log, Owned: true})
	return w, nil
}

func (w *world) close() {
	err := errors.Join(w.settler.Close(context.Background()), w.log.Close(), w.conn.Close(context.Background()))
	w.books.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func account(i int) string { return fmt.Sprintf("team-%d/default", i) }

// counter is told of what is committed.
type counter struct {
	n     atomic.Int64
	until atomic.Int64
	done  atomic.Pointer[chan struct{}]
}

// Confirm implements settle.Confirmer.
func (c *counter) Confirm(_ context.Context, cs []admit.Confirmation) error {
	if n := c.n.Add(int64(len(cs))); n == c.until.Load() {
		close(*c.done.Load())
	}
	return nil
}

// expect answers a channel that is closed when so many more are committed.
func (c *counter) expect(more int) <-chan struct{} {
	done := make(chan struct{})
	c.done.Store(&done)
	c.until.Store(c.n.Load() + int64(more))
	return done
}

// row is a settlement as the gateway makes it, of one of so many accounts.
func (w *world) row(accounts int) ledger.Settlement {
	w.n++
	now := time.Now().UnixMicro()
	of := w.n % accounts
	return ledger.Settlement{
		RequestID: "req_" + uuid.Must(uuid.NewV7()).String(), Account: account(of), KeyID: fmt.Sprintf("key_01890a5d-ac96-774b-bcce-%012d", of),
		Model: "gpt-5", Provider: "default/openai", Backend: "openai/gpt-5", UpstreamID: "chatcmpl-" + strconv.Itoa(w.n),
		Usage: pricing.Usage{Input: 1200, CacheRead: 300, Output: 400, Reasoning: 100},
		Lines: []pricing.Line{
			{Kind: "input", Quantity: 1200, UnitPrice: 1_250_000_000, Amount: 1_500_000}, {Kind: "cache_read", Quantity: 300, UnitPrice: 125_000_000, Amount: 37_500},
			{Kind: "output", Quantity: 400, UnitPrice: 10_000_000_000, Amount: 4_000_000},
		},
		PriceVersion: "sha256:0123456789abcdef0123456789abcdef", Cost: 5_537_500, Charged: 5_537_500, ProviderCost: 5_537_500, Held: 9_000_000,
		Evidence: ledger.EvidenceReported, Status: 200, Stream: true, StartedAt: now - 2_000_000, FinishedAt: now,
	}
}

// settle gives rows to the settler and waits until the ledger has them.
func (w *world) settle(ctx context.Context, rows, accounts int) error {
	done := w.told.expect(rows)
	for range rows {
		wait, err := w.settler.Submit(w.row(accounts), "digest")
		if err != nil {
			return err
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
	select {
	case <-done:
		return nil
	case <-time.After(time.Minute):
		return errors.New("the ledger has not all rows")
	}
}
