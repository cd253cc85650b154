package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/layers-dev/layers/dataplane/ledger/internal/sqldb"
	"github.com/layers-dev/layers/dataplane/pricing"
)

// Options are what a ledger is given from outside.
type Options struct {
	// Now is the clock of created_at, updated_at and versions; nil: time.Now.
	Now func() time.Time
	// NewID makes a UUIDv7, for the ids of keys' rows; nil: uuid.NewV7.
	NewID func() (uuid.UUID, error)
	// Log hears once of a server that is newer than what the ledger is tested on; nil: slog.Default.
	Log *slog.Logger
}

// Limits of amounts in nano-USD: Redis' scripts count in doubles, which are exact below 2^53, about 9.007e15.
const (
	// MaxBalance bounds what a grant may bring a balance to.
	MaxBalance pricing.Nano = 9_000_000_000_000_000
	// maxAmount bounds one grant and one settlement.
	maxAmount = MaxBalance
)

// systemPrefix begins the accounts that have entries but no row.
const systemPrefix = "system/"

// ErrLimit says that a grant would bring a balance above MaxBalance.
var ErrLimit = errors.New("balance out of range")

// errInvalid begins errors about what a caller gave; nothing is written then.
var errInvalid = errors.New("invalid")

// store is the Ledger on either database.
type store struct {
	db    sqldb.DB
	now   func() time.Time
	newID func() (uuid.UUID, error)
	log   *slog.Logger
	warn  sync.Once
}

// Open opens the ledger at a postgres://, postgresql://, sqlite:PATH or file:PATH URL; errors never show the URL.
//
// PostgreSQL is connected to when it is first needed, with pgx's pool; the pool's settings (pool_max_conns, ...) go in the
// URL. It works through a transaction pooler. The schema is made by Migrate alone.
func Open(ctx context.Context, url string, o Options) (Ledger, error) {
	db, err := sqldb.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	s := &store{db: db, now: o.Now, newID: o.NewID, log: o.Log}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = uuid.NewV7
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s, nil
}

// Close gives back the connections.
func (s *store) Close() { s.db.Close() }

// Migrate brings the schema to this build's version.
func (s *store) Migrate(ctx context.Context) error {
	if err := s.suits(ctx); err != nil {
		return fmt.Errorf("migrating the ledger: %w", err)
	}
	if err := sqldb.Migrate(ctx, s.db, s.now().UnixMicro()); err != nil {
		return fmt.Errorf("migrating the ledger: %w", err)
	}
	have, err := sqldb.Version(ctx, s.db)
	if err != nil || have > sqldb.Latest {
		return err // a newer schema may keep its usage otherwise
	}
	_, err = s.MakePartitions(ctx, MonthsAhead)
	return err
}

// Ready is nil for this build's schema version and for the next one, so that a migration can run before a rollout.
func (s *store) Ready(ctx context.Context) error {
	if err := s.suits(ctx); err != nil {
		return err
	}
	have, err := sqldb.Version(ctx, s.db)
	if err != nil {
		return err
	}
	if have < sqldb.Latest || have > sqldb.Latest+1 {
		return fmt.Errorf("%w: it has version %d, this build needs %d", ErrSchema, have, sqldb.Latest)
	}
	return nil
}

// suits is nil unless the server is too old; that it is newer than what is tested goes to the log, once.
func (s *store) suits(ctx context.Context) error {
	warning, err := s.db.Suits(ctx)
	if warning != "" {
		s.warn.Do(func() { s.log.WarnContext(ctx, "the ledger's database: "+warning) })
	}
	return err
}

// wrap says what was being done, and tells a schema that is too old.
func wrap(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sqldb.ErrNoTable):
		return fmt.Errorf("%s: %w: %w", doing, ErrSchema, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// placeholders writes count groups of width parameters: ($1,$2),($3,$4).
func placeholders(count, width int) string {
	var b strings.Builder
	for i := range count * width {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%width == 0:
			b.WriteString("),(")
		default:
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteByte(')')
	return b.String()
}
